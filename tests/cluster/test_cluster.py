"""The workflow through a real Slurm: jobs that are killed go on by themselves, and the bytes are those of a run without."""

import contextlib
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cluster import slurm

ROOT = Path(__file__).resolve().parents[2]
TARGETS = ["figures/smoke/figx_leapfrog.pdf", "figures/smoke/figx_lsp_hierarchy.pdf"]  # of mcmc_po and nf_review
GPU_CELL = "results/smoke/mcmc_po/bandit/5/metrics.csv"

# In the copies that the tests run, a worker waits at its first chance to save a checkpoint if its job is one to be killed. A
# job that is submitted again has another number, and does not wait.
HOLD = """now = time.monotonic()
        held = Path("hold") / os.environ.get("SLURM_JOB_ID", "none")
        while held.is_dir() and not self.stopping():
            (held / "reached").touch()
            time.sleep(0.1)
"""

pytestmark = pytest.mark.skipif(bool(slurm.lacking()), reason=f"no Slurm here: {slurm.lacking()}")


@pytest.fixture(scope="module")
def environment():
    """Slurm, and the variables of an activated environment."""
    with slurm.cluster() as variables:
        path, programs = variables["PATH"].split(":", 1), str(Path(sys.executable).parent)
        yield variables | {"PATH": ":".join([path[0], programs, path[1]])}


def checkout(root):
    """A copy of what runs, without results, that can be held."""
    for name in ("common", "papers", "workflow", "config"):
        shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "environment.yml", root)
    journal = root / "common/lab/run/journal.py"
    text = journal.read_text()
    assert text.count("now = time.monotonic()\n") == 1
    journal.write_text(text.replace("now = time.monotonic()\n", HOLD))
    return root


def snakemake(root, environment, *arguments):
    """The command, started; what it says goes into <root>/said.txt."""
    with open(root / "said.txt", "w") as said:
        command = [sys.executable, "-m", "snakemake", *arguments]
        variables = environment | {"PYTHONPATH": str(root)}
        return subprocess.Popen(command, cwd=root, env=variables, stdout=said, stderr=subprocess.STDOUT)


def on_cluster(root, environment, *arguments):
    """`snakemake` with the profile; Slurm without accounting is asked by squeue, and often."""
    here = ["--slurm-status-command", "squeue", "--slurm-init-seconds-before-status-checks", "3"]
    return snakemake(root, environment, "--profile", "workflow/profiles/slurm", *here, *arguments)


def ended(process, root):
    status = process.wait(timeout=400)
    return status, (root / "said.txt").read_text()


def call(environment, *command, folder=None):
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def jobs(environment):
    """{number of a job: its state}"""
    return dict(line.split() for line in call(environment, "squeue", "--states=all", "-h", "-o", "%i %T").splitlines())


def made(root):
    """All results and pictures, {path: bytes}, but for the records of when and where a run was made."""
    paths = [path for folder in ("results", "figures") for path in (root / folder).rglob("*") if path.is_file()]
    kept = [path for path in paths if ".work" not in path.parts and path.name != "run.json"]
    return {str(path.relative_to(root)): path.read_bytes() for path in kept}


@pytest.fixture(scope="module")
def runs(environment, tmp_path_factory):
    """The same figures made without Slurm (`alone`) and with it (`many`), two jobs being killed: {name: (root, exit status,
    what Snakemake said)}; and, as `gpu`, a cell that wants a GPU that is not there. They wait side by side."""
    roots = {name: checkout(tmp_path_factory.mktemp(name) / "checkout") for name in ("alone", "many", "gpu")}
    held = [roots["many"] / "hold" / number for number in ("1", "2")]
    for folder in held:
        folder.mkdir(parents=True)
    with contextlib.ExitStack() as started:
        many = on_cluster(roots["many"], environment, "--group-components", "short0=2", "draw=2", "--", *TARGETS)
        started.callback(many.kill)
        deadline = time.monotonic() + 180
        while not all((folder / "reached").exists() for folder in held):
            assert many.poll() is None and time.monotonic() < deadline, (roots["many"] / "said.txt").read_text()
            time.sleep(0.2)
        assert jobs(environment) == {"1": "RUNNING", "2": "RUNNING"}
        call(environment, "scontrol", "update", "JobId=2", "TimeLimit=1")  # minutes; Slurm looks every half
        call(environment, "scancel", "1")
        alone = snakemake(roots["alone"], environment, "--cores", "1", *TARGETS)
        started.callback(alone.kill)
        gpu = on_cluster(roots["gpu"], environment, "--retries", "0", GPU_CELL, "--config", "device=cuda:7")
        started.callback(gpu.kill)
        processes = {"alone": alone, "many": many, "gpu": gpu}
        yield {name: (roots[name], *ended(process, roots[name])) for name, process in processes.items()}


def test_killed_jobs_go_on_from_their_checkpoints(environment, runs):
    root, status, said = runs["many"]
    assert status == 0, said
    states = jobs(environment)
    assert (states["1"], states["2"]) == ("CANCELLED", "TIMEOUT")
    assert list(states.values()).count("COMPLETED") == 4  # both again, the cells that use others, and drawing
    logs = [path.read_text() for path in (root / "results").rglob("worker-*.log")]
    assert sum("stopped at step" in log and "going on from step" in log for log in logs) == 2
    assert "failed:" not in papers_status(root)  # for what failed was made since


def test_the_bytes_are_those_of_a_run_without_slurm(runs):
    for name in ("alone", "many"):
        assert runs[name][1] == 0, runs[name][2]
    alone, many = made(runs["alone"][0]), made(runs["many"][0])
    assert sum(path.endswith("metrics.csv") for path in alone) == 4 and {*TARGETS} <= alone.keys()
    assert many == alone


def test_a_gpu_is_asked_for_and_status_names_the_log_of_a_job_that_failed(environment, runs):
    root, status, said = runs["gpu"]
    assert status != 0, said
    (number,) = [number for number, state in jobs(environment).items() if state == "FAILED"]
    assert "gres:gpu:1" in call(environment, "scontrol", "show", "job", number)
    assert f"/{number}.log: papers: " in papers_status(root) and "cuda:7" in papers_status(root)


def papers_status(root):
    return call(os.environ | {"PYTHONPATH": str(root)}, sys.executable, "-m", "papers", "status", folder=root)
