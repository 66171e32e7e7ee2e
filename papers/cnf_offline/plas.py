"""Policy in the latent action space (PLAS; Zhou et al. 2020; their code), without its perturbation network.

    z = clip tanh(mu(s)),   a = d(s, z), the frozen decoder of the autoencoder

    y    = r + gamma (1 - terminated) [rho min_j Q'_j(s', a') + (1 - rho) max_j Q'_j(s', a')],   a' of the target policy
    L_Q  = mean sum_j (Q_j(s, a) - y)^2
    L_pi = -mean Q_1(s, a(s))

then all targets follow at the rate tau. States are as they are, the policy is deterministic.
"""

from copy import deepcopy

import torch
from torch import nn

from common.flows.networks import MLP
from common.rl.critics import QFunctions, critic_loss
from common.rl.learner import OfflineLearner
from common.rl.optimisers import Adam, descend, follow
from common.rl.randomness import generator, normal
from papers.cnf_offline.agent import chosen, nearest, probe
from papers.cnf_offline.cnf import decode_one, frozen_vae


class Policy(nn.Module):
    """z = clip tanh(network(s)). obs: [members, batch, observations]."""

    def __init__(self, rngs, observations, hidden, latents, clip):
        super().__init__()
        self.network, self.clip = MLP(rngs, [observations, *hidden, latents]), clip

    def forward(self, obs):
        return self.clip * torch.tanh(self.network(obs))


class Learner(OfflineLearner):
    """A fleet of PLAS agents, one member per seed."""

    stored = ("policy", "policy_target", "critics", "targets", "policy_optimiser", "critic_optimiser")

    def __init__(self, config, seeds, data, device="cpu", inputs=None):
        self.config, self.seeds, self.device, self.data = config, list(seeds), device, data
        rngs = [generator(seed, "init") for seed in seeds]
        hidden = [int(units) for units in config.hidden.split("-")]
        self.order = torch.arange(len(data))
        self.decoder = frozen_vae(chosen(inputs, "vae", normalised=False)[0], data.observations, data.actions).to(device)
        self.policy = Policy(rngs, data.observations, hidden, self.decoder.latents, config.clip).to(device)
        self.critics = QFunctions(rngs, data.observations, data.actions, hidden).to(device)
        self.policy_target = deepcopy(self.policy).requires_grad_(False)
        self.targets = deepcopy(self.critics).requires_grad_(False)
        self.policy_optimiser = Adam(self.policy.parameters(), lr=config.learning_rate)
        self.critic_optimiser = Adam(self.critics.parameters(), lr=config.critic_learning_rate)
        self.values = {}

    def actions(self, policy, obs):
        """The actions of a policy, [members, batch, actions]."""
        return decode_one(self.decoder.decode, policy(obs), obs)

    @torch.no_grad()
    def act(self, obs, draws=None, ablate=None):
        """The policy's actions: it has no others."""
        return self.actions(self.policy, obs)

    def acting_draws(self, rng, size):
        return normal(rng, size, 0)

    def inspect(self, obs):
        return {}

    def update(self, batch, draws):
        """One step of critics, policy and all targets."""
        descend(self.critic_optimiser, self.critic_loss(batch))
        descend(self.policy_optimiser, self.policy_loss(batch))
        for targets, online in ((self.targets, self.critics), (self.policy_target, self.policy)):
            follow(targets, online, self.config.target_rate)

    def critic_loss(self, batch):
        """L_Q, [members]."""
        c = self.config
        with torch.no_grad():
            values = self.targets(batch.next_obs, self.actions(self.policy_target, batch.next_obs))
            following = c.pessimism * values.amin(1) + (1 - c.pessimism) * values.amax(1)
        values = self.critics(batch.obs, batch.action)
        self.values = {"q_data": values.detach().amin(1).mean(-1)}
        return critic_loss(values, batch, c.discount, following)

    def policy_loss(self, batch):
        """L_pi, [members]."""
        return -self.critics(batch.obs, self.actions(self.policy, batch.obs))[:, 0].mean(-1)

    @torch.no_grad()
    def value_of(self, obs):
        """What the lesser critic says of the policy, [members, batch]."""
        return self.critics(obs, self.actions(self.policy, obs)).amin(1)

    def results(self):
        return nearest(self, self.data)

    def files(self):
        return {"probe": probe(self, self.data)}

    def measure(self):
        """The mean of the lesser critic at the last batch's actions."""
        return {name: value.tolist() for name, value in self.values.items()}
