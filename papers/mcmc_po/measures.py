"""Further measures of runs: how steadily they learn, one number a seed, NaN for one that diverged; and how fast they run."""

import numpy as np

from common.lab.report import evidence
from papers.mcmc_po.evidence import seconds


def deviations(values):
    """|x - median| of seeds [n]: two methods of equal spread have equal means of it (Brown & Forsythe 1974)."""
    finite = values[np.isfinite(values)]
    return np.abs(values - np.median(finite)) if len(finite) else values


def drawdown(steps, values):
    """Deepest fall of a curve below the highest value before it, as a share of the curve's range: 0, never, to 1."""
    fall = (np.maximum.accumulate(values) - values).max()
    return fall / max(np.ptp(values), 1e-9)


def drawdowns(results, **where):
    """`drawdown` of every seed's return in the one cell that `where` leaves, in the order of the seeds."""
    return evidence.of_curves(results, "return", drawdown, **where).to_numpy()


def rates(results, **where):
    """Environment steps a core-second, one number a worker, from the runs' records."""
    return np.array([results.steps / one for one in seconds(results, **where)])
