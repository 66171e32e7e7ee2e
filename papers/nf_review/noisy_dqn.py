"""DQN with noisy layers (NoisyNet; Fortunato et al. 2018), factorised noise.

    W_ij = mu_ij + sigma_ij f(e_i) f(e_j),  b_j = mu_j + sigma_j f(e_j),  f(x) = sgn(x) sqrt|x|,  e ~ N(0, I)

mu ~ U(-1/sqrt(in), 1/sqrt(in)) and sigma = sigma_0 / sqrt(in) at the start. One draw per update serves a whole batch, and
one an episode; sigma is learned by J_Q alone.
"""

import math

import numpy as np
import torch
from torch import nn

from papers.nf_review import dqn
from papers.nf_review.mnf import normals


class NoisyLinear(nn.Module):
    """A layer of `stochastic.Network` with that noise. x: [members, batch, in]."""

    def __init__(self, rngs, fan_in, fan_out, sigma):
        super().__init__()
        bound = 1 / math.sqrt(fan_in)
        drawn = [torch.as_tensor(rng.uniform(-bound, bound, (fan_in + 1, fan_out))) for rng in rngs]
        self.mean = nn.Parameter(torch.stack(drawn).to(torch.get_default_dtype()))  # the last row: biases
        self.sigma = nn.Parameter(torch.full_like(self.mean, sigma * bound))
        self.sizes = fan_in, fan_out

    def draws(self, rng, *lead):
        return self.weight_draws(rng, *lead[:-1])  # one for the batch

    def weight_draws(self, rng, *lead):
        return {name: normals(rng, *lead, size) for name, size in zip(("in", "out"), self.sizes, strict=True)}

    def divergence_draws(self, rng, *lead):
        return {}

    def divergence(self, noise):
        return self.mean.new_zeros(len(self.mean))

    def forward(self, x, noise=None):
        weight, bias = self.weights(noise)
        return torch.bmm(x, weight) + bias.unsqueeze(1)

    def weights(self, noise=None):
        both = self.mean
        if noise is not None:
            rows, columns = (noise[name].sign() * noise[name].abs().sqrt() for name in ("in", "out"))
            rows = torch.cat([rows, torch.ones_like(rows[:, :1])], 1)
            both = both + self.sigma * rows.unsqueeze(2) * columns.unsqueeze(1)
        return both[:, :-1], both[:, -1]


class Learner(dqn.Learner):
    """A fleet of noisy DQN learners."""

    def build_layer(self, rngs, fan_in, fan_out):
        return NoisyLinear(rngs, fan_in, fan_out, self.config.sigma)

    def epsilon(self, episode):
        return np.zeros(len(episode))
