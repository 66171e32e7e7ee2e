"""What MCMC-PO's claims compare: arrays of one number per seed, NaN for one that diverged; and the paper's budget."""

from functools import partial

import numpy as np

from common.lab.report import measures, verdicts
from common.lab.results.costs import core_seconds

LAST = 5  # evaluations that a final number averages
ENVIRONMENTS = ("Hopper-v4", "HalfCheetah-v4", "Ant-v4")

judged = partial(verdicts.judged, steps=500_000, seeds=5)
toy = partial(judged, steps=1_000, seeds=3)  # of the bandit


def final(results, metric="return", **where):
    """Mean of each seed's last evaluations, in the order of the seeds; empty if no run recorded the metric."""
    return results.final(metric, LAST, **where) if results.has(metric) else np.array([])


def trained(results, **where):
    """The sources of the cells with these settings."""
    return [source for source in results.cells if vars(source.cell.config).items() >= where.items()]


def seconds(results, **where):
    """Core-seconds per member of the training, one number per worker, from the runs' run.json: the seeds that a worker
    trains side by side share its time and are no measurements of their own."""
    parts = [part for source in trained(results, **where) for part in source.record.get("parts", ())]
    return np.array([core_seconds(part) / len(part["labels"]) for part in parts])


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
    return measures.of_curves(results, "return", drawdown, **where).to_numpy()


def rates(results, **where):
    """Environment steps per core-second, one number per worker."""
    return np.array([results.steps / time for time in seconds(results, **where)])
