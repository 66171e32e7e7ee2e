"""Seeds asked for on the command line: which members a cell has then, and which of them are trained."""

import pytest

from common.lab.plan import catalog
from common.lab.results import sources
from common.lab.run import harness, training
from tests.fake import Repository, adopted

CELL = "toy/toy/A-0.5"


@pytest.fixture
def toy(tmp_path, monkeypatch):
    with adopted(Repository.create(tmp_path / "repository"), monkeypatch) as repository:
        yield repository
        catalog.replace_seeds(None)


def trained(monkeypatch, *arguments, **options):
    """(cell's key, its seeds, the seeds that are trained) of each cell that a run hands on."""
    found = []

    def run_all(cells, threads, device, seeds, **options):
        found.extend((cell.key, [m["seed"] for m in cell.members], seeds) for cell in cells)
        return []

    monkeypatch.setattr(harness, "run_all", run_all)
    training.run(*arguments, **options)
    return found


def test_seeds_of_the_page_are_trained_alone_and_others_stand_in_its_place(toy, monkeypatch):
    assert trained(monkeypatch, CELL, "quick") == [(CELL, [4, 5, 6], None)]
    assert trained(monkeypatch, CELL, "quick", seeds=[5]) == [(CELL, [4, 5, 6], [5])]
    assert trained(monkeypatch, CELL, "quick", seeds=[5], exactly=True) == [(CELL, [5], [5])]
    assert trained(monkeypatch, CELL, "quick", seeds=[6, 9]) == [(CELL, [6, 9], [6, 9])]
    assert {key for key, *_ in trained(monkeypatch, "toy", "quick", seeds=[6, 9])} >= {CELL, "toy/other/A"}


def test_other_seeds_change_members_alone(toy):
    before = catalog.cell(CELL, "quick")
    catalog.replace_seeds([8, 9])
    after = catalog.cell(CELL, "quick")
    assert (after.key, after.digest, after.config) == (before.key, before.digest, before.config)
    assert after.members == ({"seed": 8}, {"seed": 9}) and after.param != before.param


def test_every_set_of_scalars_gets_every_seed(toy):
    toy.page("algorithm: toy\nmembers: [{seed: 4, rate: 0.1}, {seed: 2, rate: 0.2}, {seed: 3, rate: 0.1}]")
    catalog.replace_seeds([8, 9])
    members = catalog.cells("toy", "toy", "quick")["all"].members
    assert members == tuple({"seed": seed, "rate": rate} for rate in (0.1, 0.2) for seed in (8, 9))


def test_an_experiment_that_others_use_keeps_its_seeds(toy):
    toy.page("algorithm: toy\ngrid: {env: [A]}\nseeds: [1]\nuses: {data: other}")
    before = catalog.cells("toy", "toy", "quick")["A"]
    catalog.replace_seeds([8, 9])
    after = catalog.cells("toy", "toy", "quick")["A"]
    assert after.digest == before.digest and after.used[0].members == before.used[0].members
    assert catalog.cells("toy", "other", "quick")["A"].members == ({"seed": 4}, {"seed": 5}, {"seed": 6})


def test_seeds_that_were_trained_alone_are_found_when_they_are_asked_for(toy):
    done = toy.papers("run", CELL, "--seeds", "5,6")
    assert done.returncode == 0 and not (toy.root / f"results/quick/{CELL}/metrics.csv").exists()
    assert sources.source(catalog.cell(CELL, "quick")).kind == "missing"
    catalog.replace_seeds([6, 5])
    found = sources.source(catalog.cell(CELL, "quick"))
    assert (found.kind, found.finished) == ("results", ({"seed": 6}, {"seed": 5}))
