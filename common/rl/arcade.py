"""The loop of value functions over a few actions on games that are counted in steps, not in episodes.

`build(config, seeds, observations, actions, device)` makes an `EpisodicLearner`, whose random numbers of acting are drawn
anew every `update_every` steps, as after every update on Atari (Touati et al. 2018), and not once per episode. Killed
anywhere and started again a run continues from the journal's last checkpoint and ends with the same records.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from . import episodes
from .journal import Journal
from .learner import EpisodicLearner, tensors
from .minatar import Game
from .randomness import Blocks, generator

BLOCK = 64


def run(build: Callable[..., Any], config: Any, seeds: Sequence[int], journal: Journal, device: str = "cpu") -> None:
    """`total_steps` steps of every member, the first `warmup` at random; then one update every `update_every` steps. Every
    `evaluate_every` steps the mean return of the episodes that ended since the last record."""
    fleet = Collector(config, seeds, device)
    learner = build(config, seeds, fleet.observations, fleet.choices, device)
    sample = Blocks(seeds, "sample", BLOCK, lambda rng, n: {"uniform": rng.random((n, config.batch_size))})
    numbers = Blocks(seeds, "update", BLOCK, learner.update_draws)
    for step in range(fleet.resume(learner, journal) + 1, config.total_steps + 1):
        fleet.step(step, learner, journal)
        if not fleet.alive.any():
            break
        if step % config.update_every == 0 and step >= max(config.warmup, config.batch_size):
            update = step // config.update_every
            learner.update(fleet.replay.sample(sample.at(update)["uniform"]), tensors(numbers.at(update), device))
        if step % config.target_every == 0:
            learner.copy_target()
        if step % config.evaluate_every == 0 or step == config.total_steps:
            fleet.report(step, journal)
        if journal.due(step, config.total_steps):
            fleet.save(step, learner, journal)
    journal.end(learner, fleet.replay)


class Collector(episodes.Collector):
    """The members' games, their replay, and what is recorded of them."""

    config: Any

    @staticmethod
    def environment(config: Any) -> Any:
        return Game(config.env, config.episode_steps)

    def step(self, step: int, learner: EpisodicLearner, journal: Journal) -> np.ndarray:
        """One step of every member. Returns the members whose episode ended, [count]."""
        block, age = divmod(step - 1, self.config.update_every)
        if age == 0 or self.begun[0] != block:
            for m in np.flatnonzero(self.alive):
                rng = generator(self.seeds[int(m)], "act", block)
                learner.begin(int(m), learner.episode_draws(rng, self.config.update_every))
            self.begun[:] = block
        count = len(self.seeds)
        if step > self.config.warmup:
            chosen = learner.act(self.obs, np.full(count, age), np.full(count, step))
        else:
            chosen = np.array([generator(seed, "warmup", step).integers(self.choices) for seed in self.seeds])
        self.lose(np.flatnonzero(self.alive & (chosen < 0)), step, journal)
        return np.array([m for m in np.flatnonzero(self.alive) if self._step_member(m, chosen[m], journal)], dtype=int)

    def report(self, step: int, journal: Journal) -> None:
        """Mean returns of the episodes that ended since the last record, of the members that have any."""
        sums, counts = self.trained.T
        journal.record(step, "return", (sums / np.maximum(counts, 1)).tolist(), self.alive & (counts > 0))
        self.trained[:] = 0
