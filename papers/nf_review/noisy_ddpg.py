"""DDPG with a noisy critic (NoisyNet; Fortunato et al. 2018): layers of `noisy_dqn.py`, whose noise serves a whole batch.

What it learns, and how it explores, stands in `ou_ddpg.py`; the noise's sizes are learned by J_Q alone.
"""

from papers.nf_review import ou_ddpg
from papers.nf_review.noisy_dqn import NoisyLinear


class Learner(ou_ddpg.Learner):
    """A fleet of DDPG learners with noisy critics."""

    def build_layer(self, rngs, fan_in, fan_out):
        return NoisyLinear(rngs, fan_in, fan_out, self.config.sigma)
