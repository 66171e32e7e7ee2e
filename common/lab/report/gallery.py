"""The generated part of README.md and docs/: pictures, the table of artefacts, verdicts, costs."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path

import pandas as pd

from common.files import atomic_write
from common.lab.plan import catalog
from common.lab.report import judging, making, tabular
from common.lab.report.verdicts import STATUSES, Verdict, untested
from common.lab.results import costs, sources

SHOWN = ("paper", "day", "quick")  # scales worth showing, the largest first; smoke pictures mean nothing
GALLERY = "docs/gallery"
HEAD = ["artefact", "shows", "drawn at", "core time: quick", "day", "paper"]


def write() -> list[Path]:
    """Draws every artefact at the largest scale at which all its cells have results (or some, for those that paper.yaml
    lists as `shown_in_part`), and rewrites README.md between its `artefacts` marks and docs/claims_<paper>.md. Returns the
    files."""
    readme = catalog.ROOT / "README.md"
    parts, written = [], [readme]
    for paper in catalog.papers():
        rows, pictures = [], []
        in_part = catalog.front(paper).get("shown_in_part", [])
        for kind in ("figures", "tables"):
            for name in catalog.artefacts(paper, kind):
                scale = largest(name, all) or (largest(name, any) if name in in_part else None)
                rows.append(row(paper, kind, name, scale))
                if scale:
                    written += draw(kind, name, scale)
                    pictures += [f"![{name}]({GALLERY}/{name}.png)"] if kind == "figures" else []
        verdicts, page = judge(paper)
        written.append(page)
        table = tabular.body(pd.DataFrame(rows, columns=HEAD, dtype=object))
        parts += [f"## Results: {paper}", summary(paper, verdicts), table, *pictures]
    text = readme.read_text(encoding="utf-8")
    marked = "<!-- artefacts -->\n" + "\n\n".join(parts) + "\n<!-- /artefacts -->"
    atomic_write(readme, re.sub("<!-- artefacts -->.*<!-- /artefacts -->", lambda _: marked, text, flags=re.DOTALL))
    return written


def largest(name: str, of: Callable) -> str | None:
    """The largest scale at which all (`of` = all) or some (any) cells of a figure or table have results, or None."""
    for scale in SHOWN:
        if of(sources.source(cell).kind != "missing" for cell in catalog.artefact_cells(name, scale)):
            return scale
    return None


def draw(kind: str, name: str, scale: str) -> list[Path]:
    """The artefact in docs/gallery, of the cells that were run: a PNG of a figure, the Markdown of a table."""
    target = catalog.ROOT / GALLERY / name
    make = making.draw if kind == "figures" else making.tabulate
    files = make(name, scale, target.with_suffix(".pdf" if kind == "figures" else ".md"), available=True)
    kept = ".png" if kind == "figures" else ".md"
    for path in files:
        if path.suffix != kept:
            path.unlink()  # the gallery is for looking; the vector file is what the workflow makes
    return [path for path in files if path.suffix == kept]


def row(paper: str, kind: str, name: str, scale: str | None) -> list[str]:
    """One artefact: its name, what it shows, what it rests on, its core time from scratch."""
    function = catalog.function(paper, kind, name)
    cells = catalog.artefact_cells(name, scale or "paper")
    run = [source for source in map(sources.source, cells) if source.kind != "missing"] if scale else []
    seeds = sorted({len(source.finished) for source in run})
    rests = "to be run" if not scale else scale if not cells else f"{scale}, {'-'.join(map(str, seeds))} seeds"
    rests += f", {len(run)} of {len(cells)} cells" if len(run) < len(cells) and scale else ""
    rests += ", stale" if any(source.stale for source in run) else ""
    link = f"[{name}]({GALLERY}/{name}{'.png' if kind == 'figures' else '.md'})" if scale else name
    shows = making.caption(function).partition(". ")[0].rstrip(".")
    return [link, shows, rests, *(cost(name, at) for at in ("quick", "day", "paper"))]


def cost(name: str, scale: str) -> str:
    """Core time of all cells of an artefact, from scratch, as if none had been run, at the reference speed."""
    cells = catalog.artefact_cells(name, scale)
    total = sum(costs.estimate(cell, missing=len(cell.members), speed=costs.FALLBACK_SPEED).core_seconds for cell in cells)
    return costs.duration(total) if total else "none"


def judge(paper: str) -> tuple[dict[str, Verdict], Path]:
    """Writes `claims_page`; returns {claim: verdict} and the page."""
    verdicts, text = claims_page(paper)
    page = catalog.ROOT / "docs" / f"claims_{paper}.md"
    atomic_write(page, text)
    return verdicts, page


def claims_frame(paper: str) -> tuple[dict[str, Verdict], pd.DataFrame]:
    """{claim: verdict}, each at the largest scale at which all its cells, or those of some environments, have results; and
    the same as a table."""
    trials = {name: judging.trial(paper, name, SHOWN) for name in catalog.artefacts(paper, "claims")}
    verdicts, _ = judging.verdicts(paper, trials)
    missing = judging.not_written(paper)
    verdicts |= dict.fromkeys(missing, untested("not written"))
    frame = tabular.verdicts(verdicts, making.claims_in_words(paper) | missing)
    frame.insert(3, "scale", [at.scale if (at := trials.get(name)) else "" for name in frame["claim"]])
    return verdicts, frame


def claims_page(paper: str) -> tuple[dict[str, Verdict], str]:
    """{claim: verdict}, and docs/claims_<paper>.md, which shows them."""
    verdicts, frame = claims_frame(paper)
    caption = (
        f"Verdicts on the claims of {paper}, each at the largest scale that was run, corrected by Holm: what the paper "
        "claims (c…) and what we ask beyond it (own_…) are two families. Prices are those of a core of "
        f"{costs.FALLBACK_SPEED:g} GFLOP/s."
    )
    return verdicts, tabular.markdown(frame, caption, "", "mixed")


def summary(paper: str, verdicts: Mapping[str, Verdict]) -> str:
    """How many claims came out which way."""
    statuses = [verdict.status for verdict in verdicts.values()]
    counted = ", ".join(f"{statuses.count(status)} {status}" for status in STATUSES if status in statuses)
    number = "1 claim" if len(statuses) == 1 else f"{len(statuses)} claims"
    return f"[{number}](docs/claims_{paper}.md): {counted}."
