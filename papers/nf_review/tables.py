"""Tables of the review's flow families."""

import numpy as np
import pandas as pd

from papers.nf_review.figures import FAMILY


def table_density(density_simple, density_modern):
    """Mean ln q of points held out, in nats: mean ± standard deviation over the seeds; below, what the data's own density
    and the best Gaussian reach. All families had the same updates, batches and learning rate, as in figx_density."""
    names, rows = density_simple.setting("data"), []
    for results in (density_simple, density_modern):
        for family in results.setting("family"):
            count = np.nanmean(results.final("parameters", 1, data=names[0], family=family))
            rows.append([FAMILY[family], f"{count:.0f}", *_cells(results, "log_likelihood", names, family)])
    first = density_simple.setting("family")[0]
    for label, metric in (("the data's own density", "possible"), ("best Gaussian", "gaussian")):
        rows.append([label, "", *_cells(density_simple, f"log_likelihood_{metric}", names, first)])
    return pd.DataFrame(rows, columns=["family", "parameters", *names], dtype=object)


def _cells(results, metric, names, family):
    values = [results.final(metric, 1, data=data, family=family) for data in names]
    return [f"{np.nanmean(x):.3f} ± {np.nanstd(x, ddof=1):.3f}" for x in values]
