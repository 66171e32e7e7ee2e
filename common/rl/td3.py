"""Twin delayed deep deterministic policy gradients for fleets (TD3; Fujimoto et al. 2018).

Critics Q_j with targets Q'_j, deterministic policy pi with target pi'. One update on a batch of transitions:

    a'   = clip(pi'(s') + clip(sigma' n, -c, c), -1, 1),   n ~ N(0, I)          target policy smoothing
    y    = r + gamma (1 - terminated) min_j Q'_j(s', a')                        clipped double Q-learning
    J_Q  = mean_batch sum_j (Q_j(s, a) - y)^2
    every `policy_delay` updates:
    J_pi = -mean_batch Q_1(s, pi(s))
    Q'_j <- (1 - tau) Q'_j + tau Q_j,   pi' <- (1 - tau) pi' + tau pi           delayed updates

It acts with a = clip(pi(s) + sigma n, -1, 1) and is evaluated with pi(s).

Details that matter: the policy follows the first critic alone; targets move only when the policy does; a time limit is no
termination; networks start as torch's do. With one critic, no delay and no smoothing this is DDPG (`common/rl/ddpg.py`).
"""

from collections.abc import Sequence
from copy import deepcopy

import numpy as np
import torch
from numpy.random import Generator
from torch import Tensor, nn

from ..flows.networks import MLP, Rngs, widths
from .config import TD3
from .critics import QFunctions, critic_loss
from .learner import Arrays, Draws, OffPolicyLearner
from .optimisers import Adam, descend, follow
from .randomness import generator, normal
from .replay import Batch


class Actor(nn.Module):
    """pi(s) = tanh(network(s)). obs: [members, batch, observations] -> [members, batch, actions]."""

    def __init__(self, rngs: Rngs, observations: int, hidden: Sequence[int], actions: int):
        super().__init__()
        self.network = MLP(rngs, [observations, *hidden, actions])

    def forward(self, obs: Tensor) -> Tensor:
        return torch.tanh(self.network(obs))


class Learner(OffPolicyLearner):
    """A fleet of TD3 learners, one member per seed. Arrays lead with the member axis; actions lie in [-1, 1]."""

    stored = ("policy", "critics", "policy_target", "targets", "policy_optimiser", "critic_optimiser", "updates")

    def __init__(self, config: TD3, seeds: Sequence[int], observations: int, actions: int, device: str = "cpu"):
        self.config, self.observations, self.actions = config, observations, actions
        rngs = [generator(seed, "init") for seed in seeds]
        self.policy = Actor(rngs, observations, widths(config.base), actions).to(device)
        self.critics = QFunctions(rngs, observations, actions, widths(config.critic), config.critics).to(device)
        self.policy_target = deepcopy(self.policy).requires_grad_(False)
        self.targets = deepcopy(self.critics).requires_grad_(False)
        self.policy_optimiser = Adam(self.policy.parameters(), lr=config.learning_rate)
        rate = config.critic_learning_rate
        self.critic_optimiser = Adam(self.critics.parameters(), lr=rate)
        self.updates = 0

    @torch.no_grad()
    def act(self, obs: Tensor, draws: Draws | None = None, ablate: str | None = None) -> Tensor:
        """Actions [members, batch, actions]: with exploration noise if `draws` are given, else pi(s)."""
        action = self.policy(obs)
        return action if draws is None else self.explore(action, draws)

    def explore(self, action: Tensor, draws: Draws) -> Tensor:
        """clip(a + sigma n, -1, 1)."""
        return (action + self.config.exploration_noise * draws["noise"]).clamp(-1, 1)

    def acting_draws(self, rng: Generator, size: int) -> Arrays:
        return normal(rng, size, self.actions)

    def update_draws(self, rng: Generator, size: int) -> Arrays:
        return normal(rng, size, self.config.batch_size, self.actions, names=("target_noise",))

    def update(self, batch: Batch, draws: Draws) -> None:
        """One step of the critics and, every `policy_delay` updates, of the policy and all targets."""
        self.updates += 1
        descend(self.critic_optimiser, self.critic_loss(batch, draws))
        if self.updates % self.config.policy_delay == 0:
            self.improve(batch, draws)
            for targets, online in ((self.targets, self.critics), (self.policy_target, self.policy)):
                follow(targets, online, self.config.target_rate)

    def improve(self, batch: Batch, draws: Draws) -> None:
        """One step of the policy."""
        descend(self.policy_optimiser, self.policy_loss(batch))

    def critic_loss(self, batch: Batch, draws: Draws) -> Tensor:
        """J_Q of every member, [members]."""
        c, limit = self.config, self.config.target_noise_clip
        with torch.no_grad():
            smoothing = (c.target_noise * draws["target_noise"]).clamp(-limit, limit)
            action = (self.next_action(batch, draws) + smoothing).clamp(-1, 1)
            following = self.targets(batch.next_obs, action).amin(1)
        return critic_loss(self.critics(batch.obs, batch.action), batch, c.discount, following)

    def next_action(self, batch: Batch, draws: Draws) -> Tensor:
        """The target policy's action in the next state, before smoothing."""
        return self.policy_target(batch.next_obs)

    def policy_loss(self, batch: Batch) -> Tensor:
        """J_pi of every member, [members]."""
        return -self.critics(batch.obs, self.policy(batch.obs))[:, 0].mean(-1)

    @torch.no_grad()
    def inspect(self, obs: Tensor) -> Draws:
        """The action, [members, batch, actions]."""
        return {"action": self.act(obs)}

    def summarise(self, trace: dict[str, list[np.ndarray]]) -> dict[str, list[float]]:
        """The share of action entries at a bound."""
        return {"saturated": [float((np.abs(x) > 0.99).mean()) for x in trace["action"]]}
