"""PPO with a Gaussian, a mixture or a flow (`policies.py`)."""

from common.flows.networks import orthogonal
from common.rl import ppo
from papers.nf_review import policies


class Learner(ppo.Learner):
    """A fleet of PPO learners with one of the four classes."""

    def build_policy(self, rngs):
        if self.config.policy == "gaussian":
            return super().build_policy(rngs)
        inits = orthogonal(2**0.5), orthogonal(0.01)
        return ppo.contiguous(policies.on_policy(self.config, rngs, self.observations, self.actions, *inits))
