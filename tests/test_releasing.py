"""A release: refused with one line and nothing written, or an archive with the same bytes twice; and what is cited."""

import hashlib
import json
import re
import subprocess
import zipfile
from pathlib import Path

import pytest
import yaml

from common.lab.plan import catalog
from common.lab.report import citing, releasing
from tests.fake import Repository

CFF = """cff-version: 1.2.0
title: Toys & games, reproduced
authors: [{name: The toy makers}, {family-names: Doe, given-names: Jane}]
version: 1.2.3
date-released: 2026-05-04
license: MIT
"""
FRONT = """title: On 100% toys
authors: [Ann Other, anonymous]
year: 1999
venue: Journal of Toys
key: other1999toys
claims_not_written: {c02_unwritten: nobody tests it}
"""
WRITTEN = {
    "CITATION.cff": CFF,
    "pyproject.toml": '[project]\nname = "toys"\nversion = "1.2.3"\ndescription = "Toys"\n',
    "CHANGELOG.md": "# Changes\n\n## 1.2.3 (2026-05-04)\n\nNew.\n\n## 1.2.2 (2026-01-01)\n\nOld.\n",
    "README.md": "# Toys\n",
    "constraints.txt": "snakemake==9.1.2\n",
    "papers/toy/paper.yaml": FRONT,
    "docs/gallery/fig1_toy.png": "a picture",
    ".gitignore": "results/\nfigures/\ndist/\nran.txt\n__pycache__/\n",
}
CELLS = ("toy/toy/A-0.5", "toy/toy/A-1.0")


def git(repository, *arguments, when="2026-05-04T10:20:30 +0000"):
    own = repository.environment() | dict.fromkeys(("GIT_AUTHOR_DATE", "GIT_COMMITTER_DATE"), when)
    name = ("-c", "user.name=Jane", "-c", "user.email=jane@example.org")
    done = subprocess.run(["git", *name, *arguments], cwd=repository.root, env=own, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def commit(repository):
    git(repository, "add", "--all")
    git(repository, "commit", "--quiet", "--message", "a step")


def contents(repository):
    """All files but git's own, whose index notes when it looked."""
    return {path: content for path, content in repository.files().items() if ".git" not in path.parts}


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    """A commit of the toy repository that can be released, with published cells and today's verdicts."""
    made = Repository.create(tmp_path_factory.mktemp("release") / "repository")
    for name, content in WRITTEN.items():
        made.write(name, content)
    git(made, "init", "--quiet")
    commit(made)
    for cell in CELLS:
        assert made.papers("run", cell, "--scale", "day").returncode == 0
        assert made.papers("publish", cell, "--scale", "day").returncode == 0
    code = "from common.lab.report import gallery; gallery.judge('toy')"
    assert made._call("python", "-c", code).returncode == 0
    script = made.root / "run-me"
    script.write_text("#!/bin/sh\n")
    script.chmod(0o755)
    commit(made)
    return made


@pytest.fixture
def clone(repository, tmp_path):
    return repository.copy(tmp_path / "repository")


def test_an_archive_holds_the_commit_and_what_describes_it(clone):
    pytest.importorskip("rocrate", reason="pip install '.[release]'")
    done = clone.papers("release", "1.2.3")
    assert (done.returncode, done.stdout, done.stderr) == (0, "dist/toys-1.2.3.zip\n", "")
    path = clone.root / "dist/toys-1.2.3.zip"
    first = path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        names = {name for name in archive.namelist() if not name.endswith("/")}
        tracked = set(git(clone, "ls-files").splitlines())
        assert names == tracked | {"SHA256SUMS", "ro-crate-metadata.json"} and len(tracked) > 50
        assert "published/day/toy/toy/A-0.5/metrics.csv" in names and "docs/claims_toy.md" in names
        assert all(archive.read(name) == (clone.root / name).read_bytes() for name in tracked)
        assert archive.namelist() == sorted(archive.namelist())
        assert {entry.date_time for entry in archive.infolist()} == {(2026, 5, 4, 10, 20, 30)}
        modes = {entry.filename: oct(entry.external_attr >> 16) for entry in archive.infolist()}
        assert (modes["run-me"], modes["README.md"], modes["docs/"]) == ("0o100755", "0o100644", "0o40755")
        listed = dict(line.split("  ")[::-1] for line in archive.read("SHA256SUMS").decode().splitlines())
        assert listed == {name: hashlib.sha256(archive.read(name)).hexdigest() for name in names - {"SHA256SUMS"}}
        archive.extractall(clone.root.parent / "unpacked")
    checked = subprocess.run(["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=clone.root.parent / "unpacked")
    assert checked.returncode == 0
    # Again: later, with other times and permissions in the tree, and in another folder.
    for name in tracked:
        (clone.root / name).touch()
    (clone.root / "README.md").chmod(0o600)
    other = clone.copy(clone.root.parent / "elsewhere")
    path.unlink()
    for again in (clone, other):
        assert again.papers("release", "1.2.3").returncode == 0
        assert (again.root / "dist/toys-1.2.3.zip").read_bytes() == first


def test_the_crate_names_papers_authors_claims_and_verdicts(clone):
    pytest.importorskip("rocrate", reason="pip install '.[release]'")
    assert clone.papers("release", "1.2.3").returncode == 0
    with zipfile.ZipFile(clone.root / "dist/toys-1.2.3.zip") as archive:
        names = archive.namelist()
        crate = json.loads(archive.read("ro-crate-metadata.json"))["@graph"]
    entities = {entity["@id"]: entity for entity in crate}
    assert len(entities) == len(crate)
    root = entities["./"]
    assert (root["name"], root["version"], root["datePublished"]) == ("Toys & games, reproduced", "1.2.3", "2026-05-04")
    assert root["author"] == [{"@id": "#the-toy-makers"}, {"@id": "#jane-doe"}]
    article = entities["#other1999toys"]
    assert root["citation"] == {"@id": "#other1999toys"} and article["name"] == "On 100% toys"
    assert [entities[author["@id"]]["name"] for author in article["author"]] == ["Ann Other", "anonymous"]
    claim, review = entities["#toy/c01_gain_helps"], entities["#toy/c01_gain_helps/verdict"]
    assert (claim["@type"], claim["text"]) == ("Claim", "A higher gain gives a higher return.")
    assert claim["appearance"] == {"@id": "#other1999toys"} and review["itemReviewed"] == {"@id": claim["@id"]}
    assert review["reviewRating"] == {"@id": "#reproduced"} and review["reviewBody"].startswith("reproduced: ")
    assert entities["#toy/c02_unwritten/verdict"]["reviewBody"] == "untested (not written)"
    assert entities["docs/gallery/fig1_toy.png"]["description"] == "Returns in A."
    assert entities["https://w3id.org/workflowhub/workflow-ro-crate#snakemake"]["version"] == "9.1.2"
    assert not [part["@id"] for part in root["hasPart"] if part["@id"] not in names]

    def references(value):
        if isinstance(value, list):
            return [found for item in value for found in references(item)]
        return [value["@id"]] if isinstance(value, dict) and set(value) == {"@id"} else []

    known = {*entities, "https://w3id.org/ro/crate/1.1", "https://w3id.org/workflowhub/workflow-ro-crate/1.0"}
    dangling = {found for entity in crate for value in entity.values() for found in references(value)} - known
    assert not [found for found in dangling if not found.startswith("https://doi.org/") and "readthedocs" not in found]


def test_a_validator_accepts_the_crate(clone, monkeypatch):
    """Offline: RO-Crate's terms are those that rocrate brings. They are of version 1.3, which names a workflow otherwise
    than version 1.1, in whose terms the profile is written."""
    rocrate = pytest.importorskip("rocrate", reason="pip install '.[release]'")
    services = pytest.importorskip("rocrate_validator.services", reason="pip install '.[release]'")
    import requests
    from rocrate_validator.models import Severity
    from rocrate_validator.utils.http import HttpRequester

    terms = json.loads((Path(rocrate.__file__).parent / "data/ro-crate.jsonld").read_text())
    terms["@context"]["ComputationalWorkflow"] = "https://bioschemas.org/ComputationalWorkflow"

    def get(self, url, **_):
        assert url == "https://w3id.org/ro/crate/1.1/context"
        answer = requests.Response()
        answer.status_code, answer._content = 200, json.dumps(terms).encode()
        answer.headers["Content-Type"] = "application/ld+json"
        return answer

    monkeypatch.setattr(HttpRequester, "get", get, raising=False)

    def problems(path):
        asked = {"rocrate_uri": str(path), "profile_identifier": "workflow-ro-crate"}
        settings = services.ValidationSettings(**asked, requirement_severity=Severity.REQUIRED)
        return [issue.message for issue in services.validate(settings).get_issues()]

    assert clone.papers("release", "1.2.3").returncode == 0
    path = clone.root / "dist/toys-1.2.3.zip"
    assert problems(path) == []
    with zipfile.ZipFile(path) as archive, zipfile.ZipFile(clone.root / "broken.zip", "w") as broken:
        for name in set(archive.namelist()) - {"workflow/Snakefile"}:
            broken.writestr(name, archive.read(name))
    assert any("Snakefile" in problem for problem in problems(clone.root / "broken.zip"))


def unknown(clone):
    clone.write("notes.txt", "mine")


def edited(clone):
    clone.edit("README.md", "Toys", "Games")


def older_citation(clone):
    clone.edit("CITATION.cff", "version: 1.2.3", "version: 1.2.2")
    commit(clone)


def older_project(clone):
    clone.edit("pyproject.toml", "1.2.3", "1.2.2")
    commit(clone)


def unreleased(clone):
    clone.edit("CHANGELOG.md", "## 1.2.3", "## Unreleased\n\n## 1.2.3")
    commit(clone)


def no_changelog(clone):
    (clone.root / "CHANGELOG.md").unlink()
    commit(clone)


def tagged_before(clone):
    git(clone, "tag", "v1.2.3")
    unknown(clone)
    commit(clone)


def stale_cell(clone):
    clone.edit("common/rl/maths.py", "RATE = 2", "RATE = 3")
    commit(clone)


def cell_of_no_experiment(clone):
    (clone.root / "published/day/toy/toy/A-0.5").rename(clone.root / "published/day/toy/toy/A-0.7")
    commit(clone)


def former_verdicts(clone):
    clone.edit("docs/claims_toy.md", "| reproduced |", "| contradicted |")
    commit(clone)


def nameless_paper(clone):
    clone.edit("papers/toy/paper.yaml", "key: other1999toys\n", "")
    commit(clone)


def link(clone):
    (clone.root / "LICENSE").symlink_to("README.md")
    commit(clone)


def no_repository(clone):
    (clone.root / ".git").rename(clone.root / "elsewhere")


@pytest.mark.parametrize(
    "change, version, message",
    [
        (None, "1.2", "version '1.2': must be three numbers"),
        (None, "1.2.4", "version 1.2.4: CITATION.cff says 1.2.3, pyproject.toml says 1.2.3, CHANGELOG.md says 1.2.3; "),
        (unknown, "1.2.3", "the tree is dirty: notes.txt; "),
        (edited, "1.2.3", "the tree is dirty: README.md; "),
        (older_citation, "1.2.3", "version 1.2.3: CITATION.cff says 1.2.2; "),
        (older_project, "1.2.3", "version 1.2.3: pyproject.toml says 1.2.2; "),
        (unreleased, "1.2.3", "version 1.2.3: CHANGELOG.md says Unreleased; "),
        (no_changelog, "1.2.3", "version 1.2.3: CHANGELOG.md says none; "),
        (tagged_before, "1.2.3", "version 1.2.3: the tag v1.2.3 is commit "),
        (stale_cell, "1.2.3", "stale: published/day/toy/toy/A-0.5, published/day/toy/toy/A-1.0; "),
        (cell_of_no_experiment, "1.2.3", "stale: published/day/toy/toy/A-0.7; "),
        (former_verdicts, "1.2.3", "docs/claims_toy.md: not what the results say today"),
        (nameless_paper, "1.2.3", "papers/toy/paper.yaml: states no key; a citation needs title, authors, year, key"),
        (link, "1.2.3", "LICENSE: is a link"),
        (no_repository, "1.2.3", "no commit is checked out"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_a_refused_release_says_one_line_and_writes_nothing(clone, change, version, message):
    if change:
        change(clone)
    if change is nameless_paper:
        pytest.importorskip("rocrate", reason="pip install '.[release]'")
    before = contents(clone)
    done = clone.papers("release", version)
    assert done.returncode == 2 and done.stdout == ""
    assert len(done.stderr.splitlines()) == 1 and message in done.stderr, done.stderr
    assert contents(clone) == before and not (clone.root / "dist").exists()


def test_cite_prints_the_release_and_the_paper(repository):
    done = repository.papers("cite", "fig1_toy")
    head = git(repository, "rev-parse", "HEAD")[:7]
    assert done.stdout == (
        "@software{toys-1.2.3,\n"
        "  title = {{Toys \\& games, reproduced}},\n"
        "  author = {{The toy makers} and Doe, Jane},\n"
        "  year = {2026},\n"
        "  version = {1.2.3},\n"
        f"  note = {{fig1\\_toy; commit {head}}},\n"
        "}\n\n"
        "@misc{other1999toys,\n"
        "  title = {{On 100\\% toys}},\n"
        "  author = {Ann Other and anonymous},\n"
        "  year = {1999},\n"
        "  howpublished = {Journal of Toys},\n"
        "}\n"
    )
    for name in ("table1_final", "claims_toy"):
        assert repository.papers("cite", name).returncode == 0


def test_cite_refuses_with_one_line(clone):
    unknown = clone.papers("cite", "fig1_tyo")
    assert unknown.returncode == 2 and len(unknown.stderr.splitlines()) == 1
    assert "are called 'fig1_tyo'; did you mean fig1_toy" in unknown.stderr
    clone.edit("README.md", "Toys", "Games")
    assert " with changes}" in clone.papers("cite", "fig1_toy").stdout
    clone.edit("CITATION.cff", "date-released: 2026-05-04\n", "")
    undated = clone.papers("cite", "fig1_toy")
    assert undated.returncode == 2 and undated.stderr.startswith("papers: CITATION.cff: states no date-released;")


def test_our_own_files_agree():
    """CITATION.cff, pyproject.toml and CHANGELOG.md on the version, and CITATION.cff and each paper.yaml on the papers."""
    stated = citing.citation()
    releasing.check_version(str(stated["version"]))
    newest = re.search(r"^## \S+ \((.*)\)$", (catalog.ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert str(stated["date-released"]) == newest[1]
    references = {
        (reference["title"].lower(), reference["year"]): [
            author.get("name") or f"{author['given-names']} {author['family-names']}" for author in reference["authors"]
        ]
        for reference in stated["references"]
    }
    fronts = [catalog.front(paper) for paper in catalog.papers()]
    assert references == {(front["title"].lower(), front["year"]): front["authors"] for front in fronts}
    assert all(citing.paper_entry(paper) for paper in catalog.papers())


def test_the_catalog_of_workflows_finds_what_it_asks_for():
    """Its standardised usage: a README that names both words, workflow/Snakefile, rules in .smk files, config/README.md, and
    instructions."""
    usage = yaml.safe_load((catalog.ROOT / ".snakemake-workflow-catalog.yml").read_text())["usage"]
    assert set(usage) <= {"mandatory-flags", "software-stack-deployment", "report"} and usage["report"] is True
    assert usage["software-stack-deployment"] == {"conda": True}
    assert "conda:" in (catalog.ROOT / "workflow/rules/runs.smk").read_text()
    assert (catalog.ROOT / "workflow/Snakefile").exists() and (catalog.ROOT / "config/README.md").exists()
    assert all(path.suffix == ".smk" for path in (catalog.ROOT / "workflow/rules").iterdir())
    words = (catalog.ROOT / "README.md").read_text().lower()
    assert "snakemake" in words and "workflow" in words
