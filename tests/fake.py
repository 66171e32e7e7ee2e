"""A small repository with the real lab and workflow, a paper of two algorithms, and training that takes no time."""

import contextlib
import os
import re
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

FILES = {
    "common/rl/__init__.py": "",
    "common/rl/maths.py": '''"""Maths."""

RATE = 2


def gain(x):
    """Gain."""
    return RATE * x  # twice


def neighbour(x):
    return x
''',
    "common/rl/plain.py": """def run():
    pass
""",
    "papers/toy/__init__.py": "",
    "papers/toy/config.py": '''"""Settings."""

from dataclasses import dataclass

from common.settings import setting


@dataclass(frozen=True)
class Toy:
    loop = "plain"

    env: str = setting("A", "environment", "our choice", choices=("A", "B"))
    gain: float = setting(1.0, "gain", "our choice", low=0.0, high=10.0)
    total_steps: int = setting(1200, "steps", "our choice", low=12)
    rate: float = setting(0.1, "rate", "our choice", low=0.0, per_member=True)


@dataclass(frozen=True)
class OtherToy(Toy):
    pass
''',
    "papers/toy/toy.py": '''"""Toy."""

from common.rl import maths


class Learner:
    """Learns."""

    def update(self, x):
        return maths.gain(x)
''',
    "papers/toy/other_toy.py": '''"""Other."""


class Learner:
    def update(self, x):
        return x
''',
    "papers/toy/experiments.yaml": """seeds: [4-6]
scales:
  smoke: {set: {total_steps: 24}}
experiments:
  toy:
    about: a toy
    algorithm: toy
    grid: {env: [A, B], gain: [0.5, 1e+0]}
    scales: {smoke: {seeds: [4]}}
  other:
    algorithm: other_toy
    grid: {env: [A, B]}
    seeds: [4, 5, 6]
""",
    "papers/toy/figures.py": '''"""Figures."""

import matplotlib.pyplot as plt

from common.lab.report import plots


def _half(values):
    return values / 2


def fig1_toy(toy="env=A"):
    """Returns in A."""
    fig, ax = plt.subplots(figsize=(3, 2))
    plots.seeds_and_mean(ax, toy.curve("return", gain=1.0), label="toy")
    plots.legend_below(fig)
    return fig


def fig2_both(toy, other="env=B"):
    """Both."""
    fig, ax = plt.subplots(figsize=(3, 2))
    ax.plot(_half(toy.final("return")))
    ax.plot(other.final("return"))
    return fig


def fig3_schematic():
    """Nothing is read."""
    return plt.figure(figsize=(3, 2))
''',
    "papers/toy/tables.py": '''"""Tables."""

import pandas as pd


def table1_final(toy):
    """Final returns."""
    returns = toy.final("return")
    return pd.DataFrame({"member": range(len(returns)), "return": returns})
''',
    "papers/toy/claims.py": '''"""Claims."""

from common.lab.report import stats


def c01_gain_helps(toy="env=A"):
    """A higher gain gives a higher return."""
    return stats.difference(toy.final("return", gain=1.0), toy.final("return", gain=0.5))
''',
}

HARNESS = '''"""Stands in for training: writes at once what the members would."""

import dataclasses
import importlib
import json
import time

from common.lab.results import records
from common.lab.run import origin
from common.errors import UserError
from common.files import atomic_write


def run_all(cells, threads=1, device="cpu", seeds=None, fleets=1, anew=False):
    return [run(cell, device, seeds) for cell in cells]


def run(cell, device, seeds):
    if (cell.root / "broken").exists():
        raise UserError("no space left on device; earlier results are untouched")
    while (cell.root / "wait").exists():
        atomic_write(cell.root / "waiting", cell.key)
        time.sleep(0.1)
    learner = importlib.import_module(cell.module).Learner()
    rows = []
    members = [member for member in cell.members if seeds is None or member["seed"] in seeds]
    folder = cell.folder if len(members) == len(cell.members) else cell.folder / ".work" / "partial"
    for index, member in enumerate(members):
        for step in range(1, 13):
            value = learner.update(float(member["seed"] + step * cell.config.gain))
            row = {"step": step * cell.config.total_steps // 12, "metric": "return", "value": value}
            rows.append({"member": index, **member, **row})
    records.write_rows(folder / "metrics.csv", rows)
    part = {"labels": [str(m["seed"]) for m in members], "seconds": 1.2, "device": device}
    record = {"digest": cell.digest, "members": members, "settings": dataclasses.asdict(cell.config)}
    atomic_write(folder / "run.json", json.dumps({**record, "parts": [part], **origin.describe()}))
    with open(cell.root / "ran.txt", "a") as file:
        file.write(cell.key + "\\n")
    return folder
'''


class Repository:
    """A checkout at `root`, driven as a person would."""

    def __init__(self, root):
        self.root = Path(root)

    @classmethod
    def create(cls, root):
        """Writes the repository at `root`, which must not exist."""
        skipped = shutil.ignore_patterns("__pycache__", "harness.py")
        for name in ("common/lab", "workflow", "config"):
            shutil.copytree(ROOT / name, root / name, ignore=skipped)
        ground = [f"common/{name}.py" for name in ("__init__", "errors", "settings", "files")]
        for name in (*ground, "papers/__init__.py", "papers/__main__.py", "environment.yml"):
            (root / name).parent.mkdir(exist_ok=True)
            shutil.copy(ROOT / name, root / name)
        repository = cls(root)
        repository.write("common/lab/run/harness.py", HARNESS)
        for name, content in FILES.items():
            repository.write(name, content)
        return repository

    def copy(self, root, *without):
        """A copy with times and Snakemake's records, without some of its files and folders."""
        shutil.copytree(self.root, root, ignore=lambda folder, _: without if Path(folder) == self.root else ())
        return Repository(root)

    def write(self, name, content):
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)

    def page(self, text, head=""):
        """Writes a page of experiments: toy, of this text, and other."""
        other = "algorithm: other_toy\ngrid: {env: [A, B]}\nseeds: [4, 5, 6]"
        written = "".join(f"  {name}:\n{textwrap.indent(of, '    ')}\n" for name, of in (("toy", text), ("other", other)))
        self.write("papers/toy/experiments.yaml", f"{head}\nexperiments:\n{written}")

    def edit(self, name, old, new):
        """Replaces text that must be there."""
        content = (self.root / name).read_text()
        assert old in content, f"{old!r} is not in {name}"
        (self.root / name).write_text(content.replace(old, new))

    def snakemake(self, *arguments, python=sys.executable):
        return self._call(python, "-m", "snakemake", "--cores", "2", *arguments)

    def papers(self, *arguments):
        return self._call(sys.executable, "-m", "papers", *arguments)

    def planned(self, *arguments, python=sys.executable):
        """The first output of every job that a dry run plans, shortened: 'fig1_toy', 'toy/A-0.5'."""
        done = self.snakemake(*arguments, "--dry-run", "--quiet", "host", python=python)
        assert done.returncode == 0, done.stderr
        outputs = re.findall(r"^    output: ([^,\n]*)", done.stdout, re.M)
        names = [re.sub(r"results/\w+/\w+/(.*)/metrics\.csv", r"\1", output) for output in outputs]
        return sorted(re.sub(r"figures/(.*)\.\w+", r"\1", name) for name in names)

    def files(self):
        """All files but Python's and Snakemake's own, with their contents."""
        paths = (path for path in self.root.rglob("*") if path.is_file())
        hidden = (".snakemake", "__pycache__")
        return {path: path.read_bytes() for path in paths if not set(hidden) & set(path.parts)}

    def _call(self, *command):
        settings = {"cwd": self.root, "env": self.environment(), "capture_output": True, "text": True}
        return subprocess.run(command, **settings, timeout=300)

    def environment(self):
        """The variables of an activated environment."""
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        return {**os.environ, "PATH": path, "PYTHONPATH": str(self.root)}


def forget():
    """Drops what this process has read of a repository, before it reads files that have changed."""
    from common.lab.plan import catalog, provenance
    from common.lab.run import origin

    for value in [value for module in (catalog, provenance, origin) for value in vars(module).values()]:
        if hasattr(value, "cache_clear"):
            value.cache_clear()


@contextlib.contextmanager
def adopted(repository, monkeypatch):
    """Lets this process read the fake paper instead of the real ones."""
    import papers
    from common.lab.plan import catalog

    def afresh():
        forget()
        for name in [name for name in sys.modules if name.startswith("papers.toy")]:
            del sys.modules[name]

    monkeypatch.setattr(catalog, "ROOT", repository.root)
    monkeypatch.setattr(papers, "__path__", [str(repository.root / "papers")])
    afresh()
    yield repository
    afresh()
