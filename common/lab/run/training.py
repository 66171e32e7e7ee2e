"""Trains what a command names."""

from pathlib import Path

from common.errors import UserError
from common.files import say
from common.lab.plan import catalog, packages
from common.lab.plan.catalog import Cell
from common.lab.results import costs, sources
from common.lab.run import harness


def run(
    target: str,
    scale: str,
    threads: int | None = None,
    device: str = "cpu",
    seeds: list[int] | None = None,
    exactly: bool = False,
    anew: bool = False,
) -> list[Path]:
    """Trains the members that are missing of the cells that `target` names, <paper>[/<experiment>[/<cell>]], <paper>/<claim>
    or all, and writes their results; returns the cells' folders. Published members are not missing, unless `anew`.

    `seeds` stand in place of an experiment's. Where all of them are among its own, only those are trained and the others
    are still wanted, unless the cells are to have `exactly` these.

    One cell is split over `threads`, or over as many as its algorithm profits from; several are trained side by side, those
    that others read first. Raises `UserError` for an unknown target.
    """
    if exactly and not seeds:
        raise UserError("--exactly gives a cell the members of --seeds alone; it needs --seeds")
    cells = catalog.targeted(target, scale)
    if seeds:
        own = [not exactly and {*seeds} <= {member["seed"] for member in cell.members} for cell in cells]
        cells = [cell if kept else catalog.reseeded(cell, seeds) for cell, kept in zip(cells, own, strict=True)]
    many = len(cells) > 1
    if many and not anew:
        cells = missing(cells)
    cells = _possible(cells, many)
    asked, threads = threads, min(threads or 1000, costs.cores())
    folders = []
    while cells:
        waiting = {cell.key for cell in cells}
        ready = [cell for cell in cells if not waiting & {other.key for other in cell.used}]
        for other, names in [pair for cell in ready for pair in cell.inputs]:
            sources.ready(other, fresh=True, files=names)
        split = 1 if len(ready) > 1 else threads if asked else ready[0].threads(threads)
        folders += harness.run_all(ready, threads, device, seeds, fleets=split, anew=anew)
        cells = [cell for cell in cells if cell not in ready]
    return folders


def _possible(cells, many):
    """The cells without those that need what is not here: of many they are left out, and a line per reason says so."""
    left: dict[str, list[str]] = {}
    for cell in list(cells):
        reason = packages.lacking(cell, alone=not many)
        if not reason or sources.source(cell, fresh=True).kind != "missing":
            continue
        if not many:
            raise UserError(f"{cell.key}: {reason}")
        left.setdefault(reason, []).append(cell.key)
        cells = [other for other in cells if other is not cell]
    for reason, keys in left.items():
        more = f" and {len(keys) - 1} more cell{'s' * (len(keys) > 2)}" if len(keys) > 1 else ""
        say(f"{keys[0]}{more}: left out: {reason}")
    return cells


def missing(cells: list[Cell]) -> list[Cell]:
    """Those of some cells that have no results, and those whose files these read and which lack them."""
    known = {cell.key: cell for cell in cells}
    found = {key: cell for key, cell in known.items() if sources.source(cell, fresh=True).kind == "missing"}
    waiting = list(found.values())
    while waiting:
        for other, names in waiting.pop().inputs:
            absent = other.key not in found and sources.source(other, fresh=True, files=names).kind == "missing"
            if absent and other.key in known:
                found[other.key] = known[other.key]
                waiting.append(known[other.key])
    return [cell for key, cell in known.items() if key in found]
