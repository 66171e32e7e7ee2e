"""The site: every result with the function that drew it, the runs behind it and their numbers, for a browser without a net.

`python -m papers site` writes pages in Markdown to .site/ and has Sphinx make site/ of them. It reads published results and
the pictures of docs/gallery, trains nothing and needs no torch; where torch is there, notebooks are run, on published
results. A page per paper: its README, figures and tables, claims. A page of what we learnt: contradictions first, then
faults of papers and of released code, then findings, as every README has them. A page per source file, and the public
names of `common` with their docstrings.
"""

import html
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path

import pandas as pd

from common.errors import UserError
from common.lab.plan import catalog, provenance
from common.lab.report import gallery, making, website_api
from common.lab.report.tabular import text
from common.lab.results import sources

WORK, SITE = ".site", "site"
DOCS = ("architecture", "evidence", "referees", "faults")
# Headings of a paper's README that the page of what we learnt has in this order.
FAULTS, FINDINGS = "Faults of the paper and of released code", "What we find"
LANGUAGES = {".py": "python", ".yaml": "yaml", ".csv": "text", ".smk": "python", "": "python", ".txt": "text"}
LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)\s#]+)(#[^)]*)?\)")


def site() -> list[Path]:
    """Writes the site anew; returns its first page. UserError: Sphinx is not installed, or finds fault with a page."""
    if missing := [name for name in ("sphinx", "furo", "myst_nb", "latex2mathml") if find_spec(name) is None]:
        raise UserError(f"the site needs {', '.join(missing)}: make site, or pip install --editable '.[site]'")
    work, out = catalog.ROOT / WORK, catalog.ROOT / SITE
    pages, made = write(work / "pages"), work / "html"
    command = [sys.executable, "-m", "sphinx", "-q", "--no-color", "-W", "--keep-going", "-b", "html", str(pages), str(made)]
    environment = os.environ | {
        "SITE_RUNS_NOTEBOOKS": "1" if find_spec("torch") else "",
        "NF_SCALE": "day",  # of the published results that they read
        "PYTHONPATH": str(catalog.ROOT),
    }
    done = subprocess.run(command, cwd=catalog.ROOT, env=environment, capture_output=True, text=True)
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if re.search("WARNING:|ERROR:|rror", line)]
        raise UserError(f"site: {said[0] if said else 'Sphinx failed'}" + (f" ({len(said)} such lines)" * (len(said) > 1)))
    shutil.rmtree(out, ignore_errors=True)
    shutil.copytree(made, out)
    shutil.copytree(catalog.ROOT / "published", out / "published")
    return [out / "index.html"]


def write(pages: Path) -> Path:
    """Writes all pages in Markdown below a folder, which is emptied first; returns it. UserError: a README without what the
    site shows of it."""
    shutil.rmtree(pages, ignore_errors=True)
    shutil.copytree(catalog.ROOT / "docs" / "site", pages)
    for folder in ("gallery", "notebooks"):
        origin = catalog.ROOT / ("docs/gallery" if folder == "gallery" else "notebooks")
        shutil.copytree(origin, pages / folder, ignore=shutil.ignore_patterns(".ipynb_checkpoints"))
    files = code_files()
    verdicts = {}
    for paper in catalog.papers():
        verdicts[paper], content = paper_page(paper, files)
        _put(pages / f"{paper}.md", content)
    _put(pages / "learnt.md", learnt_page(verdicts, files))
    for name in DOCS:
        _put(pages / f"{name}.md", linked((catalog.ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8"), "docs", files))
    for path in files:
        _put(pages / code_page(path).replace(".html", ".md"), code_content(path))
    names = website_api.write(pages / "api")
    listed = [f"code/{path.replace('/', '.')}" for path in files]
    _put(pages / "code" / "index.md", f"# Code\n\n{_toctree((name.removeprefix('code/') for name in listed), 1)}")
    _put(pages / "api" / "index.md", f"# The API of `common`\n\n{_toctree(names, 1)}")
    notebooks = sorted(path.stem for path in (pages / "notebooks").glob("*.ipynb"))
    said = (
        "" if find_spec("torch") else "They stand here without what they print: torch, which runs them, was not there.\n\n"
    )
    _put(pages / "notebooks" / "index.md", f"# Notebooks\n\n{said}{_toctree(notebooks, 1)}")
    _put(pages / "index.md", index_page(files))
    return pages


def index_page(files: Iterable[str]) -> str:
    """The README up to how to run it, and the contents."""
    readme = (catalog.ROOT / "README.md").read_text(encoding="utf-8").partition("## Run it")[0]
    first = ["learnt", *catalog.papers(), "notebooks/index", *DOCS, "api/index", "code/index"]
    return f"{linked(readme, '', files)}\n{_toctree(first, 1)}"


def learnt_page(verdicts: dict[str, pd.DataFrame], files: Iterable[str]) -> str:
    """What contradicts the papers, then faults that reading found, then what runs showed, paper by paper."""
    parts = ["# What we learnt", "## Claims that our runs contradict", ""]
    for paper, frame in verdicts.items():
        wrong = frame[frame["verdict"].str.startswith("contradicted") & ~frame["claim"].str.startswith("·")]
        for claim in wrong.to_dict("records"):
            numbers = f"{text(claim['effect'])}, {claim['interval']}, n = {text(claim['n'])}: {claim['of']}"
            parts.append(
                f"- [{paper}]({paper}.md), `{claim['claim']}`: {claim['in words']} **{numbers}** (scale {claim['scale']})"
            )
    for heading in (FAULTS, FINDINGS):
        parts += ["", f"## {heading}"]
        for paper in catalog.papers():
            parts += ["", f"### {catalog.front(paper).get('title', paper)}", ""]
            parts.append(linked(section(paper, heading), f"papers/{paper}", files))
    return "\n".join(parts)


def section(paper: str, heading: str) -> str:
    """What the README of a paper says below a heading of the second level. UserError: it has none."""
    readme = (catalog.ROOT / "papers" / paper / "README.md").read_text(encoding="utf-8")
    found = re.search(rf"^## {heading}\n(.*?)(?=^## |\Z)", readme, re.MULTILINE | re.DOTALL)
    if not found:
        raise UserError(f"papers/{paper}/README.md: has no section '## {heading}', which the site shows")
    return found[1].strip()


def paper_page(paper: str, files: Iterable[str]) -> tuple[pd.DataFrame, str]:
    """(the claims with their verdicts, the page)."""
    readme = (catalog.ROOT / "papers" / paper / "README.md").read_text(encoding="utf-8")
    title, _, body = readme.partition("\n")
    frame = gallery.claims_frame(paper)[1]
    parts = [title, linked(body, f"papers/{paper}", files), "## Figures and tables"]
    for kind in ("figures", "tables"):
        parts += [artefact(paper, kind, name) for name in catalog.artefacts(paper, kind)]
    return frame, "\n\n".join([*parts, "## Claims", claims_table(frame)])


def artefact(paper: str, kind: str, name: str) -> str:
    """A figure or table: what it shows, what it rests on, the code of its function, the runs it reads."""
    scale = gallery.largest(name, all) or gallery.largest(name, any)
    _, _, rests, *times = gallery.row(paper, kind, name, scale)
    drawn = catalog.ROOT / gallery.GALLERY / f"{name}{'.png' if kind == 'figures' else '.md'}"
    function = catalog.function(paper, kind, name)
    held = [source for source in map(sources.source, catalog.artefact_cells(name, scale or "paper")) if source.record]
    commits = ", ".join(sorted({str(source.record.get("commit"))[:7] for source in held if source.kind != "missing"}))
    parts = [f"### {name}"]
    if drawn.exists():
        table = "\n".join(line for line in drawn.read_text(encoding="utf-8").splitlines()) if kind == "tables" else ""
        parts.append(_wide(table) if table else f"![{name}](gallery/{name}.png)")
    parts += [
        making.caption(function),
        f"*Rests on: {rests}{f'; commits {commits}' if commits else ''}. Core time from scratch: quick {times[0]}, day "
        f"{times[1]}, paper {times[2]}.*",
        _folded(f"The function: papers/{paper}/{kind}.py", source_of(paper, kind, name)),
        _folded("The runs that it reads", runs_of(paper, name, scale or "paper")),
    ]
    return "\n\n".join(parts)


def source_of(paper: str, kind: str, name: str) -> str:
    """The code of an artefact's function, as a block."""
    path = f"papers/{paper}/{kind}.py"
    [node] = [node for node in provenance.parsed(catalog.ROOT / path).body if getattr(node, "name", None) == name]
    lines = (catalog.ROOT / path).read_text(encoding="utf-8").splitlines()[node.lineno - 1 : node.end_lineno]
    return (
        _block("python", "\n".join(lines), node.lineno) + f"\n\n[The whole file]({code_page(path).replace('.html', '.md')})"
    )


def runs_of(paper: str, name: str, scale: str) -> str:
    """Experiments with their algorithms, and the files of the cells that are published."""
    parts, cells = [], catalog.artefact_cells(name, scale)
    for experiment in catalog.reads(name):
        mine = [cell for cell in cells if cell.experiment == experiment]
        page = f"papers/{paper}/experiments.yaml"
        line = catalog.experiment_line(paper, experiment)
        where = f"`{experiment}`, line {line} of [{page}](code/{page.replace('/', '.')}.md)"
        modules = sorted({cell.module.replace(".", "/") + ".py" for cell in mine})
        learnt = ", ".join(f"[{module}](code/{module.replace('/', '.')}.md)" for module in modules)
        files = [file for cell in mine if (source := sources.source(cell)).kind == "published"
                 for file in sorted(source.folder.glob("*.csv")) + [source.folder / "run.json"]]  # fmt: skip
        shown = " ".join(_file(file) for file in files)
        parts.append(
            f"- {where}, trained by {learnt or 'nothing at this scale'}: {len(mine)} cells" + (f": {shown}" if shown else "")
        )
    return "\n".join(parts) or "It reads no run."


def _file(path):
    """A link to a published file, in HTML, for Sphinx knows no such page."""
    relative = path.relative_to(catalog.ROOT).as_posix()
    name = html.escape("/".join(relative.split("/")[4:]))
    return f'<a href="{html.escape(relative)}">{name}</a>'


def claims_table(frame: pd.DataFrame) -> str:
    """The claims as a table that a reader narrows down by verdict and by words (docs/site/_static/claims.js)."""
    heads = ["claim", "in words", "verdict", "effect", "interval", "n", "scale", "of", "note"]
    statuses = sorted({verdict.partition(" ")[0] for verdict in frame["verdict"] if verdict})
    choices = "".join(f"<option>{status}</option>" for status in ["all", *statuses])
    rows = []
    for claim in frame.to_dict("records"):
        status = claim["verdict"].partition(" ")[0]
        fields = "".join(f"<td>{html.escape(text(claim[head]))}</td>" for head in heads)
        rows.append(f'<tr class="{status}" data-status="{status}">{fields}</tr>')
    head = "".join(f"<th>{head}</th>" for head in heads)
    return (
        f'<div class="claims"><p><label>verdict <select>{choices}</select></label> '
        '<label>words <input type="search"></label> <output></output></p><div class="wide">'
        f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table></div></div>"
    )


# Code and links


def code_files() -> list[str]:
    """The source files that have a page, as paths from the root."""
    found = [path for part in ("common", "papers", "workflow", "examples") for path in (catalog.ROOT / part).rglob("*")
             if path.suffix in (".py", ".yaml", ".smk") or path.name in ("Snakefile", "reported.csv")]  # fmt: skip
    return sorted(path.relative_to(catalog.ROOT).as_posix() for path in found if "__pycache__" not in path.parts)


def code_page(path: str) -> str:
    """The page of a source file."""
    return f"code/{path.replace('/', '.')}.html"


def code_content(path: str) -> str:
    """A source file as a page with numbered lines."""
    content = (catalog.ROOT / path).read_text(encoding="utf-8")
    return f"# `{path}`\n\n{_block(LANGUAGES[Path(path).suffix], content or '# empty', 1)}\n"


def linked(markdown: str, folder: str, files: Iterable[str]) -> str:
    """Markdown of a file in a folder with its links turned to the site's pages: sources, papers, documents, pictures. A link
    to what has no page becomes its text."""
    known = set(files)

    def turned(match):
        picture, words, target, anchor = match.groups()
        if re.match(r"[a-z]+:", target):
            return match[0]
        path = os.path.normpath(os.path.join(folder, target))
        if path in known:
            return f"[{words}](/code/{path.replace('/', '.')}.md)"
        if path.startswith(f"{gallery.GALLERY}/"):
            name = Path(path).stem
            paper = catalog.find(name)[0]
            return f"![{words}](/{path.removeprefix('docs/')})" if picture else f"[{words}](/{paper}.md#{name})"
        if claims := re.fullmatch(r"docs/claims_(\w+)\.md", path):
            return f"[{words}](/{claims[1]}.md#claims)"
        if path.removeprefix("docs/").removesuffix(".md") in DOCS:
            return f"[{words}](/{path.removeprefix('docs/')})"
        if path.startswith("notebooks/") and path.endswith(".ipynb"):
            return f"[{words}](/{path})"
        if re.fullmatch(r"papers/\w+(/README\.md)?", path):
            return f"[{words}](/{path.split('/')[1]}.md)"
        return words

    return LINK.sub(turned, markdown)


def _block(language, content, first):
    """A fenced block with numbered lines, the first of that number."""
    fence = "`" * max(4, *(len(run) + 1 for run in re.findall("`{3,}", content)), 4)
    return f"{fence}{{code-block}} {language}\n:linenos:\n:lineno-start: {first}\n\n{content}\n{fence}"


def _folded(summary, content):
    return f"<details><summary>{html.escape(summary)}</summary>\n\n{content}\n\n</details>"


def _wide(content):
    """A table that scrolls by itself where the window is narrow."""
    return f'<div class="wide">\n\n{content}\n\n</div>'


def _toctree(names, depth):
    listed = "\n".join(names)
    return f"```{{toctree}}\n:maxdepth: {depth}\n\n{listed}\n```\n"


def _put(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding="utf-8")
