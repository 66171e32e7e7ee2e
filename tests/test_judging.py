"""A claim is tested where it was run: whole, in some environments, or nowhere."""

import json

import pytest

from common.files import atomic_write
from common.lab.plan import catalog
from common.lab.report import judging
from common.lab.results import records
from tests.fake import Repository, adopted

CLAIMS = '''

def c02_gain_helps_everywhere(toy):
    """A higher gain helps in every environment."""
    envs = toy.frame["env"].unique()
    verdict = stats.difference(toy.final("return", gain=1.0), toy.final("return", gain=0.5))
    return verdict.with_note("saw " + " ".join(envs))
'''


@pytest.fixture
def toy(tmp_path, monkeypatch):
    repository = Repository.create(tmp_path / "repository")
    with open(repository.root / "papers/toy/claims.py", "a") as file:
        file.write(CLAIMS)
    with adopted(repository, monkeypatch):
        yield repository


def run(name, scale):
    """Results of a cell, whose returns are those of its gain."""
    cell = catalog.cell(f"toy/toy/{name}", scale)
    rows = [
        {"member": i, **member, "step": 100 * k, "metric": "return", "value": 10 * cell.config.gain + 0.1 * i}
        for i, member in enumerate(cell.members)
        for k in range(1, 13)
    ]
    records.write_rows(cell.folder / "metrics.csv", rows)
    atomic_write(cell.folder / "run.json", json.dumps({"digest": cell.digest, "members": list(cell.members)}))


def judge():
    """{claim: its trial}, {claim: its verdict} over two scales."""
    trials = {name: judging.trial("toy", name, ("paper", "day")) for name in catalog.artefacts("toy", "claims")}
    return trials, judging.verdicts("toy", trials)[0]


def test_a_claim_on_two_environments_is_tested_in_the_one_that_was_run(toy):
    trials, found = judge()
    assert not any(trials.values()) and {one.reason for one in found.values()} == {"not run"}
    run("A-0.5", "paper")
    assert not any(judge()[0].values()), "one of two cells of an environment says nothing"
    run("A-1.0", "paper")
    trials, found = judge()
    assert trials["c01_gain_helps"] == judging.Trial("paper") and found["c01_gain_helps"].status == "reproduced"
    assert trials["c02_gain_helps_everywhere"] == judging.Trial("paper", ("A",), ("B",))
    part = found["c02_gain_helps_everywhere"]
    assert (part.status, part.reason, part.n) == ("untested", "in part", 3) and part.effect == pytest.approx(5)
    assert part.note == "saw A; A alone; not run: B"


def test_the_whole_at_a_smaller_scale_comes_before_a_part_at_a_larger_one(toy):
    for name, scale in (
        ("A-0.5", "paper"),
        ("A-1.0", "paper"),
        *((f"{env}-{g}", "day") for env in "AB" for g in (0.5, 1.0)),
    ):
        run(name, scale)
    trials, found = judge()
    assert trials["c02_gain_helps_everywhere"] == judging.Trial("day")
    assert found["c02_gain_helps_everywhere"].status == "reproduced"
    assert found["c02_gain_helps_everywhere"].note.startswith("saw A B")
