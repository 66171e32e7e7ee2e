"""DQN with noisy layers (NoisyNet; Fortunato et al. 2018), factorised noise.

    W_ij = mu_ij + sigma_ij f(e_i) f(e_j),  b_j = mu_j + sigma_j f(e_j),  f(x) = sgn(x) sqrt|x|,  e ~ N(0, I)

mu ~ U(-1/sqrt(in), 1/sqrt(in)) at the start, sigma = sigma_0 / sqrt(in) of weights and sigma_0 / sqrt(out) of biases. One
draw per update serves a whole batch; the target network has one of its own. In acting every step has another. sigma is
learned by J_Q alone.
"""

import math

import numpy as np
import torch
from torch import nn

from papers.nf_review import dqn
from papers.nf_review.mnf import normals
from papers.nf_review.stochastic import Sampled


class NoisyLinear(Sampled):
    """A layer of `stochastic.Network` with that noise."""

    def __init__(self, rngs, fan_in, fan_out, sigma):
        bound = 1 / math.sqrt(fan_in)
        super().__init__(rngs, fan_in, fan_out, bound)
        self.sigma = nn.Parameter(torch.full_like(self.mean, sigma * bound))
        self.sigma.data[:, -1] = sigma / math.sqrt(fan_out)

    def weight_draws(self, rng, *lead):
        return {name: normals(rng, *lead, size) for name, size in zip(("in", "out"), self.sizes, strict=True)}

    def spread(self, noise):
        rows, columns = (noise[name].sign() * noise[name].abs().sqrt() for name in ("in", "out"))
        rows = torch.cat([rows, torch.ones_like(rows[:, :1])], 1)
        return self.sigma * rows.unsqueeze(2) * columns.unsqueeze(1)


class Learner(dqn.Learner):
    """A fleet of noisy DQN learners."""

    redraws = noisy_target = True

    def build_layer(self, rngs, fan_in, fan_out):
        return NoisyLinear(rngs, fan_in, fan_out, self.config.sigma)

    def epsilon(self, episode):
        return np.zeros(len(episode))
