"""The bound that a policy reaches on given states, and how much is left to gain (the amortisation gap).

In units of reward, at the temperature tau of the potential,

    L = E[Q(a_K) - tau (ln N(u_0; mu, sigma) - ln N(u_K; mu_t, sigma_t) + (rho_K' rho_K - rho_0' rho_0) / 2)]

bounds tau ln Z from below. The amortisation gap (Cremer et al. 2018) is what an optimum over mu and sigma of each state has
over the network's own, both without a chain.
"""

import numpy as np
import torch

from common.flows.distributions import DiagonalGaussian
from common.rl.optimisers import descend
from common.rl.randomness import generator
from papers.mcmc_po.policy import Chain, Potential

LENGTHS = (0, 1, 3, 4, 5, 10)
ASCENT_STEPS = 200
ASCENT_RATE = 0.03
SAMPLES = 8  # of (u_0, rho_0) per state
BLOCK = 1 << 21  # of the evaluation's stream, apart from its resets


def bound(chain, temperature):
    """L of every member, [members]. temperature: [members, 1]."""
    return (chain.value - temperature * chain.distances()).mean(-1)


def gap_rows(learner):
    """One row per chain length and one for gradient ascent: how, size, bound, value, distance, energy_error; one list per
    member, empty if the learner has seen no batch."""
    if learner.seen is None:
        return [[] for _ in learner.seeds]
    obs = learner.seen.obs.repeat(1, SAMPLES, 1)
    policy, critic = learner.hamiltonian, learner.critic(learner.critics, obs)
    draws = [_draws(learner, 0), _draws(learner, 1)]
    rows = [[] for _ in learner.seeds]

    def add(how, size, chain):
        error = (chain.energy - chain.first_energy).mean(-1)
        numbers = (bound(chain, policy.temperature), chain.value.mean(-1), chain.distances().mean(-1), error)
        for member, values in enumerate(zip(*(n.tolist() for n in numbers), strict=True)):
            named = dict(zip(("bound", "value", "distance", "energy_error"), values, strict=True))
            rows[member].append({"how": how, "size": size, **named})

    with torch.no_grad():
        for length in LENGTHS:
            add("chain", length, policy.chain(obs, critic, *draws, steps=length))
    add("ascent", ASCENT_STEPS, ascended(learner, obs, critic, draws[0]))
    return rows


def ascended(learner, obs, critic, noise):
    """The `Chain` of no steps from the Gaussian, one per state, that stochastic gradient ascent on L reaches from the
    network's own; `noise` is that of the final evaluation. The states' copies share their Gaussian."""
    policy, count = learner.hamiltonian, obs.shape[1] // SAMPLES
    with torch.no_grad():
        start, prior = policy.base(obs[:, :count]), policy.prior(obs)
    free = [x.clone().requires_grad_() for x in (start.mean, start.log_std)]
    optimiser = torch.optim.Adam(free, lr=ASCENT_RATE)
    for step in range(ASCENT_STEPS):
        chain = _gaussian_chain(free, prior, critic, policy.temperature, _draws(learner, 2 + step))
        # The states of a batch are as independent as its members: the sum serves all of them at once.
        loss = -(chain.value - policy.temperature * (chain.log_prob - chain.log_prior)).sum()
        descend(optimiser, loss)
    with torch.no_grad():
        return _gaussian_chain(free, prior, critic, policy.temperature, noise)


def _gaussian_chain(free, prior, critic, temperature, noise):
    repeated = DiagonalGaussian(*(x.repeat(1, SAMPLES, 1) for x in free))
    u, log_prob = repeated.rsample_and_log_prob(noise)
    potential = Potential(prior, critic, temperature)
    potential.gradient(u)
    return Chain(iter([(u, torch.zeros_like(u))]), potential, log_prob)


def _draws(learner, entry):
    """Standard normal numbers for every state and sample, functions of the members' seeds alone."""
    count = learner.seen.obs.shape[1] * SAMPLES
    drawn = [
        generator(seed, "evaluate", BLOCK + entry).standard_normal((count, learner.actions), dtype=np.float32)
        for seed in learner.seeds
    ]
    return torch.from_numpy(np.stack(drawn)).to(learner.device)
