"""A release as an RO-Crate: its files, the papers that it reproduces with their authors, their claims and our verdicts.

Profile: Workflow RO-Crate 1.0, of RO-Crate 1.1, which is the one that validators know.
"""

import json
import math
import re
import time
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from common.errors import UserError
from common.lab.plan import catalog
from common.lab.report import citing, gallery, judging, making
from common.lab.report.verdicts import STATUSES, Verdict

WORKFLOW = "workflow/Snakefile"
PROFILE = "https://bioschemas.org/profiles/ComputationalWorkflow/1.0-RELEASE"
FORMATS = {".md": "text/markdown", ".png": "image/png", ".yml": "application/yaml", ".cff": "application/yaml",
           ".toml": "application/toml"}  # fmt: skip
PARTS = {
    "README.md": "what this is, and how to run it",
    "CHANGELOG.md": "what changed, by version",
    "CITATION.cff": "how to cite it",
    "LICENSE": "the licence",
    "constraints.txt": "the environment's lock: every package with its exact version",
    "environment.yml": "the environment for conda",
    "pyproject.toml": "what the project needs",
    "SHA256SUMS": "checksums of all other files, for sha256sum --check",
    "common/": "flows, learning and the lab that runs and judges",
    "papers/": "the papers: algorithms, experiments, figures, tables and claims",
    "workflow/": "the workflow's rules, schemas and captions",
    "published/": "published results: one folder a cell, with its numbers and what made them",
    "docs/": "verdicts, pictures and tables drawn from the published results, and the architecture",
}


def metadata(files: Sequence[str], verdicts: Mapping[str, Mapping[str, Verdict]], published: time.struct_time) -> str:
    """ro-crate-metadata.json of a release of these files and verdicts, {paper: {claim: verdict}}, published then.

    UserError: rocrate is not installed, or a paper.yaml lacks what a citation needs.
    """
    try:
        from rocrate.rocrate import ROCrate
    except ModuleNotFoundError:
        raise UserError("rocrate, which describes a release, is not installed; make release installs it") from None
    made = _Crate(ROCrate(version="1.1"))
    stated, project = citing.citation(), citing.project()
    makers = [made.maker(author) for author in stated["authors"]]
    root = made.crate.root_dataset
    root["name"], root["description"] = stated["title"], project.get("description", stated["title"])
    root["version"], root["datePublished"] = str(stated["version"]), time.strftime("%Y-%m-%d", published)
    root["license"] = made.about(f"https://spdx.org/licenses/{stated['license']}", "CreativeWork", name=stated["license"],
                                 description=f"the licence {stated['license']}")  # fmt: skip
    root["author"] = root["publisher"] = _one(makers)
    made.workflow(files, stated, root["license"], _one(makers))
    made.parts(files)
    papers = {paper: made.paper(paper, catalog.front(paper)) for paper in catalog.papers()}
    made.pictures(files, papers)
    for status in STATUSES:
        made.about(f"#{status}", "Rating", name=status, alternateName=status)
    reviews = []
    for paper, judged in verdicts.items():
        words = making.claims_in_words(paper) | judging.not_written(paper)
        reviews += [made.review(paper, papers[paper], name, words[name], judged[name], _one(makers)) for name in judged]
    if papers:
        root["citation"] = _one(list(papers.values()))
    if reviews:
        root["mentions"] = _one(reviews)
    return json.dumps(made.crate.metadata.generate(), indent=1, ensure_ascii=False) + "\n"


class _Crate:
    """A crate in the making; its methods add entities and return references to them."""

    def __init__(self, crate: Any):
        self.crate = crate

    def about(self, identifier, kind, /, **properties):
        """What is no file: a person, a paper, a claim."""
        from rocrate.model.contextentity import ContextEntity

        properties = {key: value for key, value in properties.items() if value not in (None, "", [])}
        self.crate.add(ContextEntity(self.crate, identifier, properties={"@type": kind, **properties}))
        return {"@id": identifier}

    def maker(self, author):
        """An author of this artefact, as CITATION.cff names one: a group, or a person."""
        kind = "Organization" if "name" in author else "Person"
        name = author.get("name") or " ".join(author[key] for key in ("given-names", "family-names") if author.get(key))
        website = author.get("website")
        return self.about(f"#{_slug(name)}", kind, name=name, url=website)

    def workflow(self, files, stated, license, makers):
        """The Snakefile, which is what the crate is about."""
        pinned = re.search(r"^snakemake==(\S+)", _text(files, "constraints.txt"), re.MULTILINE)
        entity = self.crate.add_workflow(WORKFLOW, WORKFLOW, main=True, lang="snakemake", lang_version=pinned and pinned[1])
        entity["name"], entity["description"] = (
            stated["title"],
            "makes every figure, table and verdict, from runs to the PDF",
        )
        entity["license"], entity["author"], entity["encodingFormat"] = license, makers, "text/plain"
        entity["version"] = str(stated["version"])
        entity["conformsTo"] = self.about(PROFILE, "CreativeWork", name="ComputationalWorkflow profile", version="1.0")

    def parts(self, files):
        """The files and folders at the root that a reader looks for."""
        for name, description in PARTS.items():
            if name.endswith("/"):
                if any(file.startswith(name) for file in files):
                    self.crate.add_dataset(dest_path=name, properties={"name": name, "description": description})
            elif name in files or name == "SHA256SUMS":
                self.file(name, description, about={"@id": "./"} if name == "README.md" else None)

    def paper(self, paper, front):
        """A reproduced paper and its authors."""
        citing.paper_entry(paper)  # which says what it lacks
        nameless = [f"{name} {front['key']}" if name == "anonymous" else name for name in front["authors"]]
        authors = [self.about(f"#{_slug(slug)}", "Person", name=name)
                   for slug, name in zip(nameless, front["authors"], strict=True)]  # fmt: skip
        return self.about(
            front.get("url") or f"#{front['key']}", "ScholarlyArticle", name=front["title"], author=_one(authors),
            url=front.get("url"), datePublished=str(front["year"]), description=front.get("venue"), identifier=front["key"],
        )  # fmt: skip

    def pictures(self, files, papers):
        """The figures, tables and verdicts that docs/ holds, each with its caption and the paper that it reproduces."""
        for name, ((paper, kind), *_) in catalog.names().items():
            shown = (
                f"docs/{name}.md"
                if kind == "claims"
                else f"{gallery.GALLERY}/{name}{'.png' if kind == 'figures' else '.md'}"
            )
            if shown in files:
                words = "the verdicts" if kind == "claims" else making.caption(catalog.function(paper, kind, name))
                self.file(shown, words, isBasedOn=papers[paper])

    def review(self, paper, article, name, words, verdict, makers):
        """A claim, of the paper or our own (own_…), and our verdict on it."""
        source = {"author": makers} if name.startswith("own_") else {"appearance": article}
        claim = self.about(f"#{paper}/{name}", "Claim", name=name, text=words, about=article, **source)
        bare = f"{verdict.status} ({verdict.reason})" if verdict.reason else verdict.status
        return self.about(
            f"#{paper}/{name}/verdict", "ClaimReview", name=f"the verdict on {name} of {paper}", author=makers,
            claimReviewed=words, itemReviewed=claim, reviewRating={"@id": f"#{verdict.status}"},
            reviewBody=bare if math.isnan(verdict.effect) else str(verdict),
        )  # fmt: skip

    def file(self, name, description, **properties):
        """A file of the archive."""
        kind = FORMATS.get(PurePosixPath(name).suffix, "text/plain")
        stated = {key: value for key, value in properties.items() if value}
        self.crate.add_file(
            name, name, properties={"name": name, "description": description, "encodingFormat": kind, **stated}
        )


def _text(files, name):
    return (catalog.ROOT / name).read_text(encoding="utf-8") if name in files else ""


def _one(references):
    """A single reference alone, several as a list, as RO-Crate writes values."""
    return references[0] if len(references) == 1 else references


def _slug(name):
    return re.sub(r"\W+", "-", name.lower()).strip("-")
