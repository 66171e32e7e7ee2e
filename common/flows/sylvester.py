"""Sylvester flows (van den Berg et al. 2018): planar flows with several hidden units in one step.

    y = x + Q R tanh(v),    v = R~ Q'x + b,    log_det = sum_i ln(1 + r_ii r~_ii (1 - tanh(v_i)^2)),

with Q [event, units] of orthonormal columns and upper triangular R, R~ [units, units]. It has an inverse where r_ii r~_ii >
-1, which holds by construction: r~_ii = exp(a_i), and r_ii r~_ii = softplus(c_i) - 1, as in `residual.Planar`. (The authors
keep both diagonals within (-1, 1) by tanh, which bounds how far a step can stretch; ours does not.)

The inverse has no closed form, but v can be found from the last unit to the first: R~ Q'y + b = v + R~ R tanh(v), in which
R~ R is upper triangular, so that each unit is one scalar equation as a planar flow's. A density costs `units` bisections.

The contract is that of `common.flows.transforms`; inputs are [members, batch, event].
"""

import math

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .networks import Rngs
from .residual import solved

SOFTPLUS_ONE = math.log(math.e - 1)  # softplus of it is 1: no stretch


class Sylvester(nn.Module):
    """What both kinds share: R, R~ and b, and the map. `columns` gives Q, [members, event, units].

    At the start Q is random, R~ the identity, and R, b small and random: near the identity, but not in a place of symmetry.
    """

    def __init__(self, rngs: Rngs, units: int):
        super().__init__()
        self.units = units

        def normal(scale: float, *shape: int) -> nn.Parameter:
            drawn = np.stack([scale * rng.standard_normal(shape) for rng in rngs])
            return nn.Parameter(torch.tensor(drawn, dtype=torch.get_default_dtype()))

        self.stretch, self.scale = normal(0.1, units), normal(0.1, units)  # c - softplus^-1(1), and a
        self.outer, self.inner = normal(0.1, units, units), normal(0.1, units, units)  # above their diagonals R and R~
        self.bias = normal(0.5, units)

    def columns(self) -> Tensor:
        """Q, [members, event, units]."""
        raise NotImplementedError

    def triangles(self) -> tuple[Tensor, Tensor, Tensor]:
        """R and R~, [members, units, units], and r_ii r~_ii + 1, [members, units]."""
        slope, scale = F.softplus(self.stretch + SOFTPLUS_ONE), self.scale.exp()
        outer = self.outer.triu(1) + torch.diag_embed((slope - 1) / scale)
        return outer, self.inner.triu(1) + torch.diag_embed(scale), slope

    @staticmethod
    def log_det(bump: Tensor, slope: Tensor) -> Tensor:
        """ln |det dy/dx| where tanh(v) is `bump`: sums of numbers above 0, as in `residual.Planar`."""
        square = bump.square()
        return (slope.unsqueeze(1) * (1 - square) + square).log().sum(-1)

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        (outer, inner, slope), columns = self.triangles(), self.columns()
        bump = torch.tanh(torch.bmm(x, columns @ inner.mT) + self.bias.unsqueeze(1))
        return x + torch.bmm(bump, outer.mT @ columns.mT), self.log_det(bump, slope)

    def inverse(self, y: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        (outer, inner, slope), columns = self.triangles(), self.columns()
        target = torch.bmm(y, columns @ inner.mT) + self.bias.unsqueeze(1)
        both = inner @ outer
        bumps: list[Tensor] = []  # of the last units, the last one first
        for i in reversed(range(self.units)):
            rest = target[..., i]
            if bumps:
                rest = rest - torch.bmm(torch.stack(bumps[::-1], -1), both[:, i, i + 1 :].unsqueeze(-1)).squeeze(-1)
            bumps.append(torch.tanh(solved(rest, slope[:, i : i + 1] - 1)))
        bump = torch.stack(bumps[::-1], -1)
        return y - torch.bmm(bump, outer.mT @ columns.mT), -self.log_det(bump, slope)


class OrthogonalSylvester(Sylvester):
    """Q of 1 to `event` columns, from a free matrix by Gram and Schmidt (a QR decomposition with a positive diagonal: exact,
    where the authors iterate until |Q'Q - I| is small)."""

    def __init__(self, rngs: Rngs, event: int, units: int):
        if not 1 <= units <= event:
            raise ValueError(f"{units} units: there are 1 to {event} orthonormal columns in {event} dimensions")
        super().__init__(rngs, units)
        drawn = np.stack([rng.standard_normal((event, units)) for rng in rngs])
        self.free = nn.Parameter(torch.tensor(drawn, dtype=torch.get_default_dtype()))

    def columns(self) -> Tensor:
        q, r = torch.linalg.qr(self.free)
        return q * r.diagonal(dim1=-2, dim2=-1).sign().unsqueeze(-2)  # LAPACK's signs jump, these do not


class HouseholderSylvester(Sylvester):
    """Q a product of `reflections` Householder reflections I - 2 n n' / |n|^2, as many units as entries."""

    def __init__(self, rngs: Rngs, event: int, reflections: int):
        super().__init__(rngs, event)
        drawn = np.stack([rng.standard_normal((reflections, event)) for rng in rngs])
        self.normals = nn.Parameter(torch.tensor(drawn, dtype=torch.get_default_dtype()))

    def columns(self) -> Tensor:
        members, reflections, event = self.normals.shape
        q = torch.eye(event, dtype=self.normals.dtype, device=self.normals.device).expand(members, -1, -1)
        unit = F.normalize(self.normals, dim=-1)
        for i in range(reflections):
            normal = unit[:, i].unsqueeze(-1)
            q = q - 2 * (q @ normal) @ normal.mT
        return q
