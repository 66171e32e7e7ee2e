"""Posteriors that variational inference is to find (Section 2.2): energies U(z) = -ln p(z) - ln Z, up to the constant Z.

U1 to U4 are those of Rezende & Mohamed 2015, Table 1, in the plane z = (x, y):

    U1   ((|z| - 2) / 0.4)^2 / 2 - ln(exp(-((x - 2) / 0.6)^2 / 2) + exp(-((x + 2) / 0.6)^2 / 2))
    U2   ((y - w1) / 0.4)^2 / 2
    U3   -ln(exp(-((y - w1) / 0.35)^2 / 2) + exp(-((y - w1 + w2) / 0.35)^2 / 2))
    U4   -ln(exp(-((y - w1) / 0.4)^2 / 2) + exp(-((y - w1 + w3) / 0.35)^2 / 2))

    w1 = sin(pi x / 2),    w2 = 3 exp(-((x - 1) / 0.6)^2 / 2),    w3 = 3 sigmoid((x - 1) / 0.3).

U2 to U4 go on along x for ever: their Z is infinite, and the authors show what lies between -4 and 4. Beyond, ours have a
wall, ((|x| - 4) / 0.4)^2 / 2, with which Z has a closed form (a test).

correlated and bimodal are bandits (Figure 2): U(a) = -r(a) / c, for the policy of most reward and entropy is exp(r / c) / Z.

bananas lie in any even dimension: pairs (x, y) with x ~ N(0, 1), y | x ~ N(b (x^2 - 1) / sqrt(2), 1 - b^2), b = 0.95, whose
mean is 0 and whose covariance is I. Z = 1, so that KL(q || p) needs samples of q alone, in as many dimensions as one likes;
turned by any rotation mean and covariance stay as they are, so that what is left to learn is what is not Gaussian, as much
of it for each pair. One mode: no family is judged by which of several it happens to find.
"""

import functools
import math

import torch
from torch.nn import functional as F

WALL, REACH = 0.4, 4.0  # width of the wall, and where it stands
CORRELATION, TEMPERATURE, DISTANCE, WIDTH = 0.9, 0.1, 0.5, 0.5  # as TRPO-NF's bandits
BEND = 0.95


def log_normal(x, std):
    """-(x / std)^2 / 2: ln N(x; 0, std^2) without its constant."""
    return -0.5 * (x / std).square()


def wave(x):
    return torch.sin(math.pi * x / 2)


def wall(x):
    return 0.5 * (F.relu(x.abs() - REACH) / WALL).square()


def u1(z):
    x = z[..., 0]
    return -log_normal(z.norm(dim=-1) - 2, 0.4) - torch.logaddexp(log_normal(x - 2, 0.6), log_normal(x + 2, 0.6))


def u2(z):
    x, y = z.unbind(-1)
    return wall(x) - log_normal(y - wave(x), 0.4)


def u3(z):
    x, y = z.unbind(-1)
    apart = 3 * log_normal(x - 1, 0.6).exp()
    return wall(x) - torch.logaddexp(log_normal(y - wave(x), 0.35), log_normal(y - wave(x) + apart, 0.35))


def u4(z):
    x, y = z.unbind(-1)
    apart = 3 * torch.sigmoid((x - 1) / 0.3)
    return wall(x) - torch.logaddexp(log_normal(y - wave(x), 0.4), log_normal(y - wave(x) + apart, 0.35))


def correlated(z):
    """r = -a' Sigma^-1 a, Sigma = [[1, rho], [rho, 1]]: the best policy is N(0, (c / 2) Sigma)."""
    x, y = z.unbind(-1)
    return (x.square() + y.square() - 2 * CORRELATION * x * y) / (1 - CORRELATION**2) / TEMPERATURE


def bimodal(z):
    """r = max_i -|a - mu_i|^2 / width, mu_i = -(d, d) and (d, d)."""
    costs = [(z - sign * DISTANCE).square().sum(-1) / WIDTH for sign in (-1, 1)]
    return torch.minimum(*costs) / TEMPERATURE


def bananas(z):
    """Of pairs of neighbours."""
    x, y = z.unflatten(-1, (-1, 2)).unbind(-1)
    std = math.sqrt(1 - BEND**2)
    log_prob = log_normal(x, 1.0) + log_normal(y - BEND * (x.square() - 1) / math.sqrt(2), std)
    return (math.log(2 * math.pi * std) - log_prob).sum(-1)


PLANE = {"U1": u1, "U2": u2, "U3": u3, "U4": u4, "correlated": correlated, "bimodal": bimodal}
ENERGIES = PLANE | {"bananas": bananas}
SIDE = {"correlated": 1.2, "bimodal": 1.2}  # half of the grid that is drawn; else 4


def grid(side, count):
    """The points of a square grid about 0, [count^2, 2]; in double precision, as sums over many cells need."""
    axis = torch.linspace(-side, side, count, dtype=torch.float64)
    return torch.cartesian_prod(axis, axis)


@functools.cache
def by_quadrature(name, side=8.0, count=801):
    """(ln Z, mean [2], covariance [2, 2]) of an energy in the plane, from sums over a grid."""
    points = grid(side, count)
    weights = -ENERGIES[name](points)
    log_mass = torch.logsumexp(weights, 0)
    share = (weights - log_mass).exp()
    mean = share @ points
    covariance = (points - mean).T @ (share.unsqueeze(-1) * (points - mean))
    return float(log_mass) + 2 * math.log(2 * side / (count - 1)), mean, covariance


def log_normaliser(name):
    """ln Z."""
    return 0.0 if name == "bananas" else by_quadrature(name)[0]
