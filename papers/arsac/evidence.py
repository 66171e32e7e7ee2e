"""From results to what claims compare: one number a seed, and one verdict from several.

A measure is a function (steps, values) -> float of one seed's curve. Numbers of seeds are Series with the seed as index; NaN
stands for a seed that diverged, which `common.lab.stats` counts and never drops.
"""

from dataclasses import replace

import numpy as np
import pandas as pd

from common.lab import stats

PAPER_STEPS = 1_000_000
PAPER_SEEDS = 4
MARGIN = 0.1  # of the reference's final return: closer than that is "the same"
COMMAND = "snakemake --cores 16 figures/claims_arsac.md --config scale=paper"


def last(count=10):
    """Mean of the last evaluations."""
    return lambda steps, values: values[-count:].mean()


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


def per_seed(results, metric, measure, **where):
    """`measure` of every seed of the one cell that `where` leaves: a Series by seed."""

    def one(rows):
        curve = rows[rows["metric"] == metric]
        if (rows["metric"] == "diverged").any() or curve.empty:
            return np.nan
        return float(measure(curve["step"].to_numpy(float), curve["value"].to_numpy(float)))

    frame = _rows(results.frame, where)
    return pd.Series({seed: one(rows) for seed, rows in frame.groupby("seed")}, dtype=float)


def per_seed_of_table(results, name, measure, **where):
    """`measure(rows)` of every seed, from a further table; NaN for seeds of the cell that are not in it."""
    table = _rows(results.table(name), where)
    found = pd.Series({seed: float(measure(rows)) for seed, rows in table.groupby("seed")}, dtype=float)
    return found.reindex(sorted(_rows(results.frame, where)["seed"].unique()))


def over_sizes(numbers):
    """Mean over network sizes, seed by seed, of a list of Series; seeds that only some sizes have are left out."""
    return pd.concat(numbers, axis=1, join="inner").mean(axis=1, skipna=False)


def environments(results):
    return list(results.frame["env"].unique())


def sizes(results):
    return results.setting("base")


def final(results, **where):
    """Final return: mean of each seed's last ten evaluations."""
    return per_seed(results, "return", last(), **where)


def level(values):
    """Size of a reference's return, for margins in its units."""
    finite = np.asarray(values)[np.isfinite(values)]
    return max(abs(float(finite.mean())), 1e-9) if len(finite) else 1.0


def reach(results, steps):
    """The fraction by which windows shrink in runs that are shorter than a claim needs: their effect is shown, unjudged."""
    return min(1.0, results.steps / steps)


def every(parts, what):
    """Claim: all of `parts`, {name: Verdict}, hold.

    Reproduced if each is, at its own level (the intersection-union test: the largest p counts, no correction is needed);
    contradicted if one is after a Bonferroni correction for their number; untested if one is; else inconclusive. Effect and
    interval are those of the part that decides; the note lists the others.
    """
    contradicted = {name: v for name, v in parts.items() if v.status == "contradicted" and v.p * len(parts) <= 0.05}
    untested = {name: v for name, v in parts.items() if v.status == "untested"}
    undecided = {name: v for name, v in parts.items() if v.status != "reproduced"}
    if contradicted:
        name = min(contradicted, key=lambda one: contradicted[one].p)
        chosen = replace(parts[name], p=min(1.0, len(parts) * parts[name].p))
    elif untested:
        name, chosen = next(iter(untested.items()))
    elif undecided:
        name = max(undecided, key=lambda one: (undecided[one].status == "inconclusive", undecided[one].p))
        settle = [v.seeds_to_settle for v in undecided.values()]
        chosen = replace(parts[name], status="inconclusive", seeds_to_settle=None if None in settle else max(settle))
    else:
        name = max(parts, key=lambda one: parts[one].p)
        chosen = parts[name]
    chosen = replace(chosen, what=f"{what}; {name}" if len(parts) > 1 else what)
    if len(parts) > 1:
        split = len({v.status for v in parts.values()}) > 1
        told = [f"{one} {v.effect:.3g}" + f" ({v.status})" * split for one, v in parts.items()]
        chosen = chosen.with_note("all parts: " + ", ".join(told))
    for other, verdict in parts.items():
        chosen = chosen.with_note(f"{other}: {verdict.note}") if verdict.note and other != name else chosen
    return chosen


def judged(verdict, *results, steps=PAPER_STEPS, seeds=PAPER_SEEDS):
    """The verdict if all results have the least budget, in steps and seeds, that can test the claim."""
    had_steps, had_seeds = min(one.steps for one in results), min(one.seeds for one in results)
    return stats.within_budget(verdict, had_steps, steps, had_seeds, seeds, COMMAND)


def _rows(frame, where):
    for key, value in where.items():
        frame = frame[frame[key] == value]
    return frame
