"""Trains what a command names."""

import os
from pathlib import Path

from common.errors import UserError
from common.lab.plan import catalog
from common.lab.results import sources
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
    used = {used.key for cell in cells for used in cell.used}
    if seeds:
        own = [not exactly and {*seeds} <= {member["seed"] for member in cell.members} for cell in cells]
        cells = [cell if kept else catalog.reseeded(cell, seeds) for cell, kept in zip(cells, own, strict=True)]
    if len(cells) > 1:
        held = [sources.source(cell, fresh=True, files=cell.key in used) for cell in cells]
        cells = [cell for cell, source in zip(cells, held, strict=True) if anew or source.kind == "missing"]
    asked, threads = threads, min(threads or 1000, len(os.sched_getaffinity(0)))
    folders = []
    while cells:
        waiting = {cell.key for cell in cells}
        ready = [cell for cell in cells if not waiting & {other.key for other in cell.used}]
        for other in {other for cell in ready for other in cell.used}:
            sources.ready(other, fresh=True, files=True)
        split = 1 if len(ready) > 1 else threads if asked else ready[0].threads(threads)
        folders += harness.run_all(ready, threads, device, seeds, fleets=split, anew=anew)
        cells = [cell for cell in cells if cell not in ready]
    return folders
