"""Monotone rational-quadratic splines with identity tails (Durkan et al. 2019, Neural Spline Flows).

A spline leads from (-B, -B) to (B, B) through knots with a positive slope each, and is the identity outside; the slopes at
its ends are 1. Between two knots, with s = (y1 - y0) / (x1 - x0) and z = (x - x0) / (x1 - x0),

    y = y0 + (y1 - y0) (s z^2 + d0 z (1 - z)) / (s + (d0 + d1 - 2 s) z (1 - z)).

Safe range: any x. Where s is small and d0, d1 are large, the slope between them falls to about s^2, and the inverse loses
that many digits.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from .autoregressive import Autoregressive
from .coupling import Halves
from .networks import MLP, Init, Rngs

LEAST = 1e-3  # the smallest share of a bin's width and height, and the smallest slope
BINS, BOUND = 8, 5.0


def knots(raw: Tensor, bound: float) -> tuple[Tensor, Tensor, Tensor]:
    """Places x, heights y and slopes of the knots, [..., bins + 1] each, from free numbers [..., 3 bins - 1]. Zeros give the
    identity."""
    bins = (raw.shape[-1] + 1) // 3
    widths, heights, slopes = raw.split([bins, bins, bins - 1], -1)
    ends = []
    for sizes in (widths, heights):
        shares = LEAST + (1 - LEAST * bins) * torch.softmax(sizes, -1)
        inner = 2 * bound * shares[..., :-1].cumsum(-1) - bound
        ends.append(F.pad(F.pad(inner, (1, 0), value=-bound), (0, 1), value=bound))
    one = math.log(math.expm1(1 - LEAST))  # softplus of it, and LEAST, are 1
    return ends[0], ends[1], F.pad(LEAST + F.softplus(slopes + one), (1, 1), value=1.0)


def _bin(places: Tensor, values: Tensor, others: Sequence[Tensor]) -> list[Tensor]:
    """(left, right) of `places` and of each of `others` about every value."""
    index = (values.unsqueeze(-1) >= places[..., 1:-1]).sum(-1, keepdim=True)
    both = torch.cat([index, index + 1], -1)
    return [end for x in (places, *others) for end in torch.gather(x, -1, both).unbind(-1)]


def _log_slope(z, s, d0, d1, below):
    """ln dy/dx. below: the denominator s + (d0 + d1 - 2 s) z (1 - z)."""
    above = d1 * z.square() + 2 * s * z * (1 - z) + d0 * (1 - z).square()
    return 2 * s.log() + above.log() - 2 * below.log()


def rational_quadratic(x: Tensor, places: Tensor, heights: Tensor, slopes: Tensor) -> tuple[Tensor, Tensor]:
    """y and ln dy/dx, shapes of x [...]. places, heights, slopes: of the knots, [..., bins + 1]."""
    inside = x.clamp(places[..., 0], places[..., -1])
    x0, x1, y0, y1, d0, d1 = _bin(places, inside, (heights, slopes))
    s, z = (y1 - y0) / (x1 - x0), (inside - x0) / (x1 - x0)
    below = s + (d0 + d1 - 2 * s) * z * (1 - z)
    y = y0 + (y1 - y0) * (s * z.square() + d0 * z * (1 - z)) / below
    within = inside == x
    return torch.where(within, y, x), torch.where(within, _log_slope(z, s, d0, d1, below), 0.0)


def rational_quadratic_inverse(y: Tensor, places: Tensor, heights: Tensor, slopes: Tensor) -> tuple[Tensor, Tensor]:
    """x and ln dx/dy, shapes of y [...]: the root of a quadratic equation."""
    inside = y.clamp(heights[..., 0], heights[..., -1])
    y0, y1, x0, x1, d0, d1 = _bin(heights, inside, (places, slopes))
    s, up = (y1 - y0) / (x1 - x0), inside - y0
    bend = up * (d0 + d1 - 2 * s)
    a, b, c = (y1 - y0) * (s - d0) + bend, (y1 - y0) * d0 - bend, -s * up
    # The form of the root that subtracts nothing from a number like itself; the discriminant is 0 at worst.
    z = 2 * c / (-b - (b.square() - 4 * a * c).clamp(min=0).sqrt())
    below = s + (d0 + d1 - 2 * s) * z * (1 - z)
    within = inside == y
    return torch.where(within, x0 + z * (x1 - x0), y), torch.where(within, -_log_slope(z, s, d0, d1, below), 0.0)


class SplineCoupling(Halves):
    """A coupling whose half x_b moves by splines, one per entry, whose knots a network takes from x_a and the context.
    Entries beyond +-`bound` stay as they are. Both ways cost the same."""

    def __init__(
        self, rngs: Rngs, event: int, leading: bool, hidden: Sequence[int], context: int = 0, activation: str = "relu",
        bins: int = BINS, bound: float = BOUND, last_init: Init | None = None,
    ):  # fmt: skip
        super().__init__(event, leading, context)
        moved = event - self.kept
        sizes = [self.kept + context, *hidden, (3 * bins - 1) * moved]
        self.network = MLP(rngs, sizes, activation, last_init=last_init)
        self.moved, self.bound = moved, bound

    def knots_at(self, kept: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        """The knots of the entries that move, [members, batch, moved, bins + 1] each."""
        raw = self.network(torch.cat([kept, context], -1) if self.context else kept)  # type: ignore[list-item]
        return knots(raw.unflatten(-1, (self.moved, -1)), self.bound)

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        kept, moved = self.split(x)
        moved, log_det = rational_quadratic(moved, *self.knots_at(kept, context))
        return self.join(kept, moved), log_det.sum(-1)

    def inverse(self, y: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        kept, moved = self.split(y)
        moved, log_det = rational_quadratic_inverse(moved, *self.knots_at(kept, context))
        return self.join(kept, moved), log_det.sum(-1)


class AutoregressiveSpline(Autoregressive):
    """An autoregressive flow of splines: the knots of entry i from y_<i and the context. As with masked autoregressive flows
    a density is one pass of the network and sampling one per entry."""

    def __init__(
        self, rngs: Rngs, event: int, hidden: Sequence[int], context: int = 0, reverse: bool = False,
        activation: str = "relu", last_init: Init | None = None, bins: int = BINS, bound: float = BOUND,
    ):  # fmt: skip
        self.outputs = 3 * bins - 1
        super().__init__(rngs, event, hidden, context, reverse, activation, last_init)
        self.bound = bound

    def act(self, v: Tensor, *parameters: Tensor) -> tuple[Tensor, Tensor]:
        return rational_quadratic_inverse(v, *knots(torch.stack(parameters, -1), self.bound))

    def undo(self, w: Tensor, *parameters: Tensor) -> tuple[Tensor, Tensor]:
        return rational_quadratic(w, *knots(torch.stack(parameters, -1), self.bound))

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return self.sequential(x, context)

    def inverse(self, y: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return self.parallel(y, context)
