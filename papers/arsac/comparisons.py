"""What ARSAC's claims compare: measures of one seed's curve (`common.lab.report.measures`), the paper's budget."""

from functools import partial

import numpy as np

from common.lab.report import measures, verdicts

PAPER_STEPS = 1_000_000

judged = partial(verdicts.judged, steps=PAPER_STEPS, seeds=4)


def first(high):
    """Mean of the evaluations up to step `high`, or of the first one."""
    return lambda steps, values: values[: max(1, (steps <= high).sum())].mean()


def between(low, high):
    """Mean of the evaluations at low < step <= high; NaN if there are none."""

    def measure(steps, values):
        inside = values[(steps > low) & (steps <= high)]
        return inside.mean() if len(inside) else np.nan

    return measure


def slope(low, high):
    """Least-squares slope over low <= step <= high, per million steps; NaN with fewer than two evaluations."""

    def measure(steps, values):
        inside = (steps >= low) & (steps <= high)
        return np.polyfit(steps[inside] / 1e6, values[inside], 1)[0] if inside.sum() > 1 else np.nan

    return measure


def peak(width):
    """Step at which the moving average over `width` steps is highest: a single evaluation's maximum is mostly noise."""

    def measure(steps, values):
        window = min(len(steps), max(1, round(width / np.diff(steps).mean()))) if len(steps) > 1 else 1
        kernel = np.ones(window) / window
        return np.convolve(steps, kernel, "valid")[np.convolve(values, kernel, "valid").argmax()]

    return measure


def climb(width, end):
    """Highest moving average over `width` steps up to step `end`, less the first evaluation."""

    def measure(steps, values):
        early = values[steps <= end]
        window = min(len(early), max(1, round(width / np.diff(steps).mean()))) if len(steps) > 1 else 1
        return np.convolve(early, np.ones(window) / window, "valid").max() - values[0] if len(early) else np.nan

    return measure


def by_size(results, measure, *args, **where):
    """{size of the base network: `measure(results, *args, base=size, **where)`}, the numbers of each cell by seed."""
    return {base: measure(results, *args, base=base, **where) for base in results.setting("base")}


def over_sizes(results, measure, *args, **where):
    """The mean of `by_size`, seed by seed."""
    return measures.mean_over(by_size(results, measure, *args, **where).values())


def final(results, **where):
    """Final return: mean of each seed's last ten evaluations."""
    return measures.of_curves(results, "return", measures.last(), **where)
