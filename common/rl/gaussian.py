"""The factorised Gaussian policy of on-policy methods."""

import numpy as np
import torch
from torch import nn

from ..flows.distributions import DiagonalGaussian
from ..flows.networks import MLP, normc
from . import acting


class FactorisedGaussian(nn.Module):
    """a ~ N(mu(s), diag(sigma)^2): mu a network of the observation, ln sigma one number a dimension, the same in every state
    and 0 at the start. Actions are not squashed. obs: [members, batch, observations].

    Defaults are those of OpenAI baselines: tanh, columns of length 1 in hidden layers and 0.01 in the last.
    """

    def __init__(self, rngs, observations, actions, hidden, last_norm=0.01):
        super().__init__()
        self.actions = actions
        self.mean = MLP(rngs, [observations, *hidden, actions], "tanh", normc(1.0), normc(last_norm))
        self.log_std = nn.Parameter(torch.zeros(len(rngs), 1, actions))

    def forward(self, obs):
        mean = self.mean(obs)
        return DiagonalGaussian(mean, self.log_std.expand_as(mean))

    def draws(self, rng, size):
        """Random numbers of `size` sampled actions of one member."""
        return {"noise": rng.standard_normal((size, self.actions), dtype=np.float32)}

    def noise(self, draws):
        """What the distribution takes as its noise, from `draws` stacked over members."""
        return draws["noise"]

    def actor(self, draws):
        """A function (step, obs [members, observations]) -> action [members, actions] in NumPy, which uses row `step` of
        `draws`, {name: [members, steps, ...]}, and the weights of now. Observations are normalised already."""
        mean, noise = acting.network(self.mean), draws["noise"] * np.exp(acting.array(self.log_std))
        return lambda step, obs: mean(obs[:, None])[:, 0] + noise[:, step]


def kl_divergence(old, new):
    """KL[old || new] of two `DiagonalGaussian`s, closed form, without the last axis."""
    gap = (old.mean - new.mean).square() + (2 * old.log_std).exp()
    return (new.log_std - old.log_std + 0.5 * gap * (-2 * new.log_std).exp() - 0.5).sum(-1)
