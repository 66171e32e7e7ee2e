"""What there is to build: papers, figures, tables, claims, experiments and their cells.

Everything is read from the papers' own files. `figures.py`, `tables.py` and `claims.py` are parsed, never imported: a
public function is an artefact, its arguments name the experiments it reads, and an argument's default, a string such as
"env=HalfCheetah-v4|Hopper-v4, base=1x32", selects cells. Only the torch-free `config.py` of a paper is imported.
"""

import ast
import dataclasses
import functools
import importlib
import inspect
import itertools
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from common.errors import UserError
from common.lab.plan import experiments, provenance
from common.lab.plan.experiments import SCALES, text
from common.settings import DATA_SET_ID, check_known, fields, resolve

ROOT = Path(__file__).resolve().parents[3]
KINDS = ("figures", "tables", "claims")
FRONT = ("title", "authors", "year", "venue", "url", "key", "code", "commit", "shown_in_part", "claims_not_written")
_asked: dict[str, Any] = {"seeds": None, "data": ()}  # of this process


@dataclasses.dataclass(frozen=True, eq=False)
class Cell:
    """One job: all members of one point of an experiment's grid, at one scale.

    `config` holds the resolved settings; `members` the seeds and, where members differ, their scalar settings:
    ({'seed': 4}, ...) or ({'seed': 4, 'learning_rate': 1e-3}, ...). `uses` are the cells whose files this one reads,
    {role: cells}. `module` is the algorithm's module, `root` the folder over results/ and published/.
    """

    paper: str
    experiment: str
    name: str
    scale: str
    algorithm: str
    module: str
    config: Any
    point: dict[str, Any]
    members: tuple[dict[str, Any], ...]
    tables: tuple[str, ...]
    produces: tuple[str, ...]
    uses: dict[str, tuple["Cell", ...]]
    file: str
    root: Path

    @property
    def key(self) -> str:
        """`<paper>/<experiment>/<cell>`, as the command line names it."""
        return f"{self.paper}/{self.experiment}/{self.name}"

    @property
    def place(self) -> str:
        """results/<scale>/<paper>/<experiment>/<cell>, relative to the root."""
        return f"results/{self.scale}/{self.key}"

    @property
    def folder(self) -> Path:
        """Where this checkout's run of the cell is written."""
        return self.root / self.place

    @property
    def work(self) -> Path:
        """Where this checkout's unfinished work on the cell lies."""
        return self.folder / ".work"

    @property
    def published(self) -> Path:
        """Where the tracked copy of a finished run stands."""
        return self.root / "published" / self.scale / self.key

    @property
    def scalars(self) -> tuple[str, ...]:
        """Names of the settings in which members differ."""
        return tuple(key for key in self.members[0] if key != "seed")

    @functools.cached_property
    def digest(self) -> str:
        """What every member's result depends on besides its own seed and scalars."""
        return provenance.cell_digest(self, ROOT)

    @property
    def param(self) -> str:
        """The digest and the members: a change means that something has to be run."""
        return f"{self.digest}:" + ";".join(",".join(text(v) for v in member.values()) for member in self.members)

    def threads(self, cores: int) -> int:
        """Worker processes that train the cell on a CPU: one per member, as far as there are cores. One process trains all
        at smoke, because starting it costs more than the training, and where the algorithm asks for the `whole_fleet`."""
        whole = self.scale == "smoke" or getattr(self.config, "whole_fleet", False)
        return 1 if whole else min(len(self.members), cores)

    @property
    def used(self) -> tuple["Cell", ...]:
        """The cells of `uses`, whatever their roles."""
        return tuple(itertools.chain(*self.uses.values()))

    @property
    def reads(self) -> dict[str, tuple[str, ...]]:
        """{role: names of the files that this one reads}: those that its settings state (`reads`), else all that the used
        cells produce."""
        stated = getattr(self.config, "reads", {})
        return {role: stated.get(role, cells[0].produces) for role, cells in self.uses.items()}

    @property
    def inputs(self) -> list[tuple["Cell", tuple[str, ...]]]:
        """The used cells, each with the names of the files that are read of it."""
        return [(cell, self.reads[role]) for role, cells in self.uses.items() for cell in cells]


def replace_seeds(seeds: list[int] | None) -> None:
    """From now on, in this process, experiments have these seeds in place of those on their page; None: those on it."""
    _asked["seeds"] = seeds


def replaced_seeds() -> list[int] | None:
    """What `replace_seeds` was told last."""
    return _asked["seeds"]


def seeds_option() -> str:
    """What a command of another process needs to see the same members: ` --seeds 4,5`, or nothing."""
    return f" --seeds {','.join(map(str, _asked['seeds']))}" if _asked["seeds"] else ""


def replace_data(dataset: str | None, env: str | None) -> None:
    """From now on, in this process, experiments on data sets of Minari are on this one, of this environment; None: on those
    of their page. UserError: one of the two alone, or what is no id."""
    if (dataset is None) != (env is None):
        raise UserError("dataset and env are asked for together: the id of a data set of Minari, and its environment")
    if dataset is not None and not re.fullmatch(DATA_SET_ID, dataset):
        raise UserError(f"{dataset!r} is no id of a Minari data set; it must read like space/environment/name-v0")
    _asked["data"] = () if dataset is None else (("env", env), ("dataset", dataset))


def data_option() -> str:
    """The same for a data set: ` --dataset <id> --env <environment>`, or nothing."""
    return "".join(f" --{key} {value}" for key, value in reversed(_asked["data"]))


def reseeded(cell: Cell, seeds: list[int] | None) -> Cell:
    """The cell with these seeds in place of its own: other members, the same name and digest.

    An experiment that another uses keeps its seeds, because they are part of what the other depends on.
    """
    if not seeds or cell.experiment in _page(cell.root, cell.paper).used:
        return cell
    return dataclasses.replace(cell, members=experiments.reseeded(cell.members, seeds))


def papers() -> list[str]:
    """Names of the reproduced papers: the packages under papers/."""
    return sorted(path.parent.name for path in (ROOT / "papers").glob("[a-z]*/__init__.py"))


def front(paper: str) -> dict[str, Any]:
    """paper.yaml, who wrote the paper and where; {} if a paper has none. UserError: it is no mapping of `FRONT`."""
    file = ROOT / "papers" / paper / "paper.yaml"
    return experiments.mapping(file, f"papers/{paper}/paper.yaml", FRONT) if file.is_file() else {}


def artefacts(paper: str, kind: str) -> dict[str, dict[str, str | None]]:
    """Public functions of papers/<paper>/<kind>.py -> {experiment: selection or None}, in the file's order."""
    check_known(paper, papers(), "unknown paper")
    check_known(kind, KINDS, "unknown kind")
    return {name: dict(arguments) for name, (arguments, _) in _functions(ROOT, paper, kind).items()}


def artefact_line(paper: str, kind: str, name: str) -> int:
    """The line at which an artefact's function stands."""
    return _functions(ROOT, paper, kind)[name][1]


def find(name: str) -> tuple[str, str]:
    """(paper, kind) of a figure or table, or ('<paper>', 'claims') for `claims_<paper>`.

    Raises `UserError` with the nearest names if there is none, and if two papers have one of that name.
    """
    homes = names()
    check_known(name, homes, "no figure, table or claims are called")
    if len(homes[name]) > 1:
        raise UserError(f"{name!r} is not unique: " + ", ".join(f"papers/{p}/{k}.py" for p, k in homes[name]))
    return homes[name][0]


def names() -> dict[str, list[tuple[str, str]]]:
    """Artefact name -> list of (paper, kind) that have it; claims of a paper are one artefact, `claims_<paper>`."""
    homes: dict[str, list[tuple[str, str]]] = {}
    for paper, kind in itertools.product(papers(), KINDS):
        functions = artefacts(paper, kind)
        for name in functions if kind != "claims" else [f"claims_{paper}"] if functions else []:
            homes.setdefault(name, []).append((paper, kind))
    return homes


def reads(name: str) -> dict[str, list[str | None]]:
    """{experiment: selections of its cells} of an artefact; of `claims_<paper>`, those of all claims."""
    functions = artefacts(*find(name))
    selections: dict[str, list[str | None]] = {}
    for arguments in [functions[name]] if name in functions else functions.values():
        for experiment, selection in arguments.items():
            selections.setdefault(experiment, []).append(selection)
    return selections


def artefact_cells(name: str, scale: str) -> list[Cell]:
    """The cells an artefact reads at a scale, each once."""
    paper, _ = find(name)
    pairs = [(experiment, selection) for experiment, selections in reads(name).items() for selection in selections]
    chosen = [select(cells(paper, experiment, scale), selection).values() for experiment, selection in pairs]
    return list({cell.key: cell for cell in itertools.chain(*chosen)}.values())


def artefact_digest(name: str) -> str:
    """Digest of what an artefact's function computes; of all claims of a paper for `claims_<paper>`. To a table that reads
    no run belongs the page of experiments, whose settings it may list."""
    paper, kind = find(name)
    functions = artefacts(paper, kind) if kind == "claims" else [name]
    page = _page(ROOT, paper)
    listed = [page.sources, page.defaults, page.experiments] if kind == "tables" and not reads(name) else []
    return provenance.digest(provenance.artefact_digest(paper, kind, tuple(functions), ROOT), *listed)


def function(paper: str, kind: str, name: str) -> Callable:
    """A figure's, table's or claim's function, imported. Only here is a paper's module imported by a name made up at run
    time: what a digest walks calls this, and is not walked further."""
    return getattr(importlib.import_module(f"papers.{paper}.{kind}"), name)


def experiment_names(paper: str) -> list[str]:
    """Names of a paper's experiments, in the order of its page."""
    check_known(paper, papers(), "unknown paper")
    return list(_page(ROOT, paper).experiments)


def experiment_line(paper: str, experiment: str) -> int:
    """The line of papers/<paper>/experiments.yaml at which an experiment stands."""
    return _page(ROOT, paper).lines[experiment]


def cells(paper: str, experiment: str, scale: str) -> dict[str, Cell]:
    """Cell name -> `Cell` of an experiment at a scale, in grid order."""
    check_known(scale, SCALES, "unknown scale")
    check_known(experiment, experiment_names(paper), f"{paper}: unknown experiment")
    known = _cells(ROOT, paper, experiment, scale, data=_asked["data"])
    return {name: reseeded(cell, _asked["seeds"]) for name, cell in known.items()}


def cell(key: str, scale: str) -> Cell:
    """The `Cell` that `<paper>/<experiment>/<cell>` names."""
    parts = key.strip("/").split("/")
    if len(parts) != 3:
        raise UserError(f"{key!r} does not name a cell; the form is <paper>/<experiment>/<cell>")
    known = cells(parts[0], parts[1], scale)
    check_known(parts[2], known, f"{parts[0]}/{parts[1]} at scale {scale}: unknown cell")
    return known[parts[2]]


def claim_cells(paper: str, claim: str, scale: str) -> list[Cell]:
    """The cells that a claim reads, each once."""
    read = artefacts(paper, "claims")[claim].items()
    chosen = [select(cells(paper, experiment, scale), selection).values() for experiment, selection in read]
    return list({cell.key: cell for cell in itertools.chain(*chosen)}.values())


def targeted(target: str, scale: str) -> list[Cell]:
    """The cells that <paper>[/<experiment>[/<cell>]] names, or that <paper>/<claim> reads; `all` names those of every
    paper."""
    if target == "all":
        return [cell for paper in papers() for cell in targeted(paper, scale)]
    paper, *rest = target.strip("/").split("/")
    if len(rest) > 2:
        raise UserError(f"{target!r}: the form is <paper>[/<experiment>[/<cell>]], or <paper>/<claim>")
    if len(rest) == 2:
        return [cell(target, scale)]
    if rest and rest[0] in artefacts(paper, "claims"):
        return claim_cells(paper, rest[0], scale)
    return [cell for name in rest or experiment_names(paper) for cell in cells(paper, name, scale).values()]


def select(known: dict[str, Cell], selection: str | None) -> dict[str, Cell]:
    """Those of an experiment's cells that satisfy 'key=value|other, key=value'; all of them if the selection is None.

    Keys are those of the grid. A value has to stand in the grid as written in full; a scale that leaves it out yields
    no cell.
    """
    kept = dict(known)
    if not selection or not known:
        return kept
    first = next(iter(known.values()))
    place = f"{first.paper}/{first.experiment}: selection {selection!r}"
    full = experiments.read(_page(ROOT, first.paper), first.experiment, first.scale).full_grid
    for condition in selection.split(","):
        key, equals, values = (part.strip() for part in condition.partition("="))
        if not equals:
            raise UserError(f"{place}: {condition.strip()!r} must have the form key=value")
        check_known(key, full, f"{place}: unknown key")
        wanted = [value.strip() for value in values.split("|")]
        for value in wanted:
            check_known(value, list(map(text, full[key])), f"{place}: no {key} is")
        kept = {name: cell for name, cell in kept.items() if text(cell.point[key]) in wanted}
    return kept


def sources(paper: str, cls: type, *names: str) -> dict[str, str]:
    """Where each setting of a `Config` stands: as its declaration says, else as the paper's page does. Of some experiments,
    as these state of the values that they set."""
    page = _page(ROOT, paper)
    own = {key: source for name in names for key, source in page.experiments[name].get("sources", {}).items()}
    declared = {key: field.metadata["source"] or page.sources.get(key, "") for key, field in fields(cls).items()}
    return declared | own


def config_class(paper: str, algorithm: str, where: str) -> tuple[str, type]:
    """(module, dataclass) of an algorithm: papers/<paper>/<algorithm>.py with its class in that paper's config.py, else
    common/rl/<algorithm>.py with its class in common/rl/config.py."""
    homes = {path.stem: home for home in ("common/rl", f"papers/{paper}") for path in (ROOT / home).glob("*.py")
             if path.stem not in ("__init__", "config", *KINDS)}  # fmt: skip
    check_known(algorithm, homes, f"{where}: algorithm: neither papers/{paper} nor common/rl has a module")
    file = f"{homes[algorithm]}/config.py"
    package = homes[algorithm].replace("/", ".")
    if str(ROOT) not in sys.path:
        sys.path.insert(0, str(ROOT))
    try:
        content = vars(importlib.import_module(f"{package}.config"))
    except ModuleNotFoundError as error:
        raise UserError(f"{where}: algorithm: {algorithm} has no settings: {file}: {error}") from None
    except SyntaxError as error:
        raise UserError(f"{file}:{error.lineno}: {error.msg}") from None
    classes = {name.lower(): value for name, value in content.items() if dataclasses.is_dataclass(value)}
    cls: Any = classes.get(algorithm.replace("_", ""))
    if cls is None:
        raise UserError(f"{where}: algorithm: {file} has no dataclass for {algorithm!r}; it has {sorted(classes)}")
    loop = getattr(cls, "loop", None)
    if not (ROOT / "common" / "rl" / f"{loop}.py").exists():
        raise UserError(f"{file}: {cls.__name__}: loop = {loop!r} must name a module of common/rl that trains it")
    return f"{package}.{algorithm}", cls


@functools.cache
def _functions(root, paper, kind):
    """Function name -> ({experiment: selection or None}, line) of a paper's figures.py, tables.py or claims.py."""
    where = f"papers/{paper}/{kind}.py"
    if not (root / where).exists():
        return {}
    functions = {}
    for node in provenance.parsed(root / where).body:
        if not isinstance(node, ast.FunctionDef) or node.name.startswith("_"):
            continue
        line = f"{where}:{node.lineno}: {node.name}"
        if node.name in functions:
            raise UserError(f"{line} is defined twice")
        signature = node.args
        if signature.vararg or signature.kwarg or signature.posonlyargs or signature.kwonlyargs:
            raise UserError(f"{line}: arguments name experiments; no *, ** or / among them")
        defaults = [None] * (len(signature.args) - len(signature.defaults)) + signature.defaults
        arguments = {}
        for argument, default in zip(signature.args, defaults, strict=True):
            check_known(argument.arg, _page(root, paper).experiments, f"{line}: unknown experiment")
            if default is not None and not isinstance(getattr(default, "value", None), str):
                raise UserError(f"{line}: the default of {argument.arg} must be a string that selects cells")
            arguments[argument.arg] = None if default is None else default.value
        functions[node.name] = (arguments, node.lineno)
    return functions


@functools.cache
def _page(root, paper):
    return experiments.page(root / "papers" / paper / "experiments.yaml", f"papers/{paper}/experiments.yaml")


@functools.cache
def _classes(root, paper):
    """Algorithm -> (module, dataclass) of a paper's experiments, and what the page says of their settings checked."""
    page = _page(root, paper)
    classes = {}
    for name in page.experiments:
        algorithm = page.experiments[name]["algorithm"]
        if algorithm not in classes:
            classes[algorithm] = config_class(paper, algorithm, page.where(name))
    declared = {key for _, cls in classes.values() for key in fields(cls)}
    for scale, change in page.scales.items():
        for key in change["set"]:
            check_known(key, declared, f"{page.file}: scales: {scale}: set: no algorithm of the paper has")
    shared = {key for _, cls in classes.values() for key in fields(cls) if _shared(cls, key)}
    for key in page.defaults:
        check_known(key, shared, f"{page.file}: defaults: no setting that papers share is")
    unsourced = {key for _, cls in classes.values() for key, field in fields(cls).items() if not field.metadata["source"]}
    for key in page.sources:
        check_known(key, unsourced, f"{page.file}: sources: no setting without a source of its own is")
    return classes


def _shared(cls, key):
    """Whether a setting's declaration that counts is that of common/rl: a paper's own say themselves what they are."""
    return next(base for base in cls.__mro__ if key in inspect.get_annotations(base)).__module__ == "common.rl.config"


@functools.cache
def _cells(root, paper, name, scale, using=(), data=()):
    page = _page(root, paper)
    if name in using:
        raise UserError(f"{page.where(name)}: uses: {' -> '.join((*using, name))} is a circle")
    module, cls = _classes(root, paper)[page.experiments[name]["algorithm"]]
    spec = experiments.read(page, name, scale)
    if data and "dataset" in spec.grid:
        spec = dataclasses.replace(spec, grid=spec.grid | {key: [value] for key, value in data})
    scalars = _scalars(spec, cls)
    for role, other in spec.uses.items():
        check_known(other, page.experiments, f"{spec.file}: uses: {role}: unknown experiment")
    used = {role: _cells(root, paper, other, scale, (*using, name), data).values() for role, other in spec.uses.items()}
    stated = {key: value for key, value in page.defaults.items() if key in fields(cls) and _shared(cls, key)} | spec.set
    stated |= {key: value for key, value in spec.scaled.items() if key in fields(cls)}
    result = {}
    for cell_name, point in experiments.points(spec).items():
        here = stated.copy()
        for values, settings in spec.cases:
            here |= settings if all(point[key] in allowed for key, allowed in values.items()) else {}
        for member in scalars:
            resolve(cls, here | point | member, spec.file)
        result[cell_name] = Cell(
            paper=paper, experiment=name, name=cell_name, scale=scale, algorithm=spec.algorithm, module=module,
            config=resolve(cls, here | point, spec.file), point=point, members=spec.members, tables=spec.tables,
            produces=spec.produces, uses={role: _agreeing(cells, point, spec.file, role) for role, cells in used.items()},
            file=spec.file, root=root,
        )  # fmt: skip
    return result


def _scalars(spec, cls):
    """The distinct scalar settings of the members, checked to be settings in which members may differ."""
    allowed = [key for key, field in fields(cls).items() if field.metadata["per_member"]]
    distinct = experiments.scalars(spec.members)
    for key in distinct[0]:  # all name the same
        if key not in allowed:
            known = f"allowed: {', '.join(allowed)}" if allowed else f"{cls.__name__} allows none"
            raise UserError(f"{spec.file}: members cannot differ in {key!r}; {known}")
        if key in spec.set or key in spec.full_grid:
            raise UserError(f"{spec.file}: {key} differs between members and stands in set or grid too")
    return distinct


def _agreeing(cells, point, where, role):
    """The used experiment's cells that share every value of the grid with this point."""
    agreeing = tuple(cell for cell in cells if all(point.get(k, v) == v for k, v in cell.point.items()))
    if not agreeing:
        raise UserError(f"{where}: uses: {role}: no cell of that experiment agrees with {point}")
    return agreeing
