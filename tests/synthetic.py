"""Results whose numbers are given by a formula instead of read from files, to test figures and claims."""

import numpy as np
import pandas as pd

from common.lab import catalog
from common.lab.records import Results
from common.lab.sources import Source

# Standard deviates of the seeds: mean 0, standard deviation 1, as spread as four normal ones.
DEVIATES = np.array([-1.1902, -0.3376, 0.3376, 1.1902])


class Synthetic(Results):
    """`Results` of an experiment's cells, with given frames."""

    def table(self, name):
        return self.__dict__["given"][name]


def synthetic(paper, experiment, scale, selection, metrics, tables=(), seeds=None):
    """Results of all selected cells. `metrics(experiment, cell, z, steps)` gives {metric: value or [steps]} of the seed with
    deviate z; a metric of one value stands at the last step alone. `tables`: {name: function (experiment, cell, z) ->
    [rows]}. `seeds` keeps that many."""
    cells = catalog.select(catalog.cells(paper, experiment, scale), selection, experiment, scale)
    sources, rows, further = [], [], {name: [] for name in dict(tables)}
    for cell in cells.values():
        members = cell.members[:seeds]
        sources.append(Source(cell, "results", cell.folder, {"commit": "0" * 40}, False, tuple(members)))
        steps = np.arange(cell.config.evaluate_every, cell.config.total_steps + 1, cell.config.evaluate_every)
        for number, member in enumerate(members):
            keys = {"cell": cell.name, **cell.point, "member": number, "seed": member["seed"]}
            z = DEVIATES[number]
            for metric, values in metrics(experiment, cell, z, steps).items():
                at = steps if np.ndim(values) else steps[-1:]
                rows.append(pd.DataFrame(keys | {"step": at, "metric": metric, "value": np.atleast_1d(values)}))
            for name, make in dict(tables).items():
                further[name] += [keys | row for row in make(experiment, cell, z)]
    results = Synthetic(scale, sources)
    results.__dict__["frame"] = pd.concat(rows, ignore_index=True)
    results.__dict__["given"] = {name: pd.DataFrame(found) for name, found in further.items()}
    return results
