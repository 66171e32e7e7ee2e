"""What a person cites for a figure: this artefact's release, and the paper that the figure reproduces."""

import tomllib
from typing import Any

import yaml

from common.errors import UserError
from common.lab.plan import catalog
from common.lab.report import tabular
from common.lab.run import origin

CITATION, PROJECT = "CITATION.cff", "pyproject.toml"
BEHIND = ("title", "authors", "year", "key")  # of paper.yaml, which an entry cannot lack


def cite(name: str) -> None:
    """Prints the BibTeX entries of this release and of the paper behind a figure, a table or a paper's verdicts.

    UserError: no artefact of that name, and a file that does not state what an entry needs.
    """
    paper, _ = catalog.find(name)
    print(release_entry(name), paper_entry(paper), sep="\n\n")


def release_entry(name: str) -> str:
    """The BibTeX entry of the version that is checked out, with the artefact and, where git knows it, the commit."""
    stated, package = citation(), project()
    commit = origin.git("rev-parse", "HEAD")
    changed = " with changes" if commit and origin.git("status", "--porcelain") else ""
    fields = {
        "title": f"{{{tabular.escaped(stated['title'])}}}",
        "author": " and ".join(map(_author, stated["authors"])),
        "year": str(stated["date-released"])[:4],
        "version": tabular.escaped(str(stated["version"])),
        "url": stated.get("url") or stated.get("repository-code"),
        "doi": stated.get("doi"),
        "note": tabular.escaped(f"{name}; commit {commit[:7]}{changed}" if commit else name),
    }
    return _entry("software", f"{package['name']}-{stated['version']}", fields)


def paper_entry(paper: str) -> str:
    """The BibTeX entry of a reproduced paper, of its paper.yaml. UserError: it lacks one of `BEHIND`."""
    front = catalog.front(paper)
    if lacking := [key for key in BEHIND if not front.get(key)]:
        raise UserError(f"papers/{paper}/paper.yaml: states no {lacking[0]}; a citation needs {', '.join(BEHIND)}")
    fields = {
        "title": f"{{{tabular.escaped(front['title'])}}}",
        "author": " and ".join(map(tabular.escaped, front["authors"])),
        "year": str(front["year"]),
        "howpublished": tabular.escaped(front.get("venue", "")),
        "url": front.get("url"),
    }
    return _entry("misc", front["key"], fields)


def citation() -> dict[str, Any]:
    """CITATION.cff. UserError: it is missing, no mapping, or lacks what a citation needs."""
    stated = _mapping(CITATION, yaml.safe_load)
    for key in ("title", "authors", "version", "date-released"):
        if not stated.get(key):
            raise UserError(f"{CITATION}: states no {key}; a citation needs title, authors, version and date-released")
    return stated


def project() -> dict[str, Any]:
    """The `[project]` of pyproject.toml. UserError: it is missing, or lacks name or version."""
    stated = _mapping(PROJECT, tomllib.loads).get("project", {})
    for key in ("name", "version"):
        if not stated.get(key):
            raise UserError(f"{PROJECT}: [project] states no {key}")
    return stated


def _mapping(name, parse):
    """The content of a file at the root."""
    try:
        content = parse((catalog.ROOT / name).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{name}: is missing; a citation needs it") from None
    except (yaml.YAMLError, ValueError) as error:
        raise UserError(f"{name}: cannot be read: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict):
        raise UserError(f"{name}: must be a mapping")
    return content


def _author(author):
    """A person as `Family, Given`; a group in braces, so that BibTeX takes it whole."""
    if "name" in author:
        return f"{{{tabular.escaped(author['name'])}}}"
    return tabular.escaped(", ".join(author[key] for key in ("family-names", "given-names") if author.get(key)))


def _entry(kind, key, fields):
    lines = [f"  {name} = {{{value}}}," for name, value in fields.items() if value]
    return "\n".join([f"@{kind}{{{key},", *lines, "}"])
