"""Copies finished results to published/, where git tracks them."""

from common.errors import UserError
from common.files import shown
from common.lab.plan import catalog
from common.lab.plan.catalog import Cell
from common.lab.results import sources
from common.lab.run import fleets, harness, joining, locks

LARGEST_PUBLISHED = 2 * 10**6  # bytes of one file


def publish(target: str, scale: str, partial: bool = False) -> list[tuple[Cell, str]]:
    """Copies finished cells with today's digest to published/; returns [(cell, what was done)].

    `target` is <paper>[/<experiment>[/<cell>]]. `partial` also takes cells in which some members are finished. Members that
    were published already stay, beside new ones.
    """
    done = []
    for cell in catalog.targeted(target, scale):
        found = sources.own(cell) or (sources.unfinished(cell) if partial else None)
        held = sources.publication(cell)
        known = held.finished if held and not held.stale else ()
        if found is None or found.stale or not found.finished:
            done.append((cell, "not run" if found is None or not found.finished else "stale, left out"))
        elif found.partial and not partial:
            done.append((cell, f"{len(found.finished)} of {len(cell.members)} members: --partial publishes them"))
        elif all(member in known for member in found.finished):
            done.append((cell, "was published already"))
        else:
            if not all(member in found.finished for member in known):
                found = _joined(cell)
            large = [path for path in sources.files(found) if path.stat().st_size > LARGEST_PUBLISHED]
            if large:
                raise UserError(f"{shown(large[0])}: over {LARGEST_PUBLISHED / 1e6:.0f} MB, too large to publish")
            sources.copy(found, cell.published)
            done.append((cell, f"published, {len(found.finished)} of {len(cell.members)} members"))
    return done


def _joined(cell):
    """This checkout's run of a cell with the published members that it lacks."""
    with locks.hold(fleets.lock_file(cell)):
        joining.adopt(cell)
        joining.join(cell, harness.made_by(cell))
    return sources.own(cell) or sources.unfinished(cell)
