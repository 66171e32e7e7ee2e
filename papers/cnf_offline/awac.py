"""Advantage-weighted actor-critic on fixed data (Nair et al. 2020; eq. 2), in the space of actions or of latents.

    A(s, a) = min_j Q_j(s, a) - min_j Q_j(s, a'),   a' ~ pi(. | s)
    L_pi    = mean of -ln pi(a | s) min(exp(A(s, a) / lambda), 100)

with critics as the conservative agent's. pi is a Gaussian whose ln sigma does not depend on the state; samples are clipped
to [-1, 1]. With `space: latents` (Appendix A.4) the data's actions are encoded by the frozen flow, policy and critics live
on the latents, and the flow decodes what the policy chooses.
"""

import torch

from common.flows.networks import widths
from papers.cnf_offline import agent
from papers.cnf_offline.data import DATA_LIMIT, padded
from papers.cnf_offline.policies import FixedSpread

LATENT_LIMIT = 0.999  # of encoded actions: an unsquashed policy has to reach them


class Learner(agent.Agent):
    """A fleet of AWAC agents, one member per seed."""

    def encode_with(self, inputs):
        self.actions = self.latents = self.env_actions
        self.encoder = None
        if self.config.space == "latents":
            self.encoder, self.actions = agent.flow_of(
                inputs, self.config.base, self.observations, self.env_actions, self.device
            )
            self.latents = self.actions

    def build_policy(self):
        c = self.config
        limits = (c.log_std_low, c.log_std_high)
        return FixedSpread(self.rngs, self.observations, widths(c.hidden), self.actions, limits)

    def prepared(self, batch):
        batch = super().prepared(batch)
        if self.encoder is None:
            return batch
        with torch.no_grad():
            z = self.encoder.encode(padded(batch.action, self.actions).clamp(-DATA_LIMIT, DATA_LIMIT), batch.obs)[0]
        return type(batch)(batch.obs, z.clamp(-LATENT_LIMIT, LATENT_LIMIT), *list(vars(batch).values())[2:])

    def sample(self, obs, noise):
        """In the space of policy and critics."""
        base = self.policy(obs)
        return (base.mode() if noise is None else base.rsample_and_log_prob(noise)[0]).clamp(-1, 1)

    @torch.no_grad()
    def act(self, obs, draws=None, ablate=None):
        obs = self.standardise(obs)
        chosen = self.sample(obs, None if draws is None else draws["noise"])
        chosen = chosen if self.encoder is None else self.encoder.decode(chosen, obs)
        return chosen[..., : self.env_actions]

    def policy_loss(self, batch, draws):
        """L_pi, [members]."""
        weights = self.weights(batch, draws["value_noise"])
        return -(weights * self.policy(batch.obs).log_prob(batch.action)).mean(-1)
