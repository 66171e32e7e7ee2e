"""TRPO with the paper's policy classes (Tang & Agrawal 2018, Section 5.1).

The algorithm is `common.rl.trpo`; what the paper changes is the policy alone (`policies`), and with it how divergence and
Fisher matrix are computed: in closed form for the Gaussian, from samples for mixtures and flows.
"""

from common.rl import trpo
from papers.trpo_nf import policies


class Learner(trpo.Learner):
    """A fleet of TRPO learners with one of the paper's policies."""

    def __init__(self, config, seeds, observations, actions, device="cpu"):
        super().__init__(policies.with_preset(config), seeds, observations, actions, device)

    def build_policy(self, rngs):
        return policies.build(self.config, rngs, self.observations, self.actions)
