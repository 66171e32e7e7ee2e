"""Fleets: members of a cell that one worker trains as one batched computation, and the files they have on disk.

<cell>/.work/<fleet>/                a worker's checkpoints and logs
<cell>/.work/spec-<fleet>.json       what the worker is to train
<cell>/.work/part-<fleet>.json       what it leaves when its members are finished
"""

import dataclasses
import json
import math
import shutil
from pathlib import Path

from common.errors import UserError
from common.files import atomic_write, say
from common.lab.plan.catalog import Cell
from common.lab.results import records, sources
from common.lab.results.sources import label
from common.lab.run.locks import hold

CHECKPOINT_SECONDS = 60.0


@dataclasses.dataclass(frozen=True)
class Fleet:
    """Some members of a cell, trained by one worker."""

    cell: Cell
    members: tuple[dict, ...]

    @property
    def labels(self) -> list[str]:
        return [label(member) for member in self.members]

    @property
    def name(self) -> str:
        """The first member's label and the number of members."""
        return f"{self.labels[0]}x{len(self.members)}"

    @property
    def folder(self) -> Path:
        return self.cell.work / self.name

    @property
    def part(self) -> Path:
        return self.cell.work / f"part-{self.name}.json"

    @property
    def log(self) -> Path:
        """Where its worker's messages go."""
        return self.cell.work / f"worker-{self.name}.log"

    def prepare(self) -> None:
        """Make the folder ready. Checkpoints of other settings or code are kept under another name, and a line says so."""
        with hold(self.folder.with_suffix(".lock")):  # an orphan of an earlier run may still be writing
            stamp = self.folder / "digest"
            if self.folder.exists() and (not stamp.exists() or stamp.read_text(encoding="utf-8") != self.cell.digest):
                aside = self.folder.with_name(f"{self.name}.aside")
                shutil.rmtree(aside, ignore_errors=True)
                self.folder.rename(aside)
                said = f"checkpoints of other settings or code were set aside as {aside.name}"
                say(f"{self.folder}: {said}")
            self.folder.mkdir(parents=True, exist_ok=True)
            atomic_write(stamp, self.cell.digest)

    def _produced(self):
        """{name: paths of that file, one per member}."""
        return {name: [sources.file_of(self.cell.folder, name, label) for label in self.labels]
                for name in self.cell.produces}  # fmt: skip

    def specify(self, device: str, made_by: dict) -> Path:
        """Write the spec that its worker reads; returns its path. `made_by`: see `origin.describe`."""
        config = type(self.cell.config)
        spec = {
            "module": self.cell.module,
            "config": f"{config.__module__}:{config.__qualname__}",
            "settings": dataclasses.asdict(self.cell.config),
            "members": self.members,
            "labels": self.labels,
            "digest": self.cell.digest,
            "made_by": made_by,
            "produces": {name: [str(path) for path in paths] for name, paths in self._produced().items()},
            "uses": {
                role: [run for cell in cells for run in used_runs(cell, self.cell.reads[role])]
                for role, cells in self.cell.uses.items()
            },
            "device": device,
            "folder": str(self.folder),
            "part": str(self.part),
            "checkpoint_seconds": CHECKPOINT_SECONDS,
        }
        path = self.cell.work / f"spec-{self.name}.json"
        atomic_write(path, json.dumps(spec))
        return path


def used_runs(cell: Cell, names: tuple[str, ...]) -> list[dict]:
    """What a run is told of every member of a cell that it uses: its files of these names, its settings, the last value of
    each metric. A member that diverged is left out; UserError: no other is there."""
    held = sources.ready(cell, fresh=True, files=names)
    metrics = records.Results(cell.scale, [held]).frame
    if not held.living:
        raise UserError(f"{cell.key}: every member diverged; there is nothing to use")
    runs = []
    for member in held.living:
        own = metrics[(metrics[list(member)] == list(member.values())).all(axis=1)]
        runs.append({
            "files": {name: str(sources.file_of(held.files, name, label(member))) for name in names},
            "settings": dataclasses.asdict(cell.config) | member,
            "last": {metric: float(value) for metric, value in own.groupby("metric")["value"].last().items()},
        })  # fmt: skip
    return runs


def split(cell: Cell, members: list[dict], fleets: int) -> list[Fleet]:
    """`members` of a cell as at most that many fleets. A split that an interrupted run began is kept, because its
    checkpoints are."""
    path = cell.work / "split.json"
    waiting = {label(member): member for member in members}
    groups = []
    if path.exists() and (earlier := json.loads(path.read_text(encoding="utf-8")))["digest"] == cell.digest:
        groups = [[waiting.pop(name) for name in group] for group in earlier["groups"] if set(group) <= set(waiting)]
    rest = list(waiting.values())
    if rest:
        width = math.ceil(len(rest) / fleets)
        groups += [rest[i : i + width] for i in range(0, len(rest), width)]
    atomic_write(path, json.dumps({"digest": cell.digest, "groups": [[label(m) for m in group] for group in groups]}))
    return [Fleet(cell, tuple(group)) for group in groups]
