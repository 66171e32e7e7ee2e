"""New seals for results whose digest moved although their numbers did not.

A digest cannot tell that a renamed local, an inlined helper or a new setting with a neutral default changes nothing.
Training can: the smoke cell of the same experiment is trained at both commits, in this environment, and where metrics and
all tables are equal byte for byte, the result is given today's digest and its record says by which evidence. Checkpoints of
a run that is under way are results too: today's code goes on from them.
"""

import contextlib
import dataclasses
import itertools
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from common.errors import UserError
from common.files import atomic_write, read_json, say
from common.lab.plan import catalog, provenance
from common.lab.plan.catalog import Cell
from common.lab.results import sources
from common.lab.results.costs import cores
from common.lab.run import checkpoints
from common.lab.run.origin import git

# Prints what a commit says of some cells. Every commit that a result may come from must run it.
LISTING = """
import dataclasses, importlib, json, sys
try:
    catalog = importlib.import_module("common.lab.plan.catalog")
except ModuleNotFoundError:
    catalog = importlib.import_module("common.lab.catalog")
known = {}
for scale, key in json.load(sys.stdin):
    try:
        cell = catalog.cell(key, scale)
    except ValueError:
        continue
    settings = {name: value for name, value in dataclasses.asdict(cell.config).items() if name not in cell.scalars}
    known[f"{scale}/{key}"] = {"digest": cell.digest, "settings": settings, "tables": sorted(cell.tables)}
json.dump(known, sys.stdout)
"""


@dataclasses.dataclass(frozen=True, eq=False)
class Moved:
    """A cell whose digest moved: the files that hold the earlier one, and the smoke cell that stands for it."""

    cell: Cell
    files: list[Path]
    smoke: Cell
    former: str  # <paper>/<experiment> at the earlier commit

    def then(self, cell: Cell) -> str:
        """The key that the cell, or the smoke cell, had at the earlier commit."""
        return f"{self.former}/{cell.name}"


def reseal(
    commit: str, papers: Sequence[str] = (), threads: int | None = None, renamed: Sequence[str] = ()
) -> list[tuple[Cell, str]]:
    """Seals the published cells and this checkout's own runs, finished or in part, that were up to date at `commit`, are not
    today, and have the same smoke run at both. Returns [(cell, what was done)] for all whose digest moved.

    papers: those to look at; all by default. threads: workers that train at a time; one per core by default. renamed:
    experiments that had another name at `commit`, as "paper/former=paper/present". Raises `UserError` for an unknown commit
    or paper, and if there are changes that are not committed, for a seal names the commit whose code it vouches for.
    """
    then, now = (git("rev-parse", "--verify", "--quiet", f"{name}^{{commit}}") for name in (commit, "HEAD"))
    if not then:
        raise UserError(f"{commit!r} is no commit of this repository")
    if git("status", "--porcelain", "common", "papers"):
        raise UserError("common/ or papers/ hold changes that are not committed; commit them first: a seal names a commit")
    former = _former(renamed)
    cases = [case for paper in papers or catalog.papers() for case in _moved(paper, former)]
    if not cases:
        return []
    asked = [(cell.scale, key) for case in cases for cell in (case.cell, case.smoke) for key in (cell.key, case.then(cell))]
    with _worktree(then) as before, _worktree(now) as after:
        past, present = (json.loads(_python(root, "-c", LISTING, said=json.dumps(asked))) for root in (before, after))
        reasons = {case: _reason_to_leave(case, past, present) for case in cases}
        wanted = {case.smoke.key: case.then(case.smoke) for case in cases if not reasons[case]}
        for root, trained, keys in ((before, then, list(wanted.values())), (after, now, list(wanted))):
            _train(root, trained, keys, threads or cores())
        done = []
        for case in cases:
            folders = [before / "results/smoke" / case.then(case.smoke), after / case.smoke.place]
            reason = reasons[case] or _difference(*folders)
            if not reason:
                tables = [(path.name, path.read_bytes().hex()) for path in sorted(folders[1].glob("*.csv"))]
                seal = {"from": then, "to": now, "smoke": case.smoke.key, "digest": provenance.digest(*tables)}
                known = past[f"{case.cell.scale}/{case.then(case.cell)}"]["digest"]
                for file in case.files:
                    if _digest(file) == known:  # another one was stale at that commit already
                        _seal(file, case.cell, seal)
            done.append((case.cell, f"left: {reason}" if reason else f"resealed, by {case.smoke.key} at smoke"))
    return done


def _former(renamed):
    """{present <paper>/<experiment>: the former one}, of "former=present"s. UserError: one that is no such pair."""
    pairs = [pair.split("=") for pair in renamed]
    for pair in pairs:
        if len(pair) != 2 or any(name.count("/") != 1 for name in pair):
            raise UserError(f"--renamed {'='.join(pair)}: must be <paper>/<former experiment>=<paper>/<present experiment>")
    return {present: former for former, present in pairs}


def _moved(paper, former):
    """The `Moved` of a paper, at all scales."""
    for experiment in catalog.experiment_names(paper):
        small = catalog.cells(paper, experiment, "smoke")
        for scale in catalog.SCALES:
            for cell in catalog.cells(paper, experiment, scale).values():
                files = [file for file in _records(cell) if _digest(file) != cell.digest]
                if files:
                    name = f"{paper}/{experiment}"
                    yield Moved(cell, files, _nearest(cell, small.values()), former.get(name, name))


def _records(cell):
    """The files that hold the digest of a cell's results."""
    copies = (sources.publication(cell), sources.own(cell), sources.unfinished(cell))
    finished = [copy.folder / "run.json" for copy in copies if copy] + sorted(cell.work.glob("part-*.json"))
    fleets = [stamp.parent for stamp in sorted(cell.work.glob("*/digest")) if stamp.parent.suffix != ".aside"]
    # The stamp comes last, so that a reseal which is cut short is done again.
    begun = [file for fleet in fleets for file in (*filter(_whole, sorted(fleet.glob("checkpoint-?"))), fleet / "digest")]
    return finished + sorted(cell.work.glob("split.json")) + begun


def _whole(checkpoint):
    """Whether a run would go on from it."""
    try:
        return bool(checkpoints.read(checkpoint))
    except UserError:
        return False


def _digest(file):
    """The digest that a file of `_records` holds."""
    if file.name == "digest":
        return file.read_text(encoding="utf-8")
    state = checkpoints.read(file)[1] if file.name.startswith("checkpoint-") else read_json(file)
    return state.get("digest")


def _nearest(cell, small):
    """The smoke cell that agrees with a cell in most values of the grid."""
    return max(small, key=lambda other: sum(other.point[name] == value for name, value in cell.point.items()))


def _reason_to_leave(case, past, present):
    """Why no smoke run can vouch for a cell, or None."""
    before, smoke_before = f"{case.cell.scale}/{case.then(case.cell)}", f"smoke/{case.then(case.smoke)}"
    if before not in past or smoke_before not in past:
        return "that commit has no such cell"
    earlier, today = past[before], present[f"{case.cell.scale}/{case.cell.key}"]
    if not any(_digest(file) == earlier["digest"] for file in case.files):
        return "it was stale at that commit already"
    was, is_now = earlier["settings"], today["settings"]
    changed = [name for name in was.keys() & is_now.keys() if was[name] != is_now[name]]
    # A setting that only one commit has must be vouched for at the value that the cell gives it.
    for settings, smoke in ((was, past[smoke_before]), (is_now, present[f"smoke/{case.smoke.key}"])):
        tried = smoke["settings"]
        changed += [name for name in was.keys() ^ is_now.keys() if name in settings and tried[name] != settings[name]]
    if changed:
        return f"its settings have changed: {', '.join(sorted(changed))}"
    return "it writes other tables" if earlier["tables"] != today["tables"] else None


def _train(root, commit, keys, threads):
    """Trains some smoke cells in a worktree, each in a process of its own, and says how far it is."""

    def train(key):
        _python(root, "-m", "papers", "run", key, "--scale", "smoke", "--threads", "1")
        return key

    with ThreadPoolExecutor(threads) as pool:
        for number, key in enumerate(pool.map(train, keys), 1):
            say(f"at {commit[:7]}: {number} of {len(keys)} smoke cells trained, {key}")


def _difference(before, after):
    """The first place at which two runs differ, or None."""
    names = [sorted(path.name for path in folder.glob("*.csv")) for folder in (before, after)]
    if names[0] != names[1]:
        return f"its smoke run writes {', '.join(names[1])}; it wrote {', '.join(names[0])}"
    for name in names[0]:
        lines = ((folder / name).read_text(encoding="utf-8").splitlines() for folder in (before, after))
        for number, (was, is_now) in enumerate(itertools.zip_longest(*lines, fillvalue="no line"), start=1):
            if was != is_now:
                return f"its smoke run differs: {name}:{number}: {is_now}; it was {was}"
    return None


def _seal(file, cell, seal):
    """Today's digest in a file of `_records`; the seal and settings by today's names where the file says such things."""
    if file.name == "digest":
        return atomic_write(file, cell.digest)
    if file.name.startswith("checkpoint-"):
        arrays, state = checkpoints.read(file)
        return checkpoints.write(file, arrays, state | {"digest": cell.digest})
    record = read_json(file)
    if file.name == "split.json":
        return atomic_write(file, json.dumps(record | {"digest": cell.digest}))
    record |= {"digest": cell.digest, "resealed": [*record.get("resealed", []), seal]}
    if "settings" in record:
        record["settings"] = dataclasses.asdict(cell.config)
    return atomic_write(file, json.dumps(record, indent=1) + "\n" if file.name == "run.json" else json.dumps(record))


@contextlib.contextmanager
def _worktree(commit):
    """A checkout of a commit in a temporary folder."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "checkout"
        if git("worktree", "add", "--detach", str(root), commit) is None:
            raise UserError(f"git could not check out {commit}")
        try:
            yield root
        finally:
            git("worktree", "remove", "--force", str(root))


def _python(root, *arguments, said=None):
    """What this Python prints when it runs in a worktree."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    environment |= {"PYTHONPATH": str(root)}
    settings = {"cwd": root, "env": environment, "input": said, "capture_output": True, "text": True}
    done = subprocess.run([sys.executable, *arguments], **settings)
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["died without a word"]
        raise UserError(f"in a checkout of the commit, {' '.join(arguments[:4])} failed: {lines[-1]}")
    return done.stdout
