"""The journal of one worker: what its members recorded, their logs of transitions, and two checkpoints.

<folder>/checkpoint-0, checkpoint-1      written in turn, so that one is always whole
<folder>/log-<member>.f32                rows of float32, append-only; a checkpoint knows its length and checksum
<folder>/progress.json                   for people, a few times a minute
"""

import json
import os
import shutil
import socket
import time
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save

from common.errors import UserError
from common.files import atomic_write, say
from common.lab.run import checkpoints

PROGRESS_SECONDS = 2.0
KEPT = ("records", "tables", "lengths", "checksums", "saves")  # what a checkpoint keeps of a journal


class Journal:
    """Records and checkpoints of `members` (their labels). `digest` tells which settings and code wrote them; `stopping()`
    asks whether to stop at the next step."""

    def __init__(
        self,
        folder: str | Path,
        members: list[str],
        digest: str,
        every_seconds: float = 60.0,
        stopping: Callable[[], bool] = lambda: False,
        produced: dict[str, list[str]] | None = None,
    ):
        self.produced = produced or {}  # name of a file -> its path, one per member
        self.folder, self.members, self.digest = Path(folder), members, digest
        self.every_seconds, self.stopping = every_seconds, stopping
        self.records: list[list] = []  # [member index, step, metric, value]
        self.tables: dict[str, list[list]] = {}  # table -> [[member index, row], ...]
        self.pending: list[list[np.ndarray]] = [[] for _ in members]  # rows not yet on disk
        self.lengths = [0] * len(members)  # bytes on disk that count
        self.checksums = [0] * len(members)
        self.saves = self.start_step = 0
        self.seconds = self.cpu_seconds = 0.0  # of earlier processes
        self.started = self.saved = self.shown = time.monotonic()
        self.cpu_started = time.process_time()
        self.folder.mkdir(parents=True, exist_ok=True)

    # What a loop calls

    def record(self, step: int, metric: str, values: Sequence[float], alive: Sequence[bool] | None = None) -> None:
        """One value per member; members that are not alive record nothing."""
        for m, value in enumerate(values):
            if alive is None or alive[m]:
                self.records.append([m, int(step), metric, str(np.float32(value))])

    def diverged(self, member: int, step: int) -> None:
        """The member's action was not finite at that step: it is counted, and runs no further."""
        self.records.append([int(member), int(step), "diverged", "1.0"])
        say(f"seed {self.members[member]} diverged at step {step}")

    def table(self, name: str, member: int, rows: list[dict]) -> None:
        """Rows of a further tidy table, each a dict."""
        self.tables.setdefault(name, []).extend([int(member), row] for row in rows)

    def append(self, member: int, rows: np.ndarray) -> None:
        """Rows [n, width] of the member's log; they reach the disk with the next checkpoint."""
        self.pending[member].append(np.ascontiguousarray(rows, dtype=np.float32))

    def log(self, member: int, width: int) -> np.ndarray:
        """The member's log as the last checkpoint knows it, [rows, width]."""
        return np.frombuffer(self._log_path(member).read_bytes()[: self.lengths[member]], np.float32).reshape(-1, width)

    def produce(self, name: str, member: int, arrays: dict[str, np.ndarray]) -> None:
        """Arrays that other runs read, written at once if the experiment `produces` that file."""
        if name not in self.produced:
            return
        atomic_write(self.produced[name][member], save({key: np.asarray(x, order="C") for key, x in arrays.items()}))

    def end(self, learner: Any, replay: Any = None) -> None:
        """Offered the trained learner and its replay when a loop ends."""

    def due(self, step: int, total: int) -> bool:
        """Whether to save now: every so often, and before stopping. Shows progress on the way."""
        now = time.monotonic()
        if now - self.shown > PROGRESS_SECONDS:
            self._show(step, total, now)
        return step < total and (now - self.saved > self.every_seconds or self.stopping())

    def save(self, step: int, arrays: dict[str, np.ndarray], state: Any) -> None:
        """Logs first, then the checkpoint that counts on them. Ends the process if it was asked to stop."""
        for m in range(len(self.members)):
            self._flush(m)
        path = self.folder / f"checkpoint-{self.saves % 2}"
        self.saves += 1
        facts = {
            "digest": self.digest,
            "step": int(step),
            "state": state,
            "seconds": self.elapsed(),
            "cpu_seconds": self.worked(),
        }
        checkpoints.write(path, arrays, facts | {name: getattr(self, name) for name in KEPT})
        self.saved = time.monotonic()
        if self.stopping():
            raise SystemExit(f"stopped at step {step}; run again to go on")

    def resume(self) -> tuple[int, dict[str, np.ndarray], Any] | None:
        """(step, arrays, state) of the newest checkpoint that is whole, or None. Says why one is passed over."""
        candidates = []
        for path in sorted(self.folder.glob("checkpoint-?")):
            try:
                arrays, state = checkpoints.read(path)
                self._check(path, state)
                candidates.append((state["step"], arrays, state))
            except UserError as error:
                say(f"{error}; trying the other checkpoint")
        if not candidates:
            return None
        step, arrays, state = max(candidates, key=lambda c: c[0])
        for name in KEPT:
            setattr(self, name, state[name])
        self.seconds, self.start_step = state["seconds"], step
        self.cpu_seconds = state.get("cpu_seconds", state["seconds"])
        say(f"going on from step {step}")
        return step, arrays, state["state"]

    # For the worker

    def elapsed(self) -> float:
        """Seconds that passed, over all processes that worked on this run."""
        return self.seconds + time.monotonic() - self.started

    def worked(self) -> float:
        """Seconds of CPU time of these processes, which do not count who else uses the machine."""
        return self.cpu_seconds + time.process_time() - self.cpu_started

    def close(self) -> None:
        """Remove checkpoints and logs: the run is finished and its results are elsewhere."""
        shutil.rmtree(self.folder)
        self._progress_path().unlink(missing_ok=True)

    # Files

    def _progress_path(self):
        return self.folder.parent / f"progress-{self.folder.name}.json"

    def _log_path(self, member):
        return self.folder / f"log-{self.members[member]}.f32"

    def _flush(self, member):
        rows = b"".join(block.tobytes() for block in self.pending[member])
        path = self._log_path(member)
        try:
            with open(path, "r+b" if path.exists() else "w+b") as file:
                file.truncate(self.lengths[member])  # drops what a killed process wrote after its checkpoint
                file.seek(self.lengths[member])
                file.write(rows)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise UserError(f"{path}: cannot be written: {error.strerror}; earlier results are untouched") from error
        self.pending[member] = []
        self.lengths[member] += len(rows)
        self.checksums[member] = zlib.crc32(rows, self.checksums[member])

    def _check(self, path, state):
        """Raise UserError unless the checkpoint is this run's and its logs are whole."""
        if state["digest"] != self.digest:
            raise UserError(f"{path}: written by other settings or code ({state['digest']}, now {self.digest})")
        for m, (length, checksum) in enumerate(zip(state["lengths"], state["checksums"], strict=True)):
            log = self._log_path(m)
            content = log.read_bytes()[:length] if log.exists() else b""
            if len(content) < length or zlib.crc32(content) != checksum:
                raise UserError(f"{log}: truncated or altered (the checkpoint at step {state['step']} needs it)")

    def _show(self, step, total, now):
        returns = [float(value) for _, _, metric, value in self.records[-60:] if metric == "return"]
        progress = {
            "members": self.members,
            "step": int(step),
            "total": int(total),
            "rate": (step - self.start_step) * len(self.members) / (now - self.started),
            "return": float(np.mean(returns[-len(self.members) :])) if returns else None,
            "updated": time.time(),
            "host": socket.gethostname(),
            "pid": os.getpid(),
        }
        atomic_write(self._progress_path(), json.dumps(progress))
        self.shown = now
