"""The loop of updates without an environment: toys and models of data.

`build(config, seeds, device)` makes an `IterativeLearner`. Killed anywhere and started again a run continues from the
journal's last checkpoint and ends with the same records.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .journal import Journal
from .learner import tensors
from .randomness import Blocks


def run(build: Callable[..., Any], config: Any, seeds: Sequence[int], journal: Journal, device: str = "cpu") -> None:
    """`config.total_steps` updates. Measurements every `evaluate_every` updates and after the last one, then results and
    tables. A member that diverged records nothing more."""
    learner = build(config, seeds, device)
    draws = Blocks(seeds, "update", learner.block, learner.update_draws)
    start, alive = 0, np.ones(len(seeds), dtype=bool)
    if checkpoint := journal.resume():
        start, arrays, state = checkpoint
        learner.load_state_dict(arrays)
        alive[:] = state["alive"]
    for step in range(start + 1, config.total_steps + 1):
        learner.update(tensors(draws.at(step - 1 + learner.first_entry), learner.device))
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


def record_measurements(measured: dict[str, Any], alive: np.ndarray, step: int, journal: Journal) -> None:
    """Records of the members that are `alive`, which those with a value that is not finite cease to be."""
    lost = ~np.isfinite(np.array(list(measured.values()), dtype=float)).all(0)
    for m in np.flatnonzero(alive & lost):
        journal.diverged(m, step)
        alive[m] = False
    for metric, values in measured.items():
        journal.record(step, metric, values, alive)
