"""Kinds of faults that users of such software reported elsewhere: docs/faults.md lists them with the right behaviour."""

import errno
import fcntl
import io
import json
import os
import re
import signal
import subprocess
import sys
import termios
import time
import tomllib
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from common.errors import UserError
from common.files import say, sibling
from common.lab.plan import catalog, packages
from common.lab.report import stamping, tabular
from common.lab.results import costs, requests
from common.lab.run import checkpoints, harness, origin, training, watch
from common.lab.run.locks import Unlockable, hold
from common.rl.config import ENVIRONMENTS, SAC, VELOCITIES_LAST
from common.rl.simulators import Environment
from tests.fake import Repository, adopted

ROOT = Path(__file__).resolve().parent.parent


def papers(*arguments, root=ROOT, flags=(), **settings):
    """`python -m papers` in a checkout. Keywords are environment variables, or `stdout`."""
    stdout = settings.pop("stdout", subprocess.PIPE)
    environment = {**os.environ, **settings}
    command = [sys.executable, *flags, "-m", "papers", *arguments]
    return subprocess.run(command, cwd=root, env=environment, stdout=stdout, stderr=subprocess.PIPE, timeout=120)


@pytest.fixture
def toy(tmp_path, monkeypatch):
    with adopted(Repository.create(tmp_path / "repository"), monkeypatch) as repository:
        yield repository


# Records name this folder's commit (F4)


def git(root, *arguments):
    own = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    identity = ("-c", "user.name=a", "-c", "user.email=a@b")
    done = subprocess.run(["git", *identity, *arguments], cwd=root, env=own, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def committed(root):
    root.mkdir(parents=True, exist_ok=True)
    git(root, "init", "--quiet")
    (root / "file").write_text(root.name)
    git(root, "add", "file")
    git(root, "commit", "--quiet", "--message", root.name)
    return git(root, "rev-parse", "HEAD")


def test_a_tarball_inside_another_repository_has_no_commit(tmp_path, monkeypatch):
    committed(tmp_path / "outer")
    (tmp_path / "outer" / "inner").mkdir()
    monkeypatch.setattr(catalog, "ROOT", tmp_path / "outer" / "inner")
    assert origin.git("rev-parse", "HEAD") is None
    made = origin.describe.__wrapped__()
    assert made["commit"] is None and made["dirty"] is None


def test_the_commit_is_this_folders_own_under_git_dir(tmp_path, monkeypatch):
    own, other = committed(tmp_path / "own"), committed(tmp_path / "other")
    monkeypatch.setattr(catalog, "ROOT", tmp_path / "own")
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "other" / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(tmp_path / "other"))
    assert origin.git("rev-parse", "HEAD") == own != other


def test_a_commit_is_known_through_a_link_to_the_folder(tmp_path, monkeypatch):
    own = committed(tmp_path / "own")
    (tmp_path / "link").symlink_to(tmp_path / "own")
    monkeypatch.setattr(catalog, "ROOT", tmp_path / "link")
    assert origin.git("rev-parse", "HEAD") == own


def test_without_git_there_is_no_commit(monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    assert origin.git("rev-parse", "HEAD") is None


# What is written is what was given (F5, F6)

GRID = np.arange(6.0).reshape(2, 3)


@pytest.mark.parametrize("array", [np.asfortranarray(GRID), GRID.T, GRID[:, ::2], GRID[::-1], np.array(3.0), GRID[:0]])
def test_checkpoints_hold_arrays_of_any_layout(array, tmp_path):
    checkpoints.write(tmp_path / "c", {"a": array}, {})
    read = checkpoints.read(tmp_path / "c")[0]["a"]
    assert read.shape == array.shape
    np.testing.assert_array_equal(read, array)


@pytest.mark.parametrize(
    "asked, pdf, png",
    [
        ("fig.v2.pdf", "fig.v2.pdf", "fig.v2.png"),
        ("fig.v2.png", "fig.v2.pdf", "fig.v2.png"),
        ("beta0.05", "beta0.05.pdf", "beta0.05.png"),
        ("fig", "fig.pdf", "fig.png"),
        (".hidden", ".hidden.pdf", ".hidden.png"),
    ],
)
def test_a_figure_is_the_file_that_was_asked_for(asked, pdf, png, tmp_path):
    for neighbour in ("fig.pdf", "beta0.pdf") if pdf != "fig.pdf" else ():
        (tmp_path / neighbour).write_text("mine")
    written = stamping.save(plt.figure(), tmp_path / asked, "smoke")
    assert {path.name for path in written} == {pdf, png}
    assert all(path.exists() for path in written)
    for neighbour in ("fig.pdf", "beta0.pdf") if pdf != "fig.pdf" else ():
        assert (tmp_path / neighbour).read_text() == "mine"


def test_a_table_is_the_file_that_was_asked_for(tmp_path):
    written = tabular.write(tmp_path / "t.2026.md", pd.DataFrame({"a": [1]}), "a", "", "smoke")
    assert {path.name for path in written} == {"t.2026.md", "t.2026.tex", "t.2026.csv"} == set(os.listdir(tmp_path))
    assert sibling("a.b/c", ".md", (".md",)) == Path("a.b/c.md")


# The layout of observations is checked per environment (F3)


def moved_by_velocities(name):
    """Entries of the observation that change with the velocities alone, the positions held."""
    env = Environment(name)
    env.reset(0)
    inner = env.gym.unwrapped
    inner.do_simulation(inner.action_space.sample() * 0.1, 1)
    before = inner._get_obs()
    inner.set_state(inner.data.qpos.copy(), inner.data.qvel + 0.5)
    return np.flatnonzero(before != inner._get_obs()), len(before)


@pytest.mark.parametrize("name", VELOCITIES_LAST)
def test_hidden_velocities_are_the_last_entries(name):
    moved, length = moved_by_velocities(name)
    kept = Environment(name, observe="positions").observations
    assert len(moved) == length - kept and min(moved) == kept


@pytest.mark.parametrize("name", sorted(set(ENVIRONMENTS) - set(VELOCITIES_LAST)))
def test_where_velocities_stand_elsewhere_they_are_not_said_to_be_hidden(name):
    problem = SAC(env=name, observe="positions").problem()
    assert name in problem and "cannot hide the velocities" in problem and VELOCITIES_LAST[0] in problem
    assert SAC(env=name).problem() is None
    assert SAC(env=VELOCITIES_LAST[0], observe="positions").problem() is None


# Devices and systems (F7)


def test_a_system_without_affinity_counts_its_cores(monkeypatch):
    assert costs.cores() == len(os.sched_getaffinity(0))
    monkeypatch.delattr(os, "sched_getaffinity")
    assert costs.cores() == os.cpu_count()


def test_no_other_file_asks_for_affinity():
    files = [*(ROOT / "common").rglob("*.py"), *(ROOT / "papers").rglob("*.py")]
    asking = [path.name for path in files if "sched_getaffinity" in path.read_text(encoding="utf-8")]
    assert asking == ["costs.py"]


# Errors of the system are one line (F8, F9)


def test_a_place_without_locks_is_said(tmp_path, monkeypatch):
    def refused(*_):
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    monkeypatch.setattr(fcntl, "flock", refused)
    with pytest.raises(Unlockable, match="lock: cannot be locked: Function not implemented"), hold(tmp_path / "lock"):
        pass


@pytest.mark.parametrize("place", ["file/lock", "folder"])
def test_a_place_that_takes_no_lock_is_said(place, tmp_path):
    (tmp_path / "file").write_text("")
    (tmp_path / "folder").mkdir()
    with pytest.raises(Unlockable, match="cannot be written"), hold(tmp_path / place):
        pass


def test_a_finished_cell_is_reported_where_nothing_can_be_written(toy, monkeypatch):
    assert toy.papers("run", "toy/toy/A-0.5").returncode == 0

    def refused(path):
        raise Unlockable(f"{path}: cannot be written: Read-only file system")

    monkeypatch.setattr(harness, "hold", refused)
    finished, other = catalog.cell("toy/toy/A-0.5", "quick"), catalog.cell("toy/toy/A-1.0", "quick")
    assert harness.run_all([finished], 1, "cpu", None, 1, False) == [finished.folder]
    for cells, anew in (([finished, other], False), ([finished], True)):
        with pytest.raises(UserError, match="Read-only"):
            harness.run_all(cells, 1, "cpu", None, 1, anew)


def test_a_workers_last_words_do_not_need_its_log(tmp_path):
    """A device that is not there, and a log on a full one."""
    (tmp_path / "spec.json").write_text(json.dumps({"device": "cuda:97", "folder": str(tmp_path / "members")}))
    end, words = os.pipe()
    command = [sys.executable, "-m", "common.lab.run.worker", "--words", str(words), str(tmp_path / "spec.json")]
    with open("/dev/full", "w") as log, os.fdopen(words, "wb"):
        done = subprocess.run(command, cwd=ROOT, stderr=log, pass_fds=[words])
    with os.fdopen(end, "rb") as pipe:
        said = pipe.read().decode()
    assert done.returncode == 2 and said.startswith("device cuda:97: torch") and said.endswith("use cpu")


def test_what_is_said_in_passing_stops_nothing(monkeypatch):
    with open("/dev/full", "w") as full:
        monkeypatch.setattr(sys, "stderr", full)
        say("going on")
        monkeypatch.undo()
        full.close = lambda: None


def test_a_full_device_is_one_line():
    with open("/dev/full", "w") as full:
        done = papers("list", stdout=full)
    assert done.returncode == 2
    assert done.stderr.decode() == "papers: No space left on device; earlier results are untouched\n"


# Terminals (F10, F11)


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252"])
def test_signs_that_a_terminal_lacks_are_written_otherwise(encoding):
    name = "claims_trpo_nf"
    whole = papers("explain", name, "--scale", "paper", PYTHONIOENCODING="utf-8").stdout.decode()
    done = papers("explain", name, "--scale", "paper", PYTHONIOENCODING=encoding)
    assert "…" in whole
    assert done.returncode == 0 and done.stderr == b""
    assert done.stdout.decode(encoding).replace("...", "…") == whole.replace("...", "…")


def test_a_footer_is_written_in_the_terminals_encoding(monkeypatch):
    from common.files import write_plainly

    written = []
    monkeypatch.setattr(os, "write", lambda _, content: written.append(content))
    monkeypatch.setattr(os, "get_terminal_size", lambda _: os.terminal_size((80, 24)))
    stream = io.TextIOWrapper(open(os.devnull, "wb"), encoding="ascii")
    write_plainly(stream)
    watch.Footer(stream).draw(["━━──"])
    assert b"##--" in written[0]


@pytest.mark.parametrize("term, moves", [("dumb", False), ("", False), ("xterm", True)])
def test_codes_go_to_terminals_that_understand_them(term, moves, monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setenv("TERM", term)
    assert watch._moves_its_cursor(Terminal()) == moves
    assert not watch._moves_its_cursor(io.StringIO())


@pytest.mark.parametrize("term, no_color, codes, colours", [("xterm", "", True, True), ("xterm", "1", True, False),
                                                            ("dumb", "", False, False)])  # fmt: skip
def test_a_terminals_wishes_are_kept(term, no_color, codes, colours, toy):
    progress = {"members": ["4"], "step": 1, "total": 4, "rate": 1.0, "return": None, "updated": time.time()}
    path = toy.root / "results/quick/toy/toy/A-0.5/.work/progress-4x1.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(progress | {"pid": os.getpid()}))
    here, there = os.openpty()
    termios.tcsetwinsize(there, (24, 100))
    environment = toy.environment() | {"TERM": term, "NO_COLOR": no_color}
    command = [sys.executable, "-m", "papers", "status", "--watch"]
    process = subprocess.Popen(command, cwd=toy.root, env=environment, stdout=there, stderr=there)
    seen, start = b"", time.monotonic()
    os.close(there)
    while b"25 %" not in seen and time.monotonic() - start < 20:
        seen += os.read(here, 4096)
    process.terminate()
    process.wait()
    os.close(here)
    assert b"25 %" in seen
    assert (b"\x1b" in seen, b"\x1b[2m" in seen) == (codes, colours)


def test_every_text_file_is_read_in_its_own_encoding():
    """Not in the locale's: each call that opens text names one."""
    folders = ("common", "papers", "benchmarks")
    for path in sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        for call in re.finditer(r"\.(?:read|write)_text\([^()]*(?:\([^()]*\)[^()]*)*\)|(?<![\w.])open\([^()]*\)", text):
            binary = re.search(r"""open\(.*["'][rwax+]*b[+]?["']|os\.devnull""", call[0])
            assert binary or "encoding=" in call[0], f"{path.relative_to(ROOT)}: {call[0]}"


# Processes (F13)


def test_a_run_ends_with_the_workflow_that_started_it(tmp_path):
    repository = Repository.create(tmp_path / "repository")
    repository.write("wait", "")
    owner = subprocess.Popen(["sleep", "600"])
    command = [sys.executable, "-m", "papers", "run", "toy/toy/A-0.5", "--parent", str(owner.pid)]
    run = subprocess.Popen(command, cwd=repository.root, stderr=subprocess.PIPE, text=True)
    for _ in range(600):
        if (repository.root / "waiting").exists():
            break
        time.sleep(0.05)
    assert run.poll() is None
    owner.send_signal(signal.SIGKILL)
    owner.wait()
    said = run.communicate(timeout=30)[1]
    assert run.returncode == 130 and said.startswith("papers: stopped")


# Notebooks find their checkout (F16)


def first_cell(path):
    cells = [cell for cell in json.loads(path.read_text(encoding="utf-8"))["cells"] if cell["cell_type"] == "code"]
    return "".join(cells[0]["source"])


def test_every_notebook_begins_with_the_same_search():
    assert len({first_cell(path) for path in (ROOT / "notebooks").glob("*.ipynb")}) == 1
    rest = [json.loads(path.read_text(encoding="utf-8")) for path in (ROOT / "notebooks").glob("*.ipynb")]
    sources = ["".join(cell["source"]) for book in rest for cell in book["cells"] if cell["cell_type"] == "code"]
    assert not [source for source in sources if "cwd().parent)" in source]


@pytest.mark.parametrize("place", ["", "notebooks", "docs/gallery"])
def test_a_notebook_uses_the_checkout_around_it(place, tmp_path):
    """Not another one that is installed."""
    code = first_cell(ROOT / "notebooks" / "moons.ipynb") + "\nimport common; print(common.__file__)"
    (tmp_path / "papers").mkdir()
    (tmp_path / "papers" / "__main__.py").write_text("")
    (tmp_path / "common").mkdir()
    (tmp_path / "common" / "__init__.py").write_text("")
    (tmp_path / place).mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path / place, env=environment, capture_output=True, text=True
    )
    assert done.stdout.splitlines() == [f"checkout: {tmp_path}", str(tmp_path / "common" / "__init__.py")], done.stderr


def test_a_notebook_elsewhere_takes_the_installed_checkout_or_says_what_it_needs(tmp_path):
    code = first_cell(ROOT / "notebooks" / "moons.ipynb")
    asked = {"cwd": tmp_path, "capture_output": True, "text": True}
    found = subprocess.run([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": str(ROOT)}, **asked)
    assert found.stdout == f"checkout: {ROOT}\n"
    none = subprocess.run([sys.executable, "-S", "-c", code], env={"PATH": os.environ["PATH"]}, **asked)
    assert none.returncode == 1 and none.stderr.startswith("Start this notebook in a folder of the checkout")
    assert len(none.stderr.splitlines()) == 1


# Optional robots are optional (F20)


@pytest.fixture
def without_robots(toy, monkeypatch):
    toy.edit("papers/toy/config.py", 'choices=("A", "B")', 'choices=("A", "B", "BulletEnv-v0")')
    toy.page("algorithm: toy\ngrid: {env: [A, BulletEnv-v0]}\nseeds: [4]")
    monkeypatch.setattr(packages, "_is_installed", lambda _: False)
    return toy


def test_the_set_up_needs_no_compiler():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    assert not [name for name in extras["dev"] if "bullet" in name or "roboschool" in name]
    assert "--only-binary pybullet" in (ROOT / "Makefile").read_text(encoding="utf-8")


def test_a_cell_of_robots_that_are_not_installed_is_one_line(without_robots):
    with pytest.raises(UserError, match="^toy/toy/BulletEnv-v0: needs the robots of Bullet, which are not installed"):
        training.run("toy/toy/BulletEnv-v0", "quick")


def test_all_others_are_trained(without_robots, monkeypatch, capsys):
    trained = []
    monkeypatch.setattr(harness, "run_all", lambda cells, *_, **__: trained.extend(cell.key for cell in cells) or [])
    training.run("toy", "quick")
    assert "toy/toy/A" in trained and "toy/toy/BulletEnv-v0" not in trained
    assert "toy/toy/BulletEnv-v0: left out: needs the robots" in capsys.readouterr().err


def test_cells_that_lack_the_same_are_one_line(without_robots, monkeypatch, capsys):
    cells = [cell for cell in catalog.targeted("toy", "quick") if "Bullet" not in cell.key][:3]
    monkeypatch.setattr(training.packages, "lacking", lambda cell, alone: "needs a thing")
    for count, more in ((1, ""), (2, " and 1 more cell"), (3, " and 2 more cells")):
        assert training._possible(cells[:count], True) == []
        assert capsys.readouterr().err == f"{cells[0].key}{more}: left out: needs a thing\n"


def test_artefacts_that_read_them_say_so_and_are_left_out_of_all(without_robots, capsys):
    without_robots.write("papers/toy/claims.py", '"""Claims."""\n')
    asked = requests.Asked({})
    assert "figures/fig3_schematic.pdf" in asked.everything() and "figures/fig2_both.pdf" not in asked.everything()
    assert capsys.readouterr().err.count("fig2_both: left out") == 1
    with pytest.raises(UserError, match="^figures/fig2_both.pdf: needs the robots of Bullet"):
        asked.check(["figures/fig2_both.pdf"])


# Interpreters


def test_an_interpreter_that_drops_docstrings_is_refused():
    done = papers("list", flags=["-OO"])
    assert done.returncode == 2 and done.stderr.startswith(b"papers: python -OO drops docstrings")
    assert papers("list", flags=["-O"]).returncode == 0
