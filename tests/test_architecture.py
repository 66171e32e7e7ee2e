"""Who may know whom: the imports of every file, read without executing them."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from common.lab.plan import catalog

ROOT = Path(__file__).resolve().parent.parent
FILES = sorted(path.relative_to(ROOT) for folder in ("common", "papers") for path in (ROOT / folder).rglob("*.py"))
LEARNING = ("torch", "gymnasium", "mujoco", "minari", "stable_baselines3", "sb3_contrib", "zuko")
SIMULATORS = ("gymnasium", "mujoco", "minari", "pybullet")
LOOPS = ("common.rl.off_policy", "common.rl.on_policy", "common.rl.iterations", "common.rl.simulators")
GROUND = ("common.errors", "common.settings", "common.files")
WINGS = ("plan", "results", "run", "report")  # each may know itself and those before it
DRAWING = ("config.py", "figures.py", "tables.py", "claims.py")


def imports(path):
    """Dotted names that a file imports, wherever in it."""
    package = path.parent.parts
    for node in ast.walk(ast.parse((ROOT / path).read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
            origin = ".".join(filter(None, (base, node.module)))
            yield from (f"{origin}.{alias.name}" for alias in node.names)


def within(name, *packages):
    return any(name == package or name.startswith(package + ".") for package in packages)


@pytest.mark.parametrize("path", FILES, ids=str)
def test_imports(path):
    names = set(imports(path))
    if path.parts[0] == "common":
        assert not [n for n in names if within(n, "papers", "workflow")], "common imports neither papers nor workflow"
    elif len(path.parts) > 2:
        others = [n for n in names if within(n, "papers") and not within(n, f"papers.{path.parts[1]}")]
        assert not others, "papers never import each other"
    trains = path.as_posix() == "common/lab/run/worker.py"
    if path.parts[:2] == ("common", "lab") and not trains or path.name in DRAWING or path == Path("papers/__main__.py"):
        assert not [n for n in names if within(n, *LEARNING)], "the lab and every picture work without learning libraries"
    if path.parts[:2] == ("common", "flows"):
        assert not [n for n in names if within(n, "common.rl", "common.lab", *LEARNING[1:])], "flows know no RL"
    if len(path.parts) == 2 and path.parts[0] == "common":
        assert not [n for n in names if within(n, "common") and not within(n, *GROUND)], "the ground stands on nothing"
    if path.parts[:2] in (("common", "flows"), ("common", "rl")):
        assert not [n for n in names if within(n, "common.lab")], "maths and learning know no lab"
        text = (ROOT / path).read_text()
        assert "from common" not in text and "import common" not in text, "relative imports: the folder can be copied out"


@pytest.mark.parametrize("path", [path for path in FILES if path.parts[:2] == ("common", "lab")], ids=str)
def test_arrows_in_the_lab_run_one_way(path):
    """report -> run -> results -> plan, and everything may stand on the ground."""
    if path == Path("common/lab/__init__.py"):
        return
    lower = WINGS[: WINGS.index(path.parts[2]) + 1]
    allowed = [*GROUND, *(f"common.lab.{wing}" for wing in lower)]
    if path == Path("common/lab/run/worker.py"):
        allowed.append("common.rl")  # the one place where a run is started
    known = [n for n in imports(path) if within(n, "common")]
    assert not [n for n in known if not within(n, *allowed)], f"{path.parts[2]} may know {', '.join(lower)}"


def test_the_workflow_calls_the_lab_and_the_command_line_alone():
    for path in [ROOT / "workflow" / "Snakefile", *sorted((ROOT / "workflow" / "rules").glob("*.smk"))]:
        lines = path.read_text().splitlines()
        known = [line for line in lines if line.startswith(("from common", "import common", "from papers", "import papers"))]
        assert all(line.startswith(("from common.lab", "from common.errors")) for line in known)
        called = [line for line in lines if "python" in line and path.suffix == ".smk"]
        assert all(line.strip().startswith('"python -m papers ') for line in called)


def test_planning_and_drawing_load_no_learning_library():
    code = (
        "import sys\n"
        "from common.lab.plan import catalog\nfrom common.lab.results import costs, records, requests\n"
        "from common.lab.run import publishing, training, watch\n"
        "from common.lab.report import inspection, making, plots, releasing, stats\n"
        "[catalog.cells(p, e, s) for p in catalog.papers() for e in catalog.experiment_names(p) for s in catalog.SCALES]\n"
        "import importlib, pathlib\n"
        "[importlib.import_module(f'papers.{p}.{k}') for p in catalog.papers() for k in catalog.KINDS"
        " if pathlib.Path(f'papers/{p}/{k}.py').exists()]\n"
        f"print([n for n in {LEARNING!r} if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("path", [path for path in FILES if path.parts[0] == "common"], ids=str)
def test_what_is_public_in_common_is_typed(path):
    """Every argument and result of public functions and methods; `mypy` checks that the types are right."""
    untyped = []

    def visit(body, owner=""):
        for node in body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                visit(node.body, f"{node.name}.")
            if isinstance(node, ast.FunctionDef) and (not node.name.startswith("_") or node.name == "__init__"):
                given = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
                given = given[1:] if owner and given and given[0].arg in ("self", "cls") else given
                if any(a.annotation is None for a in given) or (node.returns is None and node.name != "__init__"):
                    untyped.append(f"{path}:{node.lineno}: {owner}{node.name}")

    visit(ast.parse((ROOT / path).read_text()).body)
    assert not untyped, "\n".join(untyped)


@pytest.mark.parametrize("path", [path for path in FILES if path.name != "__main__.py"], ids=str)
def test_an_import_does_nothing_but_define(path):
    """No statement at the top level of a module is a bare call, and none opens, prints or sets anything elsewhere."""
    for node in ast.parse((ROOT / path).read_text()).body:
        if isinstance(node, ast.Expr) and not isinstance(node.value, ast.Constant):
            call = ast.unparse(node)
            assert call.startswith("_Loader."), f"{path}:{node.lineno}: {call}"
        assert not isinstance(node, ast.For | ast.While | ast.With), f"{path}:{node.lineno}"


def test_importing_the_flows_loads_nothing_else_and_draws_nothing():
    code = (
        "import sys, torch; before = torch.random.get_rng_state(); import common.flows; "
        "assert torch.equal(before, torch.random.get_rng_state()); "
        "print([n for n in sys.modules if n.startswith(('common.rl', 'common.lab', 'gymnasium', 'scipy'))])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert (done.stdout.strip(), done.stderr) == ("[]", "")


ALGORITHMS = sorted({cell.module for paper in catalog.papers() for name in catalog.experiment_names(paper)
                     for cell in catalog.cells(paper, name, "smoke").values()})  # fmt: skip


def test_algorithms_load_no_loop_and_no_simulator():
    """Each in a process of its own: what another has loaded would hide it."""
    code = (
        "import os, sys, torch\n"  # torch once, for it takes most of the time
        f"for name in {ALGORITHMS!r}:\n"
        "    if not os.fork():\n"
        "        __import__(name)\n"
        f"        print([n for n in sys.modules if n.split('.')[0] in {SIMULATORS!r} or n in {LOOPS!r}])\n"
        "        sys.stdout.flush(); os._exit(0)\n"
        "    assert os.waitstatus_to_exitcode(os.wait()[1]) == 0, name"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert set(done.stdout.split("\n")) == {"[]", ""} and done.stdout.count("\n") == len(ALGORITHMS) > 10


DRAWN = sorted((paper, name) for paper in catalog.papers() for name in catalog.artefacts(paper, "figures"))


def draws_bands(functions, name, seen=()):
    """Whether a function calls `plots.seeds_and_mean`, itself or through others of its file."""
    names = {getattr(node, "attr", getattr(node, "id", None)) for node in ast.walk(functions[name])}
    inner = (names & functions.keys()) - {name, *seen}
    return bool(names & {"seeds_and_mean", "curves"}) or any(draws_bands(functions, other, (*seen, name)) for other in inner)


@pytest.mark.parametrize("paper, figure", DRAWN)
def test_a_caption_says_what_a_band_is(paper, figure):
    body = ast.parse((ROOT / "papers" / paper / "figures.py").read_text()).body
    functions = {node.name: node for node in body if isinstance(node, ast.FunctionDef)}
    if draws_bands(functions, figure):
        caption = " ".join(ast.get_docstring(functions[figure]).split())
        assert "its 95 % interval where there are five seeds or more" in caption


@pytest.mark.parametrize("paper", catalog.papers())
@pytest.mark.parametrize("kind", catalog.KINDS)
def test_what_an_artefact_reads_it_uses(paper, kind):
    """An input that no line looks at would be trained, and paid, for nothing."""
    body = ast.parse((ROOT / "papers" / paper / f"{kind}.py").read_text()).body
    functions = {node.name: node for node in body if isinstance(node, ast.FunctionDef)}
    for name, read in catalog.artefacts(paper, kind).items():
        used = {node.id for part in functions[name].body for node in ast.walk(part) if isinstance(node, ast.Name)}
        assert set(read) <= used, f"{name}: {', '.join(set(read) - used)}"
