"""Results whose numbers are given by a formula instead of read from files, to test figures and claims."""

import numpy as np
import pandas as pd
from scipy.stats import norm

from common.lab.plan import catalog
from common.lab.results.records import COLUMNS, KEYS, Results
from common.lab.results.sources import Source


def deviates(n):
    """Standard deviates of n seeds, ascending: as spread as n normal ones, mean 0, standard deviation 1. One is 0."""
    z = norm.ppf((np.arange(n) + 0.5) / n)
    return z / z.std(ddof=1) if n > 1 else z


def recorded(config):
    """The steps at which a run of these settings records; a toy records its end."""
    if hasattr(config, "iterations"):
        return np.array([config.iterations])
    interval = getattr(config, "evaluate_every", None) or getattr(config, "record_every", config.total_steps)
    return np.arange(interval, config.total_steps + 1, interval)


def synthetic(paper, experiment, scale, selection, metrics, tables=(), seeds=None):
    """Results of all selected cells, which may be none.

    `metrics(experiment, cell, z, steps)` gives {metric: value or [steps]} of the seed with deviate z; a metric of one value
    stands at the last step alone; {"diverged": 1} is a seed that was never evaluated. `tables`: {name: function (experiment,
    cell, z) -> [rows]}. `seeds` keeps that many.
    """
    cells = catalog.select(catalog.cells(paper, experiment, scale), selection)
    sources, rows, further = [], [], {name: [] for name in dict(tables)}
    for cell in cells.values():
        members = cell.members[:seeds]
        sources.append(Source(cell, "results", cell.folder, {"commit": "0" * 40}, False, tuple(members)))
        steps = recorded(cell.config)
        for number, (member, z) in enumerate(zip(members, deviates(len(members)), strict=True)):
            keys = {"cell": cell.name, **cell.point, "member": number, **member}
            for metric, values in metrics(experiment, cell, z, steps).items():
                at = steps if np.ndim(values) else steps[-1:]
                rows.append(pd.DataFrame(keys | {"step": at, "metric": metric, "value": np.atleast_1d(values)}))
            for name, make in dict(tables).items():
                further[name] += [keys | row for row in make(experiment, cell, z)]
    given = {name: pd.DataFrame(table, columns=None if table else ["cell", *KEYS]) for name, table in further.items()}
    given["metrics"] = pd.concat(rows, ignore_index=True) if rows else pd.DataFrame(columns=["cell", *COLUMNS])
    return Results(scale, sources, given=given)
