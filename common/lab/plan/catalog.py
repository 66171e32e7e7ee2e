"""What there is to build: papers, figures, tables, claims, experiments and their cells.

Everything is read from the papers' own files. `figures.py`, `tables.py` and `claims.py` are parsed, never imported: a
public function is an artefact, its arguments name the experiments it reads, and an argument's default, a string such as
"env=HalfCheetah-v4|Hopper-v4, base=1x32", selects cells. Only the torch-free `config.py` of a paper is imported.
"""

import ast
import dataclasses
import functools
import importlib
import sys
from pathlib import Path

from common.errors import UserError
from common.lab.plan import experiments, provenance
from common.lab.plan.experiments import SCALES, text
from common.settings import declaring, fields, nearest, resolve

ROOT = Path(__file__).resolve().parents[3]
KINDS = ("figures", "tables", "claims")
_asked = {"seeds": None}  # of this process


@dataclasses.dataclass(frozen=True, eq=False)
class Cell:
    """One job: all members of one point of an experiment's grid, at one scale.

    `config` holds the resolved settings; `members` the seeds and, where members differ, their scalar settings:
    ({'seed': 4}, ...) or ({'seed': 4, 'learning_rate': 1e-3}, ...). `uses` are the cells whose files this one reads,
    `roles` the names under which it does, in the same order. `module` is the algorithm's module, `root` the folder over
    results/ and published/.
    """

    paper: str
    experiment: str
    name: str
    scale: str
    algorithm: str
    module: str
    config: object
    point: dict
    members: tuple
    tables: tuple
    produces: tuple
    uses: tuple
    roles: tuple
    file: str
    root: Path

    @property
    def key(self):
        """`<paper>/<experiment>/<cell>`, as the command line names it."""
        return f"{self.paper}/{self.experiment}/{self.name}"

    @property
    def place(self):
        """results/<scale>/<paper>/<experiment>/<cell>, relative to the root."""
        return f"results/{self.scale}/{self.key}"

    @property
    def folder(self):
        """Where this checkout's run of the cell is written."""
        return self.root / self.place

    @property
    def published(self):
        """Where the tracked copy of a finished run stands."""
        return self.root / "published" / self.scale / self.key

    @property
    def scalars(self):
        """Names of the settings in which members differ."""
        return tuple(key for key in self.members[0] if key != "seed")

    @functools.cached_property
    def digest(self):
        """What every member's result depends on besides its own seed and scalars."""
        return provenance.cell_digest(self, ROOT)

    @property
    def param(self):
        """The digest and the members: a change means that something has to be run."""
        return f"{self.digest}:" + ";".join(",".join(text(v) for v in member.values()) for member in self.members)

    def threads(self, cores):
        """Worker processes that train the cell on a CPU: one a member, as far as there are cores. One process trains all at
        smoke, because starting it costs more than the training, and where the algorithm says that a `whole_fleet` does."""
        whole = self.scale == "smoke" or getattr(self.config, "whole_fleet", False)
        return 1 if whole else min(len(self.members), cores)

    def used(self, role):
        """The used cells under a name of `uses`, in grid order."""
        return tuple(cell for name, cell in zip(self.roles, self.uses, strict=True) if name == role)

    def settings(self, member):
        """The resolved settings of one member: `config` with the member's scalars."""
        return dataclasses.replace(self.config, **{key: member[key] for key in self.scalars})


def forget():
    """Drops what was read, for a process in which files change."""
    for cached in (_functions, _page, _classes, _cells):
        cached.cache_clear()
    provenance.forget()


def replace_seeds(seeds: list[int] | None) -> None:
    """From now on, in this process, experiments have these seeds in place of those on their page; None: those on it."""
    _asked["seeds"] = seeds


def seeds_option() -> str:
    """What a command of another process needs to see the same members: ` --seeds 4,5`, or nothing."""
    return f" --seeds {','.join(map(str, _asked['seeds']))}" if _asked["seeds"] else ""


def reseeded(cell: Cell, seeds: list[int] | None) -> Cell:
    """The cell with these seeds in place of its own: other members, the same name and digest.

    An experiment that another uses keeps its seeds, because they are part of what the other depends on.
    """
    if not seeds or cell.experiment in _page(cell.root, cell.paper).used:
        return cell
    return dataclasses.replace(cell, members=experiments.reseeded(cell.members, seeds))


def papers():
    """Names of the reproduced papers: the packages under papers/."""
    return sorted(path.parent.name for path in (ROOT / "papers").glob("[a-z]*/__init__.py"))


def artefacts(paper, kind):
    """Public functions of papers/<paper>/<kind>.py -> {experiment: selection or None}, in the file's order."""
    _known(paper, papers(), "paper")
    _known(kind, KINDS, "kind")
    return {name: dict(arguments) for name, (arguments, _) in _functions(ROOT, paper, kind).items()}


def artefact_line(paper, kind, name):
    """The line at which an artefact's function stands."""
    return _functions(ROOT, paper, kind)[name][1]


def find(name):
    """(paper, kind) of a figure or table, or ('<paper>', 'claims') for `claims_<paper>`.

    Raises `UserError` with the nearest names if there is none, and if two papers have one of that name.
    """
    homes = names()
    if name not in homes:
        raise UserError(f"no figure, table or claims are called {name!r}; {nearest(name, homes)}")
    if len(homes[name]) > 1:
        raise UserError(f"{name!r} is not unique: " + ", ".join(f"papers/{p}/{k}.py" for p, k in homes[name]))
    return homes[name][0]


def names(kind=None):
    """Artefact name -> list of (paper, kind) that have it; claims of a paper are one artefact, `claims_<paper>`."""
    homes = {}
    for paper in papers():
        for one in KINDS if kind is None else (kind,):
            functions = artefacts(paper, one)
            for name in functions if one != "claims" else [f"claims_{paper}"] if functions else []:
                homes.setdefault(name, []).append((paper, one))
    return homes


def reads(paper, kind, name):
    """{experiment: selection or None} of an artefact; of `claims_<paper>`, {experiment: set of selections}."""
    if kind != "claims" or not name.startswith("claims_"):
        return artefacts(paper, kind)[name]
    merged = {}
    for arguments in artefacts(paper, "claims").values():
        for experiment, selection in arguments.items():
            merged.setdefault(experiment, set()).add(selection)
    return merged


def artefact_cells(name, scale):
    """The cells an artefact reads at a scale, each once, in grid order."""
    paper, kind = find(name)
    wanted = {}
    for experiment, selections in reads(paper, kind, name).items():
        every = cells(paper, experiment, scale)
        for selection in selections if isinstance(selections, set) else {selections}:
            wanted |= {cell.key: cell for cell in select(every, selection, f"{paper}/{experiment}", scale).values()}
    return list(wanted.values())


def artefact_digest(name):
    """Digest of what an artefact's function computes; of all claims of a paper for `claims_<paper>`. To a table that reads
    no run belongs the page of experiments, whose settings it may list."""
    paper, kind = find(name)
    functions = artefacts(paper, kind) if kind == "claims" else [name]
    page = _page(ROOT, paper)
    listed = [page.sources, page.defaults, page.experiments] if kind == "tables" and not artefacts(paper, kind)[name] else []
    return provenance.digest(provenance.artefact_digest(paper, kind, tuple(functions), ROOT), *listed)


def function(paper, kind, name):
    """A figure's, table's or claim's function, imported. Only here is a paper's module imported by a name made up at run
    time: what a digest walks calls this, and is not walked further."""
    return getattr(importlib.import_module(f"papers.{paper}.{kind}"), name)


def experiment_names(paper: str) -> list[str]:
    """Names of a paper's experiments, in the order of its page."""
    _known(paper, papers(), "paper")
    return list(_page(ROOT, paper).experiments)


def experiment_line(paper: str, experiment: str) -> int:
    """The line of papers/<paper>/experiments.yaml at which an experiment stands."""
    return _page(ROOT, paper).lines[experiment]


def cells(paper, experiment, scale):
    """Cell name -> `Cell` of an experiment at a scale, in grid order."""
    _known(scale, SCALES, "scale")
    _known(experiment, experiment_names(paper), "experiment", paper)
    return {name: reseeded(one, _asked["seeds"]) for name, one in _cells(ROOT, paper, experiment, scale).items()}


def cell(key, scale):
    """The `Cell` that `<paper>/<experiment>/<cell>` names."""
    parts = key.strip("/").split("/")
    if len(parts) != 3:
        raise UserError(f"{key!r} does not name a cell; the form is <paper>/<experiment>/<cell>")
    paper, experiment, name = parts
    known = cells(paper, experiment, scale)
    _known(name, known, "cell", f"{paper}/{experiment} at scale {scale}")
    return known[name]


def targeted(target: str, scale: str) -> list[Cell]:
    """The cells that <paper>[/<experiment>[/<cell>]] names; `all` names those of every paper."""
    if target == "all":
        return [cell for paper in papers() for cell in targeted(paper, scale)]
    parts = target.strip("/").split("/")
    if len(parts) == 3:
        return [cell(target, scale)]
    if len(parts) > 3:
        raise UserError(f"{target!r}: the form is <paper>[/<experiment>[/<cell>]]")
    known = parts[1:] or experiment_names(parts[0])
    return [cell for experiment in known for cell in cells(parts[0], experiment, scale).values()]


def select(known, selection, where="", scale=None):
    """The cells that satisfy 'key=value|other, key=value'; all of them if the selection is None.

    Keys are those of the grid. A value has to stand in the grid as written in full; a scale that leaves it out yields
    no cell.
    """
    if not selection or not known:
        return dict(known)
    first = next(iter(known.values()))
    full = experiments.read(_page(ROOT, first.paper), first.experiment, scale or first.scale).full_grid
    kept = dict(known)
    for condition in selection.split(","):
        key, equals, values = (part.strip() for part in condition.partition("="))
        place = f"{where or first.experiment}: selection {selection!r}"
        if not equals:
            raise UserError(f"{place}: {condition.strip()!r} must have the form key=value")
        if key not in full:
            raise UserError(f"{place}: unknown key {key!r}; {nearest(key, full)}")
        wanted = [value.strip() for value in values.split("|")]
        for value in wanted:
            if value not in map(text, full[key]):
                raise UserError(f"{place}: no {key} is {value!r}; {nearest(value, map(text, full[key]))}")
        kept = {name: one for name, one in kept.items() if text(one.point[key]) in wanted}
    return kept


def sources(paper: str, cls: type) -> dict[str, str]:
    """Where each setting of a `Config` stands: as its declaration says, else as the paper's page does."""
    stated = _page(ROOT, paper).sources
    return {key: field.metadata["source"] or stated.get(key, "") for key, field in fields(cls).items()}


def config_class(paper, algorithm, where):
    """(module, dataclass) of an algorithm: papers/<paper>/<algorithm>.py with its class in that paper's config.py, else
    common/rl/<algorithm>.py with its class in common/rl/config.py."""
    for package in (f"papers.{paper}", "common.rl"):
        if (ROOT / package.replace(".", "/") / f"{algorithm}.py").exists():
            return f"{package}.{algorithm}", _dataclass(f"{package}.config", algorithm, where)
    known = [path.stem for home in (f"papers/{paper}", "common/rl") for path in (ROOT / home).glob("*.py")]
    raise UserError(
        f"{where}: algorithm: neither papers/{paper}/{algorithm}.py nor common/rl/{algorithm}.py exists; "
        + nearest(algorithm, [name for name in known if name not in ("__init__", "config", *KINDS)])
    )


def _dataclass(module, algorithm, where):
    file = module.replace(".", "/") + ".py"
    if str(ROOT) not in sys.path:
        sys.path.insert(0, str(ROOT))
    try:
        content = vars(importlib.import_module(module))
    except ModuleNotFoundError as error:
        raise UserError(f"{where}: algorithm: {algorithm} has no settings: {file}: {error}") from None
    except SyntaxError as error:
        raise UserError(f"{file}:{error.lineno}: {error.msg}") from None
    classes = {name.lower(): value for name, value in content.items() if dataclasses.is_dataclass(value)}
    if algorithm.replace("_", "").lower() not in classes:
        raise UserError(f"{where}: algorithm: {file} has no dataclass for {algorithm!r}; it has {sorted(classes)}")
    found = classes[algorithm.replace("_", "").lower()]
    loop = getattr(found, "loop", None)
    if not (ROOT / "common" / "rl" / f"{loop}.py").exists():
        raise UserError(f"{file}: {found.__name__}: loop = {loop!r} must name a module of common/rl that trains it")
    return found


@functools.cache
def _functions(root, paper, kind):
    """Function name -> ({experiment: selection or None}, line) of a paper's figures.py, tables.py or claims.py."""
    path = root / "papers" / paper / f"{kind}.py"
    if not path.exists():
        return {}
    where = f"papers/{paper}/{kind}.py"
    found = {}
    for node in provenance.parsed(path).body:
        if not isinstance(node, ast.FunctionDef) or node.name.startswith("_"):
            continue
        line = f"{where}:{node.lineno}: {node.name}"
        if node.name in found:
            raise UserError(f"{line} is defined twice")
        signature = node.args
        if signature.vararg or signature.kwarg or signature.posonlyargs or signature.kwonlyargs:
            raise UserError(f"{line}: arguments name experiments; no *, ** or / among them")
        defaults = [None] * (len(signature.args) - len(signature.defaults)) + signature.defaults
        arguments = {}
        for argument, default in zip(signature.args, defaults, strict=True):
            if default is not None and not isinstance(getattr(default, "value", None), str):
                raise UserError(f"{line}: the default of {argument.arg} must be a string that selects cells")
            arguments[argument.arg] = None if default is None else default.value
        for experiment in arguments:
            _known(experiment, _page(root, paper).experiments, "experiment", line)
        found[node.name] = (arguments, node.lineno)
    return found


@functools.cache
def _page(root, paper):
    return experiments.page(root / "papers" / paper / "experiments.yaml", f"papers/{paper}/experiments.yaml")


@functools.cache
def _classes(root, paper):
    """Algorithm -> (module, dataclass) of a paper's experiments, and what the page says of their settings checked."""
    page = _page(root, paper)
    classes = {}
    for name in page.experiments:
        algorithm = page.algorithm(name)
        if algorithm not in classes:
            classes[algorithm] = config_class(paper, algorithm, page.where(name))
    declared = {key for _, cls in classes.values() for key in fields(cls)}
    for scale, change in page.scales.items():
        for key in change["set"]:
            if key not in declared:
                place = f"{page.file}: scales: {scale}: set"
                raise UserError(f"{place}: no algorithm of the paper has {key!r}; {nearest(key, declared)}")
    shared = {key for _, cls in classes.values() for key in fields(cls) if _shared(cls, key)}
    unsourced = {key for _, cls in classes.values() for key, field in fields(cls).items() if not field.metadata["source"]}
    for key in page.defaults:
        if key not in shared:
            raise UserError(f"{page.file}: defaults: no setting that papers share is {key!r} here; {nearest(key, shared)}")
    for key in page.sources:
        if key not in unsourced:
            place = f"{page.file}: sources: no setting without a source of its own"
            raise UserError(f"{place} is {key!r}; {nearest(key, unsourced)}")
    return classes


def _shared(cls, key):
    """Whether a setting is that of common/rl: a paper's own say themselves what they are."""
    return declaring(cls, key).__module__ == "common.rl.config"


def _defaults(page, cls):
    return {key: value for key, value in page.defaults.items() if key in fields(cls) and _shared(cls, key)}


@functools.cache
def _cells(root, paper, name, scale, using=()):
    page = _page(root, paper)
    if name in using:
        raise UserError(f"{page.where(name)}: uses: {' -> '.join((*using, name))} is a circle")
    module, cls = _classes(root, paper)[page.algorithm(name)]
    spec = experiments.read(page, name, scale)
    scalars = _scalars(spec, cls)
    used = {}
    for role, other in spec.uses.items():
        _known(other, page.experiments, "experiment", f"{spec.file}: uses: {role}")
        used[role] = _cells(root, paper, other, scale, (*using, name))
    stated = _defaults(page, cls) | spec.set | {key: value for key, value in spec.scaled.items() if key in fields(cls)}
    result = {}
    for cell_name, point in experiments.points(spec).items():
        values = stated | point
        for member in scalars:
            resolve(cls, values | member, spec.file)
        pairs = [(role, one) for role, others in used.items() for one in _agreeing(others, point, spec.file, role)]
        result[cell_name] = Cell(
            paper=paper, experiment=name, name=cell_name, scale=scale, algorithm=spec.algorithm, module=module,
            config=resolve(cls, values, spec.file), point=point, members=spec.members, tables=spec.tables,
            produces=spec.produces, uses=tuple(one for _, one in pairs), roles=tuple(role for role, _ in pairs),
            file=spec.file, root=root,
        )  # fmt: skip
    return result


def _scalars(spec, cls):
    """The distinct scalar settings of the members, checked to be settings in which members may differ."""
    declared = fields(cls)
    allowed = [key for key, field in declared.items() if field.metadata.get("per_member")]
    distinct = []
    for member in spec.members:
        values = {key: value for key, value in member.items() if key != "seed"}
        for key in values:
            if key not in allowed:
                known = f"allowed: {', '.join(allowed)}" if allowed else f"{cls.__name__} allows none"
                raise UserError(f"{spec.file}: members cannot differ in {key!r}; {known}")
            if key in spec.set or key in spec.full_grid:
                raise UserError(f"{spec.file}: {key} differs between members and stands in set or grid too")
        if values not in distinct:
            distinct.append(values)
    return distinct


def _agreeing(others, point, where, role):
    """The used experiment's cells that share every value of the grid with this point."""
    agreeing = [one for one in others.values() if all(point.get(k, v) == v for k, v in one.point.items())]
    if not agreeing:
        raise UserError(f"{where}: uses: {role}: no cell of that experiment agrees with {point}")
    return agreeing


def _known(name, known, what, where=""):
    if name not in known:
        raise UserError(f"{where}{': ' if where else ''}unknown {what} {name!r}; {nearest(name, known)}")
