"""The archive of a version: the files of one commit, their checksums and an RO-Crate that says what they are.

The archive has the same bytes whenever it is made of the same commit, with the same Python: entries in the order of their
names, with the commit's time and the permissions that git knows. Pictures and tables are those of docs/gallery, which git
tracks. PDFs are left out: their bytes depend on the machine that draws, and `python -m papers draw` makes them of what the
archive publishes, without training.
"""

import hashlib
import io
import re
import time
import zipfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from common.errors import UserError
from common.files import atomic_write
from common.lab.plan import catalog
from common.lab.report import citing, crating, gallery
from common.lab.report.verdicts import Verdict
from common.lab.results import sources
from common.lab.run import origin

CHANGES, SUMS, CRATE = "CHANGELOG.md", "SHA256SUMS", "ro-crate-metadata.json"


def release(version: str) -> list[Path]:
    """Writes dist/<name>-<version>.zip of the commit that is checked out; returns [it].

    UserError, and nothing is written: a tree that is not that of a commit, a version that CITATION.cff, pyproject.toml and
    CHANGELOG.md do not agree on or whose tag stands elsewhere, published cells that are stale, verdicts in docs/ that the
    published results do not give, rocrate not installed.
    """
    check_version(version)
    seconds = int(commit_of(version)[1])
    check_published()
    verdicts = judged()
    files = tracked()
    crate = crating.metadata(list(files), verdicts, time.gmtime(seconds))
    files[CRATE] = (0o644, crate.encode())
    files[SUMS] = (0o644, sums({name: content for name, (_, content) in files.items()}).encode())
    path = catalog.ROOT / "dist" / f"{citing.project()['name']}-{version}.zip"
    atomic_write(path, zipped(files, seconds))
    return [path]


def check_version(version: str) -> None:
    """UserError unless the version is three numbers that CITATION.cff, pyproject.toml and the first section of CHANGELOG.md
    state."""
    if not re.fullmatch(r"[0-9]+\.[0-9]+\.[0-9]+", version):
        raise UserError(f"version {version!r}: must be three numbers, as 0.1.0")
    page = catalog.ROOT / CHANGES
    newest = re.search(r"^## (\S+)", page.read_text(encoding="utf-8") if page.exists() else "", re.MULTILINE)
    stated = {
        citing.CITATION: str(citing.citation()["version"]),
        citing.PROJECT: str(citing.project()["version"]),
        CHANGES: newest[1] if newest else "none",
    }
    if others := [f"{file} says {said}" for file, said in stated.items() if said != version]:
        raise UserError(f"version {version}: {', '.join(others)}; {', '.join(stated)} must say {version}")


def commit_of(version: str) -> tuple[str, str]:
    """(commit, its time in seconds) of a clean tree. UserError: no repository, no commit, files that differ from it or are
    unknown to it, a tag of the version at another one."""
    head = origin.git("log", "-1", "--format=%H %ct")
    if not head:
        raise UserError("no commit is checked out; a release is made of one, in a git repository")
    if changed := origin.git("status", "--porcelain", "--untracked-files=all"):
        names = [line.strip().partition(" ")[2].strip() for line in changed.splitlines()]
        more = f" and {len(names) - 1} more" if len(names) > 1 else ""
        raise UserError(f"the tree is dirty: {names[0]}{more}; a release is of a commit: commit, ignore or remove them")
    commit, seconds = head.split()
    tagged = origin.git("rev-parse", "--verify", "--quiet", f"refs/tags/v{version}^{{commit}}")
    if tagged and tagged != commit:
        raise UserError(
            f"version {version}: the tag v{version} is commit {tagged[:7]}; check that out, or take another version"
        )
    return commit, seconds


def check_published() -> None:
    """UserError that names published cells that are stale."""
    stale = [str(folder.relative_to(catalog.ROOT)) for folder in sources.stale_publications()]
    if stale:
        named = ", ".join(stale[:6]) + f" and {len(stale) - 6} more" * (len(stale) > 6)
        raise UserError(f"stale: {named}; reseal them, run and publish them again, or remove them")


def judged() -> dict[str, dict[str, Verdict]]:
    """{paper: {claim: verdict}}. UserError: docs/claims_<paper>.md shows others."""
    verdicts = {}
    for paper in catalog.papers():
        verdicts[paper], text = gallery.claims_page(paper)
        page = catalog.ROOT / "docs" / f"claims_{paper}.md"
        if not page.exists() or page.read_text(encoding="utf-8") != text:
            raise UserError(f"docs/{page.name}: not what the results say today; python -m papers gallery, then commit it")
    return verdicts


def tracked() -> dict[str, tuple[int, bytes]]:
    """{path: (permissions, content)} of all files that git tracks. UserError: a link, which unpacks as no file."""
    files = {}
    for line in filter(None, (origin.git("ls-files", "--stage", "-z") or "").split("\0")):
        mode, _, rest = line.partition(" ")
        path = rest.partition("\t")[2]
        if mode not in ("100644", "100755"):
            raise UserError(f"{path}: is a link or a repository of its own; a release holds plain files")
        files[path] = (int(mode[-3:], 8), (catalog.ROOT / path).read_bytes())
    return files


def sums(contents: Mapping[str, bytes]) -> str:
    """The checksums of files, as `sha256sum --check` reads them."""
    return "".join(f"{hashlib.sha256(contents[name]).hexdigest()}  {name}\n" for name in sorted(contents))


def zipped(files: Mapping[str, tuple[int, bytes]], seconds: int) -> bytes:
    """A zip archive of {path: (permissions, content)} and their folders, all with one time: the same bytes for the same
    files."""
    folders = {f"{folder}/": (0o40755, b"") for name in files for folder in PurePosixPath(name).parents if folder.name}
    entries = folders | {name: (0o100000 | mode, content) for name, (mode, content) in files.items()}
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in sorted(entries):
            entry = zipfile.ZipInfo(name, time.gmtime(seconds)[:6])
            entry.create_system, entry.compress_type = 3, zipfile.ZIP_DEFLATED  # Unix, which has permissions
            entry.external_attr = entries[name][0] << 16
            archive.writestr(entry, entries[name][1])
    return buffer.getvalue()
