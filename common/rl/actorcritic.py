"""What on-policy learners share: a policy, a value network, normalised observations, advantages."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..flows.networks import MLP, normc, widths
from . import acting
from .config import OnPolicy
from .learner import Arrays, OnPolicyLearner, Rollout
from .normaliser import Normaliser
from .optimisers import Adam, descend
from .policies import FactorisedGaussian
from .randomness import generator
from .returns import advantages, borders, explained_variance, standardised


class ActorCritic(OnPolicyLearner):
    """A fleet of policies pi(a|s) and value functions V(s), one member per seed. Both see s through the same running
    normaliser. It stands still while an iteration acts, and takes in the new observations before the update. Arrays lead
    with the member axis.

    V is fitted to TD(lambda) returns by Adam on shuffled minibatches:  min mean (V(s) - (A + V_old)(s))^2.
    """

    stored: tuple[str, ...] = ("policy", "value", "normaliser", "value_optimiser")
    least_std = 0.1  # floor of the normaliser's standard deviations (baselines' variances stay above 1e-2)
    config: Any  # an `OnPolicy` with the settings of the algorithm
    policy: Any  # what `build_policy` made

    def __init__(self, config: OnPolicy, seeds: Sequence[int], observations: int, actions: int, device: str = "cpu"):
        self.config, self.observations, self.actions = config, observations, actions
        self.members, self.device = len(seeds), device
        rngs = [generator(seed, "init") for seed in seeds]
        self.policy = self.build_policy(rngs).to(device)
        self.value = self.build_value(rngs).to(device)
        self.normaliser = Normaliser(len(seeds), observations, config.observation_limit, self.least_std).to(device)
        self.build_optimisers()

    def build_policy(self, rngs: list[np.random.Generator]) -> nn.Module:
        """A module with `forward(obs)` -> distribution, `draws`, `noise` and, for speed, `actor`; here the factorised
        Gaussian."""
        return FactorisedGaussian(rngs, self.observations, self.actions, widths(self.config.hidden))

    def build_value(self, rngs: list[np.random.Generator]) -> nn.Module:
        """V: normalised observations [members, batch, observations] -> [members, batch, 1]."""
        return MLP(rngs, [self.observations, *widths(self.config.value_hidden), 1], "tanh", normc(1.0), normc(1.0))

    def build_optimisers(self) -> None:
        """Called once policy and V are on their device."""
        self.value_optimiser = Adam(self.value.parameters(), lr=self.config.value_learning_rate)

    # Acting

    def acting_draws(self, rng: np.random.Generator) -> Arrays:
        return self.policy.draws(rng, self.config.batch_steps)

    def actor(self, draws: Arrays) -> Callable[[int, np.ndarray], np.ndarray]:
        normalise, act = self.normaliser.on_host(), acting.actor(self.policy, draws)
        return lambda step, obs: act(step, normalise(obs))

    # Learning

    def update_draws(self, rng: np.random.Generator) -> Arrays:
        """Random numbers of one member's update: the order of the minibatches of every epoch."""
        c = self.config
        kept = c.batch_steps // c.minibatch * c.minibatch  # a last minibatch that is not full is left out
        order = [rng.permutation(c.batch_steps)[:kept] for _ in range(c.epochs)]
        return {"order": np.array(order, dtype=np.int64).reshape(c.epochs, kept)}

    @torch.no_grad()
    def prepare(self, rollout: Rollout) -> tuple[Tensor, Tensor, Tensor, Arrays]:
        """(normalised obs, standardised advantages, targets of V, {metric: [members]}), tensors [members, steps, ...]."""
        c = self.config
        obs, next_obs = self.tensor(rollout.obs), self.tensor(rollout.next_obs)
        value, following = (self.value(self.normaliser(x)).squeeze(-1).cpu().numpy() for x in (obs, next_obs))
        bootstrap, goes_on = borders(rollout.terminated, rollout.truncated, c.timeouts == "bootstrapped")
        advantage = advantages(rollout.reward, value, following, bootstrap, goes_on, c.discount, c.trace)
        target = advantage + value
        metrics = {"explained_variance": explained_variance(value, target)}
        self.normaliser.update(obs)
        return self.normaliser(obs), self.tensor(standardised(advantage)), self.tensor(target), metrics

    def fit_value(self, obs: Tensor, target: Tensor, order: Tensor) -> None:
        """`epochs` passes of Adam over shuffled minibatches. obs: [members, steps, observations], target: [members, steps],
        order: [members, epochs, kept], indices of steps."""
        size = self.config.minibatch
        for epoch in range(order.shape[1]):
            x, y = shuffled(obs, order[:, epoch]), shuffled(target.unsqueeze(-1), order[:, epoch])
            for first in range(0, x.shape[1], size):
                error = self.value(x[:, first : first + size]) - y[:, first : first + size]
                descend(self.value_optimiser, error.square().mean((1, 2)))

    def tensor(self, array: np.ndarray | float) -> Tensor:
        """An array or a number on the learner's device, in float32 unless it holds integers."""
        array = np.asarray(array)
        array = array if array.dtype.kind == "i" else array.astype(np.float32)
        return torch.from_numpy(array).to(self.device)


def shuffled(x: Tensor, order: Tensor) -> Tensor:
    """Rows of every member in its own order, [members, kept, features]. x: [members, steps, features], order: [members,
    kept]."""
    flat = order + torch.arange(len(x), device=x.device).unsqueeze(1) * x.shape[1]
    return x.reshape(-1, x.shape[-1]).index_select(0, flat.flatten()).view(*order.shape, x.shape[-1])
