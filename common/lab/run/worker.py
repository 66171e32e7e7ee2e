"""One worker process: trains some members of a cell as one fleet and leaves a part file.

    python -m common.lab.run.worker [--words <descriptor>] <spec.json> [<spec.json> ...]

A spec, written by `common.lab.run.harness`, names the learner, its settings, the members and the files; several are trained
one after the other. What ends it early is said on standard error, which is its log, and in one line on the descriptor: a
log on a full disk holds nothing.
"""

import contextlib
import dataclasses
import importlib
import json
import os
import resource
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from common.errors import UserError
from common.files import atomic_write, say, shown
from common.lab.run.journal import Journal
from common.lab.run.locks import hold


def main(paths: list[str], words: int | None = None) -> int:
    """Exit status 0: every part is written; 2: a mistake a person can correct, named in the last line of stderr."""
    if paths[:1] == ["--words"]:
        words, paths = int(paths[1]), paths[2:]
    stopping = _stopping()
    for path in paths:
        spec = json.loads(Path(path).read_text(encoding="utf-8"))
        try:
            with hold(Path(spec["folder"]).with_suffix(".lock")):
                work(spec, stopping)
        except UserError as error:
            return _end(error if len(paths) == 1 else f"{spec['folder']}: {error}", words)
        except OSError as error:
            where = shown(error.filename) if error.filename else spec["folder"]
            return _end(f"{where}: {error.strerror or error}; earlier results are untouched", words)
        except Exception as error:  # a fault of the code, whose traceback belongs into the log
            _end(f"{type(error).__name__}: {error}", words)
            raise
    return 0


def _end(text, words):
    """Says why the worker ends: in its log, and to the process that started it."""
    say(text)
    if words is not None:
        with contextlib.suppress(OSError):
            os.write(words, str(text).encode("utf-8"))
    return 2


def work(spec: dict, stopping: Callable[[], bool]) -> None:
    """Train the spec's members and write its part file. `stopping()` asks whether to end at the next step."""
    import torch

    from common.rl.hardware import name_of, prepare

    device = name_of(spec["device"])  # before the training: a device that is not there is said now
    matmul = prepare(spec["device"])
    learner, config = importlib.import_module(spec["module"]).Learner, configuration(spec)
    loop = importlib.import_module(f"common.rl.{config.loop}")
    if config.loop in ("off_policy", "offline"):
        from common.rl.graphs import captured

        learner = captured(learner)
    seeds = [member["seed"] for member in spec["members"]]
    journal = Journal(
        spec["folder"], spec["labels"], spec["digest"], spec["checkpoint_seconds"], stopping, spec.get("produces", {})
    )
    inputs = {"inputs": inputs_of(spec)} if spec.get("uses") else {}
    loop.run(learner, config, seeds, journal, spec["device"], **inputs)
    lost = {m for m, _, metric, _ in journal.records if metric == "diverged"}
    due = [path for paths in spec.get("produces", {}).values() for m, path in enumerate(paths) if m not in lost]
    if absent := [path for path in due if not Path(path).exists()]:
        raise UserError(f"the run ended without {absent[0]}, which its experiment states under `produces`")
    part = {
        **{key: spec[key] for key in ("digest", "labels", "members")},
        "records": journal.records,
        "tables": journal.tables,
        "seconds": round(journal.elapsed(), 1),
        "cpu_seconds": round(journal.worked(), 1),
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "device": device,
        "matmul": matmul,
        "capability": torch.backends.cpu.get_cpu_capability(),  # vector instructions of torch, which decide rounding
        **spec.get("made_by", {}),
    }
    atomic_write(spec["part"], json.dumps(part))
    journal.close()


def inputs_of(spec: dict) -> Any:
    """The runs that the spec says are used, {role: [`common.rl.inputs.Run`]}."""
    from common.rl.inputs import Run

    return {
        role: [Run({name: Path(path) for name, path in run["files"].items()}, run["settings"], run["last"]) for run in runs]
        for role, runs in spec["uses"].items()
    }


def configuration(spec: dict) -> Any:
    """The `Config` of the fleet; a setting in which members differ is an array [members]."""
    module, name = spec["config"].split(":")
    keys = [key for key in spec["members"][0] if key != "seed"]
    scalars = {key: np.array([member[key] for member in spec["members"]], dtype=np.float32) for key in keys}
    return dataclasses.replace(getattr(importlib.import_module(module), name)(**spec["settings"]), **scalars)


def _stopping() -> Callable[[], bool]:
    """A function that says whether the process was asked to end, or its parent is gone."""
    asked: list[int] = []
    parent = os.getppid()
    for sign in (signal.SIGTERM, signal.SIGINT):
        signal.signal(sign, lambda number, _: asked.append(number))
    return lambda: bool(asked) or os.getppid() != parent


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
