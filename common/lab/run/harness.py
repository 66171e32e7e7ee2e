"""Trains cells: splits their members into fleets, one worker process each, and joins what these leave."""

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from common.errors import UserError
from common.lab.plan.catalog import Cell
from common.lab.results import sources
from common.lab.run import joining, origin
from common.lab.run.fleets import Fleet, label, split
from common.lab.run.locks import Unlockable, hold

ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    # Blocks of a few MB come and go at every update; without these each one is fetched from the system anew.
    "MALLOC_MMAP_THRESHOLD_": "33554432",
    "MALLOC_TRIM_THRESHOLD_": "1073741824",
    "MALLOC_TOP_PAD_": "67108864",
}


def run_all(cells: list[Cell], threads: int, device: str, seeds: list[int] | None, fleets: int, anew: bool) -> list[Path]:
    """Train the members of some cells that are not finished yet (only those with one of `seeds`, if given), and write the
    results of all that are. Returns the cells' folders. Published members count as finished, unless `anew`.

    At most `threads` workers run at a time; on a CPU each cell's members are trained as that many `fleets`, on a GPU as one.
    A cell's results are written as soon as its own members are done. Cells of scale smoke are dealt out to one worker per
    thread, because starting a process costs more than their training. Raises `UserError` if another process trains one of
    the cells, or if a worker fails.
    """
    folders: dict[Cell, Path] = {}
    with contextlib.ExitStack() as locks:
        waiting: list[Fleet] = []
        for cell in cells:
            try:
                locks.enter_context(hold(cell.work / "lock"))
            except Unlockable:
                if anew or not _is_finished(cell, seeds):
                    raise
                folders[cell] = cell.folder  # where nothing can be written, what is there can still be reported
                continue
            made_by(cell)  # as it is now, before the training
            (joining.disown if anew else joining.adopt)(cell)
            missing = unfinished(cell, fleets if device == "cpu" else 1, seeds)
            waiting += missing
            if not missing:
                folders[cell] = joining.join(cell, made_by(cell))
        small = [fleet for fleet in waiting if fleet.cell.scale == "smoke"]
        jobs = [small[i::threads] for i in range(min(threads, len(small)))]
        jobs += [[fleet] for fleet in waiting if fleet.cell.scale != "smoke"]
        for job in train(jobs, threads, device):
            waiting = [fleet for fleet in waiting if fleet not in job]
            for cell in dict.fromkeys(fleet.cell for fleet in job):
                if not any(fleet.cell is cell for fleet in waiting):
                    folders[cell] = joining.join(cell, made_by(cell))
    return [folders[cell] for cell in cells]


def _is_finished(cell, seeds):
    """Whether this checkout holds today's results of the wanted members."""
    held = sources.own(cell)
    wanted = [member for member in cell.members if seeds is None or member["seed"] in seeds]
    return held is not None and not held.stale and all(member in held.finished for member in wanted)


def unfinished(cell: Cell, fleets: int, seeds: list[int] | None) -> list[Fleet]:
    """The fleets that have to be trained, their folders made ready."""
    wanted = [member for member in cell.members if seeds is None or member["seed"] in seeds]
    if not wanted:
        raise UserError(f"{cell.folder}: none of the seeds {seeds} is among {[m['seed'] for m in cell.members]}")
    done = joining.finished(cell)
    missing = split(cell, [member for member in wanted if label(member) not in done], fleets)
    for fleet in missing:
        fleet.prepare()
    return missing


def made_by(cell: Cell) -> dict:
    """What run.json says of the machine and the code."""
    return origin.describe(calibrated=cell.scale != "smoke")  # no rate is read off a run of seconds


def train(jobs: list[list[Fleet]], threads: int, device: str) -> Iterator[list[Fleet]]:
    """One worker process per job, which trains its fleets one after the other; at most `threads` at a time. Yields each
    job as it ends. Raises `UserError` if a worker fails."""
    waiting = list(jobs)
    running: list[tuple[list[Fleet], _Worker]] = []
    try:
        while waiting or running:
            while waiting and len(running) < threads:
                job = waiting.pop(0)
                running.append((job, _Worker(job, device)))
            time.sleep(0.1)
            for job, worker in [pair for pair in running if pair[1].process.poll() is not None]:
                running.remove((job, worker))
                said = worker.words()
                if worker.process.returncode != 0:
                    raise _failure(job, worker.process.returncode, said)
                yield job
    finally:
        for _, worker in running:
            worker.process.terminate()  # a worker saves a checkpoint before it ends
        for _, worker in running:
            worker.process.wait()
            worker.words()


class _Worker:
    """A job's worker process, and a pipe on which it says why it ends: the last words of its log would be lost with a disk
    that is full."""

    def __init__(self, job, device):
        specs = [fleet.specify(device, made_by(fleet.cell)) for fleet in job]
        self.pipe, words = os.pipe()
        command = [sys.executable, "-m", "common.lab.run.worker", "--words", str(words), *map(str, specs)]
        with open(job[0].log, "a", encoding="utf-8") as log, os.fdopen(words, "wb"):
            environment = {**os.environ, **ENVIRONMENT}
            self.process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, pass_fds=[words])

    def words(self) -> str:
        """What it said at its end, on one line; "" if nothing. Call it once, after that end."""
        with os.fdopen(self.pipe, "rb") as pipe:
            return " ".join(pipe.read().decode("utf-8", "replace").split())


def _failure(job, status, said):
    """A UserError with a worker's last words, the last line of its log, or the signal that ended it."""
    first = job[0]
    place = f"{first.cell.folder}, worker {first.name}" if len(job) == 1 else f"{len(job)} cells from {first.cell.folder} on"
    if status < 0:
        return UserError(f"{place}: ended by signal {-status}; run again to go on from its checkpoint")
    if not said:
        log = first.log.read_text(encoding="utf-8", errors="replace") if first.log.exists() else ""
        said = next((line for line in reversed(log.splitlines()) if line.strip()), "died without a message")
    return UserError(f"{place}: {said} (see {first.log})")
