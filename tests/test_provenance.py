"""A digest changes with the mathematics that a run executes, and with nothing else."""

import platform
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from common.errors import UserError
from common.lab.plan import catalog, provenance
from common.lab.run import origin
from tests.fake import forget

ROOT = Path(__file__).resolve().parent.parent

FILES = {
    "common/rl/__init__.py": "",
    "common/rl/sac.py": '''"""SAC."""
import torch
from common.errors import UserError
from common.rl import loops
from common.rl.critics import Critic as Q
from . import buffers

SCALE = 2


class Base:
    pass


class Learner(Base):
    """A learner."""

    train = loops.off_policy

    def update(self, x):
        """Update."""
        if x is None:
            raise UserError(f"no {x!r} of {self['x']}: {'it':>4}")
        return Q(x) * SCALE + torch.ones(1) + buffers.capacity() + float(f"{x:{SCALE}.3f}" "1")


def neighbour(x):
    return x
''',
    "common/rl/critics.py": """from common.flows.networks import mlp
from common.settings import setting


def decorate(f):
    return f


@decorate
class Critic:
    def __init__(self, x):
        import common.flows.initial as initial
        self.x = mlp(x) + initial.xavier(x)


class OtherCritic:
    pass
""",
    "common/rl/loops.py": """def off_policy():
    return _step()


def _step():
    return 1


def on_policy():
    return 2
""",
    "common/rl/buffers.py": "def capacity():\n    return 3\n",
    "common/rl/config.py": "class SAC:\n    pass\n",
    "common/flows/networks.py": "WIDTH = 256\n\n\ndef mlp(x):\n    return x * WIDTH\n\n\ndef conv(x):\n    return x\n",
    "common/flows/initial.py": "def xavier(x):\n    return x\n\n\ndef orthogonal(x):\n    return x\n",
    "common/settings.py": "def setting():\n    return 1\n",
    "common/errors.py": "class UserError(ValueError):\n    pass\n",
    "common/lab/results/records.py": """from common.lab.results import sources


class Results:
    def frame(self):
        return sources.read()
""",
    "common/lab/results/sources.py": "def read():\n    return 1\n",
    "common/lab/report/making.py": """from common.lab.report import judging
from common.lab.results import records


def draw(x):
    return records.Results(x)


def tabulate(x):
    return records.Results(x).frame()


def judge(x):
    return judging.verdicts(records.Results(x))
""",
    "common/lab/report/judging.py": "from common.lab.report import stats\n\n\ndef verdicts(x):\n    return stats.holm(x)\n",
    "common/lab/report/stats.py": "def holm(x):\n    return x\n\n\ndef difference(x):\n    return x\n",
    "common/lab/report/plots.py": "def line(ax):\n    return ax\n",
    "papers/arsac/claims.py": """from common.lab.report import stats


def c01(arsac):
    return stats.difference(arsac)
""",
    "papers/arsac/arsac.py": """from common.rl import sac
from common.rl.config import SAC
from papers.arsac.helpers import trace


class Learner(sac.Learner):
    def update(self, x):
        return trace(super().update(x))
""",
    "papers/arsac/helpers.py": "def trace(x):\n    return x\n\n\ndef unused(x):\n    return x\n",
    "papers/arsac/config.py": "from common.rl.config import SAC\n\n\nclass ARSAC(SAC):\n    alpha = 0.2\n",
    "papers/arsac/figures.py": '''"""Figures."""
from common.lab.report import plots
from papers.arsac.config import ARSAC

COLOURS = ("blue",)


def _line(ax):
    return COLOURS


def fig1(arsac):
    """Caption."""
    return _line(arsac)


def table1():
    return ARSAC
''',
}


@pytest.fixture
def root(tmp_path):
    for name, content in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return tmp_path


def digest_after(root, name, old, new, module="papers.arsac.arsac"):
    """The digest of a module after an edit of a file."""
    path = root / name
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    forget()
    return provenance.code_digest(module, root)


@pytest.mark.parametrize(
    "name, old, new",
    [
        ("papers/arsac/arsac.py", "trace(super", "-trace(super"),
        ("papers/arsac/helpers.py", "def trace(x):\n    return x", "def trace(x):\n    return -x"),
        ("common/rl/sac.py", "SCALE = 2", "SCALE = 3"),
        ("common/rl/sac.py", "* SCALE", "/ SCALE"),
        ("common/rl/sac.py", "class Base:\n    pass", "class Base:\n    x = 1"),
        ("common/rl/sac.py", "import torch", "import jax as torch"),
        ("common/rl/loops.py", "return 1", "return 10"),
        ("common/rl/buffers.py", "return 3", "return 4"),
        ("common/rl/critics.py", "return f", "return f or 1"),
        ("common/rl/critics.py", "mlp(x) +", "mlp(x) -"),
        ("common/flows/networks.py", "WIDTH = 256", "WIDTH = 128"),
        ("common/flows/initial.py", "def xavier(x):\n    return x", "def xavier(x):\n    return 2 * x"),
    ],
)
def test_what_is_reached_counts(root, name, old, new):
    before = provenance.code_digest("papers.arsac.arsac", root)
    assert digest_after(root, name, old, new) != before


@pytest.mark.parametrize(
    "name, old, new",
    [
        ("papers/arsac/arsac.py", "class Learner", "\n# A comment.\nclass Learner"),
        ("papers/arsac/helpers.py", "unused(x):\n    return x", "unused(x):\n    return -x"),
        ("common/rl/sac.py", '"""Update."""', '"""Update it."""'),
        ("common/rl/sac.py", '        """Update."""\n', ""),
        ("common/rl/sac.py", "Q(x) * SCALE", "(Q( x ) * SCALE)"),
        ("common/rl/sac.py", "def neighbour(x):\n    return x", "def neighbour(x):\n    return -x"),
        ("common/rl/loops.py", "return 2", "return 20"),
        ("common/rl/loops.py", "def on_policy", "def third():\n    return 5\n\n\ndef on_policy"),
        ("common/rl/critics.py", "class OtherCritic", "class ThirdCritic"),
        ("common/rl/config.py", "pass", "x = 1"),
        ("common/flows/networks.py", "def conv(x):\n    return x", "def conv(x):\n    return -x"),
        ("common/flows/initial.py", "def orthogonal(x):\n    return x", ""),
        ("common/settings.py", "return 1", "return 2"),
        ("common/rl/sac.py", "def update(self, x):", 'def update(self, x: "torch.Tensor") -> "torch.Tensor":'),
        ("common/rl/sac.py", "SCALE = 2", "SCALE: int = 2"),
        ("common/rl/sac.py", 'UserError(f"no', 'UserError(f"there is no'),
        ("common/rl/sac.py", "UserError(f\"no {x!r} of {self['x']}: {'it':>4}\")", "UserError('wrong') from None"),
        ("common/rl/critics.py", "    pass", "    x: int"),
    ],
)
def test_neighbours_and_layout_do_not(root, name, old, new):
    before = provenance.code_digest("papers.arsac.arsac", root)
    assert digest_after(root, name, old, new) == before


def moved(root, old, new, *edits):
    """Renames a file of the tree and replaces texts in every file; returns the algorithm's digest."""
    (root / new).parent.mkdir(parents=True, exist_ok=True)
    (root / old).rename(root / new)
    for path in root.rglob("*.py"):
        text = path.read_text()
        for before, after in edits:
            text = text.replace(before, after)
        path.write_text(text)
    forget()
    return provenance.code_digest("papers.arsac.arsac", root)


def test_a_module_may_be_renamed_or_moved(root):
    before = provenance.code_digest("papers.arsac.arsac", root)
    assert moved(root, "common/rl/loops.py", "common/rl/off_policy.py", ("loops", "off_policy")) == before
    assert moved(root, "common/rl/buffers.py", "common/rl/parts/replay.py",
                 ("from . import buffers", "from .parts import replay"), ("buffers.", "replay.")) == before  # fmt: skip
    assert moved(root, "common/flows/initial.py", "common/flows/starts/initial.py",
                 ("import common.flows.initial as", "import common.flows.starts.initial as")) == before  # fmt: skip
    assert moved(root, "common/errors.py", "common/errors.py", ("common.errors", "common.errors")) == before
    assert moved(root, "papers/arsac/helpers.py", "common/rl/helpers.py",
                 ("papers.arsac.helpers", "common.rl.helpers")) == before  # fmt: skip


def test_an_alias_may_be_renamed(root):
    before = provenance.code_digest("papers.arsac.arsac", root)
    text = FILES["common/rl/sac.py"].replace("Critic as Q", "Critic as Value").replace("Q(x)", "Value(x)")
    text = text.replace("import torch", "import torch as t").replace("torch.ones", "t.ones")
    assert digest_after(root, "common/rl/sac.py", FILES["common/rl/sac.py"], text) == before


def test_a_class_may_move(root):
    before = provenance.code_digest("papers.arsac.arsac", root)
    text = (root / "common/rl/critics.py").read_text()
    decorator, _, rest = text.partition("@decorate")
    critic, _, other = rest.partition("class OtherCritic")
    (root / "common/rl/critics.py").write_text("class OtherCritic" + other)
    (root / "common/rl/values.py").write_text(f"{decorator}@decorate{critic}")
    assert digest_after(root, "common/rl/sac.py", "common.rl.critics", "common.rl.values") == before


def test_which_of_two_alike_names_is_used_counts(root):
    """Both are reached, and their own texts are the same: only what they call, under one name too, differs."""
    for name, number in (("left", 1), ("right", 2)):
        text = f"def g():\n    return {number}\n\n\ndef f():\n    return g()\n"
        (root / f"common/rl/{name}.py").write_text(text)
    (root / "common/rl/buffers.py").write_text(
        "from common.rl import left, right\n\n\ndef capacity():\n    return left.f() / right.f()\n"
    )
    forget()
    before = provenance.code_digest("papers.arsac.arsac", root)
    assert digest_after(root, "common/rl/buffers.py", "left.f() / right.f()", "right.f() / left.f()") != before


def test_fields_of_a_dataclass_are_its_annotated_names(root):
    (root / "common/rl/buffers.py").write_text(
        "from dataclasses import dataclass\n\n\n@dataclass\nclass Row:\n    x: int\n    y: int\n\n\n"
        "def capacity():\n    return Row(1, 2).x\n"
    )
    forget()
    before = provenance.code_digest("papers.arsac.arsac", root)
    assert digest_after(root, "common/rl/buffers.py", "x: int\n", "x: float\n") == before
    assert digest_after(root, "common/rl/buffers.py", "    x: float\n    y: int", "    y: int\n    x: float") != before


def test_an_algorithms_own_file_counts_whole(root):
    before = provenance.code_digest("common.rl.sac", root)
    after = digest_after(
        root, "common/rl/sac.py", "neighbour(x):\n    return x", "neighbour(x):\n    return 0", "common.rl.sac"
    )
    assert after != before


def test_order_of_definitions_does_not_count(root):
    before = provenance.code_digest("papers.arsac.arsac", root)
    text = FILES["common/rl/loops.py"].split("\n\n\n")
    (root / "common/rl/loops.py").write_text("\n\n\n".join(reversed(text)))
    forget()
    assert provenance.code_digest("papers.arsac.arsac", root) == before


def test_what_cannot_be_followed_is_refused(root):
    with pytest.raises(UserError, match=r"import \*"):
        digest_after(root, "common/rl/sac.py", "from . import buffers", "from common.rl.buffers import *")
    digest_after(root, "common/rl/sac.py", "from common.rl.buffers import *", "from . import buffers")
    with pytest.raises(UserError, match=r"common/rl/buffers.py:4: importlib.import_module hides"):
        text = "import importlib\n\n\ndef capacity():\n    return importlib.import_module('x').y\n"
        digest_after(root, "common/rl/buffers.py", FILES["common/rl/buffers.py"], text.replace("\n\n\n", "\n\n", 1))
    with pytest.raises(UserError, match=r"common/rl/buffers.py:4: __import__ hides"):
        digest_after(root, "common/rl/buffers.py", "importlib.import_module", "__import__")
    with pytest.raises(UserError, match="arsac.py:1: "):
        digest_after(root, "papers/arsac/arsac.py", "from common.rl import sac", "from common.rl import")


def artefact_digests(root):
    forget()
    wanted = (("figures", "fig1"), ("figures", "table1"), ("claims", "c01"))
    return [provenance.artefact_digest("arsac", kind, (name,), root) for kind, name in wanted]


def edited(root, name, old, new):
    assert old in (root / name).read_text()
    (root / name).write_text((root / name).read_text().replace(old, new))
    return artefact_digests(root)


def test_a_figure_counts_with_what_it_names(root):
    first = artefact_digests(root)
    edited(root, "papers/arsac/figures.py", "Caption.", "Another caption.")
    second = edited(root, "papers/arsac/figures.py", "blue", "red")
    assert second[0] != first[0] and second[1:] == first[1:]
    third = edited(root, "papers/arsac/config.py", "0.2", "0.3")
    assert third[0] == second[0] and third[1] != second[1] and third[2] == second[2]
    (root / "papers/arsac/reported.csv").write_text("place,value\nTable 1,3\n")
    assert all(a != b for a, b in zip(artefact_digests(root), third, strict=True))


def test_what_computes_a_number_counts(root):
    first = artefact_digests(root)
    statistic = edited(
        root, "common/lab/report/stats.py", "def difference(x):\n    return x", "def difference(x):\n    return -x"
    )
    assert statistic[:2] == first[:2] and statistic[2] != first[2]
    correction = edited(root, "common/lab/report/stats.py", "def holm(x):\n    return x", "def holm(x):\n    return -x")
    assert correction[:2] == first[:2] and correction[2] != statistic[2]
    reading = edited(root, "common/lab/results/sources.py", "return 1", "return 2")
    assert all(a != b for a, b in zip(reading, correction, strict=True))


# The same under every Python

PINNED = "6155dd05296e"  # of the tree above; another value breaks every published digest


def pythons():
    """An interpreter per supported version other than this one, on the path or installed beside it."""
    found = {}
    paths = [shutil.which(f"python3.{minor}") for minor in range(11, 20)]
    for path in filter(None, [*paths, *Path(sys.base_prefix).parent.glob("*/bin/python3")]):
        asked = [path, "-c", "import sys; print(*sys.version_info[:2])"]
        version = tuple(map(int, subprocess.run(asked, capture_output=True, text=True).stdout.split()))
        if version >= (3, 11) and version != sys.version_info[:2]:
            found[version] = path
    return found.values()


def test_a_digest_is_the_same_under_every_python(root):
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from pathlib import Path; from common.lab.plan import provenance as p\n"
        "print(p.code_digest('papers.arsac.arsac', Path(sys.argv[2])))\n"
        "for module in sys.argv[3:]: print(p.code_digest(module, Path(sys.argv[1])))"
    )
    algorithms = sorted({cell.module for paper in catalog.papers() for experiment in catalog.experiment_names(paper)
                         for cell in catalog.cells(paper, experiment, "smoke").values()})  # fmt: skip
    expected = [PINNED, *(provenance.code_digest(module, ROOT) for module in algorithms)]
    for python in [sys.executable, *pythons()]:
        command = [python, "-c", code, str(ROOT), str(root), *algorithms]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.stdout.split() == expected, f"{python}: {done.stderr}"


# The repository's own code


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A copy of this repository's code, which the catalog reads."""
    for name in ("common", "papers"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(catalog, "ROOT", tmp_path)
    forget()
    yield tmp_path
    forget()


def all_digests(root, old=None, new=None, name=None):
    """Digests of some cells at scale paper, and of three papers' claims, after an edit of a file."""
    if name:
        text = (root / name).read_text()
        assert old in text
        (root / name).write_text(text.replace(old, new, 1))
    forget()
    known = (("trpo_nf", "trpo"), ("trpo_nf", "sensitivity_humanoid"), ("nf_review", "shapes"))
    cells = {cell.key: (cell.config, cell.digest) for p, e in known for cell in catalog.cells(p, e, "paper").values()}
    return cells, {paper: catalog.artefact_digest(f"claims_{paper}") for paper in ("arsac", "mcmc_po", "trpo_nf")}


def test_the_reward_of_an_environment_of_our_own_counts(checkout):
    before, claims = all_digests(checkout)
    after, same = all_digests(checkout, "5e-4", "7e-4", "common/rl/rllab.py")
    stale = {key for key in before if after[key][1] != before[key][1]}
    assert {key for key, (config, _) in before.items() if str(getattr(config, "env", "")).startswith("Rllab")} <= stale
    assert same == claims


def test_the_sign_of_a_test_statistic_counts(checkout):
    cells, before = all_digests(checkout)
    after_cells, after = all_digests(
        checkout, '"greater": (margin, inf)', '"greater": (-inf, margin)', "common/lab/report/stats.py"
    )
    assert after_cells == cells
    assert all(after[paper] != before[paper] for paper in before)


def test_the_record_of_an_environment_names_no_machine(tmp_path, monkeypatch):
    monkeypatch.setattr(catalog, "ROOT", tmp_path)
    found = origin.describe.__wrapped__()
    assert found["commit"] is None and found["packages"]["numpy"]
    assert platform.node() not in str(found) and str(tmp_path) not in str(found)
