"""Policies: modules that map observations to distributions over actions."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.random import Generator
from torch import Tensor, nn

from ..flows.distributions import DiagonalGaussian, FlowDistribution
from ..flows.networks import MLP, Init, Rngs, normc, xavier_uniform
from . import acting
from .randomness import normal


class GaussianNetwork(nn.Module):
    """A network of the observation gives the mean and the clamped log standard deviation of a diagonal Gaussian.

    obs: [members, batch, observations]; the distribution's events have `actions` entries. Mean and ln sigma are two layers
    of `actions` units side by side, each initialised as its own.
    """

    def __init__(
        self, rngs: Rngs, observations: int, hidden: Sequence[int], actions: int, log_std_range: tuple[float, float]
    ):
        super().__init__()
        sizes = [observations, *hidden, 2 * actions]
        self.network = MLP(rngs, sizes, init=xavier_uniform(), last_init=xavier_uniform(heads=2))
        self.log_std_range = log_std_range

    def forward(self, obs: Tensor) -> DiagonalGaussian:
        mean, log_std = self.network(obs).chunk(2, -1)
        return DiagonalGaussian(mean, log_std.clamp(*self.log_std_range))


class FlowPolicy(nn.Module):
    """a = f(u; context), u ~ base(obs): a base distribution that depends on the observation, and a transform that does not
    (or does so through the context). With f = tanh alone it is SAC's squashed Gaussian, with actions in [-1, 1]."""

    def __init__(self, base: nn.Module, transform: nn.Module):
        super().__init__()
        self.base = base
        self.transform = transform

    def forward(self, obs: Tensor, context: Tensor | None = None) -> FlowDistribution:
        return FlowDistribution(self.base(obs), self.transform, context)


class Sampled(nn.Module):
    """A policy whose samples take one standard normal vector each. `actions`: its length."""

    actions: int

    def draws(self, rng: Generator, size: int) -> dict[str, np.ndarray]:
        """Random numbers of `size` sampled actions of one member."""
        return normal(rng, size, self.actions)

    def noise(self, draws: dict[str, Tensor]) -> Any:
        """What the distribution takes as its noise, from `draws` stacked over members."""
        return draws["noise"]


class FactorisedGaussian(Sampled):
    """a ~ N(mu(s), diag(sigma)^2): mu a network of the observation, ln sigma one number per dimension, the same in every
    state and 0 at the start. Actions are not squashed. obs: [members, batch, observations].

    Defaults are those of OpenAI baselines: tanh, columns of length 1 in hidden layers and 0.01 in the last.
    """

    def __init__(
        self,
        rngs: Rngs,
        observations: int,
        actions: int,
        hidden: Sequence[int],
        init: Init | None = None,
        last_init: Init | None = None,
    ):
        super().__init__()
        self.actions = actions
        sizes = [observations, *hidden, actions]
        self.mean = MLP(rngs, sizes, "tanh", init or normc(1.0), last_init or normc(0.01))
        self.log_std = nn.Parameter(torch.zeros(len(rngs), 1, actions))

    def forward(self, obs: Tensor) -> DiagonalGaussian:
        mean = self.mean(obs)
        return DiagonalGaussian(mean, self.log_std.expand_as(mean))

    def actor(self, draws: dict[str, np.ndarray]) -> Callable[[int, np.ndarray], np.ndarray]:
        """A function (step, obs [members, observations]) -> action [members, actions] in NumPy, which uses row `step` of
        `draws`, {name: [members, steps, ...]}, and the weights of now. Observations are normalised already."""
        mean, noise = acting.network(self.mean), draws["noise"] * np.exp(acting.array(self.log_std))
        return lambda step, obs: mean(obs[:, None])[:, 0] + noise[:, step]
