"""`python -m papers`: what it says, and that a mistake ends with status 2, one line and nothing written."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.fake import Repository


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    made = Repository.create(tmp_path_factory.mktemp("cli") / "repository")
    for cell in ("toy/toy/A-0.5", "toy/toy/A-1.0", "toy/other/B"):
        assert made.papers("run", cell).returncode == 0
    return made


@pytest.mark.parametrize(
    "command, message",
    [
        ("", "arguments are required"),
        ("frobnicate", "invalid choice: 'frobnicate'"),
        ("draw", "arguments are required"),
        ("draw fig1_tyo", "'fig1_tyo'; did you mean fig1_toy"),
        ("draw table1_final", "use: python -m papers tabulate"),
        ("draw fig1_toy --scale huge", "unknown scale 'huge'; allowed: smoke, quick, day, paper"),
        ("draw fig1_toy --scale day", "has not been run at scale day; run: python -m papers run toy/toy/A-0.5 --scale day"),
        ("draw fig3_schematic --output /proc/figure.pdf", "cannot be written"),
        ("draw fig3_schematic --output .", "--output .: is a folder"),
        ("draw fig3_schematic --output papers", "--output papers: is a folder"),
        ("draw fig3_schematic --output environment.yml/x.pdf", "environment.yml/x.png: cannot be written"),
        (f"draw fig3_schematic --output {'x' * 300}.pdf", "File name too long"),
        ("tabulate table1_final", "has not been run"),
        ("judge nobody", "unknown paper 'nobody'; allowed: toy"),
        ("run toy/toy/A-0.5/x", "the form is <paper>[/<experiment>[/<cell>]]"),
        ("run nobody/toy/A-0.5", "unknown paper 'nobody'"),
        ("run toy/tyo/A-0.5", "unknown experiment 'tyo'; did you mean toy"),
        ("run toy/toy/A-0.6", "unknown cell 'A-0.6'; did you mean A-0.5"),
        ("run toy/toy/A-0.5 --seeds four", "--seeds: 'four' must be an integer in [0, 4294967295], or a range such as 0-4"),
        ("run toy/toy/A-0.5 --exactly", "it needs --seeds"),
        ("draw fig1_toy --seeds 4,9", "run: python -m papers run toy/toy/A-0.5 --scale quick --seeds 4,9"),
        ("run toy/toy/A-0.5 --threads 0", "must be a positive integer"),
        ("run toy/toy/A-0.5 --threads ²", "'²' must be a positive integer"),
        ("run toy/toy/A-0.5 --seeds ²", "'²' must be an integer"),
        ("run toy/toy/A-0.5 --device mps", "allowed: cpu, cuda, cuda:<number>"),
        ("run toy/toy/A-0.5 --device cuda:٣", "unknown device"),
        ("run toy/toy/A-0.5 --device tpu", "unknown device 'tpu'"),
        ("publish nobody", "unknown paper 'nobody'"),
        ("publish toy/toy/A-0.5/x", "the form is"),
        ("draw all --output x.pdf", "--output x.pdf: all is many files"),
        ("explain fig9", "no figure, table or claims are called 'fig9'"),
        ("cost fig9", "no figure, table or claims are called 'fig9'"),
        ("list nobody", "unknown paper 'nobody'"),
    ],
)  # fmt: skip
def test_a_mistake_ends_with_one_line(repository, command, message):
    before = repository.files()
    done = repository.papers(*command.split())
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1 and message in done.stderr
    assert repository.files() == before


def test_list_names_everything(repository):
    listed = repository.papers("list").stdout
    for name in ("fig1_toy(toy='env=A')", "table1_final(toy)", "c01_gain_helps", "experiment toy: 4 cells"):
        assert name in listed


def test_explain_prints_the_chain(repository):
    explained = repository.papers("explain", "fig2_both").stdout
    for part in (
        "figures/fig2_both.pdf at scale quick",
        "papers/toy/figures.py:20  fig2_both(toy, other='env=B')",
        "papers/toy/experiments.yaml:5  toy",
        "papers/toy/toy.py:6  Learner",
        "results/quick, 3 of 3 members",
        "to be run",
    ):
        assert part in explained


def test_cost_counts_what_is_missing(repository):
    nothing = repository.papers("cost", "fig1_toy").stdout
    assert nothing == "fig1_toy at scale quick: nothing has to be run\n"
    assert "toy/toy/A-0.5: 2 members" in repository.papers("cost", "fig1_toy", "--seeds", "4-8").stdout
    costs = repository.papers("cost", "fig1_toy", "--scale", "paper").stdout
    assert "toy/toy/A-0.5: 3 members" in costs and "measured: results/quick/toy/toy/A-0.5" in costs
    assert "fig1_toy at scale paper: 2 cells" in costs


def test_draw_and_judge_write_what_they_say(repository):
    drawn = repository.papers("draw", "fig1_toy")
    assert drawn.stdout.split() == ["figures/fig1_toy.pdf", "figures/fig1_toy.png"] and drawn.stderr == ""
    judged = repository.papers("judge", "toy")
    assert judged.stdout.split() == ["figures/claims_toy.md", "figures/claims_toy.csv"]
    table = (repository.root / "figures/claims_toy.md").read_text()
    assert "| c01_gain_helps | A higher gain gives a higher return. | reproduced |" in table


def test_all_are_drawn_where_the_workflow_has_them(repository, tmp_path):
    """The files of `snakemake all`, with the bytes that they have one at a time."""
    clone = repository.copy(tmp_path / "repository")
    refused = clone.papers("draw", "all", "--threads", "1")
    assert refused.returncode == 2 and len(refused.stderr.splitlines()) == 1
    assert "toy/toy/B-0.5 has not been run" in refused.stderr
    none = clone.papers("draw", "all", "--scale", "smoke", "--available", "--threads", "1")
    assert none.returncode == 0 and "fig1_toy: left out: none of its cells" in none.stderr
    assert "figures/smoke/fig3_schematic.pdf" in none.stdout
    assert clone.papers("run", "all").returncode == 0
    made = clone.papers("draw", "all", "--threads", "2", "--seeds", "4")
    assert made.returncode == 0
    assert clone.papers("draw", "fig1_toy", "--seeds", "4", "--output", "alone.pdf").returncode == 0
    assert (clone.root / "alone.pdf").read_bytes() == (clone.root / "figures/fig1_toy.pdf").read_bytes()
    wanted = {"fig1_toy.pdf", "fig1_toy.png", "fig2_both.pdf", "fig2_both.png", "claims_toy.md", "claims_toy.csv"}
    assert wanted <= {Path(file).name for file in made.stdout.split()}


def test_publish_takes_what_is_finished_and_todays(repository, tmp_path):
    clone = repository.copy(tmp_path / "repository")
    said = clone.papers("publish", "toy").stdout
    assert "toy/toy/A-0.5 at quick: published, 3 of 3 members" in said and "toy/toy/B-0.5 at quick: not run" in said
    assert (clone.root / "published/quick/toy/toy/A-0.5/run.json").exists()
    assert "was published already" in clone.papers("publish", "toy/toy/A-0.5").stdout
    clone.edit("common/rl/maths.py", "RATE = 2", "RATE = 3")
    assert "stale, left out" in clone.papers("publish", "toy/toy/A-0.5").stdout
    metrics = clone.root / "results/quick/toy/other/B/metrics.csv"
    (clone.root / "published/quick/toy/other/B/run.json").unlink()
    metrics.write_text(metrics.read_text() + "0,4,100,return,1.0\n" * 150_000)
    large = clone.papers("publish", "toy/other")
    assert large.returncode == 2 and "over 2 MB, too large to publish" in large.stderr


def test_status_of_nothing(repository):
    assert repository.papers("status").stdout == "nothing is running\n"


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_run_says_so_in_one_line(repository, tmp_path, sign):
    waiting = repository.copy(tmp_path / "repository")
    (waiting.root / "wait").touch()
    command = [sys.executable, "-m", "papers", "run", "toy/toy/B-0.5"]
    pipes = {"stderr": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    # Where the tests run in the background, a shell has SIGINT ignored, which a child would inherit.
    process = subprocess.Popen(command, cwd=waiting.root, preexec_fn=lambda: signal.signal(sign, signal.SIG_DFL), **pipes)
    for _ in range(600):
        if (waiting.root / "waiting").exists():
            break
        time.sleep(0.05)
    process.send_signal(sign)
    said = process.communicate(timeout=60)[1]
    assert process.returncode == 130 and "Traceback" not in said
    assert (
        said.splitlines()[-1] == "papers: stopped; what was training has a checkpoint, from which the same command goes on"
    )
