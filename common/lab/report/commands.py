"""What `python -m papers` makes: runs, figures, tables, verdicts and published results."""

import inspect
import os
import re
from pathlib import Path

from common.errors import UserError
from common.files import shown
from common.lab.plan import catalog
from common.lab.results import sources

LARGEST_PUBLISHED = 2 * 10**6  # bytes of one file


def run(target, scale, threads=None, device="cpu", seeds=None, exactly=False, anew=False):
    """Trains the members that are missing of the cells that `target` names, <paper>[/<experiment>[/<cell>]] or all, and
    writes their results; returns the cells' folders. Published members are not missing, unless `anew`.

    `seeds` stand in place of an experiment's. Where all of them are among its own, only those are trained and the others
    are still wanted, unless the cells are to have `exactly` these.

    One cell is split over the threads, as many as are asked for or as do it good; several are trained side by side, those
    that others read first.
    """
    from common.lab.run import harness

    cells = _targeted(target, scale)
    if seeds:
        among = [not exactly and {*seeds} <= {member["seed"] for member in cell.members} for cell in cells]
        cells = [cell if one else catalog.reseeded(cell, seeds) for cell, one in zip(cells, among, strict=True)]
    if len(cells) > 1:
        cells = [cell for cell in cells if anew or sources.source(cell, fresh=True).kind == "missing"]
    asked, threads = threads, min(threads or 1000, len(os.sched_getaffinity(0)))
    folders = []
    while cells:
        waiting = {cell.key for cell in cells}
        ready = [cell for cell in cells if not waiting & {used.key for used in cell.uses}]
        for used in {used for cell in ready for used in cell.uses}:
            sources.ready(used, fresh=True)
        split = 1 if len(ready) > 1 else threads if asked else ready[0].threads(threads)
        folders += harness.run_all(ready, threads, device, seeds, fleets=split, anew=anew)
        cells = [cell for cell in cells if cell not in ready]
    return folders


def draw(name, scale, output=None, fresh=False, available=False):
    """Draws a figure from the results of the experiments it names; returns the files written (PDF and PNG).

    Every cell that it reads must have been run; with `available` it is drawn of those that were, and says so.
    """
    function, results = _call(name, "figures", scale, fresh, available)
    import matplotlib

    matplotlib.use("agg")
    from common.lab.report import plots, stamping

    path = Path(output or catalog.ROOT / "figures" / f"{name}.pdf")
    sources.say_if_larger(path, scale)
    with plots.style():
        figure = function(**results)
        if not hasattr(figure, "savefig"):
            raise UserError(f"{name}: must return a matplotlib figure, not {type(figure).__name__}")
        stamping.stamp(figure, list(results.values()), scale, caption(function))
        return stamping.save(figure, path, scale)


def tabulate(name, scale, output=None, fresh=False, available=False):
    """Writes a table as Markdown, LaTeX and CSV; returns the files. `available` as for `draw`."""
    function, results = _call(name, "tables", scale, fresh, available)
    from common.lab.report import stamping, tabular

    path = Path(output or catalog.ROOT / "figures" / f"{name}.md")
    sources.say_if_larger(path, scale)
    frame = function(**results)
    if not hasattr(frame, "to_dict"):
        raise UserError(f"{name}: must return a pandas DataFrame, not {type(frame).__name__}")
    note = stamping.summary(list(results.values()), scale) if results else ""
    return tabular.write(path, frame, caption(function), note, scale)


def judge(paper, scale, output=None, fresh=False, available=False):
    """Tests every claim of a paper, corrects for their number and writes the verdicts as Markdown and CSV.

    Every cell that a claim reads must have been run. With `available`, a claim is tested in the environments that were run
    in full, and untested (in part), or in none, and untested (not run).
    """
    from common.lab.report import judging, stamping, tabular

    paper = paper.removeprefix("claims_")
    path = Path(output or catalog.ROOT / "figures" / f"claims_{paper}.md")
    sources.say_if_larger(path, scale)
    trials = dict.fromkeys(catalog.artefacts(paper, "claims"), judging.Trial(scale))
    if available:
        trials = {name: judging.trial(paper, name, (scale,), fresh) for name in trials}
    found, read = judging.verdicts(paper, trials, fresh)
    frame = tabular.verdicts(found, claims_in_words(paper))
    note = stamping.summary(read, scale)
    return tabular.write(path, frame, f"Verdicts on the claims of {paper}, corrected by Holm", note, scale, latex=False)


def claims_in_words(paper):
    """{claim: the first paragraph of its docstring}."""
    names = catalog.artefacts(paper, "claims")
    return {name: caption(catalog.function(paper, "claims", name)) for name in names}


def publish(target, scale, partial=False):
    """Copies finished cells with today's digest to published/; returns [(cell, what was done)].

    `target` is <paper>[/<experiment>[/<cell>]]. `partial` also takes cells in which some members are finished. Members that
    were published already stay, beside new ones.
    """
    done = []
    for cell in _targeted(target, scale):
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
    from common.lab.run import fleets, harness, joining, locks

    with locks.hold(fleets.lock_file(cell)):
        joining.adopt(cell)
        joining.join(cell, harness.made_by(cell))
    return sources.own(cell) or sources.unfinished(cell)


def _targeted(target, scale):
    """The cells that <paper>[/<experiment>[/<cell>]] names; `all` names those of every paper."""
    if target == "all":
        return [cell for paper in catalog.papers() for cell in _targeted(paper, scale)]
    parts = target.strip("/").split("/")
    if len(parts) == 3:
        return [catalog.cell(target, scale)]
    if len(parts) > 3:
        raise UserError(f"{target!r}: the form is <paper>[/<experiment>[/<cell>]]")
    known = parts[1:] or catalog.experiment_names(parts[0])
    return [cell for experiment in known for cell in catalog.cells(parts[0], experiment, scale).values()]


def _call(name, kind, scale, fresh, available=False):
    """The function of an artefact and its arguments: {experiment: Results}."""
    paper, found = catalog.find(name)
    if found != kind:
        verb = {"figures": "draw", "tables": "tabulate", "claims": "judge"}[found]
        raise UserError(f"{name} is one of the {found} of {paper}; use: python -m papers {verb}")
    wanted = catalog.artefacts(paper, kind)[name]
    for cell in catalog.artefact_cells(name, scale) if not available else ():
        sources.ready(cell, fresh)
    from common.lab.results import records

    results = {one: records.load(paper, one, scale, chosen, fresh, available) for one, chosen in wanted.items()}
    if available and results and not any(one.cells for one in results.values()):
        raise UserError(f"{name}: none of its cells has been run at scale {scale}")
    return catalog.function(paper, kind, name), results


def caption(function):
    """The first paragraph of a docstring, on one line."""
    paragraphs = re.split(r"\n\s*\n", inspect.getdoc(function) or "")
    return " ".join(paragraphs[0].split())
