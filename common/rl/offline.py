"""The loop of learning from a fixed data set: batches are drawn from it, the environment serves for evaluation alone.

`build(config, seeds, data, device, inputs)` makes an `OfflineLearner`. Killed anywhere and started again a run continues
from the journal's last checkpoint and ends with the same records.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from . import pointmaze
from .datasets import checked
from .evaluation import Evaluator, Stochastic
from .inputs import Inputs
from .iterations import record_measurements
from .journal import Journal
from .learner import OfflineLearner, tensors
from .randomness import Blocks
from .simulators import Environment

BLOCK = 64


def run(
    build: Callable[..., Any], config: Any, seeds: Sequence[int], journal: Journal, device: str = "cpu",
    inputs: Inputs | None = None,
) -> None:  # fmt: skip
    """`total_steps` updates on batches of the input `data`. Every `evaluate_every` updates and after the last one: the
    learner's measurements, and, of a learner that acts, returns with sampled actions (`return`) and with the policy's mode
    (`return_mode`)."""
    inputs = inputs or {}
    pointmaze.register()

    def make():
        return Environment(config.env, "bounded", episode_steps=config.episode_steps)

    env = make()
    data = checked(inputs["data"][0].tensors("rows")["rows"], env.observations, env.actions, "data")
    learner = build(config, seeds, data, device, inputs)
    evaluator = Evaluator(make, config, seeds, device) if hasattr(learner, "act") else None
    batches = Blocks(seeds, "sample", BLOCK, lambda rng, n: {"uniform": rng.random((n, config.batch_size))})
    draws = Blocks(seeds, "update", BLOCK, learner.update_draws)
    start, alive = 0, np.ones(len(seeds), dtype=bool)
    if checkpoint := journal.resume():
        start, arrays, state = checkpoint
        learner.load_state_dict(arrays)
        alive[:] = state["alive"]
    for step in range(start + 1, config.total_steps + 1):
        index = torch.from_numpy((batches.at(step)["uniform"] * len(learner.order)).astype(np.int64))
        learner.update(data.take(learner.order[index], device), tensors(draws.at(step), device))
        if step % config.evaluate_every == 0 or step == config.total_steps:
            measured = learner.measure()
            if evaluator is not None:
                for metric, actor in (("return", Stochastic(learner, seeds, step)), ("return_mode", learner)):
                    played = evaluator.play(actor)  # type: ignore[arg-type]
                    measured[metric] = [float(episodes.returns.mean()) for episodes in played]
            record_measurements(measured, alive, step, journal)
        if journal.due(step, config.total_steps):
            journal.save(step, learner.state_dict(), {"alive": alive.tolist()})
    if evaluator is not None:
        record_overestimation(learner, make, config, seeds, alive, journal, device)
    finish(learner, alive, config.total_steps, journal)


class Discounting:
    """An environment that remembers its first observation, and sums an episode's discounted rewards in `total`."""

    def __init__(self, env: Environment, discount: float):
        self.env, self.discount = env, discount

    def reset(self, seed: int) -> np.ndarray:
        self.total, self.weight = 0.0, 1.0
        self.first = self.env.reset(seed)
        return self.first

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool]:
        obs, reward, terminated, truncated = self.env.step(action)
        self.total += self.weight * reward
        self.weight *= self.discount
        return obs, reward, terminated, truncated


def record_overestimation(
    learner: Any, make: Callable[[], Environment], config: Any, seeds: Sequence[int], alive: np.ndarray, journal: Journal,
    device: str,
) -> None:  # fmt: skip
    """At the end: what the critics say of the policy in first states (`q_start`), and the discounted return that it has from
    there (`return_discounted`). A long episode that a time limit cuts lacks discount^steps of what would follow."""
    evaluator = Evaluator(lambda: Discounting(make(), config.discount), config, seeds, device)  # type: ignore
    evaluator.play(Stochastic(learner, seeds, config.total_steps + 1))  # type: ignore[arg-type]
    envs: Any = evaluator.envs
    totals = [float(np.mean([env.total for env in of_member])) for of_member in envs]
    first = np.stack([[env.first for env in of_member] for of_member in envs])
    values = learner.value_of(torch.from_numpy(first).to(device)).mean(1).tolist()
    journal.record(config.total_steps, "q_start", values, alive)
    journal.record(config.total_steps, "return_discounted", totals, alive)


def finish(learner: OfflineLearner, alive: np.ndarray, step: int, journal: Journal) -> None:
    """What is recorded, tabulated and left for other runs at the end."""
    for metric, values in learner.results().items():
        journal.record(step, metric, values, alive)
    for table, rows in learner.tables().items():
        for m in np.flatnonzero(alive):
            journal.table(table, m, rows[m])
    for name, files in learner.files().items():
        for m in np.flatnonzero(alive):
            journal.produce(name, m, files[m])
    journal.end(learner)
