"""What a loop asks of a journal, kept in memory: for runs that are neither stored nor resumed. The one that writes files and
checkpoints is `common/lab/run/journal.py`."""

from collections.abc import Sequence

import numpy as np


class MemoryJournal:
    """Keeps what the loop of some members records. records: (member, step, metric, value); divergences: (member, step);
    tables: {table: [(member, rows)]}; rows: each member's log of transitions, a list of arrays."""

    def __init__(self, members: int):
        self.records, self.divergences, self.tables = [], [], {}
        self.rows = [[] for _ in range(members)]

    def record(self, step: int, metric: str, values: Sequence[float], alive: Sequence[bool] | None = None) -> None:
        """One value per member; members that are not alive record nothing."""
        self.records += [(m, step, metric, v) for m, v in enumerate(values) if alive is None or alive[m]]

    def diverged(self, member: int, step: int) -> None:
        """The member's run ended at that step."""
        self.divergences.append((member, step))

    def table(self, name: str, member: int, rows: list[dict]) -> None:
        """Rows of a further table."""
        self.tables.setdefault(name, []).append((member, rows))

    def append(self, member: int, rows: np.ndarray) -> None:
        """Rows [n, width] of the member's log of transitions."""
        self.rows[member].append(rows)

    def due(self, step: int, total: int) -> bool:
        """Whether to save now, at this step of `total`: never."""
        return False

    def resume(self) -> None:
        """(step, arrays, state) of the last checkpoint: there is none."""

    def end(self, learner, replay=None) -> None:
        """Called once, with what was trained and its replay buffer."""
