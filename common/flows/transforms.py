"""Invertible transforms and their Jacobians.

A transform maps x to y one to one, given a context c:

    forward(x, context) -> y, log_det        log_det = ln |det dy/dx|, shape of x without its last axis
    inverse(y, context) -> x, log_det        log_det = ln |det dx/dy|

The last axis is the event; every other axis is a batch axis (the first one counts members).
"""

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Affine(nn.Module):
    """Elementwise affine transform whose parameters are a network of the context:

        y = exp(s(c)) x + t(c),    log_det = sum_i s_i(c).

    With c the previous actions this is the autoregressive flow across time (Guerra & Marino 2020, eqs 4-5; Marino et al.
    2020). `network` maps the context to [s, t] side by side; s is clamped to `log_scale_range` and t to
    [-shift_limit, shift_limit], with zero gradient outside.

    Safe range: |s| < 88 in float32, beyond which exp overflows; the default clamp stays below.
    """

    def __init__(
        self, network: nn.Module, log_scale_range: tuple[float, float] = (-20.0, 5.0), shift_limit: float = math.inf
    ):
        super().__init__()
        self.network = network
        self.log_scale_range = log_scale_range
        self.shift_limit = shift_limit

    def parameters_at(self, context: Tensor | None) -> tuple[Tensor, Tensor]:
        """Log-scale s(c) and shift t(c), each [..., event]."""
        log_scale, shift = self.network(context).chunk(2, -1)
        return log_scale.clamp(*self.log_scale_range), shift.clamp(-self.shift_limit, self.shift_limit)

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        log_scale, shift = self.parameters_at(context)
        return log_scale.exp() * x + shift, log_scale.sum(-1)

    def inverse(self, y: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        log_scale, shift = self.parameters_at(context)
        return (y - shift) * (-log_scale).exp(), -log_scale.sum(-1)


class Tanh(nn.Module):
    """y = tanh(x), elementwise; log_det = sum_i 2 (ln 2 - x_i - softplus(-2 x_i)), which never takes the logarithm of a
    rounded zero.

    Safe range: y rounds to +-1 from |x| of about 9 on in float32 (19 in float64). The inverse clamps |y| to the largest
    number below 1, so that such a y comes back as a finite x, not as the x it came from.
    """

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return torch.tanh(x), self._log_det(x)

    def inverse(self, y: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        limit = 1 - torch.finfo(y.dtype).eps / 2
        x = torch.atanh(y.clamp(-limit, limit))
        return x, -self._log_det(x)

    @staticmethod
    def _log_det(x):
        return (2 * (math.log(2) - x - F.softplus(-2 * x))).sum(-1)


class Compose(nn.Module):
    """The transforms one after the other, the first one first; every one sees the same context."""

    def __init__(self, *transforms: nn.Module):
        super().__init__()
        self.transforms: Any = nn.ModuleList(transforms)

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        total: Any = 0.0
        for transform in self.transforms:
            x, log_det = transform(x, context)
            total = total + log_det
        return x, total

    def inverse(self, y: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        total: Any = 0.0
        for transform in reversed(self.transforms):
            y, log_det = transform.inverse(y, context)
            total = total + log_det
        return y, total


class Inverse(nn.Module):
    """A transform, the other way round."""

    def __init__(self, transform: nn.Module):
        super().__init__()
        self.transform: Any = transform

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return self.transform.inverse(x, context)

    def inverse(self, y: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return self.transform(y, context)
