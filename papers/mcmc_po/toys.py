"""A contextual bandit whose posterior is known: what a chain adds to an amortised policy can be measured exactly.

The context is an angle phi, shown as (cos phi, sin phi); the action a in [-1, 1]^2, turned by -phi, is x, and

    Q(phi, a) = -4 (x_2 + 0.3 - 1.2 x_1^2)^2 - x_1^2 / 4,

a curved ridge that no Gaussian over u = atanh a fits, and that turns with the context faster than a small network can
follow. The policy iteration is that of `papers/mcmc_po/policy.py`, to the letter; only the critic is the true Q, and, unless
the prior is the last snapshot, the prior is N(0, I), so that the posterior exp(Q / tau) N(u; 0, I) / Z stands still.
"""

import math
from copy import deepcopy

import numpy as np
import torch
from torch import nn

from common.flows.distributions import DiagonalGaussian
from common.flows.networks import widths
from common.rl.learner import IterativeLearner
from common.rl.optimisers import Adam
from common.rl.policies import GaussianNetwork
from common.rl.randomness import draws, generator, normal
from papers.mcmc_po import exact, studies
from papers.mcmc_po.gaps import bound
from papers.mcmc_po.policy import HamiltonianPolicy, Potential

ACTIONS = 2


class Bandit:
    """Q(phi, .) and its gradient, both in closed form and differentiable. obs: (cos phi, sin phi), [members, batch, 2]."""

    def __init__(self, obs):
        self.cos, self.sin = obs.unbind(-1)

    def __call__(self, action):
        """(Q [members, batch], dQ/da [members, batch, 2])."""
        x1 = self.cos * action[..., 0] + self.sin * action[..., 1]
        x2 = self.cos * action[..., 1] - self.sin * action[..., 0]
        height = x2 + 0.3 - 1.2 * x1.square()
        along, across = 19.2 * x1 * height - x1 / 2, -8 * height
        slope = torch.stack([self.cos * along - self.sin * across, self.sin * along + self.cos * across], -1)
        return -4 * height.square() - x1.square() / 4, slope


class Standard(nn.Module):
    """N(0, I) whatever the state."""

    def forward(self, state):
        zero = state.new_zeros(*state.shape[:2], ACTIONS)
        return DiagonalGaussian(zero, zero)


class Anchored(HamiltonianPolicy):
    """A policy iteration whose prior stays N(0, I)."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.prior = Standard()

    def snapshot(self):
        """The prior has no part in theta."""


class Learner(IterativeLearner):
    """A fleet of Hamiltonian policies on the bandit, one member per seed; always on the CPU, for its networks are tiny."""

    stored = ("base", "optimiser", *(f"hamiltonian.{name}" for name in HamiltonianPolicy.stored))

    def __init__(self, config, seeds, device="cpu"):
        self.config, self.seeds = config, seeds
        rngs = [generator(seed, "init") for seed in seeds]
        clamp = (config.log_std_low, config.log_std_high)
        self.base = GaussianNetwork(rngs, 2, widths(config.base), ACTIONS, clamp)
        self.optimiser = Adam(self.base.parameters(), lr=config.learning_rate)
        policy = Anchored if config.prior == "fixed" else HamiltonianPolicy
        rngs = [generator(seed, "init", 1) for seed in seeds]
        self.hamiltonian = policy(config, rngs, self.base, self.optimiser, ACTIONS, 2)
        angles = torch.arange(config.contexts) * 2 * math.pi / config.contexts
        self.contexts = torch.stack([angles.cos(), angles.sin()], -1)  # of evaluations, [contexts, 2]

    def update_draws(self, rng, size):
        shape = (size, self.config.batch_size)
        drawn = normal(rng, *shape, ACTIONS, names=("noise", "momentum", "transition_noise", "transition_momentum"))
        return drawn | {"angle": rng.uniform(-math.pi, math.pi, shape).astype(np.float32)}

    def update(self, draws):
        """One policy iteration on the contexts drawn."""
        obs = torch.stack([draws["angle"].cos(), draws["angle"].sin()], -1)
        self.hamiltonian.improve(obs, Bandit(obs), draws)

    def draws(self, entry, count):
        """Standard normal numbers for `count` samples of every context, [members, contexts * count, 2]: functions of the
        member's seed and `entry` alone."""
        drawn = draws(self.seeds, "evaluate", entry, lambda rng: normal(rng, len(self.contexts) * count, ACTIONS))
        return torch.from_numpy(drawn["noise"])

    def states(self, count):
        """Every evaluation context `count` times, [members, contexts * count, 2]."""
        return self.contexts.repeat_interleave(count, 0).expand(len(self.seeds), -1, -1)

    def chain(self, steps=None):
        """The `Chain` from `samples` starts of every evaluation context."""
        state = self.states(self.config.samples)
        draws = [self.draws(entry, self.config.samples) for entry in (0, 1)]
        return self.hamiltonian.chain(state, Bandit(state), *draws, steps=steps)

    def potential(self, state, member):
        """The present potential of one member at some states, in float64."""
        policy = self.hamiltonian
        prior = policy.prior(state.float().expand(len(self.seeds), -1, -1))
        alone = DiagonalGaussian(*(x[member : member + 1].double() for x in (prior.mean, prior.log_std)))
        return Potential(alone, Bandit(state), policy.temperature[member : member + 1].double())

    def grid(self, member):
        """The posterior of every evaluation context, an `exact.Grid` over contexts."""

        def log_density(points):
            state = self.contexts.double().repeat_interleave(points.shape[1], 0).unsqueeze(0)
            potential = self.potential(state, member)
            potential.gradient(points.repeat(1, len(self.contexts), 1))
            return -potential.energy(torch.zeros(1)).view(len(self.contexts), -1)

        return exact.Grid(log_density)

    @torch.no_grad()
    def measure(self):
        """Means over the contexts at this moment: KL to the posterior of the chain's end and of its start, tau ln Z less the
        bound of eq. 17 for both, their Q; means over the iterations since the last measurement: `policy.METRICS`."""
        numbers = {}
        grids = [self.grid(member) for member in range(len(self.seeds))]
        for suffix, chain in (("", self.chain()), ("_base", self.chain(0))):
            numbers["kl" + suffix] = [self.divergence(grids[m], chain.u[m]) for m in range(len(self.seeds))]
            numbers["gap" + suffix] = [self.gap(grids[m], chain, m) for m in range(len(self.seeds))]
            numbers["value" + suffix] = chain.value.mean(-1).tolist()
        return numbers | self.hamiltonian.meter.take()

    def divergence(self, grid, u):
        """KL to the posterior, mean over contexts. u: one member's samples, [contexts * n, 2]."""
        return float(grid.divergence(u.view(len(self.contexts), -1, ACTIONS)).mean())

    def gap(self, grid, chain, member):
        """tau ln Z - L of one member, mean over contexts."""
        temperature = self.hamiltonian.temperature
        return float(temperature[member, 0] * grid.log_evidence.mean() - bound(chain, temperature)[member])

    def tables(self):
        """What `papers/mcmc_po/studies.py` finds of the trained policy, {table: one list of rows per member}."""
        with torch.no_grad():
            members = range(len(self.seeds))
            return {name: [study(self, member) for member in members] for name, study in studies.STUDIES.items()}

    def transition(self, member):
        """One member's h in float64, as a fleet of one."""
        alone = deepcopy(self.hamiltonian.transition).double()
        for holder in alone.modules():
            for table in (holder._parameters, holder._buffers):
                for name, tensor in table.items():
                    table[name] = type(tensor)(tensor.data[member : member + 1])
        return alone
