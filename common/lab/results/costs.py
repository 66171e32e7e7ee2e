"""What an artefact would cost: measured rates of earlier runs, scaled to this machine; and what a cluster is asked for."""

import collections
import dataclasses
import functools
import math
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from common.files import read_json
from common.lab.plan import catalog
from common.lab.results import sources

# Core-seconds that one member takes for one unit of work, where no run of that algorithm was measured: one thread of a
# 2.5 GHz Xeon (about 100 GFLOP/s in float32), batch 256, two layers of 256 units, chains of 5 steps. Good to a factor of
# three.
FALLBACK = {
    "sac": 0.006, "sac_memory": 0.006, "sac_auto": 0.006, "sac_coupling": 0.0075, "arsac": 0.009, "td3": 0.005,
    "ddpg": 0.005, "hmc": 0.035, "langevin": 0.022, "ppo": 0.0006, "ppo_nf": 0.0006, "trpo": 0.0003,
    "acktr": 0.0003, "mnf_regression": 0.005, "dqn": 0.002, "noisy_dqn": 0.002, "bayes_dqn": 0.002, "mnf_dqn": 0.002,
    "bootstrapped_dqn": 0.002, "variational": 0.003, "density": 0.003,
    "ppo_flow": 0.0006, "ppo_locomotion": 0.0006, "soft_q": 0.007, "trpo_policies": 0.0004, "acktr_policies": 0.0004,
    "ppo_policies": 0.0007, "sac_policies": 0.008, "entropy_bound": 0.01,
}  # fmt: skip
UNKNOWN = 0.01
FALLBACK_SPEED = 100.0  # GFLOP/s of that machine, at whose speed documents quote prices
WORK = ("total_steps", "iterations", "updates")  # settings that count the work of a run; the first that exists does

# What a cluster is asked for beside a cell's own time and memory: several processes of Python start, off a shared disk.
START_MINUTES = 5
OVERHEAD_MB = 1000
WORKER_MB = 3000  # of one worker, where no run of its algorithm says: few published ones took more
GENEROUS = 3  # times the estimated time: an estimate that is a guess is good to a factor of three
SHORT_SECONDS = 60  # a cell that takes less is not worth a job of its own

_CALIBRATE = """
import time, numpy as np
a = np.random.default_rng(0).standard_normal((256, 256), dtype=np.float32)
best = min((lambda t: [np.matmul(a, a, out=b) for _ in range(40)] and time.process_time() - t)(time.process_time())
           for b in [np.empty_like(a)] * 8)
print(40 * 2 * 256**3 / best / 1e9)
"""


@dataclasses.dataclass(frozen=True)
class Estimate:
    """Core-seconds that the missing members of a cell take. `basis` says where the rate comes from."""

    cell: catalog.Cell
    members: int
    core_seconds: float
    basis: str


def cores() -> int:
    """Cores that this process may use; all of the machine's where the system keeps no such list (macOS)."""
    known = getattr(os, "sched_getaffinity", None)
    return len(known(0)) if known else os.cpu_count() or 1


@functools.cache
def calibration() -> float:
    """This machine's speed: GFLOP/s of float32 products of 256x256 matrices in one thread, the best of eight rounds. By CPU
    time: whoever else uses the machine does not count."""
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    done = subprocess.run([sys.executable, "-c", _CALIBRATE], env=os.environ | threads, capture_output=True, text=True)
    return round(float(done.stdout), 1) if done.returncode == 0 else FALLBACK_SPEED


def estimates(name: str, scale: str, device: str = "cpu", fresh: bool = False) -> list[Estimate]:
    """An `Estimate` for every cell that an artefact reads, or that these use, and that has still to be run."""
    wanted: dict[str, Estimate] = {}
    waiting = [(cell, sources.source(cell, fresh)) for cell in catalog.artefact_cells(name, scale)]
    while waiting:
        cell, held = waiting.pop()
        if cell.key not in wanted and held.kind == "missing":
            wanted[cell.key] = estimate(cell, device)
            waiting += [(other, sources.source(other, fresh=True, files=files)) for other, files in cell.inputs]
    return [wanted[key] for key in sorted(wanted)]


def estimate(cell: catalog.Cell, device: str = "cpu", missing: int | None = None, speed: float | None = None) -> Estimate:
    """The cost of so many members of one cell; unless told, of those that are not finished. speed: GFLOP/s of the machine
    that will run them; this one's, unless told."""
    if missing is None:
        held = [source for source in (sources.own(cell), sources.unfinished(cell)) if source and not source.stale]
        missing = len(cell.members) - max((len(source.finished) for source in held), default=0)
    settings = dataclasses.asdict(cell.config)
    if best := nearest(cell, device):
        rate, measured_at, basis = best["rate"], best["calibration"], f"measured: {best['key']}"
    else:
        rate, measured_at, basis = FALLBACK.get(cell.algorithm, UNKNOWN), FALLBACK_SPEED, "a guess: nothing alike was run"
    here = speed or calibration() if device == "cpu" else 1.0
    scaling = (measured_at or here) / here if device == "cpu" else 1.0
    return Estimate(cell, missing, missing * work(settings) * rate * scaling, basis)


def nearest(cell: catalog.Cell, device: str) -> dict[str, Any] | None:
    """The measured run of the same algorithm and kind of device that is most like a cell; None if there is none."""
    settings = dataclasses.asdict(cell.config)
    alike = [run for run in measured(catalog.ROOT) if run["algorithm"] == cell.algorithm and run["device"] == kind(device)]
    return max(alike, default=None, key=lambda run: (
        f"/{cell.paper}/{cell.experiment}/" in run["key"],
        sum(settings.get(key) == value for key, value in run["settings"].items()),
        run["core_seconds"],
    ))  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Needs:
    """What a cluster is asked for, for one cell: minutes until its job is ended, and MB of memory. `short`: it is better
    trained in one job with others."""

    minutes: int
    mem_mb: int
    short: bool


def needs(cell: catalog.Cell, threads: int, device: str = "cpu") -> Needs:
    """What to ask a cluster for, to train what is missing of a cell in so many workers; on a GPU one trains all members.

    Times are those of a machine of `FALLBACK_SPEED`, since nobody knows which one the cluster will give. A worker that
    trains more members than the measured one is taken to need as many times its memory.
    """
    expected = estimate(cell, device, speed=FALLBACK_SPEED)
    workers = min(threads, len(cell.members)) if device == "cpu" else 1
    seconds = expected.core_seconds / workers
    best = nearest(cell, device) or {}
    fuller = max(1.0, math.ceil(len(cell.members) / workers) / best["members"]) if best else 1.0
    memory = OVERHEAD_MB + workers * (best.get("peak_mb") or WORKER_MB) * fuller
    return Needs(START_MINUTES + math.ceil(GENEROUS * seconds / 60), math.ceil(memory), seconds < SHORT_SECONDS)


def work(settings: dict[str, Any]) -> int:
    """Units of work of one member: steps, or iterations, of a run with these settings; of episodes, the most updates that
    they can hold, for one of MountainCar costs a hundred of a chain's."""
    count = next((settings[key] for key in WORK if key in settings), 1)
    episodic = "solved_streak" in settings and settings["update_every"]  # 0: one update per episode
    return count * (settings["episode_steps"] // settings["update_every"] or 1) if episodic else count


def kind(device: str) -> str:
    """The sort of device, without its number or name; a run on a CPU records the processor's architecture."""
    return "cpu" if device.startswith(("cpu", "x86", "aarch64", "arm64", "AMD64")) else "gpu"


@functools.cache
def measured(root: Path) -> list[dict[str, Any]]:
    """Rates of all finished runs: core-seconds per member and unit of work, with the settings they were measured at. The
    members of a cell that were trained on machines of several kinds or speeds count as several runs."""
    runs = []
    places = ("published/*/*/*/*/run.json", "results/*/*/*/*/run.json", "results/*/*/*/*/.work/partial/run.json")
    for path in sorted(path for place in places for path in root.glob(place)):
        if path.parts[-5] == "smoke":  # start-up takes longer than the training
            continue
        record = read_json(path)
        settings, machines = record.get("settings", {}), collections.defaultdict(list)
        for part in record.get("parts", []):
            machines[kind(part.get("device", "cpu")), part.get("calibration", record.get("calibration"))].append(part)
        key = path.relative_to(root).parts[:5]
        for (device, speed), parts in machines.items():
            members = sum(len(part["labels"]) for part in parts)
            seconds = sum(core_seconds(part) for part in parts)
            if not members or not seconds or not settings:
                continue
            runs.append({
                "key": "/".join(key),
                "algorithm": algorithm(*key[1:4]),
                "settings": settings,
                "device": device,
                "rate": seconds / members / work(settings),
                "core_seconds": seconds,
                "calibration": speed,
                "peak_mb": max(part.get("peak_mb", 0) for part in parts),
                "members": max(len(part["labels"]) for part in parts),
            })  # fmt: skip
    return runs


def core_seconds(part: Mapping[str, Any]) -> float:
    """What a worker took, from its part of a run.json: CPU time on a CPU, where it was measured; else the time that
    passed."""
    on_cpu = kind(part.get("device", "cpu")) == "cpu"
    return part.get("cpu_seconds", part["seconds"]) if on_cpu else part["seconds"]


def algorithm(scale: str, paper: str, experiment: str) -> str | None:
    """The algorithm of an experiment; None if there is no such experiment any more."""
    if paper not in catalog.papers() or experiment not in catalog.experiment_names(paper):
        return None
    return next((cell.algorithm for cell in catalog.cells(paper, experiment, scale).values()), None)


def duration(seconds: float) -> str:
    """Seconds as people say them: 40 s, 12 min, 3.5 h, 2.1 days."""
    for size, unit, digits in ((86400, "days", 1), (3600, "h", 1), (60, "min", 0)):
        if seconds >= 1.5 * size:
            return f"{seconds / size:.{digits}f} {unit}"
    return f"{seconds:.0f} s"
