"""From results to what claims compare: one number a run, and one verdict from several.

A measure is a function (steps, values) -> float of one run's curve. Numbers are Series with the seed, or the member, as
index; NaN stands for a run that diverged, which `common.lab.report.stats` counts and never drops.
"""

from dataclasses import replace

import numpy as np
import pandas as pd

from common.lab.report import stats


def rows(frame, where):
    """The rows of a DataFrame in which every column of `where`, {column: value}, has its value. KeyError: unknown column;
    a table without rows is that of runs that do not exist, and knows no columns."""
    for key, value in where.items():
        frame = frame if frame.empty else frame[frame[key] == value]
    return frame


def last(count=10):
    """Measure: mean of the last `count` evaluations."""
    return lambda steps, values: values[-count:].mean()


def of_curves(results, metric, measure, by="seed", **where):
    """`measure` of the curve of every run of the one cell that `where`, settings of the grid, leaves.

    results: `records.Results`. Returns a Series by seed, or by what the column `by` tells runs apart; NaN for a run that
    diverged, be it before its first evaluation, or that did not record the metric.
    """

    def one(run):
        curve = run[run["metric"] == metric]
        if (run["metric"] == "diverged").any() or curve.empty:
            return np.nan
        return float(measure(curve["step"].to_numpy(float), curve["value"].to_numpy(float)))

    return pd.Series({key: one(run) for key, run in rows(results.frame, where).groupby(by)}, dtype=float)


def of_table(results, name, measure, by="seed", **where):
    """`measure(rows)` -> float of every run of the one cell that `where` leaves, from a further table.

    Returns a Series by `by`; NaN for a run that is not in the table: it diverged, for a trained policy writes them.
    """
    table = rows(results.table(name), where)
    found = pd.Series({key: float(measure(run)) for key, run in table.groupby(by)}, dtype=float)
    return found.reindex(sorted(rows(results.frame, where)[by].unique()))


def environments(results):
    """The environments that were run, in the order of the grid."""
    return list(results.frame["env"].unique()) if "env" in results.frame else []


def level(values):
    """Size of a reference's return, for margins in its units: |mean| of the finite values [n], 1 if there are none."""
    finite = np.asarray(values)[np.isfinite(values)]
    return max(abs(float(finite.mean())), 1e-9) if len(finite) else 1.0


def every(parts, quantity):
    """Claim: all of `parts`, {name: Verdict}, hold. `what`: the statistic in a phrase.

    Reproduced if each is, at its own level (the intersection-union test: the largest p counts, no correction is needed);
    contradicted if one is after a Bonferroni correction for their number; untested if one is, or if there is none; else
    inconclusive. Effect and interval are those of the part that decides; the note lists the others.
    """
    if not parts:
        return stats.untested("no runs at this scale", quantity=quantity)
    name, chosen = _deciding(parts)
    if len(parts) == 1:
        return replace(chosen, quantity=quantity)
    split = any(v.status != chosen.status for v in parts.values())
    told = [f"{one} {v.effect:.3g}" + f" ({v.status})" * split for one, v in parts.items()]
    chosen = replace(chosen, quantity=f"{quantity}; {name}").with_note("all parts: " + ", ".join(told))
    for other, verdict in parts.items():
        chosen = chosen.with_note(f"{other}: {verdict.note}") if verdict.note and other != name else chosen
    return chosen


def _deciding(parts):
    """The name of the part that decides, and its verdict with what the whole says in place of what it says itself."""
    contradicted = {name: v for name, v in parts.items() if v.status == "contradicted" and v.p * len(parts) <= 0.05}
    untested = [name for name, v in parts.items() if v.status == "untested"]
    undecided = {name: v for name, v in parts.items() if v.status != "reproduced"}
    if contradicted:
        name = min(contradicted, key=lambda one: contradicted[one].p)
        return name, replace(parts[name], p=min(1.0, len(parts) * parts[name].p))
    if untested:
        return untested[0], parts[untested[0]]
    if undecided:
        name = max(undecided, key=lambda one: (undecided[one].status == "inconclusive", undecided[one].p))
        settle = [v.seeds_to_settle for v in undecided.values()]
        settle = None if None in settle else max(settle)
        return name, replace(parts[name], status="inconclusive", seeds_to_settle=settle)
    name = max(parts, key=lambda one: parts[one].p)
    return name, parts[name]


def judged(verdict, *results, steps, seeds, command):
    """The verdict if all results have the least budget that can test the claim, else untested (budget).

    steps: of training; seeds: a cell; command: what would settle the claim. Results without cells have no budget, unless all
    they would have is of environments that are not asked for.
    """
    asked = [one for one in results if one.cells or not one.others]
    had_steps, had_seeds = (min((getattr(one, x) for one in asked), default=0) for x in ("budget", "seeds"))
    return stats.within_budget(verdict, had_steps, steps, had_seeds, seeds, command)
