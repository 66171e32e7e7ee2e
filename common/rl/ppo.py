"""Proximal policy optimisation for fleets, clipped (Schulman et al. 2017, arXiv 1707.06347).

On minibatches of steps (s, a) that the policy of parameters theta_old took, with advantages A and returns G = A + V_old:

    ratio = pi_theta(a|s) / pi_old(a|s)
    J_pi  = -mean min(ratio A, clip(ratio, 1 - c, 1 + c) A)
    J_V   = 1/2 mean max((V(s) - G)^2, (V_old(s) + clip(V(s) - V_old(s), -c, c) - G)^2)
    loss  = J_pi + value_weight J_V - entropy_weight H[pi_theta]

one Adam for policy and V. Details that matter (those of OpenAI baselines): advantages are standardised in every minibatch;
V's change is clipped as the ratio is; a member's gradient is scaled to a norm of 0.5 at most; Adam's epsilon is 1e-5;
rewards are divided by the running standard deviation of the discounted sum of past rewards, and clipped at 10; the weights
of the Gaussian's mean and of V start orthogonal; standard deviations of observations are at least 1e-4. Departures:
normalisers take in a batch at a time, where baselines' take in every step; that sum starts again with an episode. The
entropy is estimated at the actions taken, which has the right gradient only together with the score function; at the default
weight of 0 it is recorded alone.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from ..flows.networks import MLP, orthogonal, widths
from .actorcritic import ActorCritic, shuffled
from .config import PPO
from .learner import Arrays, Rollout
from .normaliser import Normaliser
from .optimisers import Adam, clipped, give_gradients
from .policies import FactorisedGaussian


def contiguous(network: nn.Module) -> nn.Module:
    """The network with its parameters laid out row by row: a fused Adam pairs weights and gradients by their place in
    memory."""
    for parameter in network.parameters():
        parameter.data = parameter.data.contiguous()
    return network


class Learner(ActorCritic):
    """A fleet of PPO learners."""

    stored = ("policy", "value", "normaliser", "rewards", "optimiser", "sums")
    least_std = 1e-4

    def __init__(self, config: PPO, seeds: Sequence[int], observations: int, actions: int, device: str = "cpu"):
        super().__init__(config, seeds, observations, actions, device)
        self.rewards = Normaliser(len(seeds), 1, limit=10.0, floor=self.least_std).to(device)
        self.sums = np.zeros(len(seeds))  # discounted past rewards of the present episodes

    def build_policy(self, rngs: list[np.random.Generator]) -> nn.Module:
        hidden = widths(self.config.hidden)
        inits = orthogonal(2**0.5), orthogonal(0.01)
        return contiguous(FactorisedGaussian(rngs, self.observations, self.actions, hidden, *inits))

    def build_value(self, rngs: list[np.random.Generator]) -> nn.Module:
        sizes = [self.observations, *widths(self.config.value_hidden), 1]
        return contiguous(MLP(rngs, sizes, "tanh", orthogonal(2**0.5), orthogonal(1.0)))

    def build_optimisers(self) -> None:
        parameters = [*self.policy.parameters(), *self.value.parameters()]
        self.optimiser = Adam(parameters, lr=self.config.learning_rate, eps=1e-5)

    def update(self, rollout: Rollout, draws: Arrays) -> Arrays:
        obs, advantage, target, metrics = self.prepare(self.scaled(rollout))
        action = self.tensor(rollout.action)
        with torch.no_grad():
            old_log_prob, old_value = self.policy(obs).log_prob(action), self.value(obs).squeeze(-1)
        width = action.shape[-1]
        columns = torch.cat([action, *(x.unsqueeze(-1) for x in (old_log_prob, advantage, target, old_value))], -1)
        order = self.tensor(draws["order"])
        for epoch in range(order.shape[1]):
            rows, seen = shuffled(columns, order[:, epoch]), shuffled(obs, order[:, epoch])
            for first in range(0, order.shape[-1], self.config.minibatch):
                part = slice(first, first + self.config.minibatch)
                rest = rows[:, part, width:].unbind(-1)
                self.descend(self.loss(seen[:, part], rows[:, part, :width], *rest))
        with torch.no_grad():
            change = old_log_prob - self.policy(obs).log_prob(action)
        outside = ((-change).exp() - 1).abs() > self.config.ratio_clip
        step = {"kl": change.mean(-1), "clipped": outside.float().mean(-1), "entropy": -old_log_prob.mean(-1)}
        return metrics | {name: x.cpu().numpy() for name, x in step.items()}

    def loss(
        self, obs: Tensor, action: Tensor, old_log_prob: Tensor, advantage: Tensor, target: Tensor, old_value: Tensor
    ) -> Tensor:
        """The loss of every member on a minibatch, [members]. obs, action: [members, minibatch, ...], the rest [members,
        minibatch]."""
        c = self.config
        advantage = (advantage - advantage.mean(1, keepdim=True)) / (advantage.std(1, keepdim=True) + 1e-8)
        log_prob = self.policy(obs).log_prob(action)
        ratio = (log_prob - old_log_prob).exp()
        gain = torch.minimum(ratio * advantage, ratio.clamp(1 - c.ratio_clip, 1 + c.ratio_clip) * advantage).mean(-1)
        value = self.value(obs).squeeze(-1)
        near = old_value + (value - old_value).clamp(-c.ratio_clip, c.ratio_clip)
        error = torch.maximum((value - target).square(), (near - target).square())
        return -gain + 0.5 * c.value_weight * error.mean(-1) + c.entropy_weight * log_prob.mean(-1)

    def descend(self, loss: Tensor) -> None:
        """One step of Adam, every member's gradient clipped by its own norm. loss: [members]."""
        parameters = self.optimiser.param_groups[0]["params"]
        gradients = torch.autograd.grad(loss.sum(), parameters)
        squares = sum(g.reshape(self.members, -1).square().sum(-1) for g in gradients)
        give_gradients(parameters, clipped(gradients, squares, self.config.gradient_norm))
        self.optimiser.step()

    def scaled(self, rollout: Rollout) -> Rollout:
        """The rollout with its rewards divided by the standard deviation of discounted sums of past rewards."""
        if not self.config.scale_rewards:
            return rollout
        sums, ended = np.zeros_like(rollout.reward), rollout.terminated | rollout.truncated
        for t in range(sums.shape[1]):
            self.sums = self.sums * self.config.discount + rollout.reward[:, t]
            sums[:, t] = self.sums
            self.sums = np.where(ended[:, t], 0.0, self.sums)
        self.rewards.update(self.tensor(sums).unsqueeze(-1))
        deviation = self.rewards.std()[:, :, 0].cpu().numpy()
        limit = self.rewards.limit
        return type(rollout)(**vars(rollout) | {"reward": np.clip(rollout.reward / deviation, -limit, limit)})
