"""ACKTR with the paper's policy classes (Section 5.1, Figure 5). The algorithm is `common.rl.acktr`; what the paper changes
is the policy alone. `figx_acktr_value` shows what it does that the released V sees the policy's output."""

from common.rl import acktr
from papers.trpo_nf import policies


class Learner(acktr.Learner):
    """A fleet of ACKTR learners with one of the paper's policies."""

    def build_policy(self, rngs):
        if self.config.policy == "gaussian":
            return super().build_policy(rngs)
        return policies.build(self.config, rngs, self.observations, self.actions)
