"""Policies that are flows of noise which does not depend on the state: the state enters through the transform.

A policy is a module: `forward(obs)` gives a distribution over actions that are not squashed, `draws` the random numbers of
an iteration, `noise` what the distribution makes of them, `actor` a NumPy function that acts step by step; `truth(obs)` is
the distribution of the samples, whatever density they are trained on. obs: [members, batch, observations], normalised.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..flows.distributions import DiagonalGaussian, Distribution, FlowDistribution
from . import acting
from .policies import Sampled


class Trained(Sampled):
    """A policy trained on one kind of distribution, `kinds[0]`, whose samples have another's density, `kinds[1]`."""

    kinds: tuple[Any, Any]
    distribution: Callable[..., Any]

    def forward(self, obs: Tensor) -> Distribution:
        return self.distribution(obs, self.kinds[0])

    def truth(self, obs: Tensor) -> Distribution:
        return self.distribution(obs, self.kinds[1])


class CouplingFlow(Trained):
    """a = f(e; s), e ~ N(0, I), with f a composed `transform` of couplings. `constant`: its log-density has its normalising
    constant; else it is too large by (m / 2) ln 2 pi, as released."""

    def __init__(self, transform: Any, actions: int, constant: bool):
        super().__init__()
        self.transform, self.actions = transform, actions
        self.kinds = FlowDistribution if constant else WithoutConstant, FlowDistribution

    def distribution(self, obs: Tensor, kind: Any) -> Any:
        zeros = obs.new_zeros(*obs.shape[:-1], self.actions)
        return kind(DiagonalGaussian(zeros, zeros), self.transform, obs)

    def actor(self, draws: dict[str, np.ndarray]) -> Callable[[int, np.ndarray], np.ndarray]:
        """A function (step, obs [members, observations]) -> action [members, actions], with row `step` of `draws`. What the
        first coupling makes of the noise does not depend on the state, and is computed for all steps at once."""
        first, shift, *rest = self.transform.transforms
        with torch.inference_mode():
            noise = torch.from_numpy(draws["noise"]).to(next(self.parameters()).device)
            moved = first(noise)[0].cpu().numpy()
        embedding, others = acting.network(shift.network), acting.chain([acting.coupling(layer) for layer in rest])
        return lambda step, obs: others(moved[:, step] + embedding(obs[:, None])[:, 0])


class WithoutConstant(FlowDistribution):
    """A flow whose log-density lacks -(m / 2) ln 2 pi, as released."""

    def rsample_and_log_prob(self, noise: Any = None) -> tuple[Tensor, Tensor]:
        y, log_prob = super().rsample_and_log_prob(noise)
        return y, log_prob + 0.5 * math.log(2 * math.pi) * y.shape[-1]

    def log_prob(self, y: Tensor) -> Tensor:
        return super().log_prob(y) + 0.5 * math.log(2 * math.pi) * y.shape[-1]
