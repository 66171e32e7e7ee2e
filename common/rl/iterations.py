"""The loop of updates without an environment: toys and models of data.

`build(config, seeds, device)` makes the learner. Killed anywhere and started again a run continues from the journal's last
checkpoint and ends with the same records.
"""

from typing import Any

import numpy as np
import torch

from .randomness import Blocks


class Iterative:
    """What the loop asks of a learner, with the answers of one that learns nothing. Arrays lead with the member axis."""

    device = "cpu"
    block = 64  # updates whose random numbers are drawn at once
    first_entry = 1  # place of the first update's numbers in their stream

    def update_draws(self, rng: np.random.Generator, size: int) -> dict[str, np.ndarray]:
        """Random numbers of `size` updates of one member, {name: [size, ...]}."""
        return {}

    def update(self, draws: dict[str, torch.Tensor]) -> None:
        """One update of every member, with its random numbers {name: [members, ...]}."""

    def measure(self) -> dict[str, Any]:
        """{metric: [members]} at this moment. A member of which one is not finite has diverged."""
        return {}

    def results(self) -> dict[str, Any]:
        """{metric: [members]} after the last update alone. One may be NaN: it is no divergence."""
        return {}

    def tables(self) -> dict[str, list[list[dict]]]:
        """{table: one list of rows per member} after the last update."""
        return {}

    def state_dict(self) -> dict[str, np.ndarray]:
        """What a checkpoint holds, {name: array}."""
        return {}

    def load_state_dict(self, arrays: dict[str, np.ndarray]) -> None:
        """The inverse of `state_dict`, in place."""


def run(build, config, seeds, journal, device="cpu"):
    """`config.total_steps` updates of an `Iterative`. Measurements every `evaluate_every` updates and after the last one,
    then results and tables. A member that diverged records nothing more."""
    learner = build(config, seeds, device)
    draws = Blocks(seeds, "update", learner.block, learner.update_draws)
    start, alive = 0, np.ones(len(seeds), dtype=bool)
    if checkpoint := journal.resume():
        start, arrays, state = checkpoint
        learner.load_state_dict(arrays)
        alive[:] = state["alive"]
    for step in range(start + 1, config.total_steps + 1):
        entry = draws.at(step - 1 + learner.first_entry)
        learner.update({name: torch.from_numpy(array).to(learner.device) for name, array in entry.items()})
        if step % config.evaluate_every == 0 or step == config.total_steps:
            record_measurements(learner.measure(), alive, step, journal)
        if journal.due(step, config.total_steps):
            journal.save(step, learner.state_dict(), {"alive": alive.tolist()})
    for metric, values in learner.results().items():
        journal.record(config.total_steps, metric, values, alive)
    for table, rows in learner.tables().items():
        for m in np.flatnonzero(alive):
            journal.table(table, m, rows[m])
    journal.end(learner)


def record_measurements(measured, alive, step, journal):
    """Numbers of the members that are alive; `alive` loses those of which one is not finite."""
    lost = ~np.isfinite(np.array(list(measured.values()), dtype=float)).all(0)
    for m in np.flatnonzero(alive & lost):
        journal.diverged(m, step)
        alive[m] = False
    for metric, values in measured.items():
        journal.record(step, metric, values, alive)
