"""Soft Q-learning with an amortised sampler (Haarnoja et al. 2017, "Reinforcement Learning with Deep Energy-Based Policies",
Algorithm 1; Section 3.1.1), for fleets.

Critic Q with target Q', temperature alpha, and a sampler a = tanh(u), u = f(xi; s), xi ~ N(0, I), that has no density. One
update on a batch of transitions:

    V'(s') = alpha ln mean_j exp(Q'(s', a_j) / alpha) / q(a_j),      a_j uniform on [-1, 1]^d, so that q = 2^-d      (eq. 10)
    J_Q    = mean_batch (Q(s, a) - r - gamma (1 - terminated) V'(s'))^2                                             (eq. 11)
    D_m    = mean_k [k(u_k, u_m) grad ln p(u_k|s) + grad_{u_k} k(u_k, u_m)]                                         (eq. 13)
    f climbs mean_batch mean_m D_m . f(xi_m; s), D a constant                                                       (eq. 14)
    Q' <- Q every `target_every` updates

with k(u, v) = exp(-|u - v|^2 / h) and h = median |u_k - u_m|^2 / (2 ln(M + 1)) in every state.

Details that matter: f follows the density before tanh, ln p(u|s) = Q(s, tanh u) / alpha + sum ln(1 - tanh^2 u), for
which particles need no bounds; p(a|s) is then proportional to exp(Q / alpha) on [-1, 1]^d. The particles that give the
direction and those that are moved are two sets of `particles` draws in every state; the actions of V' serve all states of
a batch, as in the authors' code. h is at least 1e-3; an even number of distances has its lower median. It acts with
tanh f(xi; s) and is evaluated with tanh f(0; s). Rewards are not scaled: alpha takes the place of 1 / scale, and the critic
learns smaller numbers than it would.
"""

import math
from copy import deepcopy

import torch
from torch import nn
from torch.nn.functional import softplus

from common.flows.networks import MLP, widths
from common.rl.critics import QFunctions, critic_loss
from common.rl.learner import OffPolicyLearner
from common.rl.optimisers import Adam, descend
from common.rl.randomness import generator, normal

LEAST_WIDTH = 1e-3  # of the kernel


class Sampler(nn.Module):
    """u = f(xi; s). obs: [members, batch, observations], noise: [members, batch, actions] -> [members, batch, actions]."""

    def __init__(self, rngs, observations, hidden, actions):
        super().__init__()
        self.network = MLP(rngs, [observations + actions, *hidden, actions])

    def forward(self, obs, noise):
        return self.network(torch.cat([obs, noise], -1))


class Learner(OffPolicyLearner):
    """A fleet of soft Q-learners, one member per seed. Arrays lead with the member axis; actions lie in [-1, 1]."""

    stored = ("policy", "critics", "targets", "policy_optimiser", "critic_optimiser", "updates")

    def __init__(self, config, seeds, observations, actions, device="cpu"):
        self.config, self.observations, self.actions = config, observations, actions
        rngs = [generator(seed, "init") for seed in seeds]
        self.policy = Sampler(rngs, observations, widths(config.base), actions).to(device)
        self.critics = QFunctions(rngs, observations, actions, widths(config.critic), 1).to(device)
        self.targets = deepcopy(self.critics).requires_grad_(False)
        self.policy_optimiser = Adam(self.policy.parameters(), lr=config.learning_rate)
        self.critic_optimiser = Adam(self.critics.parameters(), lr=config.learning_rate)
        self.updates = 0

    @torch.no_grad()
    def act(self, obs, draws=None, ablate=None):
        noise = obs.new_zeros(*obs.shape[:-1], self.actions) if draws is None else draws["noise"]
        return torch.tanh(self.policy(obs, noise))

    def acting_draws(self, rng, size):
        return normal(rng, size, self.actions)

    def update_draws(self, rng, size):
        c = self.config
        uniform = rng.uniform(-1, 1, (size, c.value_particles, self.actions)).astype("float32")
        return normal(rng, size, c.batch_size, c.particles, self.actions, names=("fixed", "moved")) | {"uniform": uniform}

    def update(self, batch, draws):
        """One step of the critic and of the sampler; every `target_every` updates the target becomes the critic."""
        following = self.soft_value(batch.next_obs, draws["uniform"])
        values = self.critics(batch.obs, batch.action)
        descend(self.critic_optimiser, critic_loss(values, batch, self.config.discount, following))
        descend(self.policy_optimiser, self.sampler_loss(batch.obs, draws["fixed"], draws["moved"]))
        self.updates += 1
        if self.updates % self.config.target_every == 0:
            self.targets.load_state_dict(self.critics.state_dict())

    @torch.no_grad()
    def soft_value(self, obs, actions):
        """V'(s), [members, batch], from actions [members, count, actions], uniform on [-1, 1]^d, the same in every state."""
        alpha, count = self.config.temperature, actions.shape[1]
        obs, actions = over_particles(obs, actions.unsqueeze(1).expand(-1, obs.shape[1], -1, -1))
        energies = self.targets(obs, actions)[:, 0].unflatten(1, (-1, count)) / alpha
        return alpha * (torch.logsumexp(energies, -1) - math.log(count) + self.actions * math.log(2))

    def sampler_loss(self, obs, fixed, moved):
        """-mean D . f, [members]. fixed, moved: normal numbers [members, batch, particles, actions]."""
        batch = obs.shape[1]
        with torch.no_grad():
            still = self.policy(*over_particles(obs, fixed)).unflatten(1, (batch, -1))
        u = self.policy(*over_particles(obs, moved)).unflatten(1, (batch, -1))
        direction = stein_direction(still, u.detach(), self.score(obs, still))
        return -(direction * u).sum(-1).mean((1, 2))

    def score(self, obs, u):
        """The gradient of ln p(u|s). u: [members, batch, particles, actions], and so is the result."""
        with torch.enable_grad():
            u = u.detach().requires_grad_()
            value = self.critics(*over_particles(obs, torch.tanh(u)))[:, 0]
            inside = 2 * (math.log(2) - u - softplus(-2 * u))  # ln(1 - tanh^2 u)
            return torch.autograd.grad(value.sum() / self.config.temperature + inside.sum(), u)[0]

    @torch.no_grad()
    def inspect(self, obs):
        """The action, [members, batch, actions]."""
        return {"action": self.act(obs)}

    def summarise(self, trace):
        """The share of action entries at a bound."""
        return {"saturated": [float((abs(x) > 0.99).mean()) for x in trace["action"]]}


def over_particles(obs, x):
    """obs [members, batch, n] repeated for, and x [members, batch, particles, d] laid out as, [members, batch * particles,
    ...]."""
    return obs.repeat_interleave(x.shape[2], 1), x.flatten(1, 2)


def stein_direction(fixed, moved, score):
    """D_m = mean_k [k(u_k, u_m) score_k + grad_{u_k} k(u_k, u_m)], [..., M, d] (eq. 13).

    fixed, score: [..., K, d], particles u_k and the gradients of ln p there; moved: [..., M, d], particles u_m.
    """
    away = moved.unsqueeze(-3) - fixed.unsqueeze(-2)  # u_m - u_k, [..., K, M, d]
    squares = away.square().sum(-1)
    median = squares.flatten(-2).median(-1).values
    width = (median / (2 * math.log(moved.shape[-2] + 1))).clamp(min=LEAST_WIDTH)[..., None, None]
    kernel = (-squares / width).exp().unsqueeze(-1)
    return (kernel * (score.unsqueeze(-2) + 2 / width.unsqueeze(-1) * away)).mean(-3)
