"""Would the tests notice wrong code? Two hundred small faults, one at a time, each against the tests that reach it.

    python -m tests.mutants                  all; over an hour of two cores
    python -m tests.mutants common/rl/sac.py --count 20
    python -m tests.mutants --skip 120       goes on where an earlier run was ended

A mutant is the program with one change: another sign or operator, min for max, a comparison turned round, a constant half as
large again, `and` for `or`, a condition negated, a `detach` left out. They are drawn at random, always the same ones, from
the algorithms, the flows and the claims. A mutant is killed if any test fails; test files that import the changed module
directly run first. Survivors are printed as changed lines. Those known to be harmless stand in mutants.yaml with a reason;
the exit status is 1 if another one survives, or if more than 5 % do.

Tools of the ecosystem were tried first: they change a whole package through one test command, which costs hours here, where
a test run spends its time on loading libraries. This forks each run from a process that has loaded them.
"""

import argparse
import ast
import contextlib
import hashlib
import importlib
import io
import multiprocessing
import os
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

import yaml

from common.lab.results import costs

ROOT = Path(__file__).resolve().parents[1]
KNOWN = Path(__file__).with_suffix(".yaml")
SUBJECTS = ("common/rl/*.py", "common/flows/*.py", "papers/*/*.py", "common/lab/report/stats.py")
# No algorithms: settings, drawings, what files say.
PASSED_OVER = ("__init__.py", "config.py", "figures.py", "tables.py", "schematic.py", "drawing.py", "journal.py")
# Of the repository as a whole: slow, and about other things.
GENERAL = ("test_workflow", "test_setup", "test_provenance", "test_sealing", "test_seeds", "test_architecture",
           "test_catalog", "test_cli", "test_growing", "test_lift")  # fmt: skip
BODIES = ("hinge", "capsule", "body", "motors")  # the shape of robots that are of our own making
SECONDS = 300  # a run that takes longer is a killed mutant: it hangs

SWAPPED = {ast.Add: "-", ast.Sub: "+", ast.Mult: "/", ast.Div: "*", ast.Lt: ">", ast.Gt: "<", ast.LtE: ">", ast.GtE: "<",
           ast.Eq: "!=", ast.NotEq: "==", ast.And: "or", ast.Or: "and"}  # fmt: skip
RENAMED = {"amin": "amax", "amax": "amin", "min": "max", "max": "min", "minimum": "maximum", "maximum": "minimum",
           "exp": "tanh", "log": "tanh", "tanh": "sin", "sqrt": "abs", "square": "abs", "cumsum": "cumprod", "any": "all",
           "all": "any", "detach": "clone"}  # fmt: skip


def mutants(path):
    """All (line, text before, text after, changed source) of a file."""
    source = (ROOT / path).read_text(encoding="utf-8")
    lines, found = source.splitlines(keepends=True), []
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line.encode()))
    raw = source.encode()

    def place(line, column):
        return starts[line - 1] + column

    def add(begin, end, text):
        changed = (raw[:begin] + text.encode() + raw[end:]).decode()
        number = raw[:begin].decode().count("\n")
        after = changed.splitlines()[number]
        found.append((number + 1, lines[number].strip(), after.strip(), changed))

    for node in _code(ast.parse(source)):
        here = place(node.lineno, node.col_offset) if hasattr(node, "lineno") else None
        end = place(node.end_lineno, node.end_col_offset) if here is not None else None
        if isinstance(node, ast.BinOp | ast.Compare | ast.BoolOp):
            pairs = {
                ast.BinOp: lambda n: [(n.left, n.op, n.right)],
                ast.Compare: lambda n: [(n.left, n.ops[0], n.comparators[0])],
                ast.BoolOp: lambda n: [(n.values[0], n.op, n.values[1])],
            }[type(node)](node)
            for left, operator, right in pairs:
                if type(operator) in SWAPPED:
                    first = place(left.end_lineno, left.end_col_offset)
                    last = place(right.lineno, right.col_offset)
                    between = raw[first:last].decode()
                    symbol = between.strip(" ()\n")
                    if symbol and symbol in between:
                        add(first, last, between.replace(symbol, SWAPPED[type(operator)], 1))
        elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.Not):
            if isinstance(node.operand, ast.Constant) and type(node.operand.value) is int:
                continue  # mostly an axis counted from the end, which is another one counted from the start
            add(here, place(node.operand.lineno, node.operand.col_offset), "")
        elif (
            isinstance(node, ast.Constant) and type(node.value) is float and abs(node.value) > 1e-6
        ):  # not a guard against 0
            add(here, end, repr(1.5 * node.value))
        elif isinstance(node, ast.Constant) and type(node.value) is int and node.value > 1:
            add(here, end, str(node.value + 1))
        elif isinstance(node, ast.Constant) and type(node.value) is bool:
            add(here, end, str(not node.value))
        elif isinstance(node, ast.Attribute) and node.attr in RENAMED:
            add(end - len(node.attr.encode()), end, RENAMED[node.attr])
        elif isinstance(node, ast.If | ast.IfExp | ast.While):
            test = place(node.test.lineno, node.test.col_offset), place(node.test.end_lineno, node.test.end_col_offset)
            add(*test, f"(not ({raw[slice(*test)].decode()}))")
    return found


def _code(tree):
    """Nodes that run and matter: no docstrings, annotations, errors and their words, defaults of arguments or decorators, no
    `strict` of a zip, no bodies of robots, nothing that is about speed alone."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Raise | ast.JoinedStr | ast.Import | ast.ImportFrom):
            continue
        if isinstance(node, ast.keyword) and node.arg in ("strict", "fused"):
            continue
        if isinstance(node, ast.Call) and (getattr(node.func, "id", None) in BODIES or _freezes(node.func)):
            continue
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            continue
        if isinstance(node, ast.FunctionDef):
            for statement in node.body:
                yield statement
                yield from _code(statement)
            continue
        if isinstance(node, ast.AnnAssign):
            if node.value is not None:
                yield node.value
                yield from _code(node.value)
            continue
        yield node
        yield from _code(node)


def _freezes(function):
    """requires_grad_, which spares copies of networks gradients that nobody takes."""
    return getattr(function, "attr", None) == "requires_grad_"


def tests_of(path):
    """Test files that reach a module, nearest first."""
    name = path.removesuffix(".py").replace("/", ".")
    graph = {file: _imports(file) for file in _project()}
    far, front, seen = {}, {name}, {name}
    for distance in range(1, 5):
        front = {user for user, used in graph.items() if used & front} - seen
        seen |= front
        far |= {user: distance for user in front if user.startswith("tests.test_")}
    wanted = sorted(far, key=lambda user: (far[user], user))
    found = [user.replace(".", "/") + ".py" for user in wanted if user.removeprefix("tests.") not in GENERAL]
    # It imports claims by their names.
    return [*found, "tests/test_judging.py"] if path.endswith(("claims.py", "comparisons.py")) else found


def _project():
    files = [file for folder in ("common", "papers", "tests") for file in (ROOT / folder).rglob("*.py")]
    return [str(file.relative_to(ROOT)).removesuffix(".py").replace("/", ".").removesuffix(".__init__") for file in files]


def _imports(module):
    """Project modules that a module imports; what it imports from one counts as that one."""
    file = ROOT / (module.replace(".", "/") + ".py")
    package = module.rpartition(".")[0]
    if not file.exists():
        file, package = ROOT / module.replace(".", "/") / "__init__.py", module
    found = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parts = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*parts, base] if base else parts)
            found |= {base} | {f"{base}.{alias.name}" for alias in node.names}
    return found


def tried(copy, path, source, tests, costs_of):
    """(what killed a mutant: a test, "time"; or None, seconds). Runs the tests in a fork, in a copy of the repository.
    costs_of: seconds of each test, as far as they are known; what this run learns of them is added."""
    file, began = copy / path, time.monotonic()
    whole = file.read_text(encoding="utf-8")
    file.write_text(source, encoding="utf-8")
    reader, writer = multiprocessing.Pipe(duplex=False)
    child = os.fork()
    if not child:
        _run(copy, tests, costs_of, writer)
    try:
        killer, learnt = reader.recv() if reader.poll(SECONDS) else ("time", {})
        costs_of |= learnt
    except EOFError:
        killer = "a crash"
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child, signal.SIGKILL)
        os.waitpid(child, 0)
        file.write_text(whole, encoding="utf-8")
    return killer, time.monotonic() - began


def _run(copy, tests, costs_of, writer):
    """In a fork: the tests, the cheapest of each file first, until one fails. Sends its name, or None, and their costs."""
    import pytest

    os.setpgid(0, 0)
    os.chdir(copy)
    sys.path[:0] = [str(copy)]
    os.environ["PYTHONPATH"] = str(copy)
    for name in [name for name in sys.modules if name.split(".")[0] in ("common", "papers", "tests")]:
        del sys.modules[name]

    class Watch:
        killer, costs = None, {}

        @pytest.hookimpl(trylast=True)
        def pytest_collection_modifyitems(self, items):
            files = list(dict.fromkeys(item.path for item in items))
            items.sort(key=lambda item: (files.index(item.path), costs_of.get(item.nodeid, 0.3)))

        def pytest_runtest_logreport(self, report):
            self.costs[report.nodeid] = self.costs.get(report.nodeid, 0) + report.duration
            if report.failed:
                self.killer = self.killer or report.nodeid

        def pytest_collectreport(self, report):
            if report.failed:
                self.killer = self.killer or f"{report.nodeid} does not load"

    watch = Watch()
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        pytest.main(["-x", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", *tests], plugins=[watch])
    writer.send((watch.killer, watch.costs))
    os._exit(0)


def _serve(copy, jobs, results):
    """A worker: its own copy of the repository, its own loaded libraries."""
    for name in ("torch._dynamo", "gymnasium.envs.mujoco.ant_v4", "pandas", "scipy.stats", "matplotlib.pyplot", "pytest"):
        importlib.import_module(name)
    import matplotlib
    import torch

    matplotlib.use("agg")
    torch.set_num_threads(1)
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
    sys.dont_write_bytecode = True
    costs_of: dict[str, float] = {}
    for number, path, source in iter(jobs.get, None):
        results.put((number, *tried(Path(copy), path, source, tests_of(path), costs_of)))


def chosen(patterns, count):
    """`count` mutants [(path, line, before, after, source)] of the subjects that match, the same ones every time."""
    paths = sorted({str(p.relative_to(ROOT)) for pattern in SUBJECTS for p in ROOT.glob(pattern)})
    paths = [p for p in paths if Path(p).name not in PASSED_OVER and (not patterns or any(x in p for x in patterns))]
    every = [(path, *mutant) for path in paths for mutant in mutants(path)]
    return sorted(sorted(every, key=_drawn)[:count], key=lambda mutant: mutant[:3])


def _drawn(mutant):
    """The place of a mutant in the draw: random, and not moved by an edit elsewhere."""
    path, _, before, after, _ = mutant
    return hashlib.sha256(f"{path}\n{before}\n{after}".encode()).hexdigest()


def _left_out(folder, names):
    """What a copy of the repository does without."""
    return {".venv", "results", "figures", "logs", ".git", ".snakemake"} & set(names) if Path(folder) == ROOT else set()


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description="mutants, and which survive the tests")
    parser.add_argument("patterns", nargs="*", help="parts of paths; all subjects by default")
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--skip", type=int, default=0, help="so many first ones of the list, which were tried before")
    parser.add_argument("--workers", type=int, default=costs.cores())
    options = parser.parse_args(arguments)
    drawn = chosen(options.patterns, options.count)[options.skip :]
    known = {(k["path"], k["before"], k["after"]) for k in yaml.safe_load(KNOWN.read_text(encoding="utf-8")) or []}
    context = multiprocessing.get_context("spawn")
    jobs, results, survivors = context.Queue(), context.Queue(), []
    with tempfile.TemporaryDirectory() as folder:
        workers = []
        # A copy in which a test fails without a mutant would kill them all.
        jobs.put((-1, drawn[0][0], (ROOT / drawn[0][0]).read_text(encoding="utf-8")))
        for number in range(min(options.workers, len(drawn))):
            copy = Path(folder) / str(number)
            shutil.copytree(ROOT, copy, ignore=_left_out)
            workers.append(context.Process(target=_serve, args=(str(copy), jobs, results)))
            workers[-1].start()
        if killer := results.get()[1]:
            print(f"without a mutant: {killer} fails in a copy of the repository", file=sys.stderr)
            for worker in workers:
                worker.terminate()
            return 2
        for number, (path, _, _, _, source) in enumerate(drawn):
            jobs.put((number, path, source))
        for done in range(1, len(drawn) + 1):
            number, killer, seconds = results.get()
            path, line, before, after, _ = drawn[number]
            said = f"killed by {killer}" if killer else "SURVIVES"
            print(f"{done}/{len(drawn)} {path}:{line} {said} ({seconds:.0f} s)", flush=True)
            if not killer:
                print(f"    - {before}\n    + {after}", flush=True)
                survivors.append((path, before, after))
        for _ in workers:
            jobs.put(None)
    new = [survivor for survivor in survivors if survivor not in known]
    print(f"{len(drawn)} mutants, {len(survivors)} survive, {len(new)} of them without a reason in {KNOWN.name}")
    return int(bool(new) or len(survivors) > 0.05 * len(drawn))


if __name__ == "__main__":
    sys.exit(main())
