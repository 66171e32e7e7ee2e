"""A published cell grows by seeds: what it holds is taken as finished, and a later publication holds both."""

import json
import shutil

import numpy as np
import pytest

from common.lab.plan import catalog
from common.lab.results import sources
from common.lab.run import harness, publishing, training
from tests.fake import Repository, adopted, forget

PAGE = "papers/toy/experiments.yaml"


@pytest.fixture
def toy(tmp_path, monkeypatch):
    """The fake paper with the real harness, whose workers leave their parts at once. `toy.trained` lists the seeds they were
    given."""
    repository = Repository.create(tmp_path / "repository")
    repository.edit(PAGE, "seeds: [4-6]", "seeds: [0, 1]")
    repository.edit(PAGE, "about: a toy", "tables: [ends]")
    repository.trained = []

    def work(jobs, threads, device):
        for job in jobs:
            for fleet in job:
                group = fleet.members
                repository.trained += [member["seed"] for member in group]
                rng = np.random.default_rng([member["seed"] for member in group])
                part = {
                    "digest": fleet.cell.digest,
                    "labels": fleet.labels,
                    "records": [[m, step, metric, str(np.float32(rng.normal()))] for m in range(len(group))
                                for step in (10, 2) for metric in ("return", "loss")],
                    "tables": {"ends": [[m, {"x": float(rng.normal()), "hit": True}] for m in range(len(group))]},
                    "seconds": 1.5, "peak_mb": 7, "device": "x86_64", "commit": "abc", "dirty": False,
                }  # fmt: skip
                fleet.part.write_text(json.dumps(part))
            yield job

    monkeypatch.setattr(harness, "train", work)
    monkeypatch.setattr(harness, "ENVIRONMENT", {})
    with adopted(repository, monkeypatch):
        yield repository


def grown(repository, seeds):
    repository.edit(PAGE, "seeds: [0, 1]", f"seeds: {seeds}")
    forget()
    return catalog.cell("toy/toy/A-0.5", "day")


def rows(folder, table, seeds):
    """The lines of a table that belong to some seeds."""
    lines = (folder / f"{table}.csv").read_text().splitlines()
    return [line for line in lines if line.split(",")[1] in map(str, seeds)]


def test_seeds_are_added_to_a_published_cell(toy):
    training.run("toy/toy/A-0.5", "day", threads=1)  # one fleet, one part
    publishing.publish("toy/toy/A-0.5", "day")
    shutil.rmtree(toy.root / "results")
    cell = grown(toy, [0, 1, 2])
    before = {table: rows(cell.published, table, [0, 1]) for table in ("metrics", "ends")}
    toy.trained.clear()
    training.run("toy/toy/A-0.5", "day")
    assert toy.trained == [2]
    assert sources.source(cell).kind == "results" and not sources.source(cell).partial
    for table, lines in before.items():
        assert lines and rows(cell.folder, table, [0, 1]) == lines
    [(_, said)] = publishing.publish("toy/toy/A-0.5", "day")
    assert said == "published, 3 of 3 members"
    record = sources.publication(cell).record
    assert [member["seed"] for member in record["members"]] == [0, 1, 2]
    assert sorted(name for part in record["parts"] for name in part["labels"]) == ["0", "1", "2"]
    assert all(part["seconds"] == 1.5 and part["commit"] == "abc" for part in record["parts"])
    shutil.rmtree(toy.root / "results")
    toy.trained.clear()
    training.run("toy/toy/A-0.5", "day")
    assert toy.trained == []
    for file in ("metrics.csv", "ends.csv"):
        assert (cell.folder / file).read_bytes() == (cell.published / file).read_bytes()


def test_members_trained_elsewhere_join_the_published_ones(toy):
    """Where a checkout without the published cell trained another seed, nothing of either is lost."""
    training.run("toy/toy/A-0.5", "day", seeds=[0])
    publishing.publish("toy/toy/A-0.5", "day", partial=True)
    shutil.rmtree(toy.root / "results")
    cell = catalog.cell("toy/toy/A-0.5", "day")
    aside = cell.published.with_name("aside")
    cell.published.rename(aside)
    training.run("toy/toy/A-0.5", "day", seeds=[1])
    aside.rename(cell.published)
    lines = rows(cell.published, "metrics", [0])
    [(_, said)] = publishing.publish("toy/toy/A-0.5", "day", partial=True)
    assert said == "published, 2 of 2 members" and rows(cell.published, "metrics", [0]) == lines


def test_members_keep_the_machine_that_trained_them(toy, monkeypatch):
    """Also where the checkout that joins them stands on another."""
    there = {"packages": {"torch": "2.11"}, "python": "3.12", "processor": "theirs", "calibration": 80.0}
    here = {"packages": {"torch": "2.13"}, "python": "3.12", "processor": "ours", "calibration": 50.0}
    monkeypatch.setattr(harness, "made_by", lambda cell: {"commit": "111", "dirty": False} | there)
    training.run("toy/toy/A-0.5", "day", seeds=[0])
    publishing.publish("toy/toy/A-0.5", "day", partial=True)
    cell = catalog.cell("toy/toy/A-0.5", "day")
    record = sources.publication(cell).record
    assert not there.keys() & record["parts"][0].keys()  # the record says it
    record["parts"][0]["resealed"] = ["a seal of this part"]
    record |= {"resealed": ["a later seal"], "carried": "how"}
    (cell.published / "run.json").write_text(json.dumps(record))
    shutil.rmtree(toy.root / "results")
    monkeypatch.setattr(harness, "made_by", lambda cell: {"commit": "222", "dirty": False} | here)
    training.run("toy/toy/A-0.5", "day", seeds=[1])
    publishing.publish("toy/toy/A-0.5", "day", partial=True)
    forget()
    record = sources.publication(catalog.cell("toy/toy/A-0.5", "day")).record
    parts = {part["labels"][0]: part for part in record["parts"]}
    kept = {key: parts["0"].get(key) for key in ("packages", "processor", "calibration")}
    assert kept == {key: there[key] for key in kept} and record["processor"] == "ours"
    assert not {"packages", "python", "processor", "carried"} & {*parts["1"]} and "python" not in parts["0"]
    assert parts["0"]["resealed"] == ["a seal of this part", "a later seal"] and parts["0"]["carried"] == "how"


def test_stale_published_members_are_not_taken(toy):
    training.run("toy/toy/A-0.5", "day")
    publishing.publish("toy/toy/A-0.5", "day")
    shutil.rmtree(toy.root / "results")
    toy.edit("common/rl/maths.py", "RATE = 2", "RATE = 3")
    forget()
    toy.trained.clear()
    training.run("toy/toy/A-0.5", "day")
    assert toy.trained == [0, 1]


def test_published_members_are_trained_anew_if_a_person_asks(toy):
    training.run("toy/toy/A-0.5", "day")
    publishing.publish("toy/toy/A-0.5", "day")
    shutil.rmtree(toy.root / "results")
    toy.trained.clear()
    training.run("toy/toy/A-0.5", "day")
    assert toy.trained == []
    training.run("toy/toy/A-0.5", "day", anew=True)
    assert toy.trained == [0, 1]
