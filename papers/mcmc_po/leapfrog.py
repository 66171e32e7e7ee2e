"""Leapfrog steps whose gradient is gated (eqs 13, 18 and 19; Algorithm 2).

For a potential U with gradient g(u), step sizes eps and the gated gradient

    p(u) = sigma(s, a, g) g + (1 - sigma(s, a, g)) T(s, a, g),   a = tanh u

one step takes (u, rho) to

    rho~ = rho  - eps/2 * p(u)
    u'   = u    + eps   * rho~
    rho' = rho~ - eps/2 * p(u')

The paper prints T(s, a, g) in the last line; a leapfrog step needs T(s, a', g'), which is what stands here. Each line is
a shear, since p depends on the position alone: the Jacobian is 1 and flipping rho reverses a step, gated or not. Energy
is nearly conserved, and exp(-U) kept invariant, only if p is the gradient itself: T is no gradient field.

K steps take K + 1 gradients, because the second half of a step and the first half of the next one share theirs.
"""

import math

import numpy as np
import torch
from torch import nn

from common.flows.networks import MLP, widths

RATE = 0.01  # of the moving average of squared gradients


def trajectory(u, rho, step, force, steps, limit=math.inf, kicks=None):
    """Yields (u, rho) at the start and after each of `steps` leapfrog steps.

    u, rho: [members, batch, actions]; step: broadcast against them; force(u): p(u). |step * p| is clamped to `limit`;
    `kicks`, a list, is given step * p of every point as it is before that.
    """

    def kick(u):
        whole = step * force(u)
        if kicks is not None:
            kicks.append(whole.detach())
        return whole.clamp(-limit, limit) / 2

    push = kick(u)
    yield u, rho
    for _ in range(steps):
        half = rho - push
        u = u + step * half
        push = kick(u)
        rho = half - push
        yield u, rho


def leapfrog(u, rho, step, force, steps, limit=math.inf):
    """(u, rho) after `steps` leapfrog steps."""
    return list(trajectory(u, rho, step, force, steps, limit))[-1]


def constant(bias=0.0):
    """Initialiser of a last layer: weight 0, bias `bias`, so that the output does not depend on the input at first."""

    def draw(rng, fan_in, fan_out):
        return np.zeros((fan_in, fan_out)), np.full(fan_out, bias)

    return draw


class Gate(nn.Module):
    """p = sigma g + (1 - sigma) T. sigma: a sigmoid, one number; T: a tanh, one number per action dimension. Both are small
    networks of the gradient (over its running root mean square), the action and the state.

    mode: 'gated', or 'implicit' for sigma = 0. At the start sigma = `opening` and T = 0.
    """

    def __init__(self, rngs, actions, states, hidden, mode, opening):
        super().__init__()
        sizes = [2 * actions + states, *hidden]
        odds = math.log(opening / (1 - opening))
        gated = mode == "gated"
        self.sigma = MLP(rngs, [*sizes, 1], "tanh", last_init=constant(odds)) if gated else None
        self.implicit = MLP(rngs, [*sizes, actions], "tanh", last_init=constant())
        self.register_buffer("mean_square", torch.ones(len(rngs), 1, actions))

    def forward(self, gradient, action, state):
        """state: [members, batch, states], of width 0 if the networks do not see it."""
        x = torch.cat([gradient * self.mean_square.rsqrt(), action, state], -1)
        implicit = torch.tanh(self.implicit(x))
        if self.sigma is None:
            return implicit
        sigma = torch.sigmoid(self.sigma(x))
        return torch.lerp(implicit, gradient, sigma)

    @torch.no_grad()
    def observe(self, gradient):
        """Move the scale of the networks' first inputs towards that of a batch of gradients."""
        self.mean_square.lerp_(gradient.square().mean(1, keepdim=True), RATE)


class StepSizes(nn.Module):
    """Step sizes eps in (0, `config.largest_step`), free parameters of some shape; `config.step_size` at the start."""

    def __init__(self, config, *shape):
        super().__init__()
        self.config = config
        share = config.step_size / config.largest_step
        self.logit = nn.Parameter(torch.full(shape, math.log(share / (1 - share))))

    @property
    def step(self):
        """eps, of that shape."""
        return self.config.largest_step * torch.sigmoid(self.logit)


class Transition(StepSizes):
    """The parameters h: eps, one per action dimension, shared by all steps; and the gate.

    config: a `Leapfrog`. states: width of what the policy is shown.
    """

    def __init__(self, rngs, config, actions, states):
        super().__init__(config, len(rngs), 1, actions)
        hidden, seen = widths(config.gate_units), states if config.gate_state else 0
        plain = config.gate == "plain"
        self.gate = None if plain else Gate(rngs, actions, seen, hidden, config.gate, config.gate_open)

    def path(self, u, rho, potential, state, steps=None):
        """The chain, as `trajectory` yields it, of `leapfrog_steps` steps or as many as given. potential: has `gradient(u)`
        and, after that, `action`; its `kicks` are filled."""
        c = self.config
        shown = state if c.gate_state else state[..., :0]

        def force(u):
            gradient = potential.gradient(u)
            return gradient if self.gate is None else self.gate(gradient, potential.action, shown)

        steps = c.leapfrog_steps if steps is None else steps
        return trajectory(u, rho, self.step, force, steps, c.kick_limit, potential.kicks)
