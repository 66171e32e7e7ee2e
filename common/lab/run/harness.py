"""Runs cells: splits their members over worker processes, waits, and joins the parts into each cell's results.

<cell>/metrics.csv, <table>.csv, run.json      the results
<cell>/.work/part-<members>.json               members that are finished, here or in published/
<cell>/.work/<members>/                        a worker's checkpoints and logs
"""

import contextlib
import csv
import dataclasses
import functools
import json
import math
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from common.errors import UserError
from common.files import atomic_write
from common.lab.results import costs, records, sources
from common.lab.run import origin
from common.lab.run.locks import hold

ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    # Blocks of a few MB come and go at every update; without these each one is fetched from the system anew.
    "MALLOC_MMAP_THRESHOLD_": "33554432",
    "MALLOC_TRIM_THRESHOLD_": "1073741824",
    "MALLOC_TOP_PAD_": "67108864",
}
TOLD = ("labels", "seconds", "peak_mb", "device", "matmul", "commit", "dirty", "resealed")  # of each part, in run.json


def run_all(cells, threads=1, device="cpu", seeds=None, checkpoint_seconds=60.0, split=1, anew=False):
    """Train the members of some cells that are not finished yet (only those with one of `seeds`, if given), and write the
    results of all that are. Returns the cells' folders. Published members count as finished, unless `anew`.

    At most `threads` workers run at a time; on a CPU each cell's members are trained as `split` fleets, on a GPU as one. A
    cell's results are written as soon as its own members are done. Cells of scale smoke are dealt out to one worker per
    thread, because starting a process costs more than their training. Raises `UserError` if another process trains one of
    the cells, or if a worker fails.
    """
    folders = {}
    with contextlib.ExitStack() as locks:
        tasks = []
        for cell in cells:
            locks.enter_context(hold(lock(cell)))
            made_by(cell)  # as it is now, before the training
            if not anew:
                adopt(cell)
            groups = missing(cell, split if device == "cpu" else 1, seeds)
            tasks += [(cell, group) for group in groups]
            if not groups:
                folders[cell] = join(cell, made_by(cell))
        small = [task for task in tasks if task[0].scale == "smoke"]
        jobs = [small[i::threads] for i in range(min(threads, len(small)))]
        jobs += [[task] for task in tasks if task[0].scale != "smoke"]
        for job in train(jobs, threads, device, checkpoint_seconds):
            for task in job:
                tasks.remove(task)
            for cell in dict.fromkeys(cell for cell, _ in job):
                if not any(other is cell for other, _ in tasks):
                    folders[cell] = join(cell, made_by(cell))
    return [folders[cell] for cell in cells]


def missing(cell, threads, seeds):
    """The groups of members that have to be trained, their folders made ready."""
    wanted = [m for m in cell.members if seeds is None or m["seed"] in seeds]
    if not wanted:
        raise UserError(f"{cell.folder}: none of the seeds {seeds} is among {[m['seed'] for m in cell.members]}")
    work = Path(cell.folder) / ".work"
    done = {label for part in parts(cell) for label in part["labels"]}
    groups = split_members(work, cell.digest, [m for m in wanted if label(m) not in done], threads)
    for group in groups:
        with hold(work / f"{name(group)}.lock"):  # an orphan of an earlier run may still be writing
            set_aside(work / name(group), cell.digest)
    return groups


def lock(cell):
    """The file that a process holds while it works on a cell."""
    return Path(cell.folder) / ".work" / "lock"


@functools.cache
def _machine(calibrated):
    described = origin.describe()
    return described | {"calibration": costs.calibration()} if calibrated else described


def made_by(cell):
    """What run.json says of the machine and the code."""
    return _machine(cell.scale != "smoke")  # no rate is read off a run of seconds


def label(member):
    """A member's name: its seed, and the scalars in which it differs."""
    return "_".join([str(member["seed"])] + [f"{key}={value}" for key, value in member.items() if key != "seed"])


def name(group):
    """A group's folder: its first member's label and the number of members."""
    return f"{label(group[0])}x{len(group)}"


def split_members(work, digest, members, threads):
    """Groups of members, one worker each. A split that an interrupted run began is kept, because its checkpoints are."""
    path = work / "split.json"
    by_label = {label(m): m for m in members}
    groups = []
    if path.exists() and (earlier := json.loads(path.read_text()))["digest"] == digest:
        groups = [[by_label.pop(name) for name in group] for group in earlier["groups"] if set(group) <= set(by_label)]
    rest = list(by_label.values())
    if rest:
        width = math.ceil(len(rest) / threads)
        groups += [rest[i : i + width] for i in range(0, len(rest), width)]
    atomic_write(path, json.dumps({"digest": digest, "groups": [[label(m) for m in group] for group in groups]}))
    return groups


def set_aside(folder, digest):
    """Checkpoints of other settings or code are kept under another name, and it is said."""
    stamp = folder / "digest"
    if folder.exists() and (not stamp.exists() or stamp.read_text() != digest):
        aside = folder.with_name(folder.name + ".aside")
        shutil.rmtree(aside, ignore_errors=True)
        folder.rename(aside)
        print(f"{folder}: checkpoints of other settings or code were set aside as {aside.name}", file=sys.stderr)
    folder.mkdir(parents=True, exist_ok=True)
    atomic_write(stamp, digest)


def train(jobs, threads, device, checkpoint_seconds):
    """One worker process a job, a list of (cell, group), at most `threads` at a time. Yields each job as it ends."""
    waiting, running = list(jobs), []
    try:
        while waiting or running:
            while waiting and len(running) < threads:
                job = waiting.pop(0)
                running.append((job, start(job, device, checkpoint_seconds)))
            time.sleep(0.1)
            for job, process in [pair for pair in running if pair[1].poll() is not None]:
                running.remove((job, process))
                if process.returncode != 0:
                    raise failure(job, process.returncode)
                yield job
    finally:
        for _, process in running:
            process.terminate()  # a worker saves a checkpoint before it ends
        for _, process in running:
            process.wait()


def start(job, device, checkpoint_seconds):
    """Write the specs of a job and start its worker."""
    paths = [specify(cell, group, device, checkpoint_seconds) for cell, group in job]
    with open(log_file(job), "a") as log:
        command = [sys.executable, "-m", "common.lab.run.worker", *map(str, paths)]
        return subprocess.Popen(command, env={**os.environ, **ENVIRONMENT}, stdout=log, stderr=log)


def log_file(job):
    """Where a job's worker writes what it has to say: beside the first of its cells."""
    cell, group = job[0]
    return Path(cell.folder) / ".work" / f"worker-{name(group)}.log"


def specify(cell, group, device, checkpoint_seconds):
    """Write the spec of one fleet; returns its path."""
    work = Path(cell.folder) / ".work"
    config = type(cell.config)
    spec = {
        "module": cell.module,
        "config": f"{config.__module__}:{config.__qualname__}",
        "settings": dataclasses.asdict(cell.config),
        "members": group,
        "labels": [label(m) for m in group],
        "digest": cell.digest,
        "made_by": {key: made_by(cell)[key] for key in ("commit", "dirty")},
        "device": device,
        "folder": str(work / name(group)),
        "part": str(work / f"part-{name(group)}.json"),
        "checkpoint_seconds": checkpoint_seconds,
    }
    path = work / f"spec-{name(group)}.json"
    atomic_write(path, json.dumps(spec))
    return path


def failure(job, status):
    """A UserError with the last line a worker wrote, or the signal that ended it."""
    (cell, group), log = job[0], log_file(job)
    place = f"{cell.folder}, worker {name(group)}" if len(job) == 1 else f"{len(job)} cells from {cell.folder} on"
    if status < 0:
        return UserError(f"{place}: ended by signal {-status}; run again to go on from its checkpoint")
    lines = [line for line in log.read_text().splitlines() if line.strip()]
    return UserError(f"{place}: {lines[-1] if lines else 'died without a word'} (see {log})")


def parts(cell):
    """The finished parts that today's settings and code wrote."""
    found = [json.loads(path.read_text()) for path in sorted((Path(cell.folder) / ".work").glob("part-*.json"))]
    return [part for part in found if part["digest"] == cell.digest]


def adopt(cell):
    """Take the published members that this checkout has not trained itself as finished parts, byte for byte. None if they
    were made by other settings or code."""
    held = sources.publication(cell)
    if held is None or held.stale:
        return
    own = {name for part in parts(cell) for name in part["labels"]}
    names = {_written(member): label(member) for member in held.finished if label(member) not in own}
    keys = ("seed", *cell.scalars)
    tables = {file.stem: _rows_by_member(file, keys) for file in sorted(held.folder.glob("*.csv"))}
    records_of = tables.pop("metrics")
    for number, told in enumerate(held.record["parts"]):
        members = [key for key, name in names.items() if name in told["labels"]]
        if not members:
            continue
        part = {
            **told,
            "digest": cell.digest,
            "labels": [names[key] for key in members],
            "records": [[m, int(row["step"]), row["metric"], row["value"]]
                        for m, key in enumerate(members) for row in records_of[key]],
            "tables": {table: [[m, row] for m, key in enumerate(members) for row in rows.get(key, [])]
                       for table, rows in tables.items()},
        }  # fmt: skip
        if "resealed" in held.record:
            part["resealed"] = held.record["resealed"]
        atomic_write(Path(cell.folder) / ".work" / f"part-published-{number}.json", json.dumps(part))


def _written(member):
    """A member's seed and scalars as a CSV holds them."""
    return tuple(records.text(value) for value in member.values())


def _rows_by_member(path, keys):
    """{values of the columns `keys`: the rows of that member, without what tells members apart}; all values are text."""
    rows = {}
    with open(path, newline="") as file:
        for row in csv.DictReader(file):
            member = tuple(row.pop(key) for key in keys)
            del row["member"]
            rows.setdefault(member, []).append(row)
    return rows


def join(cell, origin):
    """Write metrics.csv, the tables and run.json from the finished parts, in the order of the cell's members."""
    finished = parts(cell)
    order = [label(m) for m in cell.members]
    place = {name: (part, i) for part in finished for i, name in enumerate(part["labels"])}
    metrics, tables, diverged = [], {table: [] for table in cell.tables}, {}
    for index, member in enumerate(cell.members):
        if order[index] not in place:
            continue
        part, i = place[order[index]]
        keys = {"member": index, **member}
        for m, step, metric, value in part["records"]:
            if m == i:
                metrics.append({**keys, "step": step, "metric": metric, "value": value})
                if metric == "diverged":
                    diverged[order[index]] = step
        for table in tables:
            tables[table].extend({**keys, **row} for m, row in part["tables"].get(table, []) if m == i)
    metrics.sort(key=lambda row: (row["member"], row["metric"], row["step"]))
    # Unfinished results stand where no figure reads them unasked.
    folder = Path(cell.folder) if set(order) <= set(place) else Path(cell.folder) / ".work" / "partial"
    for table, rows in tables.items():
        if rows:  # there are none if every member diverged
            records.write_rows(folder / f"{table}.csv", rows)
    records.write_rows(folder / "metrics.csv", metrics)
    atomic_write(folder / "run.json", json.dumps(summary(cell, finished, diverged) | origin, indent=1) + "\n")
    return folder


def summary(cell, finished, diverged):
    """What run.json says: what was run, by which code, on what, for how long."""
    done = [label for part in finished for label in part["labels"]]
    return {
        "paper": cell.paper,
        "experiment": cell.experiment,
        "cell": cell.name,
        "scale": cell.scale,
        "digest": cell.digest,
        "status": "finished" if len(done) == len(cell.members) else "partial",
        "members": [m for m in cell.members if label(m) in done],
        "wanted": len(cell.members),
        "diverged": diverged,
        "settings": dataclasses.asdict(cell.config),
        "parts": [{key: part[key] for key in TOLD if key in part} for part in finished],
    }
