"""Copies finished results to published/, where git tracks them."""

from common.errors import UserError
from common.files import atomic_write, shown
from common.lab.plan import catalog
from common.lab.plan.catalog import Cell
from common.lab.results import sources
from common.lab.run import harness, joining, locks

LARGEST_PUBLISHED = 2 * 10**6  # bytes of one table
LARGEST_FILE = 10**6  # bytes of a file for other runs; policies are smaller, data sets are not, and can be made again


def publish(target: str, scale: str, partial: bool = False) -> list[tuple[Cell, str]]:
    """Copies finished cells with today's digest to published/; returns [(cell, what was done)].

    `target` is <paper>[/<experiment>[/<cell>]]. `partial` also takes cells in which some members are finished. Members that
    were published already stay, beside new ones.
    """
    done = []
    for cell in catalog.targeted(target, scale):
        mine = sources.own(cell) or (sources.unfinished(cell) if partial else None)
        held = sources.publication(cell)
        known = held.finished if held and not held.stale else ()
        if mine is None or mine.stale or not mine.finished:
            done.append((cell, "not run" if mine is None or not mine.finished else "stale, left out"))
        elif mine.partial and not partial:
            done.append((cell, f"{len(mine.finished)} of {len(cell.members)} members: --partial publishes them"))
        elif all(member in known for member in mine.finished):
            done.append((cell, "was published already"))
        else:
            if not all(member in mine.finished for member in known):
                mine = _joined(cell)
            made = sources.files_of(mine.files, mine.cell.produces, map(sources.label, mine.living))
            small = [file for file in sorted(made) if file.exists() and file.stat().st_size < LARGEST_FILE]
            files = [*sorted(mine.folder.glob("*.csv")), *small, mine.folder / "run.json"]  # which tells that all are there
            if large := [file for file in files if file.stat().st_size > LARGEST_PUBLISHED]:
                raise UserError(f"{shown(large[0])}: over {LARGEST_PUBLISHED / 1e6:.0f} MB, too large to publish")
            for file in files:
                atomic_write(cell.published / file.name, file.read_bytes())
            done.append((cell, f"published, {len(mine.finished)} of {len(cell.members)} members"))
    return done


def _joined(cell):
    """This checkout's run of a cell with the published members that it lacks."""
    with locks.hold(cell.work / "lock"):
        joining.adopt(cell)
        joining.join(cell, harness.made_by(cell))
    return sources.own(cell) or sources.unfinished(cell)
