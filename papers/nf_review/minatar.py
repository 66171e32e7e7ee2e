"""Deep Q-learners on images: the games of MinAtar, which stand in for Atari's (Section 3.2).

One convolution of 3 x 3, whose weights have no noise, as in Touati et al.'s code for Atari; then dense layers, which have
that of the agent:

    mnf     multiplicative normalizing flows (`mnf_dqn.py`)
    bayes   a factorised Gaussian (`bayes_dqn.py`)
    noisy   factorised noise (`noisy_dqn.py`)
    dqn     none; it explores with epsilon, which falls with the steps (`dqn.py`)

The loss, double Q-learning and the clamp of gradients are theirs. Noise is drawn anew after every update, as there.
"""

import math

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from common.rl.minatar import SIDE, unpacked
from papers.nf_review import bayes_dqn, dqn, mnf_dqn, noisy_dqn

KERNEL = 3
OUT = SIDE - KERNEL + 1  # side of the convolution's image


class Convolution(nn.Module):
    """A layer of `stochastic.Network` without noise: packed observations [members, batch, observations] to the filters'
    images in a row, [members, batch, filters * 8 * 8]. It starts as torch's does, uniform within 1 / sqrt(9 channels)."""

    def __init__(self, rngs, observations, filters):
        super().__init__()
        channels = unpacked(torch.zeros(observations)).shape[0]
        taken = channels * KERNEL**2
        drawn = [torch.as_tensor(rng.uniform(-1, 1, (taken + 1, filters)) / math.sqrt(taken)) for rng in rngs]
        both = torch.stack(drawn).to(torch.get_default_dtype())
        self.weight, self.bias = nn.Parameter(both[:, :-1].contiguous()), nn.Parameter(both[:, -1].contiguous())

    def draws(self, rng, *lead):
        return {}

    weight_draws = divergence_draws = draws

    def divergence(self, noise):
        return self.weight.new_zeros(len(self.weight))

    def forward(self, x, noise=None):
        members, batch = x.shape[:2]
        patches = F.unfold(unpacked(x).flatten(0, 1), KERNEL).view(members, batch, -1, OUT**2)
        rows = patches.transpose(2, 3).reshape(members, batch * OUT**2, -1)
        out = torch.baddbmm(self.bias.unsqueeze(1), rows, self.weight)
        return out.view(members, batch, OUT**2, -1).transpose(2, 3).flatten(2)

    def weights(self, noise=None):
        return self.weight, self.bias


class Seeing:
    """What the four agents share: the convolution before their dense layers, and how it acts."""

    def build_layers(self, rngs, observations):
        c = self.config
        sizes = [c.filters * OUT**2, c.units, self.heads * self.actions]
        dense = [self.build_layer(rngs, a, b) for a, b in zip(sizes, sizes[1:], strict=False)]
        return [Convolution(rngs, observations, c.filters), *dense]

    def values(self, obs, weights):
        """Q(s, .) [members, heads, actions] for packed obs [members, observations], in NumPy."""
        (filters, bias), *dense = weights
        images = unpacked(torch.from_numpy(obs)).numpy()
        windows = np.lib.stride_tricks.sliding_window_view(images, (KERNEL, KERNEL), axis=(2, 3))
        patches = windows.transpose(0, 2, 3, 1, 4, 5).reshape(len(obs), OUT**2, -1)
        x = np.maximum(np.matmul(patches, filters) + bias, 0).transpose(0, 2, 1).reshape(len(obs), 1, -1)
        return super().values(x[:, 0], dense)


class MNF(Seeing, mnf_dqn.Learner):
    """MNF-DQN."""


class Bayes(Seeing, bayes_dqn.Learner):
    """BBQN."""

    noisy_target = False


class Noisy(Seeing, noisy_dqn.Learner):
    """NoisyNet."""


class Greedy(Seeing, dqn.Learner):
    """DQN, epsilon-greedy."""

    def epsilon(self, step):
        """The probability of a random action at a step, [members]."""
        c = self.config
        return c.epsilon_start + np.minimum(step / c.epsilon_steps, 1) * (c.epsilon_end - c.epsilon_start)


AGENTS = {"mnf": MNF, "bayes": Bayes, "noisy": Noisy, "dqn": Greedy}


def Learner(config, seeds, observations, actions, device="cpu"):
    """A fleet of the agents that the settings name."""
    return AGENTS[config.agent](config, seeds, observations, actions, device)
