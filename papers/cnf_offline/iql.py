"""Implicit Q-learning (Kostrikov et al. 2022; their code): no action that is not in the data is ever valued.

    L_V  = mean |tau - 1(d < 0)| d^2,   d = min_j Q'_j(s, a) - V(s)
    L_pi = mean of -ln pi(a | s) min(exp(beta (min_j Q'_j(s, a) - V(s))), 100)
    L_Q  = mean sum_j (Q_j(s, a) - y)^2,   y = r + gamma (1 - terminated) V(s')

in this order, each with the networks that the steps before it left. pi is a Gaussian with mean tanh(mu(s)) whose ln sigma
does not depend on the state; its learning rate falls to 0 along a cosine. Rewards are scaled so that the returns of the
data's episodes span 1000, states are as they are. CORL's port standardises states and leaves most rewards alone.
"""

import math

import torch

from common.flows.networks import MLP, orthogonal, widths
from common.rl.critics import QFunctions, critic_loss
from common.rl.optimisers import Adam, descend, follow
from papers.cnf_offline import agent
from papers.cnf_offline.policies import FixedSpread

INIT = orthogonal(math.sqrt(2))  # of every layer of every network


class Learner(agent.Agent):
    """A fleet of IQL agents, one member per seed."""

    stored = (*agent.Agent.stored, "value", "value_optimiser", "updates")

    def __init__(self, config, seeds, data, device="cpu", inputs=None):
        super().__init__(config, seeds, data, device, inputs)
        sizes = [self.observations, *widths(config.hidden), 1]
        self.value = MLP(self.rngs, sizes, init=INIT).to(device)
        self.value_optimiser = Adam(self.value.parameters(), lr=config.learning_rate)
        self.reward_scale = scale_of(data, config.return_range)
        self.updates = torch.zeros((), dtype=torch.float64, device=device)  # there, so that an update can be recorded

    def build_policy(self):
        c = self.config
        limits = (c.log_std_low, c.log_std_high)
        return FixedSpread(self.rngs, self.observations, widths(c.hidden), self.actions, limits, squash=True, init=INIT)

    def build_critics(self):
        return QFunctions(self.rngs, self.observations, self.actions, widths(self.config.hidden), init=INIT)

    def sample(self, obs, noise):
        base = self.policy(obs)
        return (base.mode() if noise is None else base.rsample_and_log_prob(noise)[0]).clamp(-1, 1)

    def update_draws(self, rng, size):
        return {}

    def update(self, batch, draws):
        """One step of V, of the policy, of the critics and of their targets."""
        batch = self.prepared(batch)
        with torch.no_grad():
            target = self.targets(batch.obs, batch.action).amin(1)
        descend(self.value_optimiser, self.value_loss(batch, target))
        self.policy_optimiser.param_groups[0]["lr"] = self.rate()
        descend(self.policy_optimiser, self.policy_loss(batch, target))
        descend(self.critic_optimiser, self.critic_loss(batch, draws))
        follow(self.targets, self.critics, self.config.target_rate)
        self.updates += 1

    def value_of(self, obs):
        return super().value_of(obs) / self.reward_scale

    def rate(self):
        """The policy's learning rate at this update, a tensor in float32, as torch's kernel on a GPU reads it."""
        cosine = torch.cos(math.pi * self.updates / self.config.total_steps)
        return (self.config.learning_rate * (1 + cosine) / 2).float()

    def value_loss(self, batch, target):
        """L_V, [members]."""
        gap = target - self.value(batch.obs).squeeze(-1)
        weight = torch.where(gap < 0, 1 - self.config.expectile, self.config.expectile)
        return (weight * gap.square()).mean(-1)

    def policy_loss(self, batch, target):
        """L_pi, [members]."""
        with torch.no_grad():
            advantage = target - self.value(batch.obs).squeeze(-1)
            weights = (self.config.inverse_temperature * advantage).exp().clamp(max=self.config.weight_limit)
        return -(weights * self.policy(batch.obs).log_prob(batch.action)).mean(-1)

    def critic_loss(self, batch, draws):
        """L_Q, [members]."""
        with torch.no_grad():
            following = self.value(batch.next_obs).squeeze(-1)
        scaled = type(batch)(batch.obs, batch.action, batch.reward * self.reward_scale, batch.terminated, batch.next_obs)
        return critic_loss(self.critics(batch.obs, batch.action), scaled, self.config.discount, following)


def scale_of(data, span):
    """The factor by which the returns of the data's episodes span `span`; 1 if span is 0 or they do not differ."""
    returns = [float(data.reward[rows].sum()) for rows in data.episodes()] if span else [0.0]
    width = max(returns) - min(returns)
    return span / width if width else 1.0
