"""DQN with Bayes by backprop (Blundell et al. 2015; BBQN, Lipton et al. 2018; the mean field of Section 3.2).

As MNF-DQN (`mnf_dqn.py`) with a factorised Gaussian posterior over weights, whose divergence from N(0, I) is in closed form.
"""

from papers.nf_review import dqn
from papers.nf_review.stochastic import dense


class Learner(dqn.Regularised):
    """A fleet of BBQN learners."""

    def build_layer(self, rngs, fan_in, fan_out):
        return dense("mean_field", rngs, fan_in, fan_out, self.config)
