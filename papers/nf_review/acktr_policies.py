"""ACKTR with a Gaussian, a mixture or a flow (`policies.py`)."""

from common.flows.networks import normc
from common.rl import acktr
from papers.nf_review import policies


class Learner(acktr.Learner):
    """A fleet of ACKTR learners with one of the four classes."""

    def build_policy(self, rngs):
        if self.config.policy == "gaussian":
            return super().build_policy(rngs)
        return policies.on_policy(self.config, rngs, self.observations, self.actions, normc(1.0), normc(0.1))
