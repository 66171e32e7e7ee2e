"""The site: what its pages hold, without torch; and, where Sphinx and Chromium are, a walk through it in a browser.

The walk is through the site in the folder that the variable SITE names (`make test-site`: with what notebooks print), else
through one that is made here, without notebooks' output.
"""

import functools
import http.server
import os
import re
import subprocess
import sys
import threading
from html.parser import HTMLParser
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import unquote, urldefrag, urljoin

import pandas as pd
import pytest

from common.errors import UserError
from common.lab.plan import catalog
from common.lab.report import website, website_api

CHROMIUM = Path("/usr/bin/chromium")
LACKING = [name for name in ("sphinx", "furo", "myst_nb", "latex2mathml", "playwright") if find_spec(name) is None]
walked = pytest.mark.skipif(bool(LACKING) or not CHROMIUM.exists(), reason=f"needs {', '.join(LACKING) or CHROMIUM}")
WIDTHS = (390, 1440)
FILES = ("common/rl/sac.py", "papers/arsac/arsac.py", "papers/arsac/figures.py")


# The pages in Markdown


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """The pages, written by a process that never imports torch."""
    folder = tmp_path_factory.mktemp("site") / "pages"
    code = (
        "import sys\nfrom pathlib import Path\nfrom common.lab.report import website\n"
        f"website.write(Path({str(folder)!r}))\nassert 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=catalog.ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder


def test_there_is_a_page_for_every_paper_source_and_document(pages):
    names = {path.relative_to(pages).as_posix() for path in pages.rglob("*.md")}
    assert {f"{paper}.md" for paper in catalog.papers()} | {"index.md", "learnt.md", "architecture.md"} <= names
    assert {"code/common.rl.sac.py.md", "code/papers.arsac.experiments.yaml.md", "code/workflow.Snakefile.md"} <= names
    assert {"api/common.flows.md", "api/common.rl.md", "notebooks/index.md"} <= names
    contents = (pages / "index.md").read_text()
    assert all(name.removesuffix(".md") in contents for name in names if "/" not in name and name != "index.md")


def test_every_figure_and_table_stands_on_its_paper_s_page(pages):
    for paper in catalog.papers():
        page = (pages / f"{paper}.md").read_text()
        for kind in ("figures", "tables"):
            for name in catalog.artefacts(paper, kind):
                part = re.search(rf"^### {name}\n(.*?)(?=^### |^## )", page, re.MULTILINE | re.DOTALL)[1]
                assert f"def {name}(" in part and "*Rests on: " in part, name
                assert all(f"`{experiment}`, line " in part for experiment in catalog.reads(name)), name
                assert ("published/" in part) <= ("commits " in part), name  # one's own runs have commits, and no link


def test_what_we_learnt_begins_with_what_is_wrong(pages):
    page = (pages / "learnt.md").read_text()
    first, faults, found = re.split(r"^## ", page, flags=re.MULTILINE)[1:]
    assert first.startswith("Claims that our runs contradict") and "`c19_no_actor_leaves_the_data`" in first
    assert faults.startswith(website.FAULTS) and found.startswith(website.FINDINGS)
    for part in (faults, found):
        papers = part.split("\n### ")[1:]
        assert len(papers) == len(catalog.papers()) and all(len(paper.splitlines()) > 3 for paper in papers)


@pytest.mark.parametrize("heading", [website.FAULTS, website.FINDINGS])
def test_a_readme_without_a_section_that_the_site_shows_is_said(monkeypatch, tmp_path, heading):
    readme = tmp_path / "papers" / "arsac" / "README.md"
    readme.parent.mkdir(parents=True)
    text = (catalog.ROOT / "papers" / "arsac" / "README.md").read_text().replace(f"## {heading}", "## Else")
    readme.write_text(text)
    monkeypatch.setattr(catalog, "ROOT", tmp_path)
    with pytest.raises(UserError, match=rf"^papers/arsac/README.md: has no section '## {heading}'"):
        website.section("arsac", heading)


@pytest.mark.parametrize(
    ("markdown", "expected"),
    [
        ("[`sac.py`](../../common/rl/sac.py)", "[`sac.py`](/code/common.rl.sac.py.md)"),
        ("[x](arsac.py#L3)", "[x](/code/papers.arsac.arsac.py.md)"),
        ("[x](../trpo_nf)", "[x](/trpo_nf.md)"),
        ("[x](../../docs/claims_arsac.md)", "[x](/arsac.md#claims)"),
        ("[x](../../docs/architecture.md)", "[x](/architecture.md)"),
        ("[x](../../notebooks/moons.ipynb)", "[x](/notebooks/moons.ipynb)"),
        ("![x](../../docs/gallery/fig3_logscale.png)", "![x](/gallery/fig3_logscale.png)"),
        ("[x](../../docs/gallery/fig3_logscale.png)", "[x](/arsac.md#fig3_logscale)"),
        ("[x](https://example.org/a)", "[x](https://example.org/a)"),
        ("[x](../../tests/test_sac.py)", "x"),
    ],
)
def test_links_lead_to_pages(markdown, expected):
    files = [*FILES, "papers/arsac/arsac.py"]
    assert website.linked(f"See {markdown}.", "papers/arsac", files) == f"See {expected}."


def test_a_claim_cannot_break_its_table():
    row = dict.fromkeys(("scale", "interval", "of", "seeds to settle"), "")
    row |= {"claim": "c01", "in words": "a < b & c", "verdict": "untested (budget)", "effect": 0.5, "n": 3}
    row["note"] = "<script>"
    frame = pd.DataFrame([row])
    table = website.claims_table(frame)
    assert "a &lt; b &amp; c" in table and "<script>" not in table and 'data-status="untested"' in table
    assert "<option>untested</option>" in table and table.count("<tr") == 2


def test_the_api_says_what_a_docstring_says(pages):
    page = (pages / "api" / "common.flows.md").read_text()
    assert "class Coupling(" in page and "def forward(self, x: Tensor" in page and "[members, batch, event]" in page
    assert "_" not in {name[0] for name in re.findall(r"^### `(\w+)`", page, re.MULTILINE)}
    module = website_api.module(catalog.ROOT / "common" / "errors.py")
    assert module.startswith("## `common/errors.py`\n\n[Source](/code/common.errors.py.md)") and "### `UserError`" in module


# The site in a browser


class Links(HTMLParser):
    """Addresses and anchors of a page."""

    def __init__(self):
        super().__init__()
        self.addresses, self.anchors = [], set()

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        self.anchors |= {given[key] for key in ("id", "name") if given.get(key)}
        self.addresses += [given[key] for key in ("href", "src") if given.get(key)]


@pytest.fixture(scope="module")
def built(pages, tmp_path_factory):
    """A folder with the site."""
    if given := os.environ.get("SITE"):
        return catalog.ROOT / given
    out = tmp_path_factory.mktemp("built")
    command = [sys.executable, "-m", "sphinx", "-q", "--no-color", "-W", "--keep-going", "-b", "html", str(pages), str(out)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (out / "published").symlink_to(catalog.ROOT / "published")
    return out


def parsed(path):
    parser = Links()
    parser.feed(path.read_text(encoding="utf-8"))
    return parser


@walked
def test_every_internal_link_answers(built):
    known = {path: parsed(path) for path in built.rglob("*.html") if "published" not in path.parts}
    dead = []
    for page, parser in known.items():
        for address in parser.addresses:
            if re.match(r"[a-z]+:", address):
                continue
            target, anchor = urldefrag(urljoin(page.as_uri(), address))
            place = Path(unquote(target.removeprefix("file://").partition("?")[0]))
            if not place.exists():
                dead.append(f"{page.name}: {address}")
            elif anchor and place in known and unquote(anchor) not in known[place].anchors:
                dead.append(f"{page.name}: {address}: no such anchor")
    assert not dead, dead[:10]
    assert len(known) > 100 and sum(len(parser.addresses) for parser in known.values()) > 5_000


@pytest.fixture(scope="module")
def browse(built):
    """(page, width) -> a tab that shows it, and the errors that it logged."""
    from playwright.sync_api import sync_playwright

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *arguments):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(built)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    switches = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=[*switches, "--disable-sync"])
        tabs, errors = {}, []

        def show(name, width=1440):
            if width not in tabs:
                tabs[width] = browser.new_page(viewport={"width": width, "height": 900})
                tabs[width].on("console", lambda said: errors.append(said.text) if said.type == "error" else None)
                tabs[width].on("pageerror", lambda error: errors.append(str(error)))
            errors.clear()
            tabs[width].goto(f"http://127.0.0.1:{server.server_port}/{name}", wait_until="load")
            return tabs[width], list(errors)

        yield show
        browser.close()
    server.shutdown()


@walked
@pytest.mark.parametrize("width", WIDTHS)
def test_no_page_overflows_or_complains_and_every_picture_has_a_size(width, built, browse):
    for name in sorted(path.relative_to(built).as_posix() for path in built.rglob("*.html")):
        tab, errors = browse(name, width)
        assert not errors, f"{name}: {errors}"
        over = tab.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert over <= 0, f"{name} is {over} pixels wider than {width}"
        tab.evaluate("document.querySelectorAll('img').forEach(image => image.loading = 'eager')")
        sizes = tab.evaluate(
            "Promise.all([...document.images].map(i => i.decode().catch(() => 0).then(() => [i.src, i.naturalWidth])))"
        )
        assert not [src for src, size in sizes if not size], name


@walked
@pytest.mark.skipif("SITE" not in os.environ, reason="notebooks are run by `make test-site`")
def test_notebooks_show_what_they_print(built):
    notebooks = sorted((catalog.ROOT / "notebooks").glob("*.ipynb"))
    assert notebooks
    for notebook in notebooks:
        page = (built / "notebooks" / f"{notebook.stem}.html").read_text(encoding="utf-8")
        assert "cell_output" in page and "Traceback" not in page, notebook.stem


@walked
def test_claims_are_narrowed_down_by_verdict_and_by_words(browse):
    tab, _ = browse("arsac.html")
    claims = len(catalog.artefacts("arsac", "claims"))
    output = tab.locator(".claims output")
    assert output.inner_text() == f"{claims} of {claims} claims"
    tab.select_option(".claims select", "contradicted")
    shown = tab.evaluate(
        "[...document.querySelectorAll('.claims tbody tr')].filter(r => !r.hidden).map(r => r.cells[2].innerText)"
    )
    assert shown and 0 < int(output.inner_text().split()[0]) < claims
    heads = tab.evaluate(
        "[...document.querySelectorAll('.claims tbody tr')].filter(r => !r.hidden && !r.cells[0].innerText.startsWith('·'))"
        ".map(r => r.dataset.status)"
    )
    assert set(heads) == {"contradicted"}
    tab.select_option(".claims select", "all")
    tab.fill(".claims input", "HOPPER")
    words = tab.evaluate(
        "[...document.querySelectorAll('.claims tbody tr')].filter(r => !r.hidden && !r.cells[0].innerText.startsWith('·'))"
        ".map(r => r.innerText.toLowerCase())"
    )
    assert 0 < len(words) < claims and all("hopper" in row for row in words)
