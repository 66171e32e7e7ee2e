"""Settings: what a `Config` dataclass declares, and how values from a file become one.

An algorithm's `Config` is a frozen dataclass whose fields are made by `setting`. Each field carries its meaning, unit,
range and source, so that one declaration serves validation, the digest and the hyperparameter table.
"""

import dataclasses
import difflib
import math
import typing
from collections.abc import Collection
from typing import Any

from .errors import UserError

DATA_SET_ID = r"([-\w]+/)*[-\w]+-v\d+"  # of a data set in Minari's format: space/environment/name-v0


def setting(
    default: Any, meaning: str, source: str = "", *, low: float | None = None, high: float | None = None,
    choices: Collection | None = None, unit: str = "", per_member: bool = False,
) -> Any:  # fmt: skip
    """A field of a `Config`.

    `meaning` is one line; `source` says where the value stands ("Table 1", "authors' code", "peer: whose", "our choice:
    why"); a setting that papers share may leave it to the `sources` of their experiments.yaml. `low` and `high` are
    inclusive bounds, `choices` the allowed values. Members of one fleet may differ in a `per_member` field.
    """
    facts = dict(meaning=meaning, source=source, low=low, high=high, choices=choices, unit=unit, per_member=per_member)
    return dataclasses.field(default=default, metadata=facts)


def fields(cls: type) -> dict[str, dataclasses.Field]:
    """Fields of a `Config` class, by name."""
    return {field.name: field for field in dataclasses.fields(cls)}


def resolve(cls: type, values: dict[str, Any], where: str) -> Any:
    """`cls(**values)` with every value checked. `where` names the file in error messages.

    Raises `UserError` for an unknown key, a wrong type, or a value that is out of range or not among the choices.
    """
    declared = fields(cls)
    hints = typing.get_type_hints(cls)
    for key in values:
        check_known(key, declared, f"{where}: unknown setting")
    checked = {key: _checked(key, value, hints[key], declared[key].metadata, where) for key, value in values.items()}
    config = cls(**checked)
    if hasattr(config, "problem") and (problem := config.problem()):
        raise UserError(f"{where}: {problem}")
    return config


def check_known(name: object, known: Collection, problem: str) -> None:
    """Raises `UserError` that states the problem, the name and those nearest to it, unless it is among the known ones."""
    if name not in known:
        raise UserError(f"{problem} {name!r}; {nearest(name, known)}")


def nearest(name: object, known: Collection) -> str:
    """A phrase that names the allowed values closest to a misspelt one."""
    known = [str(k) for k in known]
    close = difflib.get_close_matches(str(name), known, n=3, cutoff=0.5)
    return "did you mean " + " or ".join(close) + "?" if close else f"allowed: {', '.join(sorted(known)) or 'none'}"


def _checked(key, value, hint, facts, where):
    """The value in its declared type, or a UserError."""
    place = f"{where}: {key}"
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if not isinstance(value, hint) or (isinstance(value, bool) and hint is not bool):
        raise UserError(f"{place} = {value!r} is a {type(value).__name__}; it must be a {hint.__name__}")
    if hint is float and not math.isfinite(value):
        raise UserError(f"{place} = {value!r} must be finite")
    low, high, choices = facts["low"], facts["high"], facts["choices"]
    if choices is not None and value not in choices:
        raise UserError(f"{place} = {value!r} is not known; {nearest(value, choices)}")
    if (low is not None and value < low) or (high is not None and value > high):
        bounds = f"at least {low}" if high is None else f"at most {high}" if low is None else f"in [{low}, {high}]"
        raise UserError(f"{place} = {value!r} is out of range; it must be {bounds}")
    return value
