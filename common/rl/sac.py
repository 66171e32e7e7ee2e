"""Soft actor-critic for fleets (Haarnoja et al. 2018, arXiv 1812.05905 without its temperature tuning).

Twin critics Q_j with targets Q'_j, fixed temperature alpha, policy pi. One update on a batch of transitions:

    y    = r + gamma (1 - terminated) [min_j Q'_j(s', a') - alpha ln pi(a'|s')],   a' ~ pi(.|s')
    J_Q  = mean_batch sum_j (Q_j(s, a) - y)^2
    J_pi = mean_batch [alpha ln pi(a|s) - min_j Q_j(s, a)],                        a ~ pi(.|s), reparameterised
    Q'_j <- (1 - tau) Q'_j + tau Q_j

Details that matter: a time limit is no termination, so its value is bootstrapped; the critics step before the policy; the
deterministic action is the image of the base's mean.
"""

from collections.abc import Sequence
from copy import deepcopy
from typing import Any

import numpy as np
import torch
from numpy.random import Generator
from torch import Tensor, nn

from ..flows.networks import Rngs, widths, xavier_uniform
from ..flows.transforms import Tanh
from .config import SAC
from .critics import QFunctions, critic_loss
from .learner import Arrays, Draws, OffPolicyLearner
from .optimisers import Adam, descend, follow
from .policies import FlowPolicy, GaussianNetwork
from .randomness import generator, normal
from .replay import Batch


class Learner(OffPolicyLearner):
    """A fleet of soft actor-critics, one member per seed. Arrays lead with the member axis; actions lie in [-1, 1]."""

    stored: tuple[str, ...] = ("policy", "critics", "targets", "policy_optimiser", "critic_optimiser")

    def __init__(self, config: SAC, seeds: Sequence[int], observations: int, actions: int, device: str = "cpu"):
        self.config, self.observations, self.actions = config, observations, actions
        rngs = [generator(seed, "init") for seed in seeds]
        self.policy = self.build_policy(rngs).to(device)
        self.critics = self.build_critics(rngs, observations).to(device)
        self.targets = deepcopy(self.critics).requires_grad_(False)
        self.policy_optimiser = Adam(self.policy.parameters(), lr=config.learning_rate)
        self.critic_optimiser = Adam(self.critics.parameters(), lr=config.learning_rate)

    def build_policy(self, rngs: Rngs) -> nn.Module:
        """The squashed Gaussian: a = tanh(u), u ~ N(mu(s), sigma(s))."""
        return FlowPolicy(self.build_base(rngs, self.observations), Tanh())

    def build_base(self, rngs: Rngs, inputs: int) -> nn.Module:
        c = self.config
        return GaussianNetwork(rngs, inputs, widths(c.base), self.actions, (c.log_std_low, c.log_std_high))

    def build_critics(self, rngs: Rngs, inputs: int) -> QFunctions:
        return QFunctions(rngs, inputs, self.actions, widths(self.config.critic), init=xavier_uniform())

    def distribution(self, obs: Tensor) -> Any:
        """pi(.|s). obs: [members, batch, observations]."""
        return self.policy(obs)

    def values(self, critics: QFunctions, obs: Tensor, action: Tensor) -> Tensor:
        """Q_j(s, a) of every critic, [members, 2, batch]."""
        return critics(obs, action)

    @torch.no_grad()
    def act(self, obs: Tensor, draws: Draws | None = None, ablate: str | None = None) -> Tensor:
        """Actions [members, batch, actions]: a sample if `draws` are given, else deterministic. `ablate` names one of
        `ablations`."""
        distribution = self.distribution(obs)
        return distribution.mode() if draws is None else distribution.sample(draws["noise"])

    def acting_draws(self, rng: Generator, size: int) -> Arrays:
        return normal(rng, size, self.actions)

    def update_draws(self, rng: Generator, size: int) -> Arrays:
        return normal(rng, size, self.config.batch_size, self.actions, names=("noise", "next_noise"))

    def update(self, batch: Batch, draws: Draws) -> None:
        """One step of critics, policy and targets. draws: what `update_draws` gave, stacked, [members, batch, actions]."""
        self.step_critics(self.critic_loss(batch, draws))
        descend(self.policy_optimiser, self.policy_loss(batch, draws["noise"]))
        follow(self.targets, self.critics, self.config.target_rate)

    def step_critics(self, loss: Tensor) -> None:
        """One step of the critics on J_Q, [members]."""
        descend(self.critic_optimiser, loss)

    def alpha(self) -> Any:
        """The entropy weight: a number, or [members, 1]."""
        return self.config.temperature

    def critic_loss(self, batch: Batch, draws: Draws) -> Tensor:
        """J_Q of every member, [members]."""
        following = self.next_value(batch, draws)
        return critic_loss(self.values(self.critics, batch.obs, batch.action), batch, self.config.discount, following)

    @torch.no_grad()
    def next_value(self, batch: Batch, draws: Draws) -> Tensor:
        """What the target bootstraps from, [members, batch]: min_j Q'_j(s', a') - alpha ln pi(a'|s')."""
        next_action, log_prob = self.distribution(batch.next_obs).rsample_and_log_prob(draws["next_noise"])
        return self.values(self.targets, batch.next_obs, next_action).amin(1) - self.alpha() * log_prob

    def policy_loss(self, batch: Batch, noise: Tensor) -> Tensor:
        """J_pi of every member, [members]. Keeps ln pi of its sample, which the step of a learned temperature takes."""
        action, log_prob = self.distribution(batch.obs).rsample_and_log_prob(noise)
        value = self.values(self.critics, batch.obs, action).amin(1)
        self.log_prob = log_prob.detach()
        return (self.alpha() * log_prob - value).mean(-1)

    @torch.no_grad()
    def inspect(self, obs: Tensor) -> Draws:
        """The base distribution, [members, batch, actions] each."""
        base = self.distribution(obs).base
        return {"base_mean": base.mean, "base_log_std": base.log_std}

    def summarise(self, trace: dict[str, list[np.ndarray]]) -> dict[str, list[float]]:
        """The mean of ln sigma."""
        return {"log_std": [float(x.mean()) for x in trace["base_log_std"]]}
