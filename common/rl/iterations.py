"""The loop of updates without an environment: toys and models of data.

`build(config, seeds, device)` makes the learner. Killed anywhere and started again a run continues from the journal's last
checkpoint and ends with the same records.
"""

import numpy as np
import torch

from .randomness import Blocks

BLOCK = 64


def run(build, config, seeds, journal, device="cpu"):
    """`total_steps` updates without an environment: toys and models of data. Measurements every `evaluate_every` updates and
    at the end, tables at the end.

    The learner's `update(draws)` takes what its `update_draws` drew; `measure()` gives {metric: one number a member} and
    `tables()` {table: one list of rows a member}. A member of which a measurement is not finite has diverged.
    """
    learner = build(config, seeds, device)
    draws = Blocks(seeds, "update", BLOCK, learner.update_draws)
    found = journal.resume()
    start, alive = 0, np.ones(len(seeds), dtype=bool)
    if found:
        start, arrays, state = found
        learner.load_state_dict(arrays)
        alive[:] = state["alive"]
    for step in range(start + 1, config.total_steps + 1):
        learner.update({name: torch.from_numpy(array).to(device) for name, array in draws.at(step).items()})
        if step % config.evaluate_every == 0 or step == config.total_steps:
            record_measurements(learner.measure(), alive, step, journal)
        if journal.due(step, config.total_steps):
            journal.save(step, learner.state_dict(), {"alive": alive.tolist()})
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
