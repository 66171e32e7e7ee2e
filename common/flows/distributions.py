"""Distributions over vectors: `rsample_and_log_prob`, `log_prob`, `sample`, `mode`.

The last axis is the event, every other axis a batch axis; log-densities have the shape of a sample without its last axis.
Samples are drawn from standard noise that the caller may give, so that a fleet's random numbers can come from streams of
its members' own.
"""

import math
from typing import Any

import torch
from torch import Tensor


class Distribution:
    """What all distributions share."""

    def rsample_and_log_prob(self, noise: Any = None) -> tuple[Tensor, Tensor]:
        """A sample through which gradients pass, and its log-density."""
        raise NotImplementedError

    @torch.no_grad()
    def sample(self, noise: Any = None) -> Tensor:
        return self.rsample_and_log_prob(noise)[0]


class DiagonalGaussian(Distribution):
    """N(mean, diag(exp(log_std))^2). mean, log_std: [..., event]. Its noise is N(0, I)."""

    def __init__(self, mean: Tensor, log_std: Tensor):
        self.mean = mean
        self.log_std = log_std

    def noise(self) -> Tensor:
        return torch.randn_like(self.mean)

    def rsample_and_log_prob(self, noise: Tensor | None = None) -> tuple[Tensor, Tensor]:
        noise = self.noise() if noise is None else noise
        # ln N(x) at x = mean + std noise needs no x: (x - mean) / std is the noise.
        return self.mean + self.log_std.exp() * noise, self._log_prob_of(noise)

    def log_prob(self, x: Tensor) -> Tensor:
        return self._log_prob_of((x - self.mean) * (-self.log_std).exp())

    def _log_prob_of(self, standardised):
        return (-0.5 * standardised.square() - self.log_std - 0.5 * math.log(2 * math.pi)).sum(-1)

    def mode(self) -> Tensor:
        return self.mean


def kl_divergence(old: DiagonalGaussian, new: DiagonalGaussian) -> torch.Tensor:
    """KL[old || new] in nats, in closed form, [...]: without the last axis."""
    gap = (old.mean - new.mean).square() + (2 * old.log_std).exp()
    return (new.log_std - old.log_std + 0.5 * gap * (-2 * new.log_std).exp() - 0.5).sum(-1)


class Uniform(Distribution):
    """Uniform on the box [low, high]. low, high: [..., event]. Its noise is U(0, 1). Outside the box ln p = -inf."""

    def __init__(self, low: Tensor, high: Tensor):
        self.low = low
        self.high = high

    def noise(self) -> Tensor:
        return torch.rand_like(self.low)

    def rsample_and_log_prob(self, noise: Tensor | None = None) -> tuple[Tensor, Tensor]:
        x = self.low + (self.high - self.low) * (self.noise() if noise is None else noise)
        return x, self.log_prob(x)

    def log_prob(self, x: Tensor) -> Tensor:
        inside = (x >= self.low) & (x <= self.high)
        density = -(self.high - self.low).log().expand_as(x)
        return density.masked_fill(~inside, -math.inf).sum(-1)

    def mode(self) -> Tensor:
        """The centre: a uniform density has no single mode."""
        return (self.low + self.high) / 2


class FlowDistribution(Distribution):
    """The distribution of y = f(u; c), u ~ base: ln p(y) = ln p(u) - ln |det dy/du| (change of variables).

    base: a distribution of this module; transform: a transform of `common.flows.transforms`; context: what the transform
    is conditioned on, or None.
    """

    def __init__(self, base: Any, transform: Any, context: Tensor | None = None):
        self.base = base
        self.transform = transform
        self.context = context

    def rsample_and_log_prob(self, noise: Any = None) -> tuple[Tensor, Tensor]:
        u, log_prob = self.base.rsample_and_log_prob(noise)
        y, log_det = self.transform(u, self.context)
        return y, log_prob - log_det

    def log_prob(self, y: Tensor) -> Tensor:
        u, log_det = self.transform.inverse(y, self.context)
        return self.base.log_prob(u) + log_det

    def mode(self) -> Tensor:
        """The image of the base's mode, which the papers call the deterministic action. It is the mode of y itself only
        where the transform is affine."""
        return self.transform(self.base.mode(), self.context)[0]
