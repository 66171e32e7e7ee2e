"""A digest changes with the mathematics that a run executes, and with nothing else."""

import platform

import pytest

from common.lab import provenance
from common.lab.errors import UserError

FILES = {
    "common/rl/__init__.py": "",
    "common/rl/sac.py": '''"""SAC."""
import torch
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
        return Q(x) * SCALE + torch.ones(1) + buffers.capacity()


def neighbour(x):
    return x
''',
    "common/rl/critics.py": """from common.flows.networks import mlp
from common.lab.config import setting


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
    "common/lab/config.py": "def setting():\n    return 1\n",
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
from common.lab import plots
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
    provenance.parsed.cache_clear()
    provenance.code_digest.cache_clear()
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
        ("common/lab/config.py", "return 1", "return 2"),
    ],
)
def test_neighbours_and_layout_do_not(root, name, old, new):
    before = provenance.code_digest("papers.arsac.arsac", root)
    assert digest_after(root, name, old, new) == before


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
    provenance.parsed.cache_clear()
    provenance.code_digest.cache_clear()
    assert provenance.code_digest("papers.arsac.arsac", root) == before


def test_what_cannot_be_followed_is_refused(root):
    with pytest.raises(UserError, match=r"import \*"):
        digest_after(root, "common/rl/sac.py", "from . import buffers", "from common.rl.buffers import *")
    with pytest.raises(UserError, match="arsac.py:1: "):
        digest_after(root, "papers/arsac/arsac.py", "from common.rl import sac", "from common.rl import")


def test_a_figure_counts_with_what_it_names(root):
    def digests():
        provenance.parsed.cache_clear()
        return [provenance.artefact_digest("arsac", "figures", name, root) for name in ("fig1", "table1")]

    path = root / "papers/arsac/figures.py"
    first = digests()
    path.write_text(path.read_text().replace("Caption.", "Another caption.").replace("blue", "red"))
    second = digests()
    assert second[0] != first[0] and second[1] == first[1]
    settings = root / "papers/arsac/config.py"
    settings.write_text(settings.read_text().replace("0.2", "0.3"))
    third = digests()
    assert third[0] == second[0] and third[1] != second[1]
    (root / "papers/arsac/reported.csv").write_text("place,value\nTable 1,3\n")
    assert all(a != b for a, b in zip(digests(), third, strict=True))


def test_the_record_of_an_environment_names_no_machine(tmp_path):
    found = provenance.describe(tmp_path)
    assert found["commit"] is None and found["packages"]["numpy"]
    assert platform.node() not in str(found) and str(tmp_path) not in str(found)
