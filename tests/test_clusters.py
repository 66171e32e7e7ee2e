"""What a cluster is asked for, how short cells share a job, and what `status` knows of jobs on other machines."""

import json
import os
import time

import pytest
import yaml

from common.files import atomic_write
from common.lab.plan import catalog
from common.lab.results import costs, requests
from common.lab.run import watch
from tests.fake import Repository, adopted

ROOT = catalog.ROOT
PROFILE = yaml.safe_load((ROOT / "workflow/profiles/slurm/config.yaml").read_text())


@pytest.fixture
def toy(tmp_path, monkeypatch):
    with adopted(Repository.create(tmp_path / "repository"), monkeypatch) as repository:
        yield repository


def known(monkeypatch, **run):
    """One measured run of the toy: a member took 2 h, and a worker of two members 700 MB."""
    settings = {"env": "A", "gain": 1.0, "total_steps": 1200, "rate": 0.1}
    typical = {"key": "results/quick/toy/toy/A-1.0", "algorithm": "toy", "settings": settings, "device": "cpu", "members": 2,
               "rate": 7200 / 1200, "core_seconds": 14400, "calibration": costs.FALLBACK_SPEED, "peak_mb": 700}  # fmt: skip
    monkeypatch.setattr(costs, "measured", lambda root: [typical | run])


def test_time_and_memory_come_from_the_nearest_run(toy, monkeypatch):
    known(monkeypatch)
    cell = catalog.cells("toy", "toy", "paper")["A-1.0"]  # three members
    three, one = costs.needs(cell, 3), costs.needs(cell, 1)
    assert three == costs.Needs(costs.START_MINUTES + 3 * 120, costs.OVERHEAD_MB + 3 * 700, short=False)
    assert one == costs.Needs(costs.START_MINUTES + 3 * 360, costs.OVERHEAD_MB + 700 * 3 // 2, short=False)
    known(monkeypatch, calibration=2 * costs.FALLBACK_SPEED)  # on a machine twice as fast as the cluster's may be
    assert costs.needs(cell, 3).minutes == costs.START_MINUTES + 6 * 120
    known(monkeypatch, rate=19.9 / 1200)
    assert costs.needs(cell, 1) == costs.Needs(costs.START_MINUTES + 3, costs.OVERHEAD_MB + 1050, short=True)
    known(monkeypatch, device="gpu")
    assert costs.needs(cell, 3, "cuda") == costs.Needs(costs.START_MINUTES + 3 * 360, costs.OVERHEAD_MB + 1050, short=False)


def test_without_any_run_the_guess_of_the_algorithm_counts(toy, monkeypatch):
    monkeypatch.setattr(costs, "measured", lambda root: [])
    found = costs.needs(catalog.cells("toy", "toy", "paper")["A-1.0"], 3)
    assert found.mem_mb == costs.OVERHEAD_MB + 3 * costs.WORKER_MB
    assert found.minutes == costs.START_MINUTES + 1 and found.short


def test_no_group_of_short_cells_waits_for_itself():
    """Every cell of a group uses cells of other groups alone, all of them earlier; and the profile knows each group."""
    asked, groups = requests.Asked({}), dict(pair.split("=") for pair in PROFILE["group-components"])
    for scale in catalog.SCALES:
        for cell in catalog.targeted("all", scale):
            if own := asked.group(cell.key, scale):
                assert int(groups[own]) > 1
                used = [asked.group(other.key, scale) for other in cell.used]
                assert all(other is None or other < own for other in used), cell.key
        assert scale != "smoke" or asked.group("nf_review/lsp_second/HalfCheetah-v4", scale) == "short1"
    assert asked.group("trpo_nf/trpo_long/Hopper-v4-flow", "paper") is None


def test_a_gpu_job_takes_one_core():
    key = "arsac/arsac/HalfCheetah-v4-1x32"
    assert requests.Asked({"device": "cuda"}).threads(key, "paper") == 1
    assert requests.Asked({}).threads(key, "paper") == catalog.cell(key, "paper").threads(1000) > 1


def test_a_worker_on_another_machine_runs_until_it_is_silent(toy):
    work = toy.root / "results/quick/toy/toy/A-1.0/.work"
    progress = {"members": ["4"], "step": 250, "total": 1000, "rate": 50.0, "updated": time.time(), "pid": 2**22 + 1}
    atomic_write(work / "progress-4x1.json", json.dumps(progress | {"host": "elsewhere"}))
    assert list(watch.running()) == ["quick toy/toy/A-1.0"]
    assert watch.running(now=time.time() + 1000) == {}


def test_status_names_the_log_of_a_failed_job(toy, capsys):
    made = "results/quick/toy/toy/A-1.0/metrics.csv"
    rule = f"rule run:\n    output: {made}, results/quick/toy/toy/A-1.0/run.json\n"
    limit = "slurmstepd-n1: error: *** JOB 7 ON n1 CANCELLED AT 2026-11-27T16:58:38 DUE TO TIME LIMIT ***\n"

    def say(number, text, age):
        path = toy.root / f"logs/slurm/group_short0_run/{number}.log"
        atomic_write(path, text)
        os.utime(path, (time.time() - age, time.time() - age))

    say(7, rule + "papers: stopped; what was training has a checkpoint\n" + limit, age=30)
    say(8, "srun: error: Unable to create step\n", age=20)
    assert watch.failed() == [
        f"failed: logs/slurm/group_short0_run/7.log: {limit.split('error: ')[1].strip()}",
        "failed: logs/slurm/group_short0_run/8.log: srun: error: Unable to create step",
    ]
    say(9, rule, age=10)  # the retry runs
    assert len(watch.failed()) == 1
    say(9, rule + "papers: no space left on device; earlier results are untouched\nWorkflowError:\nAt least one\n", age=5)
    watch.show()
    assert "9.log: papers: no space left on device; earlier results are untouched\n" in capsys.readouterr().out
    atomic_write(toy.root / made, "")  # it was made since
    assert len(watch.failed()) == 1


def test_the_command_that_a_job_runs_names_no_wrong_target():
    """Snakemake calls itself inside a job, with its Snakefile's whole path; people do so from another folder."""
    requests.Asked({}).check(["--snakefile", f"{ROOT}/workflow/Snakefile", "--target-jobs", "claims:at=smoke/,paper=arsac"])
