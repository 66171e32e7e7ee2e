"""DQN with multiplicative normalizing flows (MNF-DQN; Touati et al. 2018; Section 3.2).

All layers of Q are those of `mnf.py`, with a posterior q(W) that multipliers make richer than a Gaussian. A step descends

    J = J_Q + (alpha / D) E_q [KL(q(W | z) || N(0, I)) + ln q(z) - ln r(z | W)]

with J_Q as in `dqn.py` under local reparameterisation, and noise of its own for every state. An episode is played with one
draw of W; there is no other exploration. Target and evaluations have no noise: z = f_q(mu_0) with masks of 1/2, W = z mu.
"""

from papers.nf_review import dqn
from papers.nf_review.stochastic import dense


class Learner(dqn.Regularised):
    """A fleet of MNF-DQN learners."""

    def build_layer(self, rngs, fan_in, fan_out):
        return dense(self.config.flow, rngs, fan_in, fan_out, self.config)
