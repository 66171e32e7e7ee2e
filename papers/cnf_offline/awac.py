"""Advantage-weighted actor-critic on fixed data (Nair et al. 2020; eq. 2).

    A(s, a) = min_j Q_j(s, a) - min_j Q_j(s, a'),   a' ~ pi(. | s)
    L_pi    = mean of -ln pi(a | s) min(exp(A(s, a) / lambda), 100)

with critics as the conservative agent's. pi is a Gaussian whose ln sigma does not depend on the state; samples are clipped
to [-1, 1].
"""

from common.flows.networks import widths
from papers.cnf_offline import agent
from papers.cnf_offline.policies import FixedSpread


class Learner(agent.Agent):
    """A fleet of AWAC agents, one member per seed."""

    def build_policy(self):
        c = self.config
        limits = (c.log_std_low, c.log_std_high)
        return FixedSpread(self.rngs, self.observations, widths(c.hidden), self.actions, limits)

    def sample(self, obs, noise):
        base = self.policy(obs)
        return (base.mode() if noise is None else base.rsample_and_log_prob(noise)[0]).clamp(-1, 1)

    def policy_loss(self, batch, draws):
        """L_pi, [members]."""
        weights = self.weights(batch, draws["value_noise"])
        return -(weights * self.policy(batch.obs).log_prob(batch.action)).mean(-1)
