"""Makes figures, tables and verdicts from results."""

import inspect
import multiprocessing
import re
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from common.errors import UserError
from common.files import say
from common.lab.plan import catalog
from common.lab.results import costs, records, sources
from common.lab.results.requests import SUFFIXES, Asked


def draw(
    name: str,
    scale: str,
    output: Path | None = None,
    fresh: bool = False,
    available: bool = False,
    threads: int | None = None,
) -> list[Path]:
    """Draws a figure from the results of the experiments it names; returns the files written (PDF and PNG). `all` stands for
    all figures, tables and verdicts, made by `threads` processes.

    Every cell that it reads must have been run; with `available` it is drawn of those that were, and says so.
    """
    if name == "all":
        if output:
            raise UserError(f"--output {output}: all is many files; leave it out")
        return everything(scale, fresh, available, threads)
    function, results, path = _call(name, "figures", scale, output, fresh, available)
    import matplotlib

    matplotlib.use("agg")
    from common.lab.report import plots, stamping

    with plots.style():
        figure = function(**results)
        if not hasattr(figure, "savefig"):
            raise UserError(f"{name}: must return a matplotlib figure, not {type(figure).__name__}")
        stamping.stamp(figure, list(results.values()), scale, caption(function))
        return stamping.save(figure, path, scale)


def everything(scale: str, fresh: bool = False, available: bool = False, threads: int | None = None) -> list[Path]:
    """Every figure, table and paper's verdicts that can be made here, in the files of `snakemake all`, or at scale smoke of
    `snakemake smoke`: without its process per artefact, whose start takes longer than most drawing. Returns the files.

    Every cell that they read must have been run; with `available` what was run is shown, and a line says what is left
    out because too little was.
    """
    seeds = catalog.replaced_seeds()
    asked = Asked({"scale": scale, "fresh": fresh} | ({"seeds": seeds} if seeds else {}))
    files = [Path(file) for file in asked.everything("smoke/" if scale == "smoke" else "")]
    workers = min(threads or costs.cores(), len(files))
    arguments = [(file, scale, fresh, available, seeds) for file in files]
    if workers < 2:
        return [made for one in arguments for made in _artefact(*one)]
    context = multiprocessing.get_context("spawn")  # a fork of a process with threads may hang
    with ProcessPoolExecutor(workers, mp_context=context) as pool:
        return [made for each in pool.map(_artefact, *zip(*arguments, strict=True)) for made in each]


def _artefact(file, scale, fresh, available, seeds):
    """Makes the artefact of one file; returns the files."""
    catalog.replace_seeds(seeds)
    make = {"figures": draw, "tables": tabulate, "claims": judge}[catalog.find(file.stem)[1]]
    try:
        return make(file.stem, scale, catalog.ROOT / file, fresh, available)
    except UserError as error:
        if not available:
            raise
        say(f"{file.stem}: left out: {str(error).removeprefix(f'{file.stem}: ')}")
        return []


def tabulate(name: str, scale: str, output: Path | None = None, fresh: bool = False, available: bool = False) -> list[Path]:
    """Writes a table as Markdown, LaTeX and CSV; returns the files. `available` as for `draw`."""
    function, results, path = _call(name, "tables", scale, output, fresh, available)
    from common.lab.report import stamping, tabular

    frame = function(**results)
    if not hasattr(frame, "to_dict"):
        raise UserError(f"{name}: must return a pandas DataFrame, not {type(frame).__name__}")
    note = stamping.summary(list(results.values()), scale) if results else ""
    return tabular.write(path, frame, caption(function), note, scale)


def judge(paper: str, scale: str, output: Path | None = None, fresh: bool = False, available: bool = False) -> list[Path]:
    """Tests every claim of a paper, corrects for their number and writes the verdicts as Markdown and CSV.

    Every cell that a claim reads must have been run. With `available`, a claim is tested in the environments that were run
    in full, and untested (in part), or in none, and untested (not run).
    """
    from common.lab.report import judging, stamping, tabular
    from common.lab.report.verdicts import untested

    paper = paper.removeprefix("claims_")
    path = _path(f"claims_{paper}", "claims", scale, output)
    names = catalog.artefacts(paper, "claims")
    trials = {name: judging.trial(paper, name, (scale,), fresh) if available else judging.Trial(scale) for name in names}
    verdicts, read = judging.verdicts(paper, trials, fresh)
    missing = judging.not_written(paper)
    verdicts |= dict.fromkeys(missing, untested("not written"))
    frame = tabular.verdicts(verdicts, claims_in_words(paper) | missing)
    note = stamping.summary(read, scale)
    return tabular.write(path, frame, f"Verdicts on the claims of {paper}, corrected by Holm", note, scale, latex=False)


def claims_in_words(paper: str) -> dict[str, str]:
    """{claim: the first paragraph of its docstring}."""
    names = catalog.artefacts(paper, "claims")
    return {name: caption(catalog.function(paper, "claims", name)) for name in names}


def _call(name, kind, scale, output, fresh, available):
    """The function of an artefact, its arguments {experiment: Results}, and the file to write."""
    paper, actual = catalog.find(name)
    if actual != kind:
        verb = {"figures": "draw", "tables": "tabulate", "claims": "judge"}[actual]
        raise UserError(f"{name} is one of the {actual} of {paper}; use: python -m papers {verb}")
    wanted = catalog.artefacts(paper, kind)[name]
    for cell in catalog.artefact_cells(name, scale) if not available else ():
        sources.ready(cell, fresh)
    results = {name: records.load(paper, name, scale, chosen, fresh, available) for name, chosen in wanted.items()}
    if available and results and not any(experiment.cells for experiment in results.values()):
        raise UserError(f"{name}: none of its cells has been run at scale {scale}")
    return catalog.function(paper, kind, name), results, _path(name, kind, scale, output)


def _path(name, kind, scale, output):
    """The file to write. A picture of a larger scale that it replaces is named to the user."""
    path = Path(output or catalog.ROOT / "figures" / f"{name}{SUFFIXES[kind][0]}")
    if path.is_dir():
        raise UserError(f"--output {output or path}: is a folder; it must name the file to write")
    sources.say_if_larger(path, scale)
    return path


def caption(function: Callable) -> str:
    """The first paragraph of a docstring, on one line."""
    paragraphs = re.split(r"\n\s*\n", inspect.getdoc(function) or "")
    return " ".join(paragraphs[0].split())
