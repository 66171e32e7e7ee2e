"""The public names of `common`, with their docstrings, as pages. Read off the source: nothing is imported, so that a page
exists for what needs torch on a machine without it."""

import ast
import inspect
from collections.abc import Iterator
from pathlib import Path

from common.lab.plan import catalog, provenance


def write(folder: Path) -> list[str]:
    """Writes a page per package of `common`; returns their names."""
    folder.mkdir(parents=True, exist_ok=True)
    root = catalog.ROOT / "common"
    packages = sorted(path.parent for path in root.rglob("__init__.py"))
    names = []
    for package in packages:
        name = ".".join(package.relative_to(catalog.ROOT).parts)
        modules = [content for path in sorted(package.glob("*.py")) if (content := module(path))]
        if modules:
            names.append(name)
            (folder / f"{name}.md").write_text("\n\n".join([f"# `{name}`", *modules]) + "\n", encoding="utf-8")
    return names


def module(path: Path) -> str:
    """A section on a module: its docstring, then its public functions and classes; "" if it has neither."""
    tree = provenance.parsed(path)
    name = path.relative_to(catalog.ROOT).as_posix()
    said, members = ast.get_docstring(tree), list(public(tree.body))
    if not said and not members:
        return ""
    parts = [f"## `{name}`", f"[Source](/code/{name.replace('/', '.')}.md)", *([_text(said)] if said else [])]
    for node in members:
        parts.append(f"### `{node.name}`")
        parts += described(node, "")
        if isinstance(node, ast.ClassDef):
            for method in public(node.body):
                parts += described(method, "    ")
    return "\n\n".join(parts)


def public(body: list[ast.stmt]) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef]:
    """The functions and classes of a body whose names do not begin with _."""
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            yield node


def described(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef, indent: str) -> list[str]:
    """The head of a function or class, and its docstring, as two blocks."""
    if isinstance(node, ast.ClassDef):
        bases = ", ".join(ast.unparse(base) for base in node.bases)
        head = f"class {node.name}({bases})" if bases else f"class {node.name}"
        made = next((f for f in node.body if isinstance(f, ast.FunctionDef) and f.name == "__init__"), None)
        head += f"\n    def __init__({ast.unparse(made.args)})" if made else ""
    else:
        returned = f" -> {ast.unparse(node.returns)}" if node.returns else ""
        head = f"{indent}def {node.name}({ast.unparse(node.args)}){returned}"
    said = ast.get_docstring(node)
    return [f"````python\n{head}\n````", *([_text(said)] if said else [])]


def _text(docstring):
    """A docstring as it stands: its equations are drawn in columns."""
    return f"````text\n{inspect.cleandoc(docstring)}\n````"
