"""What an artefact would cost: measured rates of earlier runs, scaled to this machine."""

import dataclasses
import functools
import os
import subprocess
import sys

from common.files import read_json
from common.lab.plan import catalog
from common.lab.results import sources

# Core-seconds that one member takes for one unit of work, where no run of that algorithm was measured: one thread of a
# 2.5 GHz Xeon (about 100 GFLOP/s in float32), batch 256, two layers of 256 units, chains of 5 steps. Good to a factor of
# three.
FALLBACK = {
    "sac": 0.006, "sac_memory": 0.006, "sac_auto": 0.006, "sac_coupling": 0.0075, "arsac": 0.009, "td3": 0.005,
    "ddpg": 0.005, "hmc": 0.035, "langevin": 0.022, "ppo": 0.0006, "ppo_nf": 0.0006, "trpo": 0.0003,
    "acktr": 0.0003,
}  # fmt: skip
UNKNOWN = 0.01
FALLBACK_SPEED = 100.0  # GFLOP/s of that machine
WORK = ("total_steps", "iterations", "updates")  # settings that count the work of a run; the first that exists does

_CALIBRATE = """
import time, numpy as np
a = np.random.default_rng(0).standard_normal((256, 256), dtype=np.float32)
best = min((lambda t: [np.matmul(a, a, out=b) for _ in range(40)] and time.perf_counter() - t)(time.perf_counter())
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


@functools.cache
def calibration():
    """This machine's speed: GFLOP/s of float32 products of 256x256 matrices in one thread, the best of eight rounds."""
    one = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    done = subprocess.run([sys.executable, "-c", _CALIBRATE], env=os.environ | one, capture_output=True, text=True)
    return round(float(done.stdout), 1) if done.returncode == 0 else FALLBACK_SPEED


def estimates(name, scale, device="cpu", fresh=False):
    """An `Estimate` for every cell that an artefact reads, or that these use, and that has still to be run."""
    wanted, waiting = {}, catalog.artefact_cells(name, scale)
    while waiting:
        cell = waiting.pop()
        if cell.key not in wanted and sources.source(cell, fresh).kind == "missing":
            wanted[cell.key] = estimate(cell, device)
            waiting += cell.used
    return [wanted[key] for key in sorted(wanted)]


def estimate(cell, device="cpu", missing=None):
    """The cost of so many members of one cell; unless told, of those that are not finished."""
    if missing is None:
        held = [one for one in (sources.own(cell), sources.unfinished(cell)) if one and not one.stale]
        missing = len(cell.members) - max((len(one.finished) for one in held), default=0)
    settings = dataclasses.asdict(cell.config)
    alike = [one for one in measured(catalog.ROOT) if one["keys"] == set(settings) and one["device"] == kind(device)]
    if alike:
        best = max(alike, key=lambda one: (_agreement(cell, settings, one), one["core_seconds"]))
        rate, speed, basis = best["rate"], best["calibration"], f"measured: {best['key']}"
    else:
        rate, speed, basis = FALLBACK.get(cell.algorithm, UNKNOWN), FALLBACK_SPEED, "a guess: nothing alike was run"
    scaling = (speed or calibration()) / calibration() if device == "cpu" else 1.0
    return Estimate(cell, missing, missing * work(settings) * rate * scaling, basis)


def _agreement(cell, settings, one):
    same = f"/{cell.paper}/{cell.experiment}/" in one["key"]
    return same, sum(settings[key] == value for key, value in one["settings"].items())


def work(settings):
    """Units of work of one member: steps, or iterations, of a run with these settings."""
    return next((settings[key] for key in WORK if key in settings), 1)


def kind(device):
    """The sort of device, without its number or name; a run on a CPU records the processor's architecture."""
    return "cpu" if str(device).startswith(("cpu", "x86", "aarch64", "arm64", "AMD64")) else "gpu"


@functools.cache
def measured(root):
    """Rates of all finished runs: core-seconds a member and unit of work, with the settings they were measured at."""
    found = []
    places = ("published/*/*/*/*/run.json", "results/*/*/*/*/run.json", "results/*/*/*/*/.work/partial/run.json")
    for path in sorted(path for place in places for path in root.glob(place)):
        if path.parts[-5] == "smoke":  # start-up takes longer than the training
            continue
        record = read_json(path)
        settings, parts = record.get("settings", {}), record.get("parts", [])
        members = sum(len(part["labels"]) for part in parts)
        seconds = sum(part["seconds"] for part in parts)
        if not members or not seconds or not settings:
            continue
        found.append(
            {
                "key": "/".join(path.relative_to(root).parts[:5]),
                "keys": set(settings),
                "settings": settings,
                "device": kind(parts[0].get("device", "cpu")),
                "rate": seconds / members / work(settings),
                "core_seconds": seconds,
                "calibration": record.get("calibration"),
            }
        )
    return found


def duration(seconds):
    """Seconds as people say them: 40 s, 12 min, 3.5 h, 2.1 days."""
    for size, unit, digits in ((86400, "days", 1), (3600, "h", 1), (60, "min", 0)):
        if seconds >= 1.5 * size:
            return f"{seconds / size:.{digits}f} {unit}"
    return f"{seconds:.0f} s"
