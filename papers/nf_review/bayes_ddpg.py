"""DDPG with Bayes by backprop in the critic (Blundell et al. 2015; the mean field of Section 3.2).

As MNF-DDPG (`mnf_ddpg.py`) with a factorised Gaussian posterior, whose divergence from N(0, I) is in closed form.
"""

from papers.nf_review import ou_ddpg
from papers.nf_review.stochastic import dense


class Learner(ou_ddpg.Regularised):
    """A fleet of DDPG learners with a mean field over the critic's weights."""

    def build_layer(self, rngs, fan_in, fan_out):
        return dense("mean_field", rngs, fan_in, fan_out, self.config)
