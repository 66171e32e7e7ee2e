"""What a loop asks of an algorithm. An algorithm is a class `Learner`; its settings name the loop that trains it (`loop`).

    loop = "off_policy"    Learner(config, seeds, observations, actions, device) meets `OffPolicyLearner`
    loop = "staged"        Learner(config, seeds, observations, actions, device, inputs) meets `StagedLearner`
    loop = "on_policy"     Learner(config, seeds, observations, actions, device) meets `OnPolicyLearner`
    loop = "episodes"      Learner(config, seeds, observations, actions, device) meets `EpisodicLearner`
    loop = "iterations"    Learner(config, seeds, device) meets `IterativeLearner`
    loop = "offline"       Learner(config, seeds, data, device, inputs) meets `OfflineLearner`

A learner trains a fleet, one member per seed; "members" is the first axis of every array and tensor. It draws no random
numbers: the loop asks for a member's draws, which are functions of (seed, stream, block), and hands them back stacked. It
knows no environment, no file and no journal. Methods with a default may be left out by a learner that inherits the protocol.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch

from .packing import pack, unpack
from .replay import Batch

Draws = dict[str, torch.Tensor]  # what a method ending in `_draws` drew, stacked over members
Arrays = dict[str, np.ndarray]
Rows = list[list[dict]]  # one list of table rows per member


def tensors(arrays: Arrays, device: str | torch.device) -> Draws:
    """The arrays on a device."""
    return {name: torch.from_numpy(array).to(device) for name, array in arrays.items()}


@dataclass(frozen=True)
class Rollout:
    """What the members saw in one iteration: arrays [members, steps, ...]. `next_obs` is the state that a step led to,
    before any reset; `age` counts the steps of the episode before a step; `completed` [members] counts the steps of the
    episodes that ended in this iteration, which may have begun earlier."""

    obs: np.ndarray
    action: np.ndarray
    reward: np.ndarray
    next_obs: np.ndarray
    terminated: np.ndarray
    truncated: np.ndarray
    age: np.ndarray
    completed: np.ndarray


class Checkpointed(Protocol):
    """What every loop asks: a state that can be stored."""

    stored: tuple[str, ...] = ()  # what training changes: names of attributes that `packing.pack` knows how to store

    def state_dict(self) -> Arrays:
        """All that training has changed, {name: array}."""
        return pack(self, self.stored)

    def load_state_dict(self, arrays: Arrays) -> None:
        """The inverse of `state_dict`, in place. Raises KeyError or RuntimeError if names or shapes differ."""
        unpack(arrays, self, self.stored)


class OffPolicyLearner(Checkpointed, Protocol):
    """Trained by `off_policy.run`: one update on a batch of replayed transitions per environment step."""

    # What can be taken out of the policy at test time: names that `act` understands.
    ablations: tuple[str, ...] = ()

    def act(self, obs: torch.Tensor, draws: Draws | None = None, ablate: str | None = None) -> torch.Tensor:
        """Actions in [-1, 1], [members, batch, actions], for obs [members, batch, observations]: exploring with random
        numbers {name: [members, batch, ...]}, or, without, as the policy is evaluated."""

    def acting_draws(self, rng: np.random.Generator, size: int) -> Arrays:
        """Random numbers of `size` exploring actions of one member, {name: [size, ...]}."""

    def update_draws(self, rng: np.random.Generator, size: int) -> Arrays:
        """Random numbers of `size` updates of one member, {name: [size, ...]}."""

    def update(self, batch: Batch, draws: Draws) -> None:
        """One update of every member on a batch [members, batch_size, ...]. No member's NaN may reach another; nothing
        waits for the device."""

    def inspect(self, obs: torch.Tensor) -> Draws:
        """What an evaluation records at every step, {name: [members, batch, width]}, right after `act` on the same obs."""

    def summarise(self, trace: dict[str, list[np.ndarray]]) -> dict[str, list[float]]:
        """{metric: one number per member} from what `inspect` gave: trace[name][member] is [steps, width] over all the
        evaluation's episodes."""

    def tables(self, episodes: list[list[Arrays]]) -> dict[str, Rows]:
        """Further tables at the end of a run; episodes[member] lists the last evaluation's {name: [steps, width]}."""
        return {}


class StagedLearner(OffPolicyLearner, Protocol):
    """Trained by `staged.run`: an `OffPolicyLearner` that leaves files."""

    def files(self) -> dict[str, list[Arrays]]:
        """{name: one dictionary of arrays per member} that other runs read."""
        return {}


class OnPolicyLearner(Checkpointed, Protocol):
    """Trained by `on_policy.run`: one update per iteration of `config.batch_steps` environment steps of every member."""

    def acting_draws(self, rng: np.random.Generator) -> Arrays:
        """Random numbers of one member's actions in one iteration, {name: [...]}."""

    def actor(self, draws: Arrays) -> Callable[[int, np.ndarray], np.ndarray]:
        """The policy of one iteration in NumPy: a function of the step in the iteration, from 0, and of obs [members,
        observations] that returns actions [members, actions] in the simulator's units. draws: {name: [members, ...]}."""

    def update_draws(self, rng: np.random.Generator) -> Arrays:
        """Random numbers of one member's update, {name: [...]}."""

    def update(self, rollout: Rollout, draws: Arrays) -> dict[str, Any]:
        """One update of every member. Returns {metric: [members]}; a value that is not finite is left out of records."""


class EpisodicLearner(Checkpointed, Protocol):
    """Trained by `episodes.run`, on environments with `actions` actions, 0, 1, ...: updates on replayed transitions, whose
    `action` [members, batch, 1] is such a number. A member's random numbers of acting are drawn once per episode."""

    def episode_draws(self, rng: np.random.Generator, steps: int) -> Arrays:
        """Random numbers of one member's episode of `steps` steps at most, {name: [...]}."""

    def begin(self, member: int, draws: Arrays) -> None:
        """The member's next episode has these random numbers."""

    def act(self, obs: np.ndarray, age: np.ndarray, episode: np.ndarray) -> np.ndarray:
        """Exploring actions [members] for obs [members, observations], `age` steps into the `episode`-th episode, both
        [members]; -1 for a member whose values are not finite."""

    def greedy(self, obs: np.ndarray) -> np.ndarray:
        """Actions [members] as the values are evaluated: without noise."""

    def update_draws(self, rng: np.random.Generator, size: int) -> Arrays:
        """Random numbers of `size` updates of one member, {name: [size, ...]}."""

    def update(self, batch: Batch, draws: Draws) -> None:
        """One update of every member on a batch [members, batch_size, ...]. No member's NaN may reach another."""

    def copy_target(self) -> None:
        """The target network becomes the present one."""


class IterativeLearner(Checkpointed, Protocol):
    """Trained by `iterations.run`, without an environment; the defaults are those of a learner that learns nothing."""

    device: str = "cpu"
    block: int = 64  # updates whose random numbers are drawn at once
    first_entry: int = 1  # place of the first update's numbers in their stream

    def update_draws(self, rng: np.random.Generator, size: int) -> Arrays:
        """Random numbers of `size` updates of one member, {name: [size, ...]}."""
        return {}

    def update(self, draws: Draws) -> None:
        """One update of every member, with its random numbers {name: [members, ...]}."""

    def measure(self) -> dict[str, Any]:
        """{metric: [members]} at this moment. A member with a value that is not finite has diverged."""
        return {}

    def results(self) -> dict[str, Any]:
        """{metric: [members]} after the last update alone. A value may be NaN: that is no divergence."""
        return {}

    def tables(self) -> dict[str, Rows]:
        """{table: one list of rows per member} after the last update."""
        return {}


class OfflineLearner(Checkpointed, Protocol):
    """Trained by `offline.run`, on batches of a fixed data set. One that has an `act`, as an `OffPolicyLearner` does, and
    `acting_draws` is evaluated in the environment."""

    order: torch.Tensor  # rows of the data from which batches are drawn, [rows]

    def update_draws(self, rng: np.random.Generator, size: int) -> Arrays:
        """Random numbers of `size` updates of one member, {name: [size, ...]}."""
        return {}

    def update(self, batch: Batch, draws: Draws) -> None:
        """One update of every member on a batch [members, batch_size, ...]."""

    def measure(self) -> dict[str, Any]:
        """{metric: [members]} at this moment. A member with a value that is not finite has diverged."""
        return {}

    def results(self) -> dict[str, Any]:
        """{metric: [members]} after the last update alone."""
        return {}

    def tables(self) -> dict[str, Rows]:
        """{table: one list of rows per member} after the last update."""
        return {}

    def files(self) -> dict[str, list[Arrays]]:
        """{name: one dictionary of arrays per member} that other runs read."""
        return {}
