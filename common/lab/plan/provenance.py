"""What a result depends on, as digests.

A digest covers the definitions that are reachable by name from some roots, each in a normal form of its syntax tree:
layout, comments, docstrings, annotations and the words of errors have no part in it, and neither have the names of modules,
the order of definitions, or neighbours that nothing names. It is the same under every supported version of Python, because
the normal form is written here and not by `ast.unparse` or `ast.dump`, whose output changes between versions.

What a syntax tree cannot tell, that a renamed local changes nothing, `common.lab.run.sealing` settles by evidence.
"""

import ast
import dataclasses
import functools
import hashlib
import json
from importlib.util import resolve_name
from pathlib import Path
from typing import Any

from common.errors import UserError

ROOT = Path(__file__).resolve().parents[3]
KERNEL = ("common.flows", "common.rl")
MAKING = "common.lab.report.making"
MAKERS = {"figures": "draw", "tables": "tabulate", "claims": "judge"}  # read the results and present what comes out
# Which cells there are shows in an artefact's inputs, and their settings and code in the cells' own digests.
PLANNING = ("common.lab.plan",)
DYNAMIC = ("importlib.import_module", "importlib.util", "importlib.machinery", "runpy", "__import__", "exec", "eval")


def digest(*parts: object) -> str:
    """Twelve hexadecimal digits that change with any of the texts."""
    return hashlib.sha256("\0".join(map(str, parts)).encode()).hexdigest()[:12]


def cell_digest(cell: Any, root: Path) -> str:
    """Digest of what every member of a cell depends on: resolved settings, code, the used cells.

    Seeds are no part of it, nor the settings in which members differ: adding a member leaves the others' results valid.
    """
    settings = {key: value for key, value in dataclasses.asdict(cell.config).items() if key not in cell.scalars}
    facts = {
        "settings": settings | _derived(cell.config),
        "scalars": sorted(cell.scalars),
        "code": code_digest(cell.module, root),
        "loop": code_digest(f"common.rl.{cell.config.loop}", root),
        "tables": sorted(cell.tables),
        "produces": sorted(cell.produces),
        "uses": sorted((role, used.param) for role, cells in cell.uses.items() for used in cells),
    }
    return digest(json.dumps(facts, sort_keys=True, default=str))


def _derived(config):
    """What a `Config` fixes or derives from its settings: its class's values and properties, by name. A digest walks no
    `config.py`, so that their values count instead. How a cell is split over processes changes no result."""
    known = {field.name for field in dataclasses.fields(config)} | {"whole_fleet"}
    names = [name for name in dir(type(config)) if not name.startswith("_") and name not in known]
    values = {name: getattr(config, name) for name in names}
    return {name: value for name, value in values.items() if not callable(value)}


@functools.cache
def code_digest(module: str, root: Path) -> str:
    """Digest of an algorithm: its whole file, and what that names in common.flows, common.rl and the same paper.

    `module` is dotted (`papers.arsac.arsac`, `common.rl.sac`). Neither `config.py` nor common.lab count.
    """
    package = module.rpartition(".")[0]
    walk = _Walk(root, inside=(*KERNEL, package), skipped=tuple(f"{home}.config" for home in (*KERNEL, package)))
    walk.whole(module)
    return walk.digest()


@functools.cache
def artefact_digest(paper: str, kind: str, names: tuple[str, ...], root: Path) -> str:
    """Digest of the functions of a figure, of a table or of claims, of all that these name in their paper and in common,
    common.lab included, of what reads their numbers and presents them, and of the paper's reported numbers."""
    walk = _Walk(root, inside=(f"papers.{paper}", *KERNEL, "common.lab"), skipped=PLANNING)
    for name in names:
        walk.definition(f"papers.{paper}.{kind}", name)
    walk.definition(MAKING, MAKERS[kind])
    reported = Path(root) / "papers" / paper / "reported.csv"
    return digest(walk.digest(), reported.read_bytes().hex() if reported.exists() else "")


@functools.cache
def parsed(path: Path) -> ast.Module:
    """The syntax tree of a file, with a `UserError` that names file and line if it has none."""
    try:
        return ast.parse(path.read_text(encoding="utf-8"))
    except SyntaxError as error:
        raise UserError(f"{'/'.join(path.parts[-3:])}:{error.lineno}: {error.msg}") from None


class _Walk:
    """Collects the definitions reachable by name inside some packages.

    A definition is keyed by its module and name while walking, but its text holds neither: names that lead to another
    definition are written as that one's own name, so that moving or renaming a module changes nothing. Two definitions may
    share a name, so that each is identified by its text and by those it refers to (`digest`).

    Names are resolved without scopes: a local variable called like a definition of its module counts as a use of it. That
    can only add definitions, never lose one.
    """

    def __init__(self, root, inside, skipped=()):
        self.root, self.packages, self.skipped = Path(root), inside, skipped
        self.texts = {}  # (module, name) -> normal form
        self.uses = {}  # (module, name) -> [(module, name), ...] in the order of the text

    def digest(self) -> str:
        """Digest of all that was reached. Identities are refined until as many differ as ever will: two functions of one
        name and one text differ if they call different ones."""
        identity = {key: digest(key[1], text) for key, text in self.texts.items()}
        while True:
            refined = {key: digest(own, *(identity[used] for used in self.uses[key])) for key, own in identity.items()}
            if len(set(refined.values())) == len(set(identity.values())):
                return digest(*sorted(refined.values()))
            identity = refined

    def whole(self, module: str) -> None:
        """Every statement of a module, except imports."""
        definitions, loose = self._index(module)
        for name in definitions:
            self.definition(module, name)
        for number, node in enumerate(loose):
            self._add((module, f"* {number:04d}"), [node])

    def definition(self, module: str, name: str) -> bool:
        """One top-level name of a module, and what it names. Returns whether there is one."""
        nodes = self._index(module)[0].get(name)
        if nodes is not None:
            self._add((module, name), nodes)
        return nodes is not None

    def _add(self, key, nodes):
        if key in self.texts:
            return
        self.texts[key], self.uses[key] = "", []
        written = _NormalForm(lambda chain, line: self._resolved(key, chain, line, bindings))
        bindings = self._bindings(key[0], nodes)
        self.texts[key] = "\n".join(written(node) for node in nodes)

    def _resolved(self, key, chain, line, bindings):
        """How `a.b.c` is written in the text of the definition `key`; follows it if it leads to another definition."""
        module, rest = key[0], chain
        for _ in range(20):  # a name may be passed on from import to import
            if rest[0] in bindings:
                rest = (*bindings[rest[0]].split("."), *rest[1:])
                home = self._home(rest)
                module, rest = ".".join(rest[:home]), rest[home:]
                if module and not self._is_followed(module):
                    return ".".join(rest)
            if module and not rest:
                self.whole(module)
                self.uses[key] += [(module, name) for name in self._index(module)[0]]
                return "a module"
            if module and self.definition(module, rest[0]):
                self.uses[key].append((module, rest[0]))
                return ".".join(rest)
            bindings = self._bindings(module, []) if module else {}
            if rest[0] not in bindings:
                self._refuse_dynamic(key, ".".join(rest), line)
                return ".".join(rest)
        raise UserError(f"{key[0]}: {'.'.join(chain)} is imported in a circle")

    def _refuse_dynamic(self, key, name, line):
        if _within(name, DYNAMIC):
            file = key[0].replace(".", "/") + ".py"
            raise UserError(f"{file}:{line}: {name} hides what a result depends on; import by name instead")

    def _home(self, dotted):
        """How many leading words of a dotted name are a module of this repository; 0: none."""
        if dotted[0] not in ("common", "papers"):
            return 0
        lengths = range(len(dotted), 0, -1)
        return next((length for length in lengths if _path(self.root, ".".join(dotted[:length]))), 0)

    def _is_followed(self, module):
        """Whether this is a module of one of the packages, and not skipped."""
        return _within(module, self.packages) and not _within(module, self.skipped)

    def _bindings(self, module, nodes):
        """Name -> dotted target of the imports at a module's top level, and of those inside some of its statements."""
        path = _path(self.root, module)
        package = path.name == "__init__.py"
        return _imports(parsed(path).body, module, package) | _imports(nodes, module, package, nested=True)

    def _index(self, module):
        """(name -> its top-level statements, statements that define no name) of a module."""
        return _definitions(parsed(_path(self.root, module)))


@functools.cache
def _path(root, module):
    """The file of a dotted module, or None."""
    stem = root.joinpath(*module.split("."))
    return next((path for path in (stem.with_suffix(".py"), stem / "__init__.py") if path.exists()), None)


def _within(module, packages):
    """Whether a dotted name is one of some others, or stands below it."""
    return any(module == package or module.startswith(package + ".") for package in packages)


@functools.cache
def _definitions(tree):
    definitions, loose = {}, []
    for node in tree.body:
        if isinstance(node, _IMPORTS) or _is_text(node) or _is_for_type_checkers(node):
            continue
        names = _defined(node)
        for name in names:
            definitions.setdefault(name, []).append(node)
        if not names:
            loose.append(node)
    return definitions, loose


def _defined(node):
    """Names that a top-level statement defines, wherever it stands in it (`if`, `try`, `with`)."""
    if isinstance(node, _SCOPES):
        return [node.name]
    names = [n.id for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)]
    inner = [n.name for n in ast.walk(node) if isinstance(n, _SCOPES)]
    changed = [n.value.id for n in ast.walk(node) if isinstance(n, ast.Attribute | ast.Subscript)
               and isinstance(n.ctx, ast.Store) and isinstance(n.value, ast.Name)]  # fmt: skip
    return sorted({*names, *inner, *changed})


def _imports(body, module, is_package, nested=False):
    """Name -> dotted target of every import among statements (`nested`: also of those inside functions)."""
    package = module if is_package else module.rpartition(".")[0]
    bound = {}
    for statement in body:
        for node in ast.walk(statement) if nested or not isinstance(statement, _SCOPES) else ():
            if isinstance(node, ast.Import):
                for alias in node.names:
                    target = alias.name if alias.asname else alias.name.split(".")[0]
                    bound[alias.asname or target] = target
            elif isinstance(node, ast.ImportFrom):
                origin = resolve_name("." * node.level + (node.module or ""), package)
                for alias in node.names:
                    if alias.name == "*":
                        raise UserError(f"{module}: `from {origin} import *` hides what a result depends on")
                    bound[alias.asname or alias.name] = f"{origin}.{alias.name}"
    return bound


class _NormalForm:
    """Writes a syntax tree as text that depends on what it computes alone. `resolved(chain, line)` writes a dotted name."""

    def __init__(self, resolved):
        self.resolved = resolved

    def __call__(self, node):
        if isinstance(node, list):
            return "[" + ",".join(self(item) for item in node if not _is_silent(item)) + "]"
        if not isinstance(node, ast.AST):
            return ascii(node)
        special = getattr(self, f"_{type(node).__name__}", None)
        return special(node) if special else self._fields(node)

    def _fields(self, node):
        """The type of a node and its fields by name; those that are empty do not count, so that a version of Python may
        add some."""
        kept = {name: value for name, value in ast.iter_fields(node) if name not in _NO_MEANING}
        written = (f"{name}={self(value)}" for name, value in sorted(kept.items()) if value is not None and value != [])
        return f"{type(node).__name__}({','.join(written)})"

    def _Name(self, node):
        return self.resolved((node.id,), node.lineno)

    def _Attribute(self, node):
        names, base = [node.attr], node.value
        while isinstance(base, ast.Attribute):
            names, base = [base.attr, *names], base.value
        if isinstance(base, ast.Name):
            return self.resolved((base.id, *names), node.lineno)
        return f"{self(base)}.{'.'.join(names)}"

    def _Constant(self, node):
        return f"{type(node.value).__name__} {ascii(node.value)}"

    def _JoinedStr(self, node):
        """An f-string. Versions differ in how they cut its constant parts."""
        parts, text = [], ""
        for value in node.values:
            if isinstance(value, ast.Constant):
                text += value.value
            else:
                parts, text = [*parts, ascii(text), self(value)], ""
        return f"f[{','.join([*parts, ascii(text)])}]"

    def _Raise(self, node):
        """What is raised, without its words and its cause."""
        raised = node.exc.func if isinstance(node.exc, ast.Call) else node.exc
        return f"Raise({self(raised) if raised else ''})"

    def _AnnAssign(self, node):
        """As an assignment without annotation."""
        return f"Assign(targets=[{self(node.target)}],value={self(node.value)})" if node.value else ""

    def _ClassDef(self, node):
        """In a class that makes fields of its annotated names, which names are annotated counts."""
        collects = any("dataclass" in ast.unparse(decorator) for decorator in node.decorator_list)
        collects = collects or any(ast.unparse(base).endswith("NamedTuple") for base in node.bases)
        names = [n.target.id for n in node.body if isinstance(n, ast.AnnAssign) and isinstance(n.target, ast.Name)]
        return self._fields(node) + (f" fields {' '.join(names)}" if collects else "")


_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_IMPORTS = (ast.Import, ast.ImportFrom)
_NO_MEANING = ("annotation", "returns", "msg", "ctx", "kind", "type_comment", "type_ignores")  # msg: of an assertion


def _is_text(node):
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _is_silent(node):
    """Whether a statement computes nothing: a docstring, `pass`, a bare annotation, an import whose names others use."""
    bare = isinstance(node, ast.AnnAssign) and node.value is None
    return bare or _is_text(node) or isinstance(node, (ast.Pass, *_IMPORTS)) or _is_for_type_checkers(node)


def _is_for_type_checkers(node):
    return isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")
