"""The conservative agent: a policy over the latents of a frozen encoder of actions (Algorithm 2).

    u ~ N(mu(s), sigma(s)^2),   z = tanh(u),   a = f^-1(z | s)

    L_Q   = mean sum_j (Q_j(s, a) - y)^2,   y = r + gamma (1 - terminated) min_j Q'_j(s', f^-1(z' | s'))          (eq. 8)
    w     = min(exp((min_j Q_j(s, a) - min_j Q_j(s, f^-1(z1 | s))) / lambda), 100), a constant                     (eq. 7)
    L_pi  = mean over the batch and dimensions of w |a - f^-1(z2 | s)|                                            (eq. 6)

with z1, z2, z' independent samples of the policy. Gradients of L_pi pass through the encoder, which stays as it is.

What the code decides: one sample stands for V; weights take the online critics, targets the slow ones; the L1 distance is a
mean over dimensions too; there is no target policy.

Other latents: `base: normal` has no tanh at the end of the flow, z = u if `clip` is 0, else z = clip tanh(u). `encoder: vae`
takes PLAS's decoder with clip 2 in the place of f^-1. `encoder: none` is the control that the paper lacks: the same loss
and critics for a = tanh(u). `space: latents` is AWAC on encoded actions (Appendix A.4): all of the above with f(a | s) for a
and without f^-1, which decodes when the agent acts.
"""

import numpy as np
import torch

from common.flows.networks import widths
from papers.cnf_offline import agent
from papers.cnf_offline.data import DATA_LIMIT
from papers.cnf_offline.policies import Gaussian
from papers.cnf_offline.vae import Autoencoder


class Learner(agent.Agent):
    """A fleet of conservative agents, one member per seed."""

    def encode_with(self, inputs):
        c = self.config
        self.actions = self.latents = self.env_actions
        if c.encoder == "flow":
            self.encoder, self.actions = agent.flow_of(inputs, c.base, self.observations, self.env_actions, self.device)
            self.latents = self.actions
        elif c.encoder == "vae":
            run = agent.chosen(inputs, "vae", normalised=True)[0]
            self.encoder = frozen_vae(run, self.observations, self.env_actions).to(self.device)
            self.latents = self.encoder.latents

    def build_policy(self):
        c = self.config
        limits = (c.log_std_low, c.log_std_high)
        return Gaussian(self.rngs, self.observations, widths(c.hidden), self.latents, limits)

    def latent(self, obs, noise):
        """z of standardised states: a sample, or, without noise, that of u = mu(s)."""
        base = self.policy(obs)
        u = base.mode() if noise is None else base.rsample_and_log_prob(noise)[0]
        return self.config.clip * torch.tanh(u) if self.config.clip else u

    def prepared(self, batch):
        batch = super().prepared(batch)
        if self.config.space == "actions":
            return batch
        with torch.no_grad():
            z = self.encoder.encode(batch.action.clamp(-DATA_LIMIT, DATA_LIMIT), batch.obs)[0]
        return type(batch)(batch.obs, z, *list(vars(batch).values())[2:])

    def sample(self, obs, noise):
        z = self.latent(obs, noise)
        return z if self.config.space == "latents" else self.decoded(z, obs)

    def decoded(self, z, obs):
        """Actions of latents, both [members, batch, entries]."""
        if self.config.encoder == "none":
            return z
        decode = self.encoder.decode
        return decode(z, obs) if self.config.encoder == "flow" else decode_one(decode, z, obs)

    @torch.no_grad()
    def act(self, obs, draws=None, ablate=None):
        obs = self.standardise(obs)
        return self.decoded(self.latent(obs, None if draws is None else draws["noise"]), obs)[..., : self.env_actions]

    def policy_loss(self, batch, draws):
        """L_pi, [members]."""
        weights = self.weights(batch, draws["value_noise"])
        distance = (batch.action - self.sample(batch.obs, draws["noise"])).abs().mean(-1)
        return (weights * distance).mean(-1)

    def probed_latents(self):
        """z of samples of the policy on some rows of the data, with the same noise for all members, [members, rows,
        entries]."""
        drawn = torch.randn(agent.PROBED, self.latents, generator=torch.Generator().manual_seed(0))
        return self.latent(self.probe.obs, drawn.to(self.device))

    @torch.no_grad()
    def results(self):
        """As every agent's, and how far its latents reach: the 99th centile towards either end, of the entry and the end
        for which it is least."""
        z = self.probed_latents()
        return super().results() | {"latent_reach": torch.cat([z, -z], -1).quantile(0.99, dim=1).amin(-1).tolist()}

    @torch.no_grad()
    def measure(self):
        """As every agent, and of the policy's samples on the same rows: the median size of a latent entry, and the mean of
        ln sigma."""
        size = self.probed_latents().abs().flatten(1).median(1)[0]
        spread = self.policy(self.probe.obs).log_std.mean((1, 2))
        return super().measure() | {"latent_size": size.tolist(), "log_std": spread.tolist()}


def frozen_vae(run, observations, actions):
    """PLAS's trained autoencoder, for all members."""
    arrays = run.tensors("vae")
    units = arrays["decoder.0.bias"].shape[-1]
    made = Autoencoder([np.random.default_rng(0)], observations, actions, units, (-4.0, 15.0))
    made.load_state_dict(arrays)
    return made.requires_grad_(False)


def decode_one(decode, z, obs):
    """The decoder of one autoencoder on latents [members, batch, ...]."""
    flat = decode(z.reshape(1, -1, z.shape[-1]), obs.reshape(1, -1, obs.shape[-1]))
    return flat.view(*z.shape[:-1], -1)
