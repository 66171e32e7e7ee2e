"""Runs what undecided claims still need, in the order of their price, and publishes each cell as it ends."""

import contextlib
import ctypes
import signal
import subprocess
import sys
import time
from collections.abc import Sequence

from common.files import say
from common.lab.plan import catalog
from common.lab.report import planning
from common.lab.results import costs
from common.settings import check_known

POLL_SECONDS = 0.5
PAPERS = (sys.executable, "-m", "papers")


def settle(papers: Sequence[str] = (), hours: float | None = None, threads: int | None = None, plan: bool = False) -> None:
    """Trains the plan's cells, `threads` at a time (default: one per core), one thread each, and publishes each as it ends,
    in part too; with `plan` it prints the order and trains nothing. Ends after `hours`, at checkpoints, as on Ctrl-C; the
    same command goes on. UserError: a paper that is not known."""
    for paper in papers:
        check_known(paper, catalog.papers(), "unknown paper")
    made = planning.plan(papers)
    if plan:
        return planning.show(made, papers)
    waiting = [(scale, key, seeds) for step in made.steps for (scale, key), seeds in step.cells.items()]
    say(f"{len(waiting)} cells, {costs.duration(sum(step.core_seconds for step in made.steps))} of one core")
    _work(waiting, threads or costs.cores(), time.monotonic() + 3600 * hours if hours else None)


def _work(waiting, threads, deadline):
    """Trains (scale, key, seeds) in their order."""
    running, total = {}, len(waiting)
    try:
        while (waiting or running) and not (deadline and time.monotonic() > deadline):
            while waiting and len(running) < threads:
                job = waiting.pop(0)
                running[_start(*job)] = job
            time.sleep(POLL_SECONDS)
            for process in [process for process in running if process.poll() is not None]:
                job = scale, key, _ = running.pop(process)
                done = _published(*job) if not process.returncode else f"failed, status {process.returncode}"
                say(f"{total - len(waiting) - len(running)} of {total}: {key} at {scale}: {done}")
    except KeyboardInterrupt:
        say("stopping at checkpoints; the same command goes on")
    finally:
        for process in running:
            process.terminate()
        for process, job in running.items():
            process.wait()
            _published(*job)


def _start(scale, key, seeds):
    command = [*PAPERS, "run", key, "--scale", scale, "--threads", "1", "--seeds", ",".join(map(str, seeds))]
    # It ends with this process, however that ends; its worker then saves a checkpoint and ends too.
    return subprocess.Popen(command, cwd=catalog.ROOT, stdout=subprocess.DEVNULL, preexec_fn=_end_with_parent)


def _end_with_parent():
    with contextlib.suppress(OSError, AttributeError):
        set_parent_death_signal = 1
        ctypes.CDLL("libc.so.6").prctl(set_parent_death_signal, signal.SIGTERM)


def _published(scale, key, seeds):
    """Publishes a cell, with members beyond those of its page if it was asked for them. Returns what was done."""
    own = {member["seed"] for member in catalog.cell(key, scale).members}
    command = [*PAPERS, "publish", key, "--scale", scale, "--partial"]
    command += ["--seeds", ",".join(map(str, sorted(own.union(seeds))))] if not own.issuperset(seeds) else []
    done = subprocess.run(command, cwd=catalog.ROOT, capture_output=True, text=True)
    return (done.stdout or done.stderr).strip().removeprefix(f"{key} at {scale}: ")
