"""A result keeps its seal through an edit that changes no number of its smoke run, and through no other."""

import json
import subprocess
import sys

import numpy as np
import pytest

from common.errors import UserError
from common.lab.plan import catalog
from common.lab.results import sources
from common.lab.run import checkpoints, sealing
from tests.fake import Repository, adopted, forget

MATHS, TOY, CONFIG = "common/rl/maths.py", "papers/toy/toy.py", "papers/toy/config.py"
PAGE = "papers/toy/experiments.yaml"


def git(root, *arguments):
    identity = ("-c", "user.name=a", "-c", "user.email=a@b.c")
    done = subprocess.run(["git", *identity, *arguments], cwd=root, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def commit(repository):
    git(repository.root, "add", "-A")
    git(repository.root, "commit", "-qm", "x")
    forget()
    for name in [name for name in sys.modules if name.startswith("papers.toy")]:
        del sys.modules[name]
    return git(repository.root, "rev-parse", "HEAD")


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """The fake paper, committed, with a published cell, a finished run and one in part."""
    repository = Repository.create(tmp_path_factory.mktemp("sealing") / "repository")
    (repository.root / ".gitignore").write_text("/results/\n__pycache__/\n")
    git(repository.root, "init", "-q")
    for cell in ("toy/toy/A-0.5", "toy/other/A"):
        assert repository.papers("run", cell, "--scale", "day").returncode == 0
    assert repository.papers("publish", "toy/toy", "--scale", "day").returncode == 0
    part = repository.root / "results/day/toy/toy/A-0.5"
    (part / ".work/partial").mkdir(parents=True)
    for name in ("metrics.csv", "run.json"):
        (part / name).rename(part / ".work/partial" / name)
    (part / ".work/part-4x1.json").write_text((part / ".work/partial/run.json").read_text())
    git(repository.root, "add", "-A")
    git(repository.root, "commit", "-qm", "x")
    return repository


@pytest.fixture
def toy(published, tmp_path, monkeypatch):
    with adopted(published.copy(tmp_path / "repository"), monkeypatch) as repository:
        yield repository


def state(cell):
    """Whether the published copy, the own run and the run in part are today's."""
    copies = (sources.publication(cell), sources.own(cell), sources.unfinished(cell))
    return [not copy.stale for copy in copies if copy]


@pytest.mark.parametrize(
    "edits",
    [
        [(MATHS, "def gain(x):", "def gain(z):"), (MATHS, "RATE * x", "RATE * z")],
        [(CONFIG, "    rate: float", "    clip: float = setting(0.0, 'none', 'our choice')\n    rate: float")],
        [(TOY, "maths.gain(x)", "maths.RATE * x")],
    ],
    ids=["a renamed local", "a new setting with a neutral default", "an inlined helper"],
)
def test_an_edit_that_changes_no_number_is_vouched_for(toy, edits):
    then = git(toy.root, "rev-parse", "HEAD")
    before = {path: path.read_bytes() for path in toy.root.rglob("metrics.csv")}
    for edit in edits:
        toy.edit(*edit)
    now = commit(toy)
    cell = catalog.cell("toy/toy/A-0.5", "day")
    assert not any(state(cell))
    done = dict((cell.key, what) for cell, what in sealing.reseal(then))
    assert done["toy/toy/A-0.5"] == "resealed, by toy/toy/A-0.5 at smoke"
    assert all(what.startswith("resealed") for what in done.values())
    assert state(cell) == [True, True]
    record = sources.publication(cell).record
    [seal] = record["resealed"]
    assert (seal["from"], seal["to"], seal["smoke"]) == (then, now, "toy/toy/A-0.5") and len(seal["digest"]) == 12
    assert record["settings"].get("clip") == (0.0 if "clip" in (toy.root / CONFIG).read_text() else None)
    part = json.loads((cell.folder / ".work/part-4x1.json").read_text())
    assert part["digest"] == cell.digest and part["resealed"] == [seal]
    assert before == {path: path.read_bytes() for path in before}
    assert not list((toy.root / "results").glob("smoke")) and "checkout" not in git(toy.root, "worktree", "list")
    assert sealing.reseal(then) == []


@pytest.mark.parametrize(
    "edit, reason",
    [
        ((MATHS, "RATE = 2", "RATE = 3"),
         "left: its smoke run differs: metrics.csv:2: 0,4,2,return,13.5; it was 0,4,2,return,9.0"),
        ((TOY, "return maths.gain(x)", "return maths.gain(x) + (x > 9)"), "left: its smoke run differs: metrics.csv:12:"),
        ((PAGE, "about: a toy", "set: {total_steps: 1212}"),
         "left: its settings have changed: total_steps"),
    ],
    ids=["a constant", "a branch that is taken late", "a setting that smoke sets itself"],
)  # fmt: skip
def test_an_edit_that_changes_a_number_is_not(toy, edit, reason):
    then = git(toy.root, "rev-parse", "HEAD")
    toy.edit(*edit)
    commit(toy)
    before = toy.files()
    done = {cell.key: what for cell, what in sealing.reseal(then)}
    assert done["toy/toy/A-0.5"].startswith(reason)
    assert not any(state(catalog.cell("toy/toy/A-0.5", "day")))
    assert toy.papers("reseal", "--from", then).returncode == 1
    ours = {path: content for path, content in toy.files().items() if ".git" not in path.parts}
    assert ours == {path: content for path, content in before.items() if ".git" not in path.parts}


def test_checkpoints_of_a_run_under_way_are_vouched_for(toy):
    then, cell = git(toy.root, "rev-parse", "HEAD"), catalog.cell("toy/toy/A-0.5", "day")
    fleet, aside = cell.work / "4x1", cell.work / "5x1.aside"
    state, arrays = {"digest": cell.digest, "step": 3, "lengths": [0]}, {"w": np.arange(3.0)}
    for folder in (fleet, aside):
        folder.mkdir(parents=True)
        (folder / "digest").write_text(cell.digest)
        checkpoints.write(folder / "checkpoint-0", arrays, state)
    (fleet / "checkpoint-1").write_bytes(b"cut short")
    (cell.work / "split.json").write_text(json.dumps({"digest": cell.digest, "groups": [["4"]]}))
    (cell.work / "6x1").mkdir()
    (cell.work / "6x1/digest").write_text("of long ago")
    toy.edit(MATHS, "RATE * x", "x * RATE")
    commit(toy)
    former, cell = cell, catalog.cell("toy/toy/A-0.5", "day")
    assert former.digest != cell.digest
    assert dict((cell.key, what) for cell, what in sealing.reseal(then))["toy/toy/A-0.5"].startswith("resealed")
    assert (fleet / "digest").read_text() == cell.digest
    assert json.loads((cell.work / "split.json").read_text()) == {"digest": cell.digest, "groups": [["4"]]}
    read, now = checkpoints.read(fleet / "checkpoint-0")
    assert now == state | {"digest": cell.digest} and (read["w"] == arrays["w"]).all()
    assert (fleet / "checkpoint-1").read_bytes() == b"cut short"
    assert checkpoints.read(aside / "checkpoint-0")[1]["digest"] == (aside / "digest").read_text() == former.digest
    assert (cell.work / "6x1/digest").read_text() == "of long ago"  # stale then: it blocks no other
    assert dict((cell.key, what) for cell, what in sealing.reseal(then)) == {
        "toy/toy/A-0.5": "left: it was stale at that commit already"
    }


def test_what_was_stale_then_stays_stale(toy):
    toy.edit(MATHS, "RATE = 2", "RATE = 3")
    then = commit(toy)
    toy.edit(MATHS, "RATE * x", "x * RATE")
    commit(toy)
    assert {what for _, what in sealing.reseal(then)} == {"left: it was stale at that commit already"}


def test_a_new_setting_is_vouched_for_at_its_value_alone(toy):
    """A cell that sets it otherwise than its smoke cell was not tried."""
    then = git(toy.root, "rev-parse", "HEAD")
    toy.edit(CONFIG, "    rate: float", "    clip: float = setting(0.0, 'none', 'our choice')\n    rate: float")
    toy.edit(PAGE, "scales: {smoke", "scales: {day: {set: {clip: 1.0}}, smoke")
    commit(toy)
    done = {cell.key: what for cell, what in sealing.reseal(then)}
    assert done["toy/toy/A-0.5"] == "left: its settings have changed: clip"
    assert done["toy/other/A"].startswith("resealed")


def test_a_renamed_experiment_is_vouched_for_under_its_former_name(toy):
    then = git(toy.root, "rev-parse", "HEAD")
    toy.edit(PAGE, "  other:", "  another:")
    for file in toy.root.glob("papers/toy/*.py"):
        file.write_text(file.read_text().replace("other", "another"))
    (toy.root / "results/day/toy/other").rename(toy.root / "results/day/toy/another")
    toy.edit(CONFIG, "    rate: float", "    clip: float = setting(0.0, 'none', 'our choice')\n    rate: float")
    commit(toy)
    done = {cell.key: what for cell, what in sealing.reseal(then)}
    assert done["toy/another/A"] == "left: that commit has no such cell"
    done = {cell.key: what for cell, what in sealing.reseal(then, renamed=["toy/other=toy/another"])}
    assert done["toy/another/A"] == "resealed, by toy/another/A at smoke"
    with pytest.raises(UserError, match="--renamed other: must be"):
        sealing.reseal(then, renamed=["other"])


def test_mistakes_are_one_line(toy):
    with pytest.raises(UserError, match="'nowhere' is no commit"):
        sealing.reseal("nowhere")
    toy.edit(MATHS, "RATE = 2", "RATE = 3")
    with pytest.raises(UserError, match="changes that are not committed"):
        sealing.reseal("HEAD")
    assert toy.papers("reseal").stderr == "papers: the following arguments are required: --from\n"
