"""Measures: from results to what claims compare, one number per run.

A measure is a function (steps, values) -> float of one run's curve. Numbers are Series with the seed, or the member, as
index; NaN stands for a run that diverged, which `common.lab.report.stats` counts and never drops.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from common.lab.results.records import Results

Measure = Callable[[np.ndarray, np.ndarray], float]


def rows(frame: pd.DataFrame, where: Mapping) -> pd.DataFrame:
    """The rows in which every column of `where`, {column: value}, has its value. KeyError: unknown column. An empty frame
    (no runs) is returned unchanged."""
    for key, value in where.items():
        frame = frame if frame.empty else frame[frame[key] == value]
    return frame


def last(count: int = 10) -> Measure:
    """Mean of the last `count` evaluations."""
    return lambda steps, values: values[-count:].mean()


def of_curves(results: Results, metric: str, measure: Measure, by: str = "seed", **where: Any) -> pd.Series:
    """`measure` of the curve of every run of the one cell that `where`, settings of the grid, leaves.

    Returns one number per value of the column `by`; NaN for a run that diverged, also before its first evaluation, or that
    did not record the metric.
    """

    def measured(run):
        curve = run[run["metric"] == metric]
        if (run["metric"] == "diverged").any() or curve.empty:
            return np.nan
        return float(measure(curve["step"].to_numpy(float), curve["value"].to_numpy(float)))

    return pd.Series({key: measured(run) for key, run in rows(results.frame, where).groupby(by)}, dtype=float)


def of_table(
    results: Results, name: str, measure: Callable[[pd.DataFrame], float], by: str = "seed", **where: Any
) -> pd.Series:
    """`measure(rows)` of every run of the one cell that `where` leaves, from a further table.

    Returns one number per value of the column `by`; NaN for a run that is not in the table: it diverged, for a trained
    policy writes them. Empty if nothing was run.
    """
    if results.frame.empty:
        return pd.Series(dtype=float)
    table = rows(results.table(name), where)
    numbers = pd.Series({key: float(measure(run)) for key, run in table.groupby(by)}, dtype=float)
    return numbers.reindex(sorted(rows(results.frame, where)[by].unique()))


def first_member(results: Results, name: str, **where: Any) -> pd.DataFrame:
    """A further table's rows of the first member of the one cell that `where` leaves."""
    rows = results.table(name, **where)
    return rows[rows["member"] == rows["member"].iloc[0]]


def of_row(results: Results, name: str, column: str, row: Mapping, **where: Any) -> np.ndarray:
    """`column` [seeds] in the one row per seed that `row`, {column: value}, leaves of a table; else as `of_table`."""

    def number(run):
        values = rows(run, row)[column]
        return values.item() if len(values) else np.nan

    return of_table(results, name, number, **where).to_numpy()


def mean_over(numbers: Iterable[pd.Series]) -> pd.Series:
    """Mean over environments or sizes, seed by seed, of one Series for each; seeds that only some of them have are left
    out, and one that diverged anywhere is NaN. Empty if there is no Series."""
    columns = list(numbers)
    return pd.concat(columns, axis=1, join="inner").mean(axis=1, skipna=False) if columns else pd.Series(dtype=float)


def environments(results: Results) -> list[str]:
    """The environments that were run, in the order of the grid."""
    return list(results.frame["env"].unique()) if "env" in results.frame else []
