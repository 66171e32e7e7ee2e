"""Langevin policies: the action of a deterministic policy, moved along the critic's gradient (Section 3.1).

On TD3 (`common/rl/td3.py`), or with its settings on DDPG, with pi_t the policy's last snapshot, tau = max(beta, floor) and

    V(s, a) = Q_1(s, a) / tau - |a - pi_t(s)|                                      (eq. 6; |x| is sqrt(x'x + 1e-6))

the action a_0 = pi_theta(s) is moved K times, either by the noisy chain

    a_k+1 = a_k + eps_k / 2 * grad V(s, a_k) + lambda xi_k,   xi_k ~ N(0, I)           (eq. 7)

or by the deterministic flow, with m a mask that keeps every other entry, the odd and the even ones in turn, n = 1 - m,

    y = m x + n ((x + eps^2 / 2 * grad V(s, x) + eps exp(sigma(m x))) exp(S(m x)) + T(m x))      (eq. 9)

and is clipped to [-1, 1] after every step. The clip passes gradients straight through: where Q is steep, whole chains end at
a bound, and a policy that got no gradient there would stay. The gradient's part of a step is clamped, so that K steps cannot
carry every action to a bound whatever its start. A policy iteration takes a step on theta and one on h (eps, and lambda or
the networks) up

    J = E[Q_1(s, a_K) - beta |a_K - pi_t(s)|]                                      (eq. 10)

and one of the controller with D = E |a_K - pi_t(s)|. The target of the critics uses the target policy's action after a chain
on the target critics, smoothed as TD3's. Without steps and with beta = 0 this is TD3.

What is printed and what stands here: eq. 7 lacks `a_k +`; eq. 9 subtracts the gradient of what eq. 6 defines as an
objective, which would descend it, so that it is added; its eps exp(sigma) and T lack the mask n and would move the kept
half. Even so eq. 9 is no bijection, since the gradient depends on the half that moves; no density is used, so none is
needed. Networks map whole masked vectors, which serves odd dimensions. exp(sigma) starts at e^-5, near no drift; T and S
start at 0, S is clamped to [-5, 2].
"""

import math
from copy import deepcopy

import torch
from torch import nn

from common.flows.networks import MLP, widths
from common.rl import td3
from common.rl.optimisers import Adam, descend
from common.rl.randomness import generator, normal
from papers.mcmc_po.leapfrog import StepSizes, constant
from papers.mcmc_po.pid import PID
from papers.mcmc_po.policy import Meter, outside
from papers.mcmc_po.slopes import CriticsAt, first_order

METRICS = (
    "beta", "distance", "distance_error_squared", "distance_within", "value_gain", "step_size", "noise", "kicks_clipped",
    "actions_clipped",
)  # fmt: skip
DRIFT = -5.0  # sigma at the start


def length(x):
    """sqrt(x'x + 1e-6) over the last axis: the chain starts where the plain norm has no gradient."""
    return (x.square().sum(-1) + 1e-6).sqrt()


def clipped(x):
    """x within [-1, 1], with the gradient of x itself."""
    return x.clamp(-1, 1).detach() + (x - x.detach())


class Noisy(StepSizes):
    """Eq. 7: eps, one per step, and lambda."""

    def __init__(self, rngs, config, actions):
        super().__init__(config, config.chain_steps, len(rngs), 1, 1)
        self.log_noise = nn.Parameter(torch.full((len(rngs), 1, 1), math.log(config.noise)))

    @property
    def noise(self):
        """lambda, [members, 1, 1]."""
        return self.log_noise.exp()

    def kick(self, k, slope):
        """The gradient's part of step k. slope: grad V at a_k, [members, batch, actions]."""
        return self.step[k] / 2 * slope

    def forward(self, k, action, kick, xi):
        """a_k+1. kick: clamped; xi: [members, batch, actions], or None for no noise."""
        moved = action + kick
        return moved if xi is None else moved + self.noise * xi


class Flow(StepSizes):
    """Eq. 9: eps, one per layer, and the networks sigma, S and T of every layer."""

    def __init__(self, rngs, config, actions):
        super().__init__(config, config.chain_steps, len(rngs), 1, 1)
        self.actions = actions
        self.drift, self.log_scale, self.shift = (self._networks(rngs, bias) for bias in (DRIFT, 0.0, 0.0))
        self.register_buffer("even", (torch.arange(actions) % 2 == 0).float())

    def _networks(self, rngs, bias):
        """One network per layer; its output is `bias` at the start."""
        c = self.config
        sizes = [self.actions, *widths(c.units), self.actions]
        return nn.ModuleList(MLP(rngs, sizes, "tanh", last_init=constant(bias)) for _ in range(c.chain_steps))

    @property
    def noise(self):
        """0, for none is added, [members, 1, 1]."""
        return self.logit.new_zeros(self.logit.shape[1:])

    def kick(self, k, slope):
        """The gradient's part of layer k, before the mask. slope: grad V at its input, [members, batch, actions]."""
        return self.step[k] ** 2 / 2 * slope

    def forward(self, k, action, kick, xi=None):
        """y of layer k. kick: clamped."""
        keep = self.even if k % 2 else 1 - self.even  # a single entry moves in the first layer
        kept = keep * action
        log_scale = self.log_scale[k](kept).clamp(-5, 2)
        ahead = action + kick + self.step[k] * self.drift[k](kept).exp()
        return kept + (1 - keep) * (ahead * log_scale.exp() + self.shift[k](kept))


class Learner(td3.Learner):
    """A fleet of TD3 learners whose actions are moved on the critic, one member per seed."""

    ablations = ("without_chain",)
    stored = (*td3.Learner.stored, "anchor", "transition", "transition_optimiser", "pid", "meter", "iterations")

    def __init__(self, config, seeds, observations, actions, device="cpu"):
        super().__init__(config, seeds, observations, actions, device)
        rngs = [generator(seed, "init", 1) for seed in seeds]
        self.anchor = deepcopy(self.policy).requires_grad_(False)
        kind = Noisy if config.kind == "noisy" else Flow
        self.transition = kind(rngs, config, actions).to(device)
        rate = config.transition_learning_rate
        self.transition_optimiser = Adam(self.transition.parameters(), lr=rate)
        self.pid = PID(len(seeds), config, config.threshold * math.sqrt(actions)).to(device)
        self.meter = Meter(METRICS, len(seeds)).to(device)
        self.iterations, self.shown = 0, None

    @staticmethod
    def critic(critics, obs):
        """A function of the action, [members, batch, actions], that gives Q_1 [members, batch], differentiable in the action
        to first order, and its gradient, a constant."""
        at = CriticsAt(critics, obs, count=1)

        def values(action):
            value = at.values(action.detach())
            slope = at.slope(torch.ones_like(value))
            return first_order(value[:, 0], slope, action), slope

        return values

    def chain(self, critics, obs, action, centre, xi=None):
        """(a_K, Q_1(s, a_K), Q_1(s, a_0), steps) from a_0 = `action`. centre: pi_t(s); xi: [members, batch, K, actions] or
        None; steps: for each, the kick before its clamp and the action before its clip."""
        limit = self.config.kick_limit
        temperature = self.pid.beta.clamp(min=self.config.temperature).view(-1, 1, 1)
        critic = self.critic(critics, obs)
        value, slope = critic(action)
        first, steps = value.detach(), []
        for k in range(self.config.chain_steps):
            away = action - centre
            kick = self.transition.kick(k, slope / temperature - away / length(away).unsqueeze(-1))
            moved = self.transition(k, action, kick.clamp(-limit, limit), None if xi is None else xi[:, :, k])
            steps.append((kick.detach(), moved.detach()))
            action = clipped(moved)
            value, slope = critic(action)
        return action, value, first, steps

    @torch.no_grad()
    def act(self, obs, draws=None, ablate=None):
        """Actions [members, batch, actions]: with the chain's and TD3's noise if `draws` are given, else with neither.
        `ablate`: 'without_chain' stops at a_0."""
        action = self.policy(obs)
        if ablate != "without_chain":
            xi = None if draws is None else draws.get("xi")
            action = self.chain(self.critics, obs, action, self.anchor(obs), xi)[0]
        if draws is not None:
            return self.explore(action, draws)
        self.shown = obs, action
        return action

    @torch.no_grad()
    def inspect(self, obs):
        """The action that has just been taken: its chain is not run again."""
        if self.shown is None or self.shown[0] is not obs:
            self.act(obs)
        return {"action": self.shown[1]}

    def acting_draws(self, rng, size):
        return super().acting_draws(rng, size) | self._noise(rng, ("xi",), (size,))

    def update_draws(self, rng, size):
        names = ("xi", "next_xi", "transition_xi")
        return super().update_draws(rng, size) | self._noise(rng, names, (size, self.config.batch_size))

    def _noise(self, rng, names, shape):
        if self.config.kind != "noisy":
            return {}
        return normal(rng, *shape, self.config.chain_steps, self.actions, names=names)

    def next_action(self, batch, draws):
        obs = batch.next_obs
        return self.chain(self.targets, obs, self.policy_target(obs), self.anchor(obs), draws.get("next_xi"))[0]

    def improve(self, batch, draws):
        """One policy iteration: a step on theta, a step on h, beta."""
        c, obs = self.config, batch.obs
        if self.iterations % c.snapshot_every == 0:
            self.anchor.load_state_dict(self.policy.state_dict())
        self.iterations += 1
        centre = self.anchor(obs)
        loss, numbers = self.loss(obs, centre, draws.get("xi"))
        descend(self.policy_optimiser, loss)
        if c.learn_transition and c.chain_steps:
            loss, _ = self.loss(obs, centre, draws.get("transition_xi"))
            descend(self.transition_optimiser, loss)
        self._observe(**numbers)
        if c.pid_every == "step" or self.iterations % c.snapshot_every == 0:
            self.pid.update(numbers["distance"])

    def loss(self, obs, centre, xi):
        """-J of every member, [members], and what to record of the chain."""
        action, value, first, steps = self.chain(self.critics, obs, self.policy(obs), centre, xi)
        distance = length(action - centre)
        noted = {"distance": distance.detach().mean(-1), "value_gain": (value.detach() - first).mean(-1), "steps": steps}
        return -(value - self.pid.beta.unsqueeze(-1) * distance).mean(-1), noted

    @torch.no_grad()
    def _observe(self, distance, value_gain, steps):
        sizes, none = self.transition.step, torch.zeros_like(distance)
        kicks, moved = zip(*steps, strict=True) if steps else ((), ())
        self.meter.add(
            **self.pid.numbers(distance),
            value_gain=value_gain,
            step_size=sizes.mean((0, -2, -1)) if steps else none,
            noise=self.transition.noise[:, 0, 0],
            kicks_clipped=outside(kicks, self.config.kick_limit) if steps else none,
            actions_clipped=outside(moved, 1.0) if steps else none,
        )

    def summarise(self, trace):
        """TD3's, and means since the last evaluation of `METRICS`."""
        return super().summarise(trace) | self.meter.take()
