"""What can be known exactly: posteriors on a grid, a kernel that leaves them invariant, and the leapfrog's laws.

A potential here is one of `papers/mcmc_po/policy.py`: `gradient(u)`, then `energy(rho)` at that point.
"""

import math
from copy import deepcopy

import numpy as np
import torch

from papers.mcmc_po.leapfrog import leapfrog, trajectory
from papers.mcmc_po.policy import Chain


def kernel(u, momentum, step, potential, steps, uniform=None):
    """One iteration of Hamiltonian Monte Carlo with plain leapfrog steps, from a fresh momentum.

    With `uniform` numbers in [0, 1), [members, batch], the end is accepted with probability min(1, exp(H_0 - H_K)), which
    makes exp(-U) exactly invariant; without, it is always taken.
    """
    chain = Chain(trajectory(u, momentum, step, potential.gradient, steps), potential, None)
    if uniform is None:
        return chain.u
    accepted = uniform.log() < chain.first_energy - chain.energy
    return torch.where(accepted.unsqueeze(-1), chain.u, u)


class Grid:
    """A density over u in two dimensions, on a square [-reach, reach]^2 of `cells` x `cells` cells.

    log_density(u): ln of the density up to a constant, [members, points], at u [members, points, 2].
    """

    def __init__(self, log_density, cells=40, reach=3.5, finer=4):
        self.cells, self.reach = cells, reach
        fine = cells * finer
        middles = (torch.arange(fine, dtype=torch.float64) + 0.5) / fine * 2 * reach - reach
        self.points = torch.cartesian_prod(middles, middles)  # the first coordinate varies slowest
        values = log_density(self.points.unsqueeze(0)).double()
        values = values + 2 * math.log(2 * reach / fine)
        self.log_evidence = values.logsumexp(-1)  # ln of the integral, [members]
        self.fine = values - self.log_evidence.unsqueeze(-1)  # ln of each small cell's mass, [members, fine * fine]
        blocks = self.fine.view(-1, cells, finer, cells, finer).transpose(2, 3)
        self.log_mass = blocks.flatten(-2).logsumexp(-1).flatten(1)  # of each cell, [members, cells * cells]

    def divergence(self, u):
        """KL(q | p) in nats of the histograms of q and of the density, [members]. u: samples of q, [members, n, 2].

        The entropy's bias is corrected to first order (Miller 1955). Samples outside the square count in its outer cells.
        """
        place = ((u.double() + self.reach) / (2 * self.reach) * self.cells).long().clamp(0, self.cells - 1)
        index = place[..., 0] * self.cells + place[..., 1]
        found = []
        for cells, log_mass in zip(index, self.log_mass, strict=True):
            counts = torch.bincount(cells, minlength=self.cells**2).double()
            share = counts / counts.sum()
            full = counts > 0
            plain = (share[full] * (share[full].log() - log_mass[full])).sum()
            found.append(plain - (full.sum() - 1) / (2 * counts.sum()))
        return torch.stack(found)

    def sample(self, rng, n):
        """n samples, [members, n, 2], uniform within a small cell; NaN for a member whose density is."""
        side = math.isqrt(len(self.points))
        rows = []
        for log_mass in self.fine:
            mass = log_mass.exp().numpy()
            if not np.isfinite(mass).all():
                rows.append(np.full((n, 2), np.nan))
                continue
            chosen = rng.choice(len(mass), n, p=mass / mass.sum())
            rows.append(self.points[torch.from_numpy(chosen)].numpy() + (rng.random((n, 2)) - 0.5) * 2 * self.reach / side)
        return torch.from_numpy(np.stack(rows))


def log_volume(step):
    """ln |det| of the Jacobian of step(u, rho) -> (u, rho) at one point, a function of two vectors."""

    def log_det(u, rho):
        size = len(u)
        both = torch.cat([u, rho])
        full = torch.autograd.functional.jacobian(lambda x: torch.cat(step(x[:size], x[size:])), both)
        return torch.linalg.slogdet(full)[1]

    return log_det


def reversal_error(u, rho, step, force, steps):
    """Largest distance from (u, rho) after `steps` there, flipping rho, as many back, and flipping it again."""
    there, momentum = leapfrog(u, rho, step, force, steps)
    back, momentum = leapfrog(there, -momentum, step, force, steps)
    return float(torch.maximum((back - u).abs().max(), (momentum + rho).abs().max()).detach())


def drift(u, rho, step, potential, time):
    """Mean |H_K - H_0| of plain leapfrog over a stretch of time."""
    chain = Chain(trajectory(u, rho, step, potential.gradient, round(time / step)), potential, None)
    return float((chain.energy - chain.first_energy).abs().mean())


def jittered(transition, rng, scale=0.5):
    """A copy in float64 whose gate has random parameters."""
    copied = deepcopy(transition).double()
    for parameter in copied.gate.parameters():
        parameter.data += scale * torch.from_numpy(rng.standard_normal(tuple(parameter.shape)))
    return copied
