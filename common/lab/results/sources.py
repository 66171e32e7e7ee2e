"""Which copy of a cell's results a figure reads: the published one, this checkout's own, or none yet.

A cell's run.json lists the members that it holds, each with its seed and scalar settings, and the digest of what they
were made by.
"""

import dataclasses
import functools
import itertools
import re
from collections.abc import Iterable
from pathlib import Path

from common.errors import UserError
from common.files import read_json, say
from common.lab.plan import catalog
from common.lab.plan.catalog import Cell

LENIENT = ("day", "paper")  # scales at which a stale or partial published cell is drawn, and says so


@dataclasses.dataclass(frozen=True, eq=False)
class Source:
    """Where a cell's results stand. `kind` is 'published', 'results' or 'missing'; `stale` says that they are of other
    settings or code than today's; `finished` are the wanted members that the folder holds."""

    cell: Cell
    kind: str
    folder: Path
    record: dict
    stale: bool
    finished: tuple

    @property
    def partial(self) -> bool:
        return len(self.finished) < len(self.cell.members)

    @property
    def files(self) -> Path:
        """The folder of the files that the cell produces: a run writes them where its results will stand."""
        return self.cell.folder if self.kind == "results" else self.folder

    @property
    def living(self) -> tuple:
        """The finished members that did not diverge: the others leave no files."""
        return tuple(member for member in self.finished if label(member) not in self.record.get("diverged", {}))

    def has(self, names: Iterable[str]) -> bool:
        """Whether files of these names are there, of every wanted member that lived."""
        return all(map(Path.exists, files_of(self.files, names, map(label, self.living))))

    @property
    def metrics(self) -> str:
        """The cell's table of metrics, relative to the root if it stands below it."""
        return str((self.folder / "metrics.csv").relative_to(self.cell.root))


def label(member: dict) -> str:
    """A member's name: its seed, and the scalars in which it differs."""
    return "_".join([str(member["seed"])] + [f"{key}={value}" for key, value in member.items() if key != "seed"])


def file_of(folder: Path, name: str, label: str) -> Path:
    """Where a member's file stands of those that a cell produces."""
    return folder / f"{name}-{label}.safetensors"


def files_of(folder: Path, names: Iterable[str], labels: Iterable[str]) -> list[Path]:
    """Where all files of these names stand of some members of a cell."""
    return [file_of(folder, *pair) for pair in itertools.product(names, labels)]


def source(cell: Cell, fresh: bool = False, files: Iterable[str] = ()) -> Source:
    """The copy of a cell that stands for it. One that lacks one of the `files` does not count.

    A published copy with today's digest and all wanted members; else this checkout's own, be the run finished or not; else,
    at the scales that cost days and unless `fresh`, a published copy that is stale or lacks members; else none: the cell has
    to be run.
    """
    published, mine = publication(cell), own(cell)
    for held in (published, mine, unfinished(cell)):
        if held and not held.stale and not held.partial and held.has(files):
            return held
    if published and published.finished and published.has(files) and cell.scale in LENIENT and not fresh:
        return published
    none = Source(cell, "missing", cell.folder, {}, False, ())
    return dataclasses.replace(mine or published or none, kind="missing", folder=cell.folder)


def run_inputs(key: str, scale: str) -> list[str]:
    """Paths, relative to the root, of the metrics that a cell's run reads: those of the cells it uses."""
    return [source(cell, fresh=True, files=names).metrics for cell, names in catalog.cell(key, scale).inputs]


def ready(cell: Cell, fresh: bool = False, files: Iterable[str] = ()) -> Source:
    """The cell's source, which must exist. Raises `UserError` with the command that makes it."""
    held = source(cell, fresh, files)
    if held.kind != "missing":
        return held
    state = "is stale" if held.stale else "lacks members" if held.partial else "lacks its files"
    state = state if held.record else "has not been run"
    command = f"python -m papers run {cell.key} --scale {cell.scale}{catalog.seeds_option()}{catalog.data_option()}"
    raise UserError(f"{cell.key} {state} at scale {cell.scale}; run: {command}")


def publication(cell: Cell) -> Source | None:
    """The tracked copy of a cell's results, or None. Runs of the same digest are the same run: a toy that costs seconds and
    was published at one scale stands for the same cell at another."""
    own = _look(cell, "published", cell.published)
    if own and not own.stale and not own.partial:
        return own
    elsewhere = [_look(cell, "published", cell.root / "published" / scale / cell.key) for scale in catalog.SCALES]
    same = [held for held in elsewhere if held and not held.stale and not held.partial]
    return same[0] if same else own


def stale_publications() -> list[Path]:
    """Folders below published/ whose results are not today's: of other settings or code, without a record, or of no cell
    that there is."""
    cells = {cell.published: cell for scale in catalog.SCALES for cell in catalog.targeted("all", scale)}
    folders = sorted({file.parent for file in (catalog.ROOT / "published").rglob("*") if file.is_file()})
    held = {folder: folder in cells and _look(cells[folder], "published", folder) for folder in folders}
    return [folder for folder, source in held.items() if not source or source.stale]


def own(cell: Cell) -> Source | None:
    """This checkout's finished run of a cell, or None."""
    return _look(cell, "results", cell.folder)


def unfinished(cell: Cell) -> Source | None:
    """The finished members of a run that still lacks others, which no figure reads; None if there are none."""
    return _look(cell, "results", cell.work / "partial")


@functools.cache
def say_if_larger(path: str | Path, scale: str) -> None:
    """Tells a person that a picture or table of a larger scale is about to be replaced."""
    path = Path(path)
    drawn = re.search(rb"scale=(\w+)", path.read_bytes()) if path.exists() else None
    order = catalog.SCALES
    if drawn and (name := drawn[1].decode()) in order and order.index(name) > order.index(scale):
        again = f"--config scale={name}"
        say(f"{path} shows scale {name}; it will be replaced by scale {scale} ({again} keeps it)")


def _look(cell, kind, folder):
    """The source in a folder, or None if there is no finished record."""
    if not (folder / "metrics.csv").exists():
        return None
    record = read_json(folder / "run.json")
    held = record.get("members", [])
    finished = tuple(member for member in cell.members if member in held)
    return Source(cell, kind, folder, record, record.get("digest") != cell.digest, finished)
