"""DDPG with multiplicative normalizing flows in the critic (MNF-DDPG; Touati et al. 2018; Section 3.2).

All layers of Q are those of `mnf.py`; the actor is plain. A step of the critic descends

    J = J_Q + (alpha / D) E_q [KL(q(W | z) || N(0, I)) + ln q(z) - ln r(z | W)]

with J_Q as in `ou_ddpg.py` under local reparameterisation, which also says where exploration comes from. Gains and biases of
the normalised layers are no random variables.
"""

from papers.nf_review import ou_ddpg
from papers.nf_review.stochastic import dense


class Learner(ou_ddpg.Regularised):
    """A fleet of MNF-DDPG learners."""

    def build_layer(self, rngs, fan_in, fan_out):
        return dense(self.config.flow, rngs, fan_in, fan_out, self.config)
