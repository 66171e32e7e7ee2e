"""What a loop asks of a journal, and one kept in memory, for runs that are neither stored nor resumed. The one that writes
files and checkpoints is `common/lab/run/journal.py`."""

from collections.abc import Sequence
from typing import Any, Protocol, SupportsIndex

import numpy as np


class Journal(Protocol):
    """Records of a fleet's members, counted from 0, and its checkpoints. The defaults store and resume nothing."""

    def record(self, step: int, metric: str, values: Sequence[float], alive: Any = None) -> None:
        """One value per member; those that are not `alive` [members] record nothing."""

    def diverged(self, member: SupportsIndex, step: int) -> None:
        """The member's run ended at that step."""

    def table(self, name: str, member: SupportsIndex, rows: list[dict]) -> None:
        """Rows of a further table."""

    def append(self, member: SupportsIndex, rows: np.ndarray) -> None:
        """Rows [n, width] of the member's log of transitions."""

    def log(self, member: SupportsIndex, width: int) -> np.ndarray:
        """The member's log as the last checkpoint knows it, [rows, width]."""
        return np.zeros((0, width), np.float32)

    def due(self, step: int, total: int) -> bool:
        """Whether to save now, at this step of `total`."""
        return False

    def save(self, step: int, arrays: dict[str, np.ndarray], state: dict) -> None:
        """Stores a checkpoint: named arrays, and a state that JSON can hold."""

    def resume(self) -> tuple[int, dict[str, np.ndarray], dict] | None:
        """(step, arrays, state) of the last checkpoint, or None."""
        return None

    def produce(self, name: str, member: SupportsIndex, arrays: dict[str, np.ndarray]) -> None:
        """Offered arrays of one member, a file that other runs may read: kept if the experiment `produces` it."""

    def end(self, learner: Any, replay: Any = None) -> None:
        """Takes the trained learner and its replay buffer when a loop ends."""


class Watched:
    """A journal that knows which members live, `alive` [members], also of a run that goes on from a checkpoint."""

    def __init__(self, journal: Journal, members: int):
        self.journal, self.alive = journal, np.ones(members, dtype=bool)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.journal, name)

    def diverged(self, member: Any, step: int) -> None:
        self.alive[member] = False
        self.journal.diverged(member, step)

    def save(self, step: int, arrays: dict[str, np.ndarray], state: dict) -> None:
        # Under a name of its own: where a loop keeps its `alive` in its state is the loop's affair.
        self.journal.save(step, arrays, state | {"watched": self.alive.tolist()})

    def resume(self) -> tuple[int, dict[str, np.ndarray], dict] | None:
        checkpoint = self.journal.resume()
        if checkpoint is not None:
            self.alive[:] = checkpoint[2]["watched"]
        return checkpoint


class MemoryJournal(Journal):
    """Keeps what the loop of some members records. records: (member, step, metric, value); divergences: (member, step);
    tables: {table: [(member, rows)]}; rows: each member's log of transitions, a list of arrays; produced: {(name, member):
    arrays}."""

    def __init__(self, members: int):
        self.records: list[tuple] = []
        self.divergences: list[tuple] = []
        self.tables: dict[str, list] = {}
        self.produced: dict[tuple, dict[str, np.ndarray]] = {}
        self.rows: list[list[np.ndarray]] = [[] for _ in range(members)]

    def record(self, step: int, metric: str, values: Sequence[float], alive: Any = None) -> None:
        self.records += [(m, step, metric, v) for m, v in enumerate(values) if alive is None or alive[m]]

    def diverged(self, member: SupportsIndex, step: int) -> None:
        self.divergences.append((member, step))

    def table(self, name: str, member: SupportsIndex, rows: list[dict]) -> None:
        self.tables.setdefault(name, []).append((member, rows))

    def append(self, member: SupportsIndex, rows: np.ndarray) -> None:
        self.rows[member].append(rows)

    def produce(self, name: str, member: SupportsIndex, arrays: dict[str, np.ndarray]) -> None:
        self.produced[name, member] = arrays
