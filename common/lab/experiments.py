"""One experiment's file, read and checked: `papers/<paper>/experiments/<name>.yaml`.

The file states departures from an algorithm's default settings:

    algorithm: arsac
    about: returns and log-scales over environments and network sizes
    grid:  {env: [HalfCheetah-v4, Hopper-v4], base: [1x32, 2x256]}
    seeds: [4, 5, 6, 7]
    set:   {total_steps: 1_000_000}
    scales:
      quick: {seeds: [4, 5], set: {total_steps: 10_000}}

Every point of `grid` is a cell; `seeds` (crossed with `scalars`, settings that members of one cell may differ in) or an
explicit list of `members` are its members. `tables` names further tidy tables a run writes, `produces` further files of
tensors, `uses` the experiments whose files a run reads.
"""

import dataclasses
import itertools
import re

import yaml

from common.lab.config import nearest
from common.lab.errors import UserError

SCALES = ("smoke", "quick", "day", "paper")
KEYS = ("algorithm", "about", "grid", "seeds", "scalars", "members", "set", "scales", "tables", "produces", "uses")
SCALED = ("grid", "seeds", "scalars", "members", "set")
NAME = re.compile(r"[a-z][a-z0-9_]*")
SCALAR = (str, int, float, bool)


@dataclasses.dataclass(frozen=True, eq=False)
class Experiment:
    """One experiment at one scale: algorithm's name, the grid as run and as written in full, settings and members."""

    file: str
    algorithm: str
    about: str
    grid: dict
    full_grid: dict
    set: dict
    members: tuple
    tables: tuple
    produces: tuple
    uses: dict


class _Loader(yaml.SafeLoader):
    """YAML in which `1e-3` is a number, only `true` and `false` are booleans, and a repeated key is an error."""

    yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith((":float", ":bool"))]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def construct_mapping(self, node, deep=False):
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for key in keys:
            if keys.count(key) > 1:
                raise yaml.constructor.ConstructorError(None, None, f"the key {key!r} stands twice", node.start_mark)
        return super().construct_mapping(node, deep)


_EXPONENT = r"(?:[eE][-+]?[0-9]+)"
_FLOAT = rf"[-+]?(?:(?:[0-9][0-9_]*\.[0-9_]*|\.[0-9][0-9_]*){_EXPONENT}?|[0-9][0-9_]*{_EXPONENT}|\.inf)$|\.nan$"
_Loader.add_implicit_resolver("tag:yaml.org,2002:float", re.compile(_FLOAT), list("-+.0123456789"))
_Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"(?:true|false)$"), list("tf"))


def load(path, where):
    """The mapping in a YAML file. `where` names the file in errors."""
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), _Loader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f"{where}:{mark.line + 1}" if mark else where
        raise UserError(f"{place}: {' '.join(str(getattr(error, 'problem', error)).split())}") from None
    if not isinstance(content, dict):
        raise UserError(f"{where}: must be a mapping of {', '.join(KEYS)}")
    return content


def read(path, where, scale):
    """The `Experiment` of a file at a scale, its shape checked. Settings are checked against a `Config` later."""
    content = load(path, where)
    _known(content, KEYS, where)
    if not isinstance(content.get("algorithm"), str):
        raise UserError(f"{where}: algorithm: must name papers/<paper>/<algorithm>.py or common/rl/<algorithm>.py")
    scales = _mapping(content, "scales", where)
    _known(scales, SCALES, f"{where}: scales")
    for name in scales:
        _known(_mapping(scales, name, f"{where}: scales"), SCALED, f"{where}: scales: {name}")
    change = scales.get(scale) or {}
    there = f"{where}: scales: {scale}"
    full = _grid(content, where)
    narrowed = _grid(change, there)
    _known(narrowed, full, f"{there}: grid", "no such key in the experiment's grid")
    settings = _mapping(content, "set", where) | _mapping(change, "set", there)
    for key in full:
        if key in settings:
            raise UserError(f"{where}: {key} stands in grid and in set; one of them must go")
    return Experiment(
        file=where,
        algorithm=content["algorithm"],
        about=str(content.get("about", "")),
        grid={key: narrowed.get(key, values) for key, values in full.items()},
        full_grid={key: list(dict.fromkeys([*values, *narrowed.get(key, ())])) for key, values in full.items()},
        set=settings,
        members=_members(content, change, where, scale),
        tables=_names(content, "tables", where, taken=("metrics",)),
        produces=_names(content, "produces", where),
        uses=_uses(content, where),
    )


def points(experiment):
    """Cell name -> the grid's values at that point. A grid without keys has the one cell `all`."""
    cells = {}
    for values in itertools.product(*experiment.grid.values()):
        name = "-".join(map(text, values)) or "all"
        point = dict(zip(experiment.grid, values, strict=True))
        if name in cells:
            raise UserError(f"{experiment.file}: grid: {cells[name]} and {point} would both be the cell {name!r}")
        if not re.fullmatch(r"\w[\w.+=-]*", name):
            raise UserError(f"{experiment.file}: grid: {name!r} cannot name a folder; allowed: letters, digits, _.+=-")
        cells[name] = point
    return cells


def text(value):
    """A grid's value as it stands in names and selections: `true`, `0.0003`, `1x32`."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _known(mapping, allowed, where, problem="unknown key"):
    for key in mapping:
        if key not in allowed:
            raise UserError(f"{where}: {problem}: {key!r}; {nearest(key, allowed)}")


def _mapping(content, key, where):
    value = content.get(key)
    if value is None:
        return {}
    if not isinstance(value, dict) or not all(isinstance(name, str) for name in value):
        raise UserError(f"{where}: {key}: must be a mapping, not {value!r}")
    return value


def _grid(content, where, key="grid"):
    """A mapping from settings to non-empty lists of distinct scalars."""
    grid = _mapping(content, key, where)
    for name, values in grid.items():
        if not isinstance(values, list) or not values or not all(isinstance(v, SCALAR) for v in values):
            raise UserError(f"{where}: {key}: {name}: must be a list of one or more plain values, not {values!r}")
        if key != "grid" and len(set(values)) < len(values):
            raise UserError(f"{where}: {key}: {name}: a value stands twice in {values!r}")
    return grid


def _names(content, key, where, taken=()):
    names = content.get(key) or []
    if not isinstance(names, list) or not all(isinstance(n, str) and NAME.fullmatch(n) for n in names):
        raise UserError(f"{where}: {key}: must be a list of names in small letters, digits and _, not {names!r}")
    if len(set(names)) < len(names) or set(names) & set(taken):
        raise UserError(f"{where}: {key}: {names!r} has a name twice, or one of {taken!r}")
    return tuple(names)


def _uses(content, where):
    uses = _mapping(content, "uses", where)
    for role, name in uses.items():
        if not isinstance(name, str):
            raise UserError(f"{where}: uses: {role}: must be the name of an experiment, not {name!r}")
    return uses


def _members(content, change, where, scale):
    """Members as a tuple of {'seed': int, scalar: value}; no two alike, all with the same scalars."""
    if {"seeds", "scalars", "members"} & set(change):
        where = f"{where}: scales: {scale}"
        if "members" in change:
            content = change
        else:
            content = {"seeds": content.get("seeds"), "scalars": content.get("scalars")} | change
    listed, seeds = content.get("members"), content.get("seeds")
    if listed is not None:
        if seeds is not None or content.get("scalars") is not None:
            raise UserError(f"{where}: members excludes seeds and scalars")
        if not isinstance(listed, list) or not listed or not all(isinstance(m, dict) and "seed" in m for m in listed):
            raise UserError(f"{where}: members: must be a list of one or more mappings with a seed each")
        members = [{"seed": m["seed"], **m} for m in listed]
    else:
        if not isinstance(seeds, list) or not seeds:
            raise UserError(f"{where}: seeds: no seeds; must be a list of one or more integers, not {seeds!r}")
        scalars = _grid(content, where, "scalars")
        crossed = [dict(zip(scalars, v, strict=True)) for v in itertools.product(*scalars.values())]
        members = [{"seed": seed, **values} for values in crossed for seed in seeds]
    for member in members:
        seed = member["seed"]
        if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**32:
            raise UserError(f"{where}: seeds: {seed!r} must be an integer in [0, {2**32 - 1}]")
        if set(member) != set(members[0]):
            raise UserError(f"{where}: members: {member} and {members[0]} do not name the same scalars")
    alike = [m for i, m in enumerate(members) if m in members[:i]]
    if alike:
        raise UserError(f"{where}: the member {alike[0]} stands twice; seeds and scalars must differ")
    return tuple(members)
