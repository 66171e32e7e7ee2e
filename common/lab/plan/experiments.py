"""A paper's experiments, read and checked: `papers/<paper>/experiments.yaml`, one page.

    seeds: [4-7]                                # of experiments that state none
    scales:                                     # what a scale changes in every experiment
      quick: {seeds: [4, 5], set: {total_steps: 10_000}}
    sources: {discount: Table 1}                # where the paper states settings that papers share
    defaults: {log_std_high: 5.0}               # this paper's defaults of settings that papers share
    experiments:
      arsac:
        about: returns and log-scales over environments and network sizes
        algorithm: arsac
        grid: {env: [HalfCheetah-v4, Hopper-v4], base: [1x32, 2x256]}
        set: {critic: 2x256}                    # departures from the defaults of the algorithm's `Config`

        cases: [{env: [Hopper-v4], set: {total_steps: 1_000_000}}]      # departures at some points of the grid

Every point of `grid` is a cell. `seeds`, integers and ranges, are its members, or an explicit list of `members` that differ
in further settings: [{seed: 4, kl_radius: 0.01}, ...]. `tables` names further tidy tables that a run writes, `produces`
further files of tensors, `uses` the experiments whose files a run reads: all of them, unless its `Config` has a property
`reads`, {role: names}, that states fewer.

A scale's `set` applies where the algorithm has the setting; grid and members come before it. An experiment may state
`sources` of the values that it sets, and `scales` of its own: their `seeds` or `members` and their `set` stand in place of
the page's, their `grid` narrows its own.
"""

import dataclasses
import itertools
import re
from pathlib import Path
from typing import Any

import yaml

from common.errors import UserError
from common.settings import check_known

SCALES = ("smoke", "quick", "day", "paper")
PAGE = ("seeds", "scales", "sources", "defaults", "experiments")
KEYS = ("algorithm", "about", "grid", "seeds", "members", "set", "cases", "sources", "scales", "tables", "produces", "uses")
SCALED = ("grid", "seeds", "members", "set")
NAME = re.compile(r"[a-z][a-z0-9_]*")
SCALAR = (str, int, float, bool)
LARGEST_SEED = 2**32 - 1


@dataclasses.dataclass(frozen=True, eq=False)
class Page:
    """A paper's experiments.yaml: what holds for all experiments (`head` has their usual seeds), and what each states,
    {name: mapping}, with its line."""

    file: str
    head: dict
    scales: dict
    sources: dict
    defaults: dict
    experiments: dict
    lines: dict

    def where(self, name: str) -> str:
        """`papers/<paper>/experiments.yaml:<line>: <name>`, for messages."""
        return f"{self.file}:{self.lines[name]}: {name}"

    @property
    def used(self) -> set[str]:
        """Experiments whose files others use."""
        return {other for name in self.experiments for other in self.uses(name).values()}

    def uses(self, name: str) -> dict[str, str]:
        """The experiments whose files an experiment's runs read, {role: experiment}."""
        return _texts(self.experiments[name], "uses", self.where(name))


@dataclasses.dataclass(frozen=True, eq=False)
class Experiment:
    """One experiment at one scale: algorithm's name, the grid as run and as written in full, settings and members.

    `set` are the experiment's own settings; `scaled` those of the page's scale, which apply where the algorithm has them;
    `cases` are (values of the grid, settings that hold there), settings that a scale states left out.
    """

    file: str
    algorithm: str
    grid: dict
    full_grid: dict
    set: dict
    cases: tuple
    scaled: dict
    members: tuple
    tables: tuple
    produces: tuple
    uses: dict


class _Loader(yaml.SafeLoader):
    """YAML in which `1e-3` is a number, only `true` and `false` are booleans, and a repeated key is an error."""

    yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith((":float", ":bool", ":merge"))]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def construct_mapping(self, node: Any, deep: bool = False) -> dict:
        keys = []
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if key in keys:
                raise yaml.constructor.ConstructorError(None, None, f"the key {key!r} stands twice", key_node.start_mark)
            keys.append(key)
        return super().construct_mapping(node, deep)


_EXPONENT = r"(?:[eE][-+]?[0-9]+)"
_FLOAT = rf"[-+]?(?:(?:[0-9][0-9_]*\.[0-9_]*|\.[0-9][0-9_]*){_EXPONENT}?|[0-9][0-9_]*{_EXPONENT}|\.inf)$|\.nan$"
_Loader.add_implicit_resolver("tag:yaml.org,2002:float", re.compile(_FLOAT), list("-+.0123456789"))
_Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"(?:true|false)$"), list("tf"))


def mapping(path: Path, where: str, known: tuple[str, ...]) -> dict[str, Any]:
    """A YAML file of some of these keys. `where` names the file in errors.

    Raises `UserError` for what is no YAML or no mapping, unknown and repeated keys, with file, line or key.
    """
    return _document(path, where, known)[0]


def _document(path, where, known):
    """A mapping, and the node that it was made of, which knows its lines."""
    try:
        loader = _Loader(path.read_text(encoding="utf-8"))
        node: Any = loader.get_single_node()
        content = loader.construct_document(node) if node else None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f"{where}:{mark.line + 1}" if mark else where
        raise UserError(f"{place}: {' '.join(str(getattr(error, 'problem', error)).split())}") from None
    if not isinstance(content, dict):
        raise UserError(f"{where}: must be a mapping of {', '.join(known)}")
    for key in content:
        check_known(key, known, f"{where}: unknown key")
    return content, node


def page(path: Path, where: str) -> Page:
    """A paper's page, its shape checked; an empty one if there is no file. `where` names the file in errors.

    Raises `UserError` for what is not YAML, unknown or repeated keys and wrong types, with file, line or key.
    """
    if not path.exists():
        return Page(where, {}, {}, {}, {}, {}, {})
    content, node = _document(path, where, PAGE)
    parts = {key: _mapping(content, key, where) for key in PAGE if key != "seeds"}
    for scale, change in _scales(parts, where, ("seeds", "set")).items():
        parts["scales"][scale] = change | {"set": _mapping(change, "set", f"{where}: scales: {scale}")}
    _texts(content, "sources", where)
    listed = next((value.value for key, value in node.value if key.value == "experiments"), ())
    made = Page(where, content, **parts, lines={key.value: key.start_mark.line + 1 for key, _ in listed})
    for name in parts["experiments"]:
        if not NAME.fullmatch(name):
            raise UserError(f"{made.where(name)}: a name must consist of small letters, digits and _")
        stated = parts["experiments"][name] = _mapping(parts["experiments"], name, f"{where}:{made.lines[name]}", KEYS)
        if not isinstance(stated.get("algorithm"), str):
            form = "must name papers/<paper>/<algorithm>.py or common/rl/<algorithm>.py"
            raise UserError(f"{made.where(name)}: algorithm: {form}")
        for key in _texts(stated, "sources", made.where(name)):
            check_known(key, _mapping(stated, "set", made.where(name)), f"{made.where(name)}: sources: it does not set")
    return made


def read(page: Page, name: str, scale: str) -> Experiment:
    """An experiment of a page at a scale, its shape checked. Settings are checked against a `Config` later."""
    content, where = page.experiments[name], page.where(name)
    change, there = _scales(content, where, SCALED).get(scale, {}), f"{where}: scales: {scale}"
    full = _grid(content, where)
    narrowed = _grid(change, there, full)
    settings = _mapping(content, "set", where) | _mapping(change, "set", there)
    if twice := full.keys() & settings:
        raise UserError(f"{where}: {min(twice)} stands in grid and in set; one of them must go")
    shared, place = page.scales.get(scale, {}), f"{page.file}: scales: {scale}"
    return Experiment(
        file=where,
        algorithm=content["algorithm"],
        grid={key: narrowed.get(key, values) for key, values in full.items()},
        full_grid={key: list(dict.fromkeys([*values, *narrowed.get(key, ())])) for key, values in full.items()},
        set=settings,
        cases=_cases(content, where, full, _mapping(change, "set", there) or shared.get("set", {})),
        scaled={} if "set" in change else shared.get("set", {}),
        members=_members((content, where), (change, there), (shared, place), (page.head, page.file)),
        tables=_names(content, "tables", where, taken=("metrics",)),
        produces=_names(content, "produces", where),
        uses=page.uses(name),
    )


def points(experiment: Experiment) -> dict[str, dict]:
    """Cell name -> the grid's values at that point. A grid without keys has the one cell `all`."""
    cells: dict[str, dict] = {}
    for values in itertools.product(*experiment.grid.values()):
        point = dict(zip(experiment.grid, values, strict=True))
        folders = (text(value).replace("/", ".") if key == "dataset" else text(value) for key, value in point.items())
        name = "-".join(folders) or "all"
        if name in cells:
            raise UserError(f"{experiment.file}: grid: {cells[name]} and {point} would both be the cell {name!r}")
        if not re.fullmatch(r"\w[\w.+=-]*", name):
            raise UserError(f"{experiment.file}: grid: {name!r} cannot name a folder; allowed: letters, digits, _.+=-")
        cells[name] = point
    return cells


def text(value: object) -> str:
    """A grid's value as it stands in names and selections: `true`, `0.0003`, `1x32`."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _mapping(content, key, where, allowed=None):
    """The mapping that `content` has under a key, empty if there is none; its own keys are among those allowed."""
    value = content.get(key)
    if value is None:
        return {}
    if not isinstance(value, dict) or not all(isinstance(name, str) for name in value):
        raise UserError(f"{where}: {key}: must be a mapping, not {value!r}")
    for name in value if allowed is not None else ():
        check_known(name, allowed, f"{where}: {key}: unknown key")
    return value


def _scales(content, where, allowed):
    """What a page or an experiment states for scales, {scale: mapping with some of the allowed keys}."""
    scales = _mapping(content, "scales", where, SCALES)
    return {scale: _mapping(scales, scale, f"{where}: scales", allowed) for scale in scales}


def _grid(content, where, allowed=None):
    """A mapping from settings to non-empty lists of plain values."""
    grid = _mapping(content, "grid", where, allowed)
    for name, values in grid.items():
        if not isinstance(values, list) or not values or not all(isinstance(v, SCALAR) for v in values):
            raise UserError(f"{where}: grid: {name}: must be a list of one or more plain values, not {values!r}")
    return grid


def _cases(content, where, grid, stated):
    """(values of the grid {key: list}, settings) of every case, without the settings that the scale has `stated`."""
    cases = content.get("cases") or []
    if not isinstance(cases, list) or not all(isinstance(case, dict) and "set" in case for case in cases):
        raise UserError(f"{where}: cases: must be a list of mappings with values of the grid and a set")
    made = []
    for case in cases:
        values = _grid({"grid": {key: value for key, value in case.items() if key != "set"}}, f"{where}: cases", grid)
        settings = _mapping(case, "set", f"{where}: cases")
        for key, allowed in values.items():
            for value in allowed:
                check_known(value, grid[key], f"{where}: cases: {key}: not in the grid:")
        if clash := settings.keys() & grid.keys():
            raise UserError(f"{where}: cases: {min(clash)} stands in the grid; a case cannot set it")
        made.append((values, {key: value for key, value in settings.items() if key not in stated}))
    return tuple(made)


def _names(content, key, where, taken=()):
    names = content.get(key) or []
    if not isinstance(names, list) or not all(isinstance(n, str) and NAME.fullmatch(n) for n in names):
        raise UserError(f"{where}: {key}: must be a list of names in small letters, digits and _, not {names!r}")
    if len(set(names)) < len(names) or set(names) & set(taken):
        raise UserError(f"{where}: {key}: {names!r} has a name twice, or one of {taken!r}")
    return tuple(names)


def _texts(content, key, where):
    texts = _mapping(content, key, where)
    for name, value in texts.items():
        if not isinstance(value, str):
            raise UserError(f"{where}: {key}: {name}: must be text, not {value!r}")
    return texts


def seeds(value: object, where: str) -> list[int]:
    """Seeds of a list of integers and ranges, [4, 6-9], or of its text, 4,6-9. `where` names what states them in errors."""
    entries = value.split(",") if isinstance(value, str) else [value] if isinstance(value, int) else value
    if not isinstance(entries, list) or not entries:
        raise UserError(f"{where}: no seeds; must be a list of integers or ranges such as 0-4, not {value!r}")
    listed: list[int] = []
    for entry in entries:
        ends = re.fullmatch(r"([0-9]+)(?:-([0-9]+))?", str(entry).strip())
        first, last = (int(ends[1]), int(ends[2] or ends[1])) if ends else (1, 0)
        if not first <= last <= LARGEST_SEED or last - first > 10_000:
            raise UserError(f"{where}: {entry!r} must be an integer in [0, {LARGEST_SEED}], or a range such as 0-4")
        listed += range(first, last + 1)
    return listed


def scalars(members: tuple[dict, ...]) -> list[dict]:
    """The distinct settings of members besides their seeds."""
    settings = [{key: value for key, value in member.items() if key != "seed"} for member in members]
    return [values for i, values in enumerate(settings) if values not in settings[:i]]


def reseeded(members: tuple[dict, ...], seeds: list[int]) -> tuple[dict, ...]:
    """Members with these seeds in place of theirs, each distinct set of scalars with every seed."""
    return tuple({"seed": seed, **values} for values in scalars(members) for seed in seeds)


def _members(own, change, shared, usual):
    """Members as a tuple of {'seed': int, scalar: value}; no two alike, all with the same scalars.

    Each argument is (mapping, its place): the experiment's, its own at the scale, the page's at the scale, the page's.
    """
    explicit = own[0].get("members") is not None  # the page knows seeds alone
    order = (change, own) if explicit else (change, shared, own, usual)
    content, where = next((part for part in order if {"seeds", "members"} & set(part[0])), own)
    if content.get("members") is None:
        members = [{"seed": seed} for seed in seeds(content.get("seeds"), f"{where}: seeds")]
    else:
        listed = content["members"]
        if content.get("seeds") is not None:
            raise UserError(f"{where}: members excludes seeds")
        seeded = isinstance(listed, list) and all(isinstance(m, dict) and isinstance(m.get("seed"), int) for m in listed)
        if not seeded or not listed:
            raise UserError(f"{where}: members: must be a list of one or more mappings with a seed each")
        members = [{"seed": seeds([m["seed"]], f"{where}: members")[0], **m} for m in listed]
    for member in members:
        if set(member) != set(members[0]):
            raise UserError(f"{where}: members: {member} and {members[0]} do not name the same scalars")
    alike = [m for i, m in enumerate(members) if m in members[:i]]
    if alike:
        raise UserError(f"{where}: the member {alike[0]} stands twice; members must differ")
    return tuple(members)
