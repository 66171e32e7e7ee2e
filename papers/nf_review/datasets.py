"""Distributions in the plane whose densities are known: what density estimators can at best reach (`figx_density`).

Moons, rings and spirals are curves with normal noise about them, so that a density is a mean over the curve, here a sum over
points far closer than the noise is wide. The checkerboard is uniform on eight squares.
"""

import math

import numpy as np
from scipy.special import logsumexp

ALONG = 600  # points of a curve
SQUARE = 1.5  # side of a square of the checkerboard, which reaches from -3 to 3
NOISE = {"moons": 0.2, "rings": 0.1, "spirals": 0.12}


def curve(name, t, which):
    """Points [n, 2] of the curves of a set at places t in [0, 1]; `which` [n] says on which of them."""
    if name == "moons":
        angle = math.pi * t
        upper = np.stack([2 * np.cos(angle) - 1, 2 * np.sin(angle) - 0.5], -1)
        return np.where(which[:, None] == 0, upper, -upper)
    if name == "rings":
        angle, radius = 2 * math.pi * t, 1.0 + which
        return radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], -1)
    radius = 0.3 + 2.7 * np.sqrt(t)  # as many points per length, nearly
    angle = 1.5 * radius + math.pi * which
    return radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], -1)


CURVES = {"moons": 2, "rings": 3, "spirals": 2}
NAMES = (*CURVES, "checkerboard")


def sample(name, rng, count):
    """Points [count, 2]."""
    if name == "checkerboard":
        column, row = rng.integers(0, 4, count), rng.integers(0, 2, count)
        corner = np.stack([column, 2 * row + column % 2], -1) - 2
        return SQUARE * (corner + rng.random((count, 2)))
    on = curve(name, rng.random(count), rng.integers(0, CURVES[name], count))
    return on + NOISE[name] * rng.standard_normal((count, 2))


def log_prob(name, x):
    """ln p at points [count, 2], [count]."""
    if name == "checkerboard":
        cell = np.floor(x / SQUARE).astype(int)
        inside = (np.abs(cell + 0.5) < 2).all(-1) & (cell.sum(-1) % 2 == 0)
        return np.where(inside, -math.log(8 * SQUARE**2), -np.inf)
    places = (np.arange(ALONG) + 0.5) / ALONG
    points = np.concatenate([curve(name, places, np.full(ALONG, which)) for which in range(CURVES[name])])
    noise = NOISE[name]
    parts = [
        logsumexp(-((part[:, None] - points) ** 2).sum(-1) / (2 * noise**2), axis=1)
        for part in np.array_split(x, 1 + len(x) // 1000)  # so that a part and its distances fit the cache
    ]
    return np.concatenate(parts) - math.log(2 * math.pi * noise**2 * len(points))
