"""PLAS's encoder of actions: a conditional variational autoencoder (Zhou et al. 2020; their code).

    q(z | s, a) = N(mu, sigma^2),   a' = tanh(d(s, z)),   z in 2 n dimensions
    L = mean (a - a')^2 + weight * mean [-1/2 (1 + ln sigma^2 - mu^2 - sigma^2)]

Both means are over rows and dimensions, so that the weights of the two terms are not those of a likelihood bound.
"""

import torch
from torch import nn

from common.flows.networks import MLP
from common.rl.learner import OfflineLearner
from common.rl.optimisers import Adam, descend
from common.rl.randomness import generator, normal
from papers.cnf_offline.data import Standardised


class Autoencoder(nn.Module):
    """The pair of networks, a member per generator. Inputs are [members, batch, ...]."""

    def __init__(self, rngs, observations, actions, units, log_std_range):
        super().__init__()
        self.latents, self.log_std_range = 2 * actions, log_std_range
        self.encoder = MLP(rngs, [observations + actions, units, units, 2 * self.latents])
        self.decoder = MLP(rngs, [observations + self.latents, units, units, actions])

    def posterior(self, context, action):
        """Mean and ln sigma of q(z | s, a)."""
        mean, log_std = self.encoder(torch.cat([context, action], -1)).chunk(2, -1)
        return mean, log_std.clamp(*self.log_std_range)

    def decode(self, z, context):
        return torch.tanh(self.decoder(torch.cat([context, z], -1)))


class Learner(OfflineLearner):
    """A fleet of autoencoders, one member per seed."""

    stored = ("autoencoder", "optimiser")

    def __init__(self, config, seeds, data, device="cpu", inputs=None):
        self.config, self.seeds = config, list(seeds)
        rngs = [generator(seed, "init") for seed in seeds]
        self.order = torch.arange(len(data))
        self.standardise = Standardised(data, device, config.normalised)
        limits = (config.log_std_low, config.log_std_high)
        self.autoencoder = Autoencoder(rngs, data.observations, data.actions, config.width, limits).to(device)
        self.optimiser = Adam(self.autoencoder.parameters(), lr=config.learning_rate)
        self.losses = {}

    def update_draws(self, rng, size):
        return normal(rng, size, self.config.batch_size, self.autoencoder.latents)

    def loss(self, context, action, noise):
        """(squared error, KL term) of every member, [members] each."""
        mean, log_std = self.autoencoder.posterior(context, action)
        decoded = self.autoencoder.decode(mean + log_std.exp() * noise, context)
        divergence = -0.5 * (1 + 2 * log_std - mean.square() - (2 * log_std).exp())
        return (action - decoded).square().mean((1, 2)), divergence.mean((1, 2))

    def update(self, batch, draws):
        error, divergence = self.loss(self.standardise(batch.obs), batch.action, draws["noise"])
        descend(self.optimiser, error + self.config.kl_weight * divergence)
        self.losses = {"error": error.detach(), "divergence": divergence.detach()}

    def measure(self):
        """The two terms of the last batch."""
        return {name: loss.tolist() for name, loss in self.losses.items()}

    def files(self):
        """The parameters, as a fleet of one."""
        arrays = self.autoencoder.state_dict().items()
        return {"vae": [{name: x[m : m + 1].cpu().numpy() for name, x in arrays} for m in range(len(self.seeds))]}
