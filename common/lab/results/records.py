"""Tables of results: written by a run, read by figures, tables and claims.

A cell's `metrics.csv` is tidy: `member, seed, <scalars that members differ in>, step, metric, value`. Values are the
shortest text that gives the float32 back, so that equal numbers are equal bytes. No wall-clock value stands in it.
"""

import csv
import dataclasses
import functools
import io
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from common.errors import UserError
from common.files import atomic_write, shown
from common.lab.plan import catalog
from common.lab.results import costs, sources
from common.settings import check_known, fields

COLUMNS = ("member", "seed", "step", "metric", "value")
KEYS = ("member", "seed")
RUN = ["cell", "member"]  # what tells runs apart, over cells


def write_rows(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Writes rows, mappings with the same keys, as a CSV, whole or not at all. Floats become shortest float32 text.

    Raises `UserError` if there are no rows, if their keys differ, or if the file cannot be written.
    """
    rows = list(rows)
    if not rows:
        raise UserError(f"{shown(path)}: there are no rows to write")
    columns = list(rows[0])
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        if list(row) != columns:
            raise UserError(f"{shown(path)}: a row has the columns {list(row)}, the first one {columns}")
        writer.writerow(map(text, row.values()))
    atomic_write(path, buffer.getvalue())


def read_rows(path: Path, columns: Iterable[str] = KEYS) -> pd.DataFrame:
    """A tidy table as a DataFrame, checked: all `columns` are there, and at least one row."""
    try:
        frame = pd.read_csv(path)
    except FileNotFoundError:
        raise UserError(f"{shown(path)}: does not exist") from None
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise UserError(f"{shown(path)}: is not a table: {' '.join(str(error).split())}") from None
    missing = [column for column in columns if column not in frame]
    if missing:
        raise UserError(f"{shown(path)}: lacks the columns {', '.join(missing)}; it has {', '.join(frame)}")
    if frame.empty:
        raise UserError(f"{shown(path)}: has no rows")
    return frame


def read_metrics(path: Path) -> pd.DataFrame:
    """A cell's metrics as a DataFrame, checked: columns are complete, steps are integers that are not negative."""
    frame = read_rows(path, COLUMNS)
    for column in ("step", "value"):
        if not pd.api.types.is_numeric_dtype(frame[column]):
            raise UserError(f"{shown(path)}: {column} holds what is not a number")
    steps = frame["step"].to_numpy(float)
    if not (np.isfinite(steps) & (steps >= 0) & (steps == np.floor(steps))).all():
        raise UserError(f"{shown(path)}: step holds NaN, negative or broken numbers")
    return frame.assign(step=steps.astype(np.int64), value=frame["value"].astype(np.float64))


def reported(paper: str) -> pd.DataFrame:
    """The numbers that a paper prints, or that were read off its plots: papers/<paper>/reported.csv as a DataFrame."""
    return read_rows(catalog.ROOT / "papers" / paper / "reported.csv", columns=())


def environment(cell: catalog.Cell) -> str | None:
    """The environment of a cell; None of a toy."""
    return getattr(cell.config, "env", None)


def load(
    paper: str, experiment: str, scale: str, selection: str | None = None, fresh: bool = False, available: bool = False,
    environments: Collection[str | None] | None = None,
) -> "Results":  # fmt: skip
    """The `Results` of an experiment's selected cells, of all environments or of those given. Raises `UserError` if one of
    them has not been run; with `available` such a cell is left out, and counted."""
    chosen = catalog.select(catalog.cells(paper, experiment, scale), selection)
    wanted = [cell for cell in chosen.values() if environments is None or environment(cell) in environments]
    others = len(chosen) - len(wanted)
    if available:
        held = [source for cell in wanted if (source := sources.source(cell, fresh)).kind != "missing"]
        return Results(scale, held, len(wanted) - len(held), others)
    return Results(scale, [sources.ready(cell, fresh) for cell in wanted], others=others)


@dataclasses.dataclass(frozen=True, eq=False)
class Results:
    """What a figure reads of one experiment.

    `cells` are the sources of the selected cells, in grid order: each tells its `cell`, its `kind` ('published' or
    'results'), whether it is `stale` or `partial`, the `finished` members and, as `record`, its run.json. `missing` counts
    selected cells that were left out because they have not been run, `others` those of environments not asked for.
    `given` holds tables that need not be read from files: {'metrics': `frame`, name: DataFrame}.
    """

    scale: str
    cells: list[sources.Source]
    missing: int = 0
    others: int = 0
    given: dict[str, pd.DataFrame] = dataclasses.field(default_factory=dict)

    @functools.cached_property
    def frame(self) -> pd.DataFrame:
        """Metrics of all cells: `cell`, the grid's columns, `member, seed, <scalars>, step, metric, value`."""
        if "metrics" in self.given:
            return self.given["metrics"]
        tables = [read_metrics(source.folder / "metrics.csv") for source in self.cells]
        return self._join(tables, COLUMNS, self.cells)

    @property
    def diverged(self) -> int:
        """How many members diverged."""
        return len(self.frame.loc[self.frame["metric"] == "diverged", RUN].drop_duplicates())

    @property
    def seeds(self) -> int:
        """Finished members of the cell that has fewest."""
        return min((len(source.finished) for source in self.cells), default=0)

    @property
    def wanted(self) -> int:
        """Members that every cell should have."""
        return max((len(source.cell.members) for source in self.cells), default=0)

    @property
    def steps(self) -> int:
        """The last recorded step of the cell whose records end first."""
        kept = self.frame[self.frame["metric"] != "diverged"]
        return int(kept.groupby("cell")["step"].max().min()) if len(kept) else 0

    @property
    def budget(self) -> int:
        """Steps, or iterations, that every finished member had, of the cell that had fewest. The last record may stand a
        batch before the end, or long before, if a member diverged."""
        return min((costs.work(dataclasses.asdict(source.cell.config)) for source in self.cells), default=0)

    @property
    def metrics(self) -> list[str]:
        """Names of the metrics that were recorded."""
        return sorted(self.frame["metric"].unique())

    def has(self, metric: str) -> bool:
        """Whether a metric was recorded, or may have been missed: no member lived to its first evaluation."""
        return metric in self.metrics or self.diverged == len(self.frame[RUN].drop_duplicates())

    def table(self, name: str, **where: Any) -> pd.DataFrame:
        """A further tidy table of all cells, joined as `frame` is and selected as `curve` is. Raises `UserError` if the runs
        do not write it, or did not because no cell was run or every member diverged."""
        rows = self._where(self.given[name] if name in self.given else self._written(name), where)
        if not len(rows):
            asked = f" with {', '.join(f'{key}={value}' for key, value in where.items())}" if where else ""
            raise UserError(f"no rows of the table {name!r}{asked}: not run, or all members diverged")
        return rows

    def curve(self, metric: str, **where: Any) -> pd.DataFrame:
        """One metric as a DataFrame with the columns of `frame`, in order of cell, member and step.

        `where` keeps rows by settings: a value, or a list of allowed ones, of the grid, of scalars, of `seed` or of any
        other setting of the algorithm.
        """
        frame = self._where(self.frame, where)
        if not self.has(metric):
            check_known(metric, self.metrics, "no run recorded the metric")
        return frame[frame["metric"] == metric].reset_index(drop=True)

    def final(self, metric: str, last: int = 10, **where: Any) -> np.ndarray:
        """Mean of each member's last evaluations, as an array in order of cell and member; NaN if it diverged, be it before
        its first evaluation. A cell whose members live and do not record the metric has no numbers of it."""
        frame = self._where(self.frame, where)
        ends = self.curve(metric, **where).groupby(RUN)["value"].agg(lambda values: values.tail(last).mean())
        runs = pd.MultiIndex.from_frame(frame[RUN]).unique()
        broken = runs.isin(pd.MultiIndex.from_frame(frame.loc[frame["metric"] == "diverged", RUN]))
        recorded, cells = runs.isin(ends.index), runs.get_level_values("cell")
        known = cells.isin(cells[recorded]) | ~cells.isin(cells[~broken])
        means = np.where(broken, np.nan, ends.reindex(runs).to_numpy(np.float64))
        return means[known & (recorded | broken)]

    def setting(self, name: str) -> list:
        """The values that a setting has over the cells, each once."""
        return list(dict.fromkeys(_setting(source.cell, name) for source in self.cells))

    def _written(self, name):
        """A further table of all cells, as their runs wrote it."""
        for source in self.cells:
            check_known(name, source.cell.tables, f"{source.cell.file}: tables: it does not write")
        written = [source for source in self.cells if not self._lost(source)]
        return self._join([read_rows(source.folder / f"{name}.csv") for source in written], KEYS, written)

    def _lost(self, source):
        """Whether every member of a cell diverged: such a run has no policy to write tables of."""
        broken = self.frame[(self.frame["cell"] == source.cell.name) & (self.frame["metric"] == "diverged")]
        return broken["member"].nunique() == len(source.finished)

    def _join(self, tables, columns, origins):
        joined = []
        for source, table in zip(origins, tables, strict=True):
            table = _members(table, source.finished)
            added = {"cell": source.cell.name, **source.cell.point}
            clash = [key for key in added if key in table]
            if clash:
                raise UserError(f"{shown(source.folder)}: a table repeats the grid's column {clash[0]!r}")
            joined.append(pd.concat([pd.DataFrame(added, index=table.index), table], axis=1))
        return pd.concat(joined, ignore_index=True) if joined else pd.DataFrame(columns=["cell", *columns])

    def _where(self, frame, where):
        for key, value in where.items():
            allowed = list(value) if isinstance(value, list | tuple | set) else [value]
            if key in frame:
                frame = frame[frame[key].isin(allowed)]
            elif self.cells:
                names = [source.cell.name for source in self.cells if _setting(source.cell, key) in allowed]
                frame = frame[frame["cell"].isin(names)]
        return frame


def _members(table, wanted):
    """The rows of the wanted members, with their scalar settings as they were set: the table holds their float32."""
    keys = list(wanted[0]) if wanted else ["seed"]
    exact = pd.DataFrame(list(wanted), columns=keys)
    written = exact.map(lambda value: float(text(value)) if isinstance(value, float) else value)
    table = table.merge(written.assign(place=range(len(exact))), how="inner", on=keys)
    for key in keys:
        table[key] = exact[key].to_numpy()[table["place"]]
    return table.drop(columns="place")


def _setting(cell, name):
    check_known(name, fields(type(cell.config)), f"{cell.file}: {cell.algorithm} has no setting")
    return getattr(cell.config, name)


def text(value: object) -> str:
    """A value as it stands in a CSV: floats as the shortest text of their float32, all else as it is."""
    if isinstance(value, bool | np.bool_):
        return str(value).lower()
    return str(np.float32(value)) if isinstance(value, float | np.floating) else str(value)
