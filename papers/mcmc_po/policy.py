"""A policy iteration: the policy theta, the transition h, the multiplier beta (Sections 3.2 and 4.1).

Everything happens before tanh, in u with a = tanh u. The policy theta gives N(u; mu, sigma), its last snapshot theta_t the
prior N(u; mu_t, sigma_t), and with the temperature tau = max(beta, floor)

    U(s, u) = -(Q(s, tanh u) / tau + ln N(u; mu_t, sigma_t))                                       (potential of eq. 13)
    u_0 ~ N(mu, sigma),  rho_0 ~ N(0, I),  (u_K, rho_K) = K gated leapfrog steps from (u_0, rho_0)   (eqs 14, 18, 19)
    J = E[Q(s, tanh u_K) - tau (ln N(u_0; mu, sigma) - ln N(u_K; mu_t, sigma_t)) - tau/2 rho_K' rho_K]         (eq. 17)
    D = E[ln N(u_0; mu, sigma) - ln N(u_K; mu_t, sigma_t) + (rho_K' rho_K - rho_0' rho_0) / 2]          (Section 4.1)

Leapfrog steps keep volume in u, and tanh's Jacobian at u_K stands in the pushed-forward density as in the prior's, so it
cancels: no atanh, no boundary. Steps in a-space would leave [-1, 1], where the prior has no density.

With H = U + rho' rho / 2, J is -tau E[H(u_K, rho_K) + ln N(u_0; mu, sigma)]: what a chain adds to the bound is the energy
it loses, and exact Hamiltonian dynamics add nothing. That takes the potential's temperature in the objective too, where the
paper has beta: a chain turns by K eps / sigma in phase, so that a_K may move against a_0, and only the KL term at the same
temperature gives theta back the sign of Q's gradient. At beta below the floor theta would descend Q.

The gradient of Q in the action enters the chain as a constant: Q's second derivative is 0 almost everywhere for ReLU
networks. The same gradient at a_K serves the objective, so that a chain with its objective takes K + 1 of them.
"""

import itertools
from copy import deepcopy

import numpy as np
import torch
from torch import nn

from common.rl.optimisers import Adam, descend, give_gradients
from papers.mcmc_po.leapfrog import Transition
from papers.mcmc_po.pid import PID

# ln sigma, step size, energy error and the share of clamped kicks tell a chain whose steps are too long for its prior.
# "prior_at_floor" is the share of entries of ln sigma at its floor, where it has no gradient.
METRICS = (
    "beta", "distance", "distance_error_squared", "distance_within", "value_gain", "bound_gain", "step_size", "momentum",
    "prior_log_std", "prior_at_floor", "energy_error", "kicks_clipped",
)  # fmt: skip


class Potential:
    """U and its gradient at the points of one chain.

    prior: N(mu_t, sigma_t), a distribution over u; critic(action): (Q, dQ/da), both differentiable; temperature: tau,
    [members, 1]. `kicks`: eps * p before its clamp at every point, for a `Transition` to note, [members, batch, actions].
    """

    def __init__(self, prior, critic, temperature):
        self.prior, self.critic, self.temperature = prior, critic, temperature
        self.kicks = []
        self.precision = (-2 * prior.log_std).exp()

    def gradient(self, u):
        """dU/du. What else the potential tells is of this u until the next call."""
        self.u, self.action = u, torch.tanh(u)
        self.value, slope = self.critic(self.action)
        drift = (u - self.prior.mean) * self.precision
        self.slope = torch.addcmul(drift, slope / self.temperature.unsqueeze(-1), 1 - self.action.square(), value=-1)
        return self.slope

    @property
    def log_prior(self):
        """ln N(u; mu_t, sigma_t), [members, batch]."""
        return self.prior.log_prob(self.u)

    def energy(self, rho):
        """H = U + rho' rho / 2 at the last point, [members, batch]."""
        return rho.square().sum(-1) / 2 - self.value / self.temperature - self.log_prior


class Chain:
    """K steps from (u_0, rho_0), and what the objective asks of both ends. Tensors are [members, batch, ...].

    `states` are the K + 1 pairs (u_k, rho_k); `first_...` what the potential said at the first of them.
    """

    def __init__(self, path, potential, log_prob):
        self.states = [next(path)]  # the potential knows its last point alone
        self.first_value, self.first_slope = potential.value.detach(), potential.slope.detach()
        self.first_energy = potential.energy(self.states[0][1]).detach()
        self.states += path
        self.u, self.rho = self.states[-1]
        self.action, self.value, self.log_prior = potential.action, potential.value, potential.log_prior
        self.energy = potential.energy(self.rho).detach()
        self.log_prob = log_prob  # ln N(u_0; mu, sigma)
        self.prior, self.kicks, self.temperature = potential.prior, potential.kicks, potential.temperature

    def objective(self):
        """J of eq. 17, [members], at the potential's temperature."""
        penalty = self.log_prob - self.log_prior + self.rho.square().sum(-1) / 2
        return (self.value - self.temperature * penalty).mean(-1)

    @torch.no_grad()
    def distances(self):
        """The terms of which D is the mean, [members, batch]."""
        momentum = (self.rho.square() - self.states[0][1].square()).sum(-1) / 2
        return self.log_prob - self.log_prior + momentum


def outside(entries, limit):
    """Share of a list of tensors' entries, [members, batch, actions] each, beyond a limit, [members]."""
    return torch.stack([(entry.abs() > limit).float().mean((-2, -1)) for entry in entries]).mean(0)


class Meter(nn.Module):
    """Means of named numbers since they were last taken, one per member; kept in buffers, for checkpoints."""

    def __init__(self, names, members):
        super().__init__()
        self.names = names
        self.register_buffer("total", torch.zeros(len(names), members))
        self.register_buffer("count", torch.zeros(()))

    @torch.no_grad()
    def add(self, **values):
        self.total += torch.stack([values[name].expand(self.total.shape[1]) for name in self.names])
        self.count += 1

    def take(self):
        """{name: one float per member}, NaN if nothing was added, and "distance_rms", the root of "distance_error_squared",
        in its place; starts again from nothing."""
        means = (self.total / self.count).tolist()
        self.total.zero_()
        self.count.zero_()
        named = dict(zip(self.names, means, strict=True))
        return named | {"distance_rms": list(np.sqrt(named.pop("distance_error_squared")))}


class HamiltonianPolicy:
    """theta_t, h and beta around a base network theta, a fleet.

    base: a module that maps what the policy is shown, [members, batch, states], to N(u; mu, sigma); optimiser: that of its
    parameters. config: a `TrustRegion` and `Leapfrog` with `temperature`, the floor of tau.
    """

    stored = ("prior", "transition", "transition_optimiser", "pid", "meter", "updates")  # for checkpoints, besides the base

    def __init__(self, config, rngs, base, optimiser, actions, states, device="cpu"):
        self.config, self.base, self.optimiser, self.actions = config, base, optimiser, actions
        self.prior = deepcopy(base).requires_grad_(False)
        self.transition = Transition(rngs, config, actions, states).to(device)
        rate = config.transition_learning_rate
        self.transition_optimiser = Adam(self.transition.parameters(), lr=rate)
        self.pid = PID(len(rngs), config, config.threshold * actions).to(device)
        self.meter = Meter(METRICS, len(rngs)).to(device)
        self.updates = 0

    @property
    def temperature(self):
        """tau = max(beta, floor), [members, 1]."""
        return self.pid.beta.clamp(min=self.config.temperature).unsqueeze(-1)

    def chain(self, state, critic, noise, momentum, steps=None):
        """The `Chain` from u_0 = mu + sigma noise and rho_0 = momentum; of `steps` steps, if given, instead of K."""
        u, log_prob = self.base(state).rsample_and_log_prob(noise)
        potential = Potential(self.prior(state), critic, self.temperature)
        return Chain(self.transition.path(u, momentum, potential, state, steps), potential, log_prob)

    def snapshot(self):
        """theta_t <- theta."""
        self.prior.load_state_dict(self.base.state_dict())

    def improve(self, state, critic, draws):
        """One policy iteration: a step on theta, a step on h, beta. draws: what `update_draws` of a learner gave."""
        c = self.config
        if self.updates % c.snapshot_every == 0:
            self.snapshot()
        self.updates += 1
        chain = self.chain(state, critic, draws["noise"], draws["momentum"])
        learns_h = c.learn_transition and c.leapfrog_steps > 0
        if learns_h and c.alternation == "shared":
            self._descend_both(-chain.objective())
        else:
            descend(self.optimiser, -chain.objective())
            if learns_h:
                fresh = self.chain(state, critic, draws["transition_noise"], draws["transition_momentum"])
                loss = -fresh.objective()
                descend(self.transition_optimiser, loss)
        self._observe(chain)
        if c.pid_every == "step" or self.updates % c.snapshot_every == 0:
            self.pid.update(chain.distances().mean(-1))

    def _descend_both(self, loss):
        """One step on theta and one on h from the gradients of one chain."""
        pairs = ((self.optimiser, self.base), (self.transition_optimiser, self.transition))
        groups = [(optimiser, list(module.parameters())) for optimiser, module in pairs]
        gradients = iter(torch.autograd.grad(loss.sum(), [p for _, parameters in groups for p in parameters]))
        for optimiser, parameters in groups:
            give_gradients(parameters, itertools.islice(gradients, len(parameters)))
            optimiser.step()

    @torch.no_grad()
    def _observe(self, chain):
        """Note what an iteration was like, and let the gate's inputs follow the gradients' scale."""
        self.meter.add(
            **self.pid.numbers(chain.distances().mean(-1)),
            value_gain=(chain.value - chain.first_value).mean(-1),
            bound_gain=self.temperature[:, 0] * (chain.first_energy - chain.energy).mean(-1),
            step_size=self.transition.step.mean((-2, -1)),
            momentum=chain.rho.square().mean((-2, -1)),
            prior_log_std=chain.prior.log_std.mean((-2, -1)),
            prior_at_floor=(chain.prior.log_std <= self.config.log_std_low).float().mean((-2, -1)),
            energy_error=(chain.energy - chain.first_energy).mean(-1),
            kicks_clipped=outside(chain.kicks, self.config.kick_limit),
        )
        if self.transition.gate is not None:
            self.transition.gate.observe(chain.first_slope)
