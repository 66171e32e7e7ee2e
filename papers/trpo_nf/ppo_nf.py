"""PPO with the paper's policy classes: the combination of which the paper's conclusion expects little."""

from common.rl import ppo
from papers.trpo_nf import policies


class Learner(ppo.Learner):
    """A fleet of PPO learners with one of the paper's policies."""

    def build_policy(self, rngs):
        if self.config.policy == "gaussian":
            return super().build_policy(rngs)
        return policies.build(self.config, rngs, self.observations, self.actions)
