"""Files that a run leaves and others read: where they stand, when they are made again, which of them are published."""

import json
import shutil
import sys
import types

import numpy as np
import pytest
from safetensors import safe_open

from common.errors import UserError
from common.lab.plan import catalog
from common.lab.results import costs, sources
from common.lab.run import fleets, harness, joining, publishing, training, worker
from common.lab.run.journal import Journal
from tests.fake import Repository, adopted, forget

PAGE, LARGE = "papers/toy/experiments.yaml", 2 * 10**6
MADE, USING = "toy/other/A", "toy/toy/A-0.5"
READS = """    @property
    def reads(self):
        return {"data": ("policy",) if self.gain < 1 else ("rows",)}
"""


@pytest.fixture
def toy(tmp_path, monkeypatch):
    """The fake paper with the real harness: `other` leaves a small policy and large rows of every member, `toy` uses them.
    Training writes a part and files whose bytes tell the code's digest, the member and the number of the training.
    `toy.trained` lists (cell, seeds) in order, `toy.specs` what the workers were told."""
    repository = Repository.create(tmp_path / "repository")
    repository.edit(PAGE, "seeds: [4-6]", "seeds: [0, 1]")
    repository.edit(PAGE, "about: a toy", "uses: {data: other}")
    repository.edit(PAGE, "algorithm: other_toy", "algorithm: other_toy\n    produces: [policy, rows]")
    repository.trained, repository.specs, repository.lost = [], {}, set()

    def work(jobs, threads, device):
        for job in jobs:
            for fleet in job:
                key = fleet.cell.key
                repository.specs[key] = json.loads(fleet.specify(device, {"commit": "abc", "dirty": False}).read_text())
                repository.trained.append((key, [member["seed"] for member in fleet.members]))
                records = []
                for m, member in enumerate(fleet.members):
                    seed, lost = member["seed"], member["seed"] in repository.lost
                    ends = ("diverged", "1.0") if lost else ("score", str(np.float32(seed / 10)))
                    records += [[m, 2, "score", "9.0"], [m, 10, *ends]]
                    for name, paths in {} if lost else repository.specs[key]["produces"].items():
                        stamp = f"{fleet.cell.digest} {name} {seed} {len(repository.trained)}"
                        text = stamp.ljust(LARGE if name == "rows" else 10)
                        with open(paths[m], "w") as file:
                            file.write(text)
                part = {"digest": fleet.cell.digest, "labels": fleet.labels, "records": records, "tables": {},
                        "seconds": 1.0, "peak_mb": 7, "device": "x86_64", "commit": "abc", "dirty": False}  # fmt: skip
                fleet.part.write_text(json.dumps(part))
            yield job

    monkeypatch.setattr(harness, "train", work)
    with adopted(repository, monkeypatch):
        yield repository


def cell(key):
    return catalog.cell(key, "day")


def run(toy, target):
    """The cells that a command trains."""
    toy.trained.clear()
    training.run(target, "day", threads=1)
    return [key for key, _ in toy.trained]


def names(folder):
    return sorted(path.name for path in folder.glob("*.safetensors"))


def reading(toy):
    """Cells of gain 0.5 read the policies alone, the others the rows alone."""
    toy.edit("papers/toy/config.py", "    env: str", READS + "\n    env: str")
    toy.edit("papers/toy/config.py", "class OtherToy(Toy):\n    pass", "class OtherToy(Toy):\n    reads = {}")
    forget()
    sys.modules.pop("papers.toy.config", None)


def test_a_run_is_told_of_the_files_of_those_it_uses(toy):
    run(toy, "toy/other")
    run(toy, USING)
    told = toy.specs[USING]["uses"]["data"]
    assert [run["settings"]["seed"] for run in told] == [4, 5, 6] and told[0]["settings"]["env"] == "A"
    assert [run["last"] for run in told] == [{"score": pytest.approx(s / 10)} for s in (4, 5, 6)], "the last of each metric"
    folder = cell(MADE).folder
    assert told[1]["files"] == {name: str(folder / f"{name}-5.safetensors") for name in ("policy", "rows")}
    assert toy.specs[MADE]["uses"] == {} and toy.specs[MADE]["produces"]["rows"][2] == str(folder / "rows-6.safetensors")


def test_those_that_others_read_are_trained_first_and_once(toy):
    assert run(toy, "toy") == ["toy/other/A", "toy/other/B", *[f"toy/toy/{e}-{g}" for e in "AB" for g in (0.5, 1.0)]]
    assert run(toy, "toy") == []


def test_a_missing_file_makes_its_run_again_if_another_reads_it(toy):
    run(toy, "toy")
    (cell(MADE).folder / "rows-5.safetensors").unlink()
    assert sources.source(cell(MADE)).kind == "results", "figures read its numbers"
    assert sources.source(cell(MADE), files=("policy",)).kind == "results"
    assert sources.source(cell(MADE), files=("rows",)).kind == "missing"
    assert run(toy, "toy") == [], "nobody has to read it"
    shutil.rmtree(cell(USING).folder)
    with pytest.raises(UserError, match=r"toy/other/A lacks its files at scale day; run: python -m papers run toy/other/A"):
        run(toy, USING)
    assert run(toy, "toy") == [MADE, USING]
    assert {*names(cell(MADE).folder)} == {f"{name}-{s}.safetensors" for name in ("policy", "rows") for s in (4, 5, 6)}


def test_what_is_read_may_be_a_part_of_what_there_is(toy):
    reading(toy)
    assert [[c.key, files] for c, files in cell(USING).inputs] == [[MADE, ("policy",)]]
    assert [files for _, files in cell("toy/toy/A-1.0").inputs] == [("rows",)]
    run(toy, "toy/other")
    run(toy, "toy/toy")
    assert {*toy.specs[USING]["uses"]["data"][0]["files"]} == {"policy"}
    assert {*toy.specs["toy/toy/A-1.0"]["uses"]["data"][0]["files"]} == {"rows"}


def test_a_clone_makes_from_published_policies_what_it_can(toy):
    """Small files are published, large ones are not. A run that reads the small ones needs no training of the others; one
    that reads the large ones does, and a line tells so."""
    reading(toy)
    run(toy, "toy/other")
    assert [said for _, said in publishing.publish("toy/other", "day")] == ["published, 3 of 3 members"] * 2
    shutil.rmtree(toy.root / "results")
    assert names(cell(MADE).published) == [f"policy-{seed}.safetensors" for seed in (4, 5, 6)]
    assert sources.run_inputs(USING, "day") == [f"published/day/{MADE}/metrics.csv"]
    assert sources.run_inputs("toy/toy/A-1.0", "day") == [f"results/day/{MADE}/metrics.csv"], "which the workflow makes"
    assert run(toy, USING) == [USING]
    assert toy.specs[USING]["uses"]["data"][0]["files"] == {"policy": str(cell(MADE).published / "policy-4.safetensors")}
    with pytest.raises(UserError, match="toy/other/A lacks its files"):
        run(toy, "toy/toy/A-1.0")
    assert run(toy, "toy") == ["toy/other/A", "toy/other/B", "toy/toy/A-1.0", "toy/toy/B-0.5", "toy/toy/B-1.0"]


def test_what_is_missing_is_followed_to_its_beginnings(toy):
    """A run that lacks its results reads rows that were not published, which were made of rows that were not either."""
    toy.edit(PAGE, "uses: {data: other}", "uses: {data: between}")
    with open(toy.root / PAGE, "a") as file:
        file.write("  between: {algorithm: other_toy, grid: {env: [A, B]}, uses: {data: other}, produces: [rows]}\n")
    forget()
    run(toy, "toy")
    publishing.publish("toy/other", "day")
    publishing.publish("toy/between", "day")
    shutil.rmtree(toy.root / "results")
    assert run(toy, "toy/between") == [], "nobody reads its rows"
    made = [f"toy/{experiment}/{env}" for experiment in ("other", "between") for env in "AB"]
    assert run(toy, "toy") == [*made, *[f"toy/toy/{e}-{g}" for e in "AB" for g in (0.5, 1.0)]]


def test_the_cost_counts_what_has_to_be_made_for_a_run(toy, monkeypatch):
    reading(toy)
    monkeypatch.setattr(costs, "estimate", lambda cell, *_: cell.key)
    run(toy, "toy/other")
    publishing.publish("toy/other", "day")
    shutil.rmtree(toy.root / "results")
    assert costs.estimates("fig1_toy", "day") == [MADE, USING, "toy/toy/A-1.0"]
    run(toy, "toy/other/A")
    assert costs.estimates("fig1_toy", "day") == [USING, "toy/toy/A-1.0"]


def test_published_files_are_taken_for_those_of_another_code_that_lie_there(toy):
    """And none is taken of a publication that is stale or whose files are not all there."""
    toy.edit(PAGE, "produces: [policy, rows]", "produces: [policy]")
    forget()
    run(toy, MADE)
    publishing.publish(MADE, "day")
    published = {file: (cell(MADE).published / file).read_text() for file in names(cell(MADE).published)}
    for file in published:
        (cell(MADE).folder / file).write_text("of another code")
    shutil.rmtree(cell(MADE).work)
    (cell(MADE).folder / "run.json").unlink()
    assert run(toy, MADE) == [] and {f: (cell(MADE).folder / f).read_text() for f in published} == published
    shutil.rmtree(cell(MADE).folder)
    (cell(MADE).published / "policy-5.safetensors").unlink()
    assert run(toy, MADE) == [MADE], "a publication that lacks a file"
    shutil.rmtree(toy.root / "published")
    publishing.publish(MADE, "day")
    shutil.rmtree(toy.root / "results")
    toy.edit("papers/toy/other_toy.py", "return x", "return x + 1")
    forget()
    assert run(toy, MADE) == [MADE], "a publication of other code"
    assert cell(MADE).digest in (cell(MADE).folder / "policy-4.safetensors").read_text()


def test_own_files_stay_beside_published_ones(toy):
    toy.edit(PAGE, "produces: [policy, rows]", "produces: [policy]")
    forget()
    training.run(MADE, "day", threads=1, seeds=[4])
    publishing.publish(MADE, "day", partial=True)
    kept = (cell(MADE).folder / "policy-4.safetensors").read_text()
    (cell(MADE).published / "policy-4.safetensors").write_text("a copy")
    for stray in ("policy-7", "flow-4"):  # of other seeds, of other settings
        (cell(MADE).folder / f"{stray}.safetensors").write_text("stray")
    assert run(toy, MADE) == [MADE] and toy.trained == [(MADE, [5, 6])]
    assert (cell(MADE).folder / "policy-4.safetensors").read_text() == kept
    publishing.publish(MADE, "day")
    assert names(cell(MADE).published) == [f"policy-{seed}.safetensors" for seed in (4, 5, 6)]


def test_a_diverged_member_leaves_no_files_and_is_not_used(toy):
    toy.lost = {5}
    run(toy, "toy/other")
    assert sources.source(cell(MADE), files=("policy", "rows")).kind == "results"
    assert [run["settings"]["seed"] for run in fleets.used_runs(cell(MADE), ("rows",))] == [4, 6]
    assert run(toy, MADE) == [], "it is finished"
    toy.edit(PAGE, "produces: [policy, rows]", "produces: [policy]")
    forget()
    run(toy, MADE)
    publishing.publish(MADE, "day")
    shutil.rmtree(toy.root / "results")
    assert run(toy, MADE) == [] and names(cell(MADE).folder) == ["policy-4.safetensors", "policy-6.safetensors"]
    shutil.rmtree(toy.root / "published")
    toy.lost = {4, 5, 6}
    shutil.rmtree(toy.root / "results")
    run(toy, "toy/other")
    with pytest.raises(UserError, match="toy/other/A: every member diverged; there is nothing to use"):
        run(toy, USING)


def test_members_are_found_by_their_seed(toy):
    """A publication may hold more members than are wanted today."""
    toy.edit(PAGE, "produces: [policy, rows]", "produces: [policy]")
    forget()
    run(toy, MADE)
    publishing.publish(MADE, "day")
    shutil.rmtree(toy.root / "results")
    toy.edit(PAGE, "seeds: [4, 5, 6]", "seeds: [6]")
    forget()
    [used] = fleets.used_runs(cell(MADE), ("policy",))
    assert used["last"] == {"score": pytest.approx(0.6)} and used["files"]["policy"].endswith(
        "published/day/toy/other/A/policy-6.safetensors"
    )


def test_a_part_whose_file_is_gone_is_not_finished(toy):
    run(toy, MADE)
    assert joining.finished(cell(MADE)) == {"4", "5", "6"}
    (cell(MADE).folder / "policy-4.safetensors").unlink()
    assert joining.finished(cell(MADE)) == set()


# The worker's side


@pytest.fixture
def loop(monkeypatch):
    """A loop whose `run` the test states."""
    module = types.ModuleType("common.rl.plain")
    monkeypatch.setitem(sys.modules, "common.rl.plain", module)
    return module


def worked(toy, loop, run):
    loop.run = run
    fleet = fleets.Fleet(cell(MADE), cell(MADE).members[:2])
    fleet.prepare()
    spec = json.loads(fleet.specify("cpu", {"commit": "abc", "dirty": False}).read_text())
    worker.work(spec, lambda: False)
    return json.loads(fleet.part.read_text())


def leave(journal, name, member):
    journal.produce(name, member, {"x": np.full((2, 3), member, np.float32).T})


def test_a_run_that_leaves_no_file_says_so_in_one_line(toy, loop):
    def forgetful(learner, config, seeds, journal, device):
        for name, m in (("policy", 0), ("policy", 1), ("rows", 0)):
            leave(journal, name, m)

    with pytest.raises(
        UserError, match=r"ended without .*rows-5.safetensors, which its experiment states under `produces`$"
    ):
        worked(toy, loop, forgetful)
    assert not list(cell(MADE).work.glob("part-*")) and not joining.finished(cell(MADE))


def test_a_run_leaves_its_files_whole_and_no_others(toy, loop):
    def careful(learner, config, seeds, journal, device):
        for name in ("policy", "rows"):
            leave(journal, name, 0)
        journal.diverged(1, 3)
        leave(journal, "others", 0)

    part = worked(toy, loop, careful)
    assert part["labels"] == ["4", "5"] and joining.finished(cell(MADE)) == {"4", "5"}
    assert names(cell(MADE).folder) == ["policy-4.safetensors", "rows-4.safetensors"]
    with safe_open(cell(MADE).folder / "rows-4.safetensors", framework="numpy") as file:
        assert np.array_equal(file.get_tensor("x"), np.zeros((3, 2), np.float32))


def test_a_loop_is_given_the_runs_that_it_uses(toy, loop, monkeypatch):
    given = {}

    def curious(learner, config, seeds, journal, device, inputs):
        given.update(inputs)

    monkeypatch.setattr("common.rl.maths", types.ModuleType("maths"), raising=False)
    run(toy, "toy/other")
    loop.run = curious
    fleet = fleets.Fleet(cell(USING), cell(USING).members)
    fleet.prepare()
    worker.work(json.loads(fleet.specify("cpu", {"commit": "abc", "dirty": False}).read_text()), lambda: False)
    assert [run.settings["seed"] for run in given["data"]] == [4, 5, 6]
    assert given["data"][2].files["policy"].read_text().split()[1:3] == ["policy", "6"]
    assert given["data"][2].last == {"score": pytest.approx(0.6)}


def test_a_journal_writes_what_another_reads(tmp_path):
    from common.rl.inputs import Run

    journal = Journal(tmp_path, ["4"], "digest", produced={"rows": [str(tmp_path / "rows.safetensors")]})
    journal.produce("rows", 0, {"rows": np.arange(6, dtype=np.float32).reshape(2, 3).T, "n": np.array(3)})
    read = Run({"rows": tmp_path / "rows.safetensors"}, {}, {}).tensors("rows")
    assert read["rows"].tolist() == [[0, 3], [1, 4], [2, 5]] and read["n"].item() == 3
