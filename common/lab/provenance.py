"""What a result depends on, as digests; and what made it, as a record.

A digest covers the definitions that are reachable by name, as normalised syntax trees: layout, comments and docstrings
have no part in it, and neither have neighbouring definitions that nothing names.
"""

import ast
import copy
import dataclasses
import functools
import hashlib
import json
import platform
import subprocess
from importlib import metadata
from pathlib import Path

from common.lab.errors import UserError

ROOT = Path(__file__).resolve().parents[2]
KERNEL = ("common.flows", "common.rl")
PACKAGES = ("torch", "numpy", "gymnasium", "mujoco", "minari", "scipy", "pandas")


def digest(*parts):
    """Twelve hexadecimal digits that change with any of the texts."""
    return hashlib.sha256("\0".join(map(str, parts)).encode()).hexdigest()[:12]


def cell_digest(cell, root):
    """Digest of what every member of a cell depends on: resolved settings, code, the used cells.

    Seeds are no part of it, nor the settings in which members differ: adding a member leaves the others' results valid.
    """
    settings = {key: value for key, value in dataclasses.asdict(cell.config).items() if key not in cell.scalars}
    facts = {
        "settings": settings,
        "scalars": sorted(cell.scalars),
        "code": code_digest(cell.module, root),
        "tables": sorted(cell.tables),
        "produces": sorted(cell.produces),
        "uses": sorted((role, one.param) for role, one in zip(cell.roles, cell.uses, strict=True)),
    }
    return digest(json.dumps(facts, sort_keys=True, default=str))


@functools.cache
def code_digest(module, root):
    """Digest of an algorithm: its whole file, and what that names in common.flows, common.rl and the same paper.

    `module` is dotted (`papers.arsac.arsac`, `common.rl.sac`). Neither `config.py` nor common.lab count.
    """
    package = module.rpartition(".")[0]
    walk = _Walk(root, (*KERNEL, package), skip=("config",))
    walk.whole(module)
    return walk.digest()


def artefact_digest(paper, kind, name, root):
    """Digest of the function of a figure, table or claim: what it names in its module, in its paper, in the settings of
    common.rl, and the paper's reported numbers. Neither common.lab nor the other artefacts count."""
    walk = _Walk(root, (f"papers.{paper}", *KERNEL))
    walk.definition(f"papers.{paper}.{kind}", name)
    reported = Path(root) / "papers" / paper / "reported.csv"
    return digest(walk.digest(), reported.read_bytes().hex() if reported.exists() else "")


@functools.cache
def parsed(path):
    """The syntax tree of a file, with a `UserError` that names file and line if it has none."""
    try:
        return ast.parse(path.read_text(encoding="utf-8"))
    except SyntaxError as error:
        raise UserError(f"{'/'.join(path.parts[-3:])}:{error.lineno}: {error.msg}") from None


def describe(root=ROOT):
    """What made a result: commit, dirty flag, packages, python, platform and processor, without host names or paths."""
    commit = _git(root, "rev-parse", "HEAD")
    return {
        "commit": commit,
        "dirty": None if commit is None else bool(_git(root, "status", "--porcelain", "common", "papers")),
        "packages": {name: version for name in PACKAGES if (version := _version(name))},
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "processor": _processor(),
    }


def _git(root, *arguments):
    """Output of a git command in the checkout, or None without git or a commit."""
    try:
        done = subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _version(package):
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _processor():
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or "unknown"
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.processor() or "unknown"


class _Walk:
    """Collects the normalised text of definitions reachable by name inside some packages.

    Names are resolved without scopes: a local variable that is called like a definition of its module counts as a use
    of it. That can only add definitions, never lose one.
    """

    def __init__(self, root, packages, skip=()):
        self.root, self.packages, self.skip = Path(root), packages, skip
        self.texts = {}

    def digest(self):
        return digest(*(f"{module}:{name}\0{text}" for (module, name), text in sorted(self.texts.items())))

    def whole(self, module):
        """Every statement of a module."""
        if (module, "*") in self.texts:
            return
        self.texts[module, "*"] = ""
        definitions, loose = self._index(module)
        for name in definitions:
            self.definition(module, name)
        for number, node in enumerate(loose):
            self._add(module, f"* {number:04d}", [node])

    def definition(self, module, name):
        """One top-level name of a module, and what it names."""
        if (module, name) in self.texts:
            return
        nodes = self._index(module)[0].get(name)
        if nodes is not None:
            self._add(module, name, nodes)

    def _add(self, module, name, nodes):
        self.texts[module, name] = ""
        bindings = _bindings(self._tree(module).body, module, self._is_package(module))
        foreign = set()
        for node in nodes:
            local = bindings | _bindings([node], module, self._is_package(module), nested=True)
            for chain in _chains(node):
                foreign |= self._follow(module, chain, local)
        body = [ast.unparse(_bare(node)) for node in nodes]
        self.texts[module, name] = "\n".join([*sorted(foreign), *body])

    def _follow(self, module, chain, bindings):
        """Follows `a.b.c` as used in a module; returns the import lines of what lies outside the packages."""
        head = chain[0]
        if head not in bindings:
            self.definition(module, head)
            return set()
        target = bindings[head]
        dotted = (*target.split("."), *chain[1:])
        home = max((i for i in range(1, len(dotted) + 1) if self._inside(".".join(dotted[:i]))), default=0)
        if not home:
            return {f"import {target} as {head}"}
        module, rest = ".".join(dotted[:home]), dotted[home:]
        if module.rpartition(".")[2] in self.skip:
            return {f"import {target} as {head}"}
        if not rest:
            self.whole(module)
        elif rest[0] in self._index(module)[0]:
            self.definition(module, rest[0])
        else:
            again = _bindings(self._tree(module).body, module, self._is_package(module))
            if rest[0] in again and again[rest[0]] != ".".join((module, rest[0])):
                return self._follow(module, rest, again)
        return set()

    def _inside(self, module):
        """Whether this is a module of one of the packages."""
        packaged = any(module == package or module.startswith(package + ".") for package in self.packages)
        return packaged and self._path(module) is not None

    def _path(self, module):
        stem = self.root.joinpath(*module.split("."))
        return next((p for p in (stem.with_suffix(".py"), stem / "__init__.py") if p.exists()), None)

    def _is_package(self, module):
        return self._path(module).name == "__init__.py"

    def _tree(self, module):
        path = self._path(module)
        if path is None:
            raise UserError(f"{module.replace('.', '/')}.py does not exist")
        return parsed(path)

    def _index(self, module):
        """(name -> its top-level statements, statements that define no name) of a module."""
        definitions, loose = {}, []
        for node in self._tree(module).body:
            if isinstance(node, (ast.Import, ast.ImportFrom)) or _is_text(node):
                continue
            names = _defined(node)
            for name in names:
                definitions.setdefault(name, []).append(node)
            if not names:
                loose.append(node)
        return definitions, loose


def _is_text(node):
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _defined(node):
    """Names that a top-level statement defines, wherever it stands in it (`if`, `try`, `with`)."""
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        return [node.name]
    names = [n.id for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)]
    inner = [n.name for n in ast.walk(node) if isinstance(n, (ast.FunctionDef, ast.ClassDef))]
    changed = [n.value.id for n in ast.walk(node) if isinstance(n, ast.Attribute | ast.Subscript)
               and isinstance(n.ctx, ast.Store) and isinstance(n.value, ast.Name)]  # fmt: skip
    return sorted({*names, *inner, *changed})


def _bindings(body, module, is_package, nested=False):
    """Name -> dotted target of every import among statements (`nested`: also those inside functions)."""
    found = {}
    for statement in body:
        for node in ast.walk(statement) if nested or not isinstance(statement, _SCOPES) else ():
            if isinstance(node, ast.Import):
                for alias in node.names:
                    target = alias.name if alias.asname else alias.name.split(".")[0]
                    found[alias.asname or target] = target
            elif isinstance(node, ast.ImportFrom):
                parts = module.split(".") if is_package else module.split(".")[:-1]
                base = parts[: len(parts) - node.level + 1] if node.level else []
                origin = ".".join([*base, *([node.module] if node.module else [])])
                for alias in node.names:
                    if alias.name == "*":
                        raise UserError(f"{module}: `from {origin} import *` hides what a result depends on")
                    found[alias.asname or alias.name] = f"{origin}.{alias.name}"
    return found


_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


def _chains(node):
    """Dotted names used in a statement, as tuples: `loops.off_policy(x)` gives ('loops', 'off_policy') and ('x',)."""
    chains, inner = set(), set()
    for part in ast.walk(node):
        if isinstance(part, ast.Attribute) and part not in inner:
            names, base = [part.attr], part.value
            while isinstance(base, ast.Attribute):
                inner.add(base)
                names, base = [base.attr, *names], base.value
            if isinstance(base, ast.Name):
                inner.add(base)
                chains.add((base.id, *names))
        elif isinstance(part, ast.Name) and part not in inner:
            chains.add((part.id,))
    return chains


class _Docless(ast.NodeTransformer):
    def visit(self, node):
        self.generic_visit(node)
        if isinstance(node, _SCOPES) and node.body and _is_text(node.body[0]):
            node.body = node.body[1:] or [ast.Pass()]
        return node


def _bare(node):
    """A copy of a statement without docstrings."""
    return _Docless().visit(copy.deepcopy(node))
