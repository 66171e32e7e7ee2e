"""Latent-variable advantage-weighted policy optimisation (LAPO; Chen et al. 2022; their code).

An autoencoder q(z | s, a), d(s, z) without a tanh at its end, trained together with the agent and weighted by the advantage;
a deterministic policy z = clip tanh(mu(s)) over its latents; twin critics and a value V. Targets, primed, follow all but V.

    y     = r + gamma (1 - terminated) V(s')
    v     = min_j Q'_j(s, d'(s, z' + noise)), z' of pi',       clamped to [min r, max r] / (1 - gamma)
    L_QV  = mean sum_j (Q_j(s, a) - y)^2 + (V(s) - v)^2
    w     = rho if r + gamma (1 - terminated) min_j Q'_j(s', d'(s', z')) > V(s), else 1 - rho
    L_vae = mean w [sum (a - d(s, z))^2 + beta KL[q || N(0, I)]],   z ~ q(z | s, a)
    L_pi  = -mean Q_1(s, d'(s, clip tanh(mu(s))))

States and actions are standardised, rewards divided by their largest. That is their code as it stands (57a4974); earlier
states of it clamped y too, and took V(s') for the advantage.
"""

from copy import deepcopy

import torch

from common.flows.networks import MLP, widths
from common.rl.critics import QFunctions, critic_loss
from common.rl.learner import OfflineLearner
from common.rl.optimisers import Adam, descend, follow
from common.rl.randomness import generator, normal
from papers.cnf_offline.agent import nearest, probe
from papers.cnf_offline.data import FLOOR, Standardised
from papers.cnf_offline.plas import Policy

PAIRS = (("policy_target", "policy"), ("targets", "critics"), ("decoder_target", "decoder"))


class Learner(OfflineLearner):
    """A fleet of LAPO agents, one member per seed."""

    networks = ("policy", "critics", "value", "encoder", "decoder")
    stored = (*networks, *(target for target, _ in PAIRS), "policy_optimiser", "critic_optimiser", "vae_optimiser")

    def __init__(self, config, seeds, data, device="cpu", inputs=None):
        self.config, self.seeds, self.device, self.data = config, list(seeds), device, data
        rngs, hidden = [generator(seed, "init") for seed in seeds], widths(config.hidden)
        observations, actions = data.observations, data.actions
        self.order, self.latents = torch.arange(len(data)), 2 * actions
        self.standardise = Standardised(data, device)
        mean, std = data.action.mean(0), data.action.std(0).clamp(min=FLOOR)
        self.action_mean, self.action_std = mean.to(device), std.to(device)
        self.largest = float(data.reward.max()) or 1.0
        bounds = data.reward.min() / self.largest, data.reward.max() / self.largest
        self.bounds = sorted(float(bound) / (1 - config.discount) for bound in bounds)
        self.policy = Policy(rngs, observations, hidden, self.latents, config.clip).to(device)
        self.critics = QFunctions(rngs, observations, actions, hidden).to(device)
        self.value = MLP(rngs, [observations, *hidden, 1]).to(device)
        self.encoder = MLP(rngs, [observations + actions, *hidden, 2 * self.latents]).to(device)
        self.decoder = MLP(rngs, [observations + self.latents, *hidden, actions]).to(device)
        for target, online in PAIRS:
            setattr(self, target, deepcopy(getattr(self, online)).requires_grad_(False))
        rate = config.learning_rate
        self.policy_optimiser = Adam(self.policy.parameters(), lr=rate)
        self.critic_optimiser = Adam([*self.critics.parameters(), *self.value.parameters()], lr=rate)
        self.vae_optimiser = Adam([*self.encoder.parameters(), *self.decoder.parameters()], lr=rate)

    # Acting

    @torch.no_grad()
    def act(self, obs, draws=None, ablate=None):
        """The policy's actions, [members, batch, actions]: it has no others."""
        obs = self.standardise(obs)
        return (self.decoded(self.decoder_target, obs, self.policy(obs)) * self.action_std + self.action_mean).clamp(-1, 1)

    def acting_draws(self, rng, size):
        return normal(rng, size, 0)

    def inspect(self, obs):
        return {}

    @staticmethod
    def decoded(decoder, obs, z):
        """Standardised actions, [members, batch, actions]."""
        return decoder(torch.cat([obs, z], -1))

    # Learning

    def update_draws(self, rng, size):
        return normal(rng, size, self.config.batch_size, self.latents, names=("target_noise", "noise"))

    def update(self, batch, draws):
        """One step of critics and V, of the autoencoder, of the policy, and of all targets."""
        action = (batch.action - self.action_mean) / self.action_std
        obs, next_obs = self.standardise(batch.obs), self.standardise(batch.next_obs)
        batch = type(batch)(obs, action, batch.reward / self.largest, batch.terminated, next_obs)
        descend(self.critic_optimiser, self.critic_loss(batch, draws["target_noise"]))
        descend(self.vae_optimiser, self.vae_loss(batch, draws["noise"]))
        descend(self.policy_optimiser, self.policy_loss(batch))
        for target, online in PAIRS:
            follow(getattr(self, target), getattr(self, online), self.config.target_rate)

    def least(self, obs, z):
        """min_j Q'_j(s, d'(s, z)), [members, batch]."""
        return self.targets(obs, self.decoded(self.decoder_target, obs, z)).amin(1)

    def critic_loss(self, batch, noise):
        """L_QV, [members]."""
        c = self.config
        with torch.no_grad():
            following = self.value(batch.next_obs).squeeze(-1)
            z = self.policy_target(batch.obs) + (c.target_noise * noise).clamp(-c.target_noise_clip, c.target_noise_clip)
            value = self.least(batch.obs, z).clamp(*self.bounds)
        errors = critic_loss(self.critics(batch.obs, batch.action), batch, c.discount, following)
        return errors + (self.value(batch.obs).squeeze(-1) - value).square().mean(-1)

    def vae_loss(self, batch, noise):
        """L_vae, [members]."""
        c = self.config
        with torch.no_grad():
            following = self.least(batch.next_obs, self.policy_target(batch.next_obs))
            gain = batch.reward + c.discount * (1 - batch.terminated) * following - self.value(batch.obs).squeeze(-1)
            weights = torch.where(gain > 0, c.expectile, 1 - c.expectile)
        mean, log_variance = self.encoder(torch.cat([batch.obs, batch.action], -1)).chunk(2, -1)
        decoded = self.decoded(self.decoder, batch.obs, mean + (log_variance / 2).exp() * noise)
        divergence = -0.5 * (1 + log_variance - mean.square() - log_variance.exp()).sum(-1)
        return (weights * ((batch.action - decoded).square().sum(-1) + c.kl_weight * divergence)).mean(-1)

    def policy_loss(self, batch):
        """L_pi, [members]."""
        chosen = self.decoded(self.decoder_target, batch.obs, self.policy(batch.obs))
        return -self.critics(batch.obs, chosen)[:, 0].mean(-1)

    # Measurements

    @torch.no_grad()
    def value_of(self, obs):
        """What the lesser critic says of the policy, in the environment's rewards, [members, batch]."""
        obs = self.standardise(obs)
        return self.largest * self.critics(obs, self.decoded(self.decoder_target, obs, self.policy(obs))).amin(1)

    def results(self):
        return nearest(self, self.data)

    def files(self):
        return {"probe": probe(self, self.data)}
