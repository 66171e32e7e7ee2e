"""What the workflow plans: all that an edit changes, and nothing else."""

import re
import shutil
import subprocess
import sys
import sysconfig
import time
from pathlib import Path

import pytest

from tests.fake import ROOT, Repository

TOY = ["toy/A-0.5", "toy/A-1.0", "toy/B-0.5", "toy/B-1.0"]


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """A repository in which everything has been made."""
    repository = Repository.create(tmp_path_factory.mktemp("finished") / "repository")
    done = repository.snakemake("all")
    assert done.returncode == 0, done.stderr
    return repository


@pytest.fixture
def repository(finished, tmp_path):
    """A copy of the finished repository."""
    return finished.copy(tmp_path / "repository")


def test_everything_was_made_once(finished):
    made = {path.name for path in (finished.root / "figures").iterdir()}
    assert {"fig1_toy.pdf", "fig1_toy.png", "table1_final.md", "table1_final.tex", "claims_toy.md"} <= made
    ran = (finished.root / "ran.txt").read_text().splitlines()
    assert sorted(ran) == sorted(["toy/other/B"] + [f"toy/{name}" for name in TOY])
    assert finished.planned("all") == []


def test_cosmetic_edits_plan_nothing(repository):
    repository.edit("common/rl/maths.py", "  # twice", "  # two times")
    repository.edit("common/rl/maths.py", "Gain.", "The gain.")
    repository.edit("common/rl/maths.py", "return x\n", "return  x + 1  # nobody calls it\n")
    repository.edit("papers/toy/toy.py", '"""Learns."""', '"""Learns\n    well."""')
    repository.edit("papers/toy/figures.py", "def _half", "# half\n\n\ndef _half")
    repository.edit("papers/toy/experiments.yaml", "about: a toy", "about: one toy  # of many")
    repository.edit("workflow/rules/runs.smk", "python -m papers run", "python  -m papers run")
    repository.edit("workflow/rules/figures.smk", "python -m papers draw", "python  -m papers draw")
    repository.write("common/lab/run/harness.py", (repository.root / "common/lab/run/harness.py").read_text() + "\nX = 1\n")
    assert repository.planned("all") == []


def test_another_environment_plans_nothing(repository, tmp_path):
    other = tmp_path / "environment"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(other)], check=True)
    packages = next(other.glob("lib/python*/site-packages"))
    (packages / "elsewhere.pth").write_text(sysconfig.get_paths()["purelib"])
    repository.edit("environment.yml", "python=3.11", "python=3.12")
    assert repository.planned("all", python=str(other / "bin" / "python")) == []


def test_an_equation_plans_what_depends_on_it(repository):
    repository.edit("common/rl/maths.py", "RATE = 2", "RATE = 3")
    assert repository.planned("all") == sorted(["claims_toy", "fig1_toy", "fig2_both", "table1_final", *TOY])


def test_so_it_does_where_snakemake_made_none_of_the_runs(repository):
    """As after `papers run`: Snakemake then has no record of what they were made of."""
    shutil.rmtree(repository.root / ".snakemake")
    assert repository.planned("all") == []
    repository.edit("common/rl/maths.py", "RATE = 2", "RATE = 3")
    assert set(TOY) <= set(repository.planned("all"))
    done = repository.snakemake("figures/fig1_toy.pdf")
    assert done.returncode == 0, done.stderr
    assert repository.planned("figures/fig1_toy.pdf") == []


def test_a_setting_plans_its_cells(repository):
    repository.edit("papers/toy/experiments.yaml", "seeds: [4, 5, 6]\n", "seeds: [4, 5, 6]\n    set: {rate: 0.2}\n")
    assert repository.planned("all") == ["fig2_both", "other/B"]


def test_a_further_seed_plans_its_cells(repository):
    repository.edit("papers/toy/experiments.yaml", "seeds: [4, 5, 6]\n", "seeds: [4-7]\n")
    assert repository.planned("all") == ["fig2_both", "other/B"]


def seeds(repository, cell):
    """The seeds in a cell's results."""
    rows = (repository.root / f"results/quick/toy/{cell}/metrics.csv").read_text().splitlines()[1:]
    return sorted({int(row.split(",")[1]) for row in rows})


def test_other_seeds_are_asked_for_without_an_edit(repository):
    asked = ("figures/fig1_toy.pdf", "figures/claims_toy.md", "--config", "seeds=4-7")
    assert repository.planned(*asked) == ["claims_toy", "fig1_toy", "toy/A-0.5", "toy/A-1.0"]
    assert repository.snakemake(*asked).returncode == 0
    assert seeds(repository, "toy/A-0.5") == [4, 5, 6, 7]
    assert "4 seeds" in (repository.root / "figures/claims_toy.md").read_text()
    assert repository.planned(*asked) == []
    assert repository.planned(*asked[:2]) == ["claims_toy", "fig1_toy"]  # with the seeds of the page, which were trained
    assert repository.snakemake(*asked[:2], "--config", "seeds=7,4").returncode == 0
    assert "2 seeds" in (repository.root / "figures/claims_toy.md").read_text()
    assert seeds(repository, "toy/A-0.5") == [4, 5, 6, 7]


def test_fewer_seeds_than_the_page_has_are_a_whole_run(repository):
    asked = ("figures/smoke/fig2_both.pdf", "--config", "seeds=5-6")
    assert repository.snakemake(*asked).returncode == 0
    assert repository.planned(*asked) == []
    assert repository.planned(asked[0]) == ["other/B", "smoke/fig2_both", *TOY]


def test_a_helper_plans_the_figures_that_call_it(repository):
    repository.edit("papers/toy/figures.py", "values / 2", "values / 4")
    assert repository.planned("all") == ["fig2_both"]


def test_a_new_figure_is_drawn_alone(repository):
    function = '\n\ndef fig4_new(toy="env=A, gain=1.0"):\n    """New."""\n    return plt.figure()\n'
    last = "    return plt.figure(figsize=(3, 2))\n"
    repository.edit("papers/toy/figures.py", last, last + function)
    assert repository.planned("all") == ["fig4_new"]


def test_a_fresh_clone_with_published_cells_only_draws(repository, tmp_path):
    assert repository.papers("publish", "toy").returncode == 0
    clone = repository.copy(tmp_path / "clone", "results", "figures", "logs", ".snakemake", "ran.txt")
    assert clone.planned("all") == ["claims_toy", "fig1_toy", "fig2_both", "fig3_schematic", "table1_final"]
    assert clone.snakemake("figures/fig1_toy.pdf").returncode == 0
    drawn = "figures/fig1_toy.pdf"
    assert (clone.root / drawn).read_bytes() == (repository.root / drawn).read_bytes()
    assert not (clone.root / "ran.txt").exists()


def test_stale_published_cells_stand_in_at_the_large_scales(repository):
    cells = [f"results/day/toy/toy/{cell}/metrics.csv" for cell in ("A-0.5", "A-1.0")]
    assert repository.snakemake(*cells).returncode == 0
    assert repository.papers("publish", "toy/toy", "--scale", "day").returncode == 0
    repository.edit("common/rl/maths.py", "RATE = 2", "RATE = 3")
    asked = ("figures/day/fig1_toy.pdf",)
    assert repository.planned(*asked) == ["day/fig1_toy"]
    assert repository.planned(*asked, "--config", "fresh=true") == ["day/fig1_toy", "toy/A-0.5", "toy/A-1.0"]
    assert repository.papers("judge", "toy", "--scale", "day", "--output", "figures/day/claims_toy.md").returncode == 0
    assert "stale" in (repository.root / "figures/day/claims_toy.md").read_text()


def test_a_picture_of_a_larger_scale_is_not_replaced_in_silence(repository):
    line = "figures/fig1_toy.pdf shows scale quick; it will be replaced by scale smoke"
    done = repository.snakemake("figures/fig1_toy.pdf", "--config", "scale=smoke", "--dry-run")
    assert done.returncode == 0 and line in done.stderr
    beside = repository.snakemake("figures/smoke/fig1_toy.pdf", "--dry-run")
    assert beside.returncode == 0 and "replaced" not in beside.stderr


@pytest.mark.parametrize(
    "arguments, line",
    [
        (["figures/fig1_tyo.pdf"], "'fig1_tyo'; did you mean fig1_toy"),
        (["figures/fig1_toy.svg"], "allowed endings: .pdf, .png"),
        (["figures/huge/fig1_toy.pdf"], "<scale> one of smoke, quick, day, paper"),
        (["figures/fig1_toy.pdf", "--config", "scale=huge"], "unknown scale 'huge'; allowed: smoke, quick, day, paper"),
        (["figures/fig1_toy.pdf", "--config", "scales=day"], "unknown key 'scales'; did you mean scale or seeds?"),
        (["figures/fig1_toy.pdf", "--config", "device=tpu"], "unknown device 'tpu'"),
        (["figures/fig1_toy.pdf", "--config", "seeds=four"], "config: seeds: 'four' must be an integer in [0, 4294967295]"),
        (["results/quick/toy/toy/A-0.7/metrics.csv"], "'A-0.7'; did you mean"),
        (["fig1_toy"], "fig1_toy: is no file; did you mean figures/fig1_toy.pdf?"),
        (["table1_final.md"], "did you mean figures/table1_final.md?"),
        (["claims_toy"], "did you mean figures/claims_toy.md?"),
        (["fig1_tyo"], "no figure, table or claims are called 'fig1_tyo'; did you mean fig1_toy"),
    ],
)
def test_bad_requests_end_with_one_line(finished, arguments, line):
    before = finished.files()
    done = finished.snakemake(*arguments)
    assert done.returncode != 0
    assert "WorkflowError:\n" in done.stderr and line in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr and 'File "' not in done.stderr
    assert finished.files() == before


def test_a_bad_setting_ends_with_one_line(repository):
    repository.edit("papers/toy/experiments.yaml", "0.5", "50")
    done = repository.snakemake("all")
    assert done.returncode != 0
    line = "papers/toy/experiments.yaml:5: toy: gain = 50.0 is out of range; it must be in [0.0, 10.0]"
    assert done.stderr.splitlines()[-1] == line


def test_the_message_of_a_failed_run_reaches_the_terminal(repository):
    repository.write("broken", "")
    repository.edit("common/rl/maths.py", "RATE = 2", "RATE = 3")
    done = repository.snakemake("figures/fig1_toy.pdf")
    assert done.returncode != 0
    assert "papers: no space left on device; earlier results are untouched" in done.stderr.splitlines()
    assert "MissingOutputException" not in done.stderr  # a failure in a pipe is one
    assert (repository.root / "figures/fig1_toy.pdf").exists()


def test_an_absolute_target_is_said_as_a_relative_one(repository):
    done = repository.snakemake(f"{repository.root}/figures/fig1_toy.pdf")
    assert done.returncode != 0
    assert done.stderr.splitlines()[-1].endswith("must be relative to the checkout: figures/fig1_toy.pdf")


def test_the_workflow_calls_its_own_python(repository):
    """Without activation: `python` on PATH is another one, which must not be used."""
    other = repository.root / "bin" / "python"
    repository.write("bin/python", "#!/bin/sh\necho another python >&2; exit 1\n")
    other.chmod(0o755)
    repository.edit("common/rl/maths.py", "RATE = 2", "RATE = 3")
    command = [sys.executable, "-m", "snakemake", "--cores", "2", "figures/fig1_toy.pdf"]
    environment = repository.environment() | {"PATH": f"{other.parent}:/usr/bin:/bin"}
    done = subprocess.run(command, cwd=repository.root, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_killed_workflow_goes_on_by_the_same_command(repository):
    repository.edit("common/rl/maths.py", "RATE = 2", "RATE = 3")
    repository.write("wait", "")
    command = [sys.executable, "-m", "snakemake", "--cores", "2", "figures/fig1_toy.pdf"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    killed = subprocess.Popen(command, cwd=repository.root, env=repository.environment(), **quiet)
    while not (repository.root / "waiting").exists():
        assert killed.poll() is None
        time.sleep(0.1)
    killed.kill()
    killed.wait()
    (repository.root / "wait").unlink()
    done = repository.snakemake("figures/fig1_toy.pdf")
    assert done.returncode == 0, done.stderr
    assert repository.planned("figures/fig1_toy.pdf") == []


def test_the_report_holds_every_artefact(repository):
    done = repository.snakemake("--report", "report.html")
    assert done.returncode == 0, done.stderr
    page = (repository.root / "report.html").read_text()
    assert all(name in page for name in ("fig1_toy.pdf", "table1_final.md", "claims_toy.md"))
    shown = " ".join(re.sub(r"<[^>]*>|\\n", " ", page).split())  # captions stand in JSON, with its \n
    assert "Figure fig1_toy at scale quick , drawn by the function" in shown and "Cells that it reads: 2." in shown
    assert "Table table1_final at scale" in shown and "claims of papers/toy at scale quick" in shown
    assert "made by one workflow from training runs" in shown


def test_the_workflow_is_clean(finished):
    programs = Path(sys.executable).parent
    assert finished.snakemake("--lint").returncode == 0
    formatted = subprocess.run([programs / "snakefmt", "--check", "workflow"], cwd=ROOT, capture_output=True, text=True)
    assert formatted.returncode == 0, formatted.stderr
