"""Reliability of runs: killed anywhere and started again, a run ends with the bytes of an uninterrupted one."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import asdict
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from common.errors import UserError
from common.lab.run import checkpoints
from common.lab.run.journal import Journal
from common.lab.run.locks import hold
from papers.arsac.config import ARSAC
from tests import forked

ROOT = Path(__file__).resolve().parent.parent
SETTINGS = {
    "critic": "2x32", "base": "1x32", "flow": "2x32", "total_steps": 160, "warmup": 40, "update_after": 40, "batch_size": 32,
    "evaluate_every": 80, "evaluation_episodes": 1,
}  # fmt: skip


def spec(folder, env, seeds=(4, 5), checkpoint_seconds=0.05, digest="a"):
    """A worker's spec on disk, as the harness writes it."""
    written = {
        "module": "papers.arsac.arsac",
        "config": "papers.arsac.config:ARSAC",
        "settings": asdict(ARSAC(env=env, **SETTINGS)),
        "members": [{"seed": seed} for seed in seeds],
        "labels": [str(seed) for seed in seeds],
        "digest": digest,
        "device": "cpu",
        "folder": str(folder / "members"),
        "part": str(folder / "part.json"),
        "checkpoint_seconds": checkpoint_seconds,
    }
    folder.mkdir(exist_ok=True)
    (folder / "spec.json").write_text(json.dumps(written))
    return folder / "spec.json"


def start(path):
    """A worker as the harness starts it."""
    command = [sys.executable, "-m", "common.lab.run.worker", str(path)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True)


def finish(path):
    """Run a worker to its end; its records and tables, and what it said."""
    status, said = forked.run(path)
    assert status == 0, said
    part = json.loads((path.parent / "part.json").read_text())
    return (part["records"], part["tables"]), said


@pytest.fixture(scope="module")
def half_cheetah(tmp_path_factory):
    """What an uninterrupted run on HalfCheetah leaves."""
    return finish(spec(tmp_path_factory.mktemp("whole"), "HalfCheetah-v4"))[0]


@pytest.mark.parametrize("env, times", [("Ant-v4", 3), ("Reacher-v4", 2)])
def test_killed_at_random_moments_the_run_ends_with_the_same_bytes(env, times, tmp_path):
    """Restoring these simulators' states is not exact, so that every resumption replays the present episode."""
    expected, _ = finish(spec(tmp_path / "whole", env))
    path = spec(tmp_path / "killed", env, checkpoint_seconds=0.0)  # one a step
    rng = np.random.default_rng(0)
    for _ in range(times):
        saves, seconds = int(rng.integers(5, 35)), rng.uniform(0.0, 0.005)
        status, _ = forked.run(path, partial(forked.killed_after, saves, seconds))
        assert status == -signal.SIGALRM
    result, said = finish(spec(tmp_path / "killed", env))
    assert result == expected
    assert "going on from step" in said


def test_killed_while_a_checkpoint_is_written(tmp_path, half_cheetah):
    """The half-written file stands aside; the checkpoint before it is whole."""
    path = spec(tmp_path / "killed", "HalfCheetah-v4", checkpoint_seconds=0.0)
    status, _ = forked.run(path, partial(forked.killed_while_writing, 50))
    assert status == -signal.SIGKILL and list((tmp_path / "killed" / "members").glob(".checkpoint-*"))
    result, said = finish(spec(tmp_path / "killed", "HalfCheetah-v4"))
    assert result == half_cheetah and "going on from step 49" in said


@pytest.mark.parametrize("damage", ["truncated", "altered", "log"])
def test_a_damaged_checkpoint_is_recognised_and_the_other_one_used(damage, tmp_path, half_cheetah):
    path = spec(tmp_path / "run", "HalfCheetah-v4", checkpoint_seconds=0.0)
    folder = tmp_path / "run" / "members"
    assert forked.run(path, partial(forked.killed_after, 50, 0.0))[0] == -signal.SIGALRM
    newest = max(folder.glob("checkpoint-?"), key=lambda f: checkpoints.read(f)[1]["step"])
    content = newest.read_bytes()
    if damage == "truncated":
        newest.write_bytes(content[:-100])
    elif damage == "altered":
        newest.write_bytes(content[:500] + bytes([content[500] ^ 1]) + content[501:])
    else:
        log = folder / "log-4.f32"
        log.write_bytes(log.read_bytes()[: checkpoints.read(newest)[1]["lengths"][0] - 4])
    result, said = finish(spec(tmp_path / "run", "HalfCheetah-v4"))
    assert ("truncated or altered" in said) and "going on from step" in said
    assert result == half_cheetah


def test_another_run_at_work_is_named(tmp_path):
    lock = tmp_path / "run" / "members.lock"
    with hold(lock):
        process = start(spec(tmp_path / "run", "HalfCheetah-v4"))
        said = process.communicate(timeout=60)[1]
    assert process.returncode == 2
    assert str(os.getpid()) in said and "still writing" in said and len(said.strip().splitlines()) == 1


def test_a_full_disk_is_said_in_one_line_and_earlier_results_stay(tmp_path):
    small = tmp_path / "small"
    small.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(small)], capture_output=True).returncode:
        pytest.skip("a small file system needs the right to mount one")
    try:
        (small / "earlier.csv").write_text("member,seed\n")
        process = start(spec(small / "run", "HalfCheetah-v4"))
        said = process.communicate(timeout=300)[1]
        assert process.returncode == 2
        assert "No space left" in said.splitlines()[-1] and "untouched" in said.splitlines()[-1]
        assert (small / "earlier.csv").read_text() == "member,seed\n"
        assert not (small / "run" / "part.json").exists()
    finally:
        subprocess.run(["umount", str(small)], check=True)


def test_a_checkpoint_of_other_settings_is_not_used(tmp_path):
    journal = Journal(tmp_path, ["4"], "old")
    journal.save(3, {"x": np.ones(2, np.float32)}, {})
    assert Journal(tmp_path, ["4"], "new").resume() is None
    step, arrays, state = Journal(tmp_path, ["4"], "old").resume()
    assert step == 3 and arrays["x"].tolist() == [1, 1] and state == {}


def test_checkpoints_know_their_checksum(tmp_path):
    checkpoints.write(tmp_path / "c", {"x": np.arange(3)}, {"step": 1})
    assert checkpoints.read(tmp_path / "c")[1] == {"step": 1}
    (tmp_path / "c").write_bytes((tmp_path / "c").read_bytes()[:-1])
    with pytest.raises(UserError, match="checksum"):
        checkpoints.read(tmp_path / "c")


def test_cpu_time_is_summed_over_the_processes_that_worked_on_a_run(tmp_path, monkeypatch):
    clock = iter([100.0, 107.0, 2.0, 5.0])  # of one process when it starts and saves, of the next when it starts and ends
    monkeypatch.setattr("common.lab.run.journal.time.process_time", lambda: next(clock))
    Journal(tmp_path, ["4"], "same").save(1, {}, {})
    again = Journal(tmp_path, ["4"], "same")
    again.resume()
    assert again.worked() == 7 + 3
