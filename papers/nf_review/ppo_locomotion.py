"""PPO with a flow or a Gaussian (`ppo_flow.py`) on the robots of OpenAI Gym (Section 3.1.1)."""

from papers.nf_review import ppo_flow


class Learner(ppo_flow.Learner):
    """A fleet of PPO learners with a flow or a Gaussian."""
