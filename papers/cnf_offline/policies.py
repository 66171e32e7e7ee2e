"""The agents' policies: ReLU networks, with torch's default weights where no others are given, as in the authors' code."""

import torch
from torch import nn

from common.flows.distributions import DiagonalGaussian
from common.flows.networks import MLP


class Gaussian(nn.Module):
    """N(mu(s), sigma(s)^2): mean and clamped ln sigma are one network of the state. obs: [members, batch, observations]."""

    def __init__(self, rngs, observations, hidden, actions, log_std_range):
        super().__init__()
        self.network = MLP(rngs, [observations, *hidden, 2 * actions])
        self.log_std_range = log_std_range

    def forward(self, obs):
        mean, log_std = self.network(obs).chunk(2, -1)
        return DiagonalGaussian(mean, log_std.clamp(*self.log_std_range))


class FixedSpread(nn.Module):
    """N(mu(s), sigma^2): mu a network of the state, ln sigma one number per dimension, 0 at the start, clamped. With
    `squash` the mean is tanh of the network's."""

    def __init__(self, rngs, observations, hidden, actions, log_std_range, squash=False, init=None):
        super().__init__()
        self.network = MLP(rngs, [observations, *hidden, actions], init=init)
        self.log_std = nn.Parameter(torch.zeros(len(rngs), 1, actions))
        self.log_std_range, self.squash = log_std_range, squash

    def forward(self, obs):
        mean = self.network(obs)
        mean = torch.tanh(mean) if self.squash else mean
        return DiagonalGaussian(mean, self.log_std.clamp(*self.log_std_range).expand_as(mean))
