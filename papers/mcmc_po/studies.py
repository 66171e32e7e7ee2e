"""Measurements of a policy trained on the bandit: one function per table, which returns the rows of one member."""

import numpy as np
import torch

from common.flows.distributions import DiagonalGaussian
from common.rl.randomness import generator
from papers.mcmc_po import exact
from papers.mcmc_po.gaps import LENGTHS
from papers.mcmc_po.leapfrog import trajectory

STEP, STEPS = 0.1, 5  # plain leapfrog of the kernels
ITERATIONS = 6
STARTS, LONG = 8, 30  # trajectories that are drawn, and the steps of the plain ones


def lengths(learner, member):
    """The trained h applied K times, for several K: KL to the posterior, gap of the bound, Q."""
    grid, rows = learner.grid(member), []
    for size in LENGTHS:
        chain = learner.chain(size)
        numbers = {"kl": learner.divergence(grid, chain.u[member]), "gap": learner.gap(grid, chain, member)}
        rows.append({"steps": size, **numbers, "value": float(chain.value[member].mean())})
    return rows


def kernels(learner, member):
    """KL to the posterior after some iterations of three kernels, from the policy and from the posterior itself: plain
    leapfrog with Metropolis correction, without it, and the gated leapfrog."""
    rng = generator(learner.seeds[member], "evaluate", 2)
    grid, count = learner.grid(member), learner.config.samples
    state = learner.states(count)[:1].double()
    policy = learner.chain(0).u[member : member + 1].double()
    starts = {"policy": policy, "posterior": grid.sample(rng, count).view(1, -1, 2)}
    rows = []
    for start, first in starts.items():
        for name in ("corrected", "plain", "gated"):
            u = first
            rows.append(_kernel_row(start, name, 0, learner, grid, u))
            for iteration in range(1, ITERATIONS + 1):
                momentum = torch.from_numpy(rng.standard_normal(tuple(u.shape)))
                uniform = torch.from_numpy(rng.random(tuple(u.shape[:2])))
                u = _iterate(learner, member, name, u, momentum, uniform, state)
                rows.append(_kernel_row(start, name, iteration, learner, grid, u))
    return rows


def _kernel_row(start, name, iteration, learner, grid, u):
    return {"start": start, "kernel": name, "iterations": iteration, "kl": learner.divergence(grid, u[0])}


def _iterate(learner, member, name, u, momentum, uniform, state):
    potential = learner.potential(state, member)
    if name != "gated":
        return exact.kernel(u, momentum, STEP, potential, STEPS, uniform if name == "corrected" else None)
    *_, (u, _) = learner.transition(member).path(u, momentum, potential, state)
    return u


def trajectories(learner, member):
    """Paths at the first context from a few starts: plain leapfrog with a small step, and the trained chain."""
    rng = generator(learner.seeds[member], "evaluate", 3)
    state = learner.contexts[:1].double().repeat(STARTS, 1).unsqueeze(0)
    base = learner.base(state.float().expand(len(learner.seeds), -1, -1))
    alone = DiagonalGaussian(*(x[member : member + 1].double() for x in (base.mean, base.log_std)))
    u, momentum = alone.sample(torch.from_numpy(rng.standard_normal((1, STARTS, 2)))), rng.standard_normal((1, STARTS, 2))
    momentum, rows = torch.from_numpy(momentum), []
    for kind in ("plain", "trained"):
        potential = learner.potential(state, member)
        if kind == "plain":
            path = trajectory(u, momentum, STEP / 2, potential.gradient, LONG)
        else:
            path = learner.transition(member).path(u, momentum, potential, state)
        for k, (place, rho) in enumerate(path):
            energy = potential.energy(rho)
            rows += [
                {"kind": kind, "chain": i, "k": k, "u1": float(place[0, i, 0]), "u2": float(place[0, i, 1]),
                 "energy": float(energy[0, i])}
                for i in range(STARTS)
            ]  # fmt: skip
    return rows


def density(learner, member):
    """The posterior of the first context: ln of the mass of every cell of a grid, none below the largest less 12."""
    grid = learner.grid(member)
    side = (np.arange(grid.cells) + 0.5) / grid.cells * 2 * grid.reach - grid.reach
    mass = grid.log_mass[0].view(grid.cells, grid.cells).numpy()
    return [
        {"u1": float(side[i]), "u2": float(side[j]), "log_mass": float(max(mass[i, j], mass.max() - 12))}
        for i in range(grid.cells)
        for j in range(grid.cells)
    ]


def laws(learner, member):
    """Errors, in float64, of the paper's statements about its leapfrog; see `papers/mcmc_po/exact.py`."""
    rng = generator(learner.seeds[member], "evaluate", 4)
    count = 16
    state = learner.contexts.double().repeat(count // len(learner.contexts) + 1, 1)[:count].unsqueeze(0)
    u, rho = (torch.from_numpy(rng.standard_normal((1, count, 2))) for _ in range(2))
    trained = learner.transition(member)
    potential = learner.potential(state, member)
    fine, coarse = (exact.drift(u, rho, step, potential, 1.0) for step in (0.01, 0.02))
    found = {
        "reversal_plain": exact.reversal_error(u, rho, STEP, potential.gradient, STEPS),
        "energy_order": float(np.log2(coarse / fine)),
        "bound_identity": _bound_identity(learner, member, u, rho, state),
    }
    if trained.gate is not None:
        random = exact.jittered(trained, rng)
        found["jacobian_trained"] = _largest_log_det(trained, u, rho, state, learner, member)
        found["jacobian_random"] = _largest_log_det(random, u, rho, state, learner, member)
        shown = state if learner.config.gate_state else state[..., :0]

        def force(x):
            return random.gate(potential.gradient(x), potential.action, shown)

        found["reversal_gated"] = exact.reversal_error(u, rho, STEP, force, STEPS)
    return [{"law": name, "value": value} for name, value in found.items()]


def _largest_log_det(transition, u, rho, state, learner, member):
    """Largest |ln |det|| over the points, whole chain at once."""
    found = []
    for i in range(u.shape[1]):
        here = state[:, i : i + 1]
        local = learner.potential(here, member)

        def chain(x, y, here=here, local=local):
            *_, (u, rho) = transition.path(x.view(1, 1, -1), y.view(1, 1, -1), local, here)
            return u.flatten(), rho.flatten()

        with torch.enable_grad():
            found.append(abs(float(exact.log_volume(chain)(u[0, i], rho[0, i]))))
    return max(found)


def _bound_identity(learner, member, u, rho, state):
    """Largest |D - (Q(a_K) - Q(a_0)) / tau - (H_K - H_0)| where theta = theta_t, sample by sample."""
    potential = learner.potential(state, member)
    path = learner.transition(member).path(u, rho, potential, state)
    first = next(path)
    value, energy, log_prob = potential.value, potential.energy(first[1]), potential.log_prior
    *_, (_, momentum) = path if learner.config.leapfrog_steps else [first]
    change = (momentum.square() - rho.square()).sum(-1) / 2
    distance = log_prob - potential.log_prior + change
    gain = (potential.value - value) / potential.temperature
    return float((distance - gain - (potential.energy(momentum) - energy)).abs().max())


STUDIES = {
    "lengths": lengths,
    "kernels": kernels,
    "trajectories": trajectories,
    "density": density,
    "laws": laws,
}
