"""Distributions known up to a constant, p(z) ~ exp(-U(z)), that variational inference has to approximate.

In the plane: the four energies of Rezende & Mohamed 2015, Table 1. Theirs but the first are functions of z_2 alone far out,
so that exp(-U) has no integral; the pictures end at 4. Here a soft wall does: U grows beyond |z_1| = 4 (our choice).

In any even number of dimensions: `bananas`, pairs of a normal number and one that follows its square, turned by a fixed
orthogonal matrix so that every direction has a part in every pair. Its density is known, and so is every KL divergence.
"""

import math
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

WALL, STEEP = 4.0, 0.2  # where the walls stand, and the deviation beyond
SIDE, COUNT = 8.0, 1601  # of the grid of the quadrature
BEND, NARROW = 1.0, 0.4  # of a banana: its second number is N(BEND (y^2 - 1), NARROW^2)
PLANE = ("u1", "u2", "u3", "u4")
NAMES = (*PLANE, "bananas")


def energy(name: str, z: Tensor) -> Tensor:
    """U at z [..., event], [...]."""
    if name == "bananas":
        y = z @ turn(z.shape[-1]).to(z)
        first, second = y[..., ::2], y[..., 1::2]
        away = (second - BEND * (first.square() - 1)) / NARROW
        return 0.5 * (first.square() + away.square()).sum(-1)
    x, y = z[..., 0], z[..., 1]
    if name == "u1":
        ring = 0.5 * ((z.norm(dim=-1) - 2) / 0.4).square()
        return ring - torch.logaddexp(-0.5 * ((x - 2) / 0.6).square(), -0.5 * ((x + 2) / 0.6).square())
    wave = torch.sin(2 * math.pi * x / 4)
    wall = 0.5 * (F.relu(x.abs() - WALL) / STEEP).square()
    if name == "u2":
        return wall + 0.5 * ((y - wave) / 0.4).square()
    if name == "u3":
        other, widths = 3 * torch.exp(-0.5 * ((x - 1) / 0.6).square()), (0.35, 0.35)
        return wall - _two(y - wave, y - wave + other, *widths)
    other, widths = 3 * torch.sigmoid((x - 1) / 0.3), (0.4, 0.35)
    return wall - _two(y - wave, y - wave + other, *widths)


def _two(a, b, wide, narrow):
    """ln of the sum of two bumps."""
    return torch.logaddexp(-0.5 * (a / wide).square(), -0.5 * (b / narrow).square())


@lru_cache
def turn(event: int) -> Tensor:
    """A fixed orthogonal matrix [event, event], float64."""
    return torch.from_numpy(np.linalg.qr(np.random.default_rng(event).standard_normal((event, event)))[0])


@lru_cache
def moments(name: str, event: int) -> tuple[float, float]:
    """ln of the integral of exp(-U), and the trace of p's covariance: in the plane by quadrature, else in closed form."""
    if name == "bananas":
        # Var(y_1) = 1; Var(y_2) = BEND^2 Var(y_1^2) + NARROW^2.
        pairs = event / 2
        return pairs * math.log(2 * math.pi * NARROW), pairs * (1 + 2 * BEND**2 + NARROW**2)
    axis = torch.linspace(-SIDE, SIDE, COUNT, dtype=torch.float64)
    cell = float(axis[1] - axis[0])
    rows = []  # a row of the grid at a time: of the mass, and of the first and second moments
    for x in axis:
        z = torch.stack([x.expand(COUNT), axis], -1)
        density = torch.exp(-energy(name, z))
        rows.append(torch.stack([density.sum(), *(density[:, None] * z).sum(0), (density * z.square().sum(-1)).sum()]))
    mass, *first, second = torch.stack(rows).sum(0)
    mean = torch.stack(first) / mass
    return float(mass.log()) + 2 * math.log(cell), float(second / mass - mean.square().sum())
