"""What README.md shows of the results: pictures, the table of artefacts, verdicts, costs. All of it is generated."""

import re

import yaml

from common.files import atomic_write
from common.lab.plan import catalog
from common.lab.report import commands, judging, tabular
from common.lab.results import costs, sources

SHOWN = ("paper", "day", "quick")  # scales worth showing, the largest first; smoke pictures mean nothing
GALLERY = "docs/gallery"


def write():
    """Draws every artefact at the largest scale at which all its cells are there (or some, for those of paper.yaml's
    `shown_in_part`), and rewrites README.md between its `artefacts` marks and docs/claims_<paper>.md. Returns the files."""
    readme = catalog.ROOT / "README.md"
    parts, written = [], [readme]
    for paper in catalog.papers():
        rows, pictures = [], []
        in_part = read_yaml(catalog.ROOT / "papers" / paper / "paper.yaml").get("shown_in_part", [])
        for kind in ("figures", "tables"):
            for name in catalog.artefacts(paper, kind):
                scale = largest(name) or (begun(name) if name in in_part else None)
                rows.append(row(paper, kind, name, scale))
                if scale:
                    written += draw(kind, name, scale)
                    pictures += [picture(name)] if kind == "figures" else []
        verdicts, page = judge(paper)
        written.append(page)
        parts += [f"## Results: {paper}", summary(paper, verdicts), table(rows), *pictures]
    text = readme.read_text()
    marked = "<!-- artefacts -->\n" + "\n\n".join(parts) + "\n<!-- /artefacts -->"
    atomic_write(readme, re.sub("<!-- artefacts -->.*<!-- /artefacts -->", lambda _: marked, text, flags=re.DOTALL))
    return written


def read_yaml(path):
    """A paper.yaml as a dict; empty if there is none."""
    return yaml.safe_load(path.read_text()) or {} if path.exists() else {}


def largest(name):
    """The largest scale at which all cells of a figure or table have results, or None."""
    for scale in SHOWN:
        if all(sources.source(cell).kind != "missing" for cell in catalog.artefact_cells(name, scale)):
            return scale
    return None


def begun(name):
    """The largest scale at which some of its cells have results, or None."""
    for scale in SHOWN:
        if any(sources.source(cell).kind != "missing" for cell in catalog.artefact_cells(name, scale)):
            return scale
    return None


def draw(kind, name, scale):
    """The artefact in docs/gallery, of the cells that were run: a PNG of a figure, the Markdown of a table."""
    target = catalog.ROOT / GALLERY / name
    make = commands.draw if kind == "figures" else commands.tabulate
    files = make(name, scale, target.with_suffix(".pdf" if kind == "figures" else ".md"), available=True)
    kept = ".png" if kind == "figures" else ".md"
    for path in files:
        if path.suffix != kept:
            path.unlink()  # the gallery is for looking; the vector file is what the workflow makes
    return [path for path in files if path.suffix == kept]


def row(paper, kind, name, scale):
    """One artefact: its name, what it shows, what it rests on, what it costs from scratch on one core."""
    function = catalog.function(paper, kind, name)
    cells = catalog.artefact_cells(name, scale or "paper")
    found = [one for cell in cells if (one := sources.source(cell)).kind != "missing"] if scale else []
    seeds = sorted({len(one.finished) for one in found})
    rests = "to be run" if not scale else scale if not cells else f"{scale}, {'-'.join(map(str, seeds))} seeds"
    rests += f", {len(found)} of {len(cells)} cells" if len(found) < len(cells) and scale else ""
    rests += ", stale" if any(one.stale for one in found) else ""
    link = f"[{name}]({GALLERY}/{name}{'.png' if kind == 'figures' else '.md'})" if scale else name
    shows = commands.caption(function).partition(". ")[0].rstrip(".")
    return [link, shows, rests, *(cost(name, at) for at in ("quick", "day", "paper"))]


def cost(name, scale):
    """Core time of all cells of an artefact, from scratch, as if none were there."""
    total = sum(costs.estimate(cell, missing=len(cell.members)).core_seconds for cell in catalog.artefact_cells(name, scale))
    return costs.duration(total) if total else "none"


def table(rows):
    head = ["artefact", "shows", "drawn at", "core time: quick", "day", "paper"]
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def picture(name):
    return f"![{name}]({GALLERY}/{name}.png)"


def judge(paper):
    """Every claim at the largest scale at which its cells are there, or else those of some environments; ({name: Verdict},
    the page written)."""
    trials = {name: judging.trial(paper, name, SHOWN) for name in catalog.artefacts(paper, "claims")}
    found, _ = judging.verdicts(paper, trials)
    frame = tabular.verdicts(found, commands.claims_in_words(paper))
    frame.insert(3, "scale", [at.scale if (at := trials[name]) else "" for name in frame["claim"]])
    page = catalog.ROOT / "docs" / f"claims_{paper}.md"
    what = f"Verdicts on the claims of {paper}, each at the largest scale that was run, corrected by Holm."
    atomic_write(page, tabular.markdown(frame, what, "", "mixed"))
    return found, page


def summary(paper, verdicts):
    """How many claims came out which way."""
    statuses = [verdict.status for verdict in verdicts.values()]
    counted = ", ".join(
        f"{statuses.count(status)} {status}"
        for status in ("reproduced", "contradicted", "inconclusive", "untested")
        if status in statuses
    )
    number = "1 claim" if len(statuses) == 1 else f"{len(statuses)} claims"
    return f"[{number}](docs/claims_{paper}.md): {counted}."
