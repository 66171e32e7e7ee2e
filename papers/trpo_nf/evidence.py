"""From results to what claims compare: one number a seed, and one verdict from several. NaN stands for a seed that
diverged."""

from dataclasses import replace

import numpy as np
import pandas as pd

from common.lab import stats

PAPER_STEPS = 1_000_000
PAPER_SEEDS = 5
STARTS = 10  # random starts of a toy that suffice for a verdict
MARGIN = 0.1  # of the reference's final return: closer than that is "the same"
COMMAND = "snakemake --cores 16 figures/claims_trpo_nf.md --config scale=paper"


def per_member(results, metric, count=10, **where):
    """Mean of the last `count` records of every member of the one cell that `where` leaves: a Series by member."""
    frame = rows(results.frame, where)
    broken = set(frame.loc[frame["metric"] == "diverged", "member"])
    means = frame[frame["metric"] == metric].groupby("member")["value"].apply(lambda values: values.tail(count).mean())
    return pd.Series({m: np.nan if m in broken else means.get(m, np.nan) for m in sorted(set(frame["member"]))}, dtype=float)


def final(results, **where):
    """Final return: mean of each member's last ten records."""
    return per_member(results, "return", **where)


def best(results, **where):
    """Highest record of every member's return."""
    frame = rows(results.frame, where)
    return frame[frame["metric"] == "return"].groupby("member")["value"].max()


def measured(results, metric, **where):
    """A toy's final measurement of every random start."""
    return per_member(results, metric, 1, **where)


def environments(results):
    return list(results.frame["env"].unique()) if "env" in results.frame else []


def level(values):
    """Size of a reference's return, for margins in its units."""
    finite = np.asarray(values)[np.isfinite(values)]
    return max(abs(float(finite.mean())), 1e-9) if len(finite) else 1.0


def scaled(values, reference):
    """Final returns relative to a reference class: (x - its mean) / the size of its mean. Returns may be negative, as
    Reacher's are."""
    finite = np.asarray(reference)[np.isfinite(reference)]
    return (values - (finite.mean() if len(finite) else np.nan)) / level(reference)


def over_environments(sources, **where):
    """{environment: final returns} of several results that share no environment."""
    return {env: final(results, env=env, **where) for results in sources for env in environments(results)}


def improves(ours, theirs, what):
    """Claim: P(a run of ours ends above one of theirs) > 1/2, over the environments that both have."""
    shared = [env for env in ours if env in theirs]
    arms = [[np.asarray(arm[env]) for env in shared] for arm in (ours, theirs)]
    return stats.aggregate(stats.probability_of_improvement, *arms, low=0.5, what=what)


def every(parts, what):
    """Claim: all of `parts`, {name: Verdict}, hold.

    Reproduced if each is, at its own level (intersection-union test: the largest p counts); contradicted if one is after a
    Bonferroni correction for their number; untested if one is; else inconclusive. Effect and interval are the deciding
    part's.
    """
    status = {name: v.status for name, v in parts.items()}
    refuted = {name: v for name, v in parts.items() if v.status == "contradicted" and v.p * len(parts) <= 0.05}
    open_ones = {name: v for name, v in parts.items() if v.status not in ("reproduced", "untested")}
    if refuted:
        name = min(refuted, key=lambda one: refuted[one].p)
        chosen = replace(parts[name], p=min(1.0, len(parts) * parts[name].p))
    elif "untested" in status.values():
        name = next(one for one in parts if status[one] == "untested")
        chosen = parts[name]
    elif open_ones:
        name = max(open_ones, key=lambda one: open_ones[one].p)
        settle = [v.seeds_to_settle for v in open_ones.values()]
        chosen = replace(parts[name], status="inconclusive", seeds_to_settle=None if None in settle else max(settle))
    else:
        name = max(parts, key=lambda one: parts[one].p)
        chosen = parts[name]
    chosen = replace(chosen, what=f"{what}; {name}" if len(parts) > 1 else what)
    if len(parts) > 1:
        chosen = chosen.with_note("all parts: " + ", ".join(f"{k} {v.effect:.3g} ({v.status})" for k, v in parts.items()))
    return chosen


def judged(verdict, *results, steps=PAPER_STEPS, seeds=PAPER_SEEDS):
    """The verdict if all results have the least budget, in steps and seeds, that can test the claim."""
    had_steps, had_seeds = min(one.steps for one in results), min(one.seeds for one in results)
    return stats.within_budget(verdict, had_steps, steps, had_seeds, seeds, COMMAND)


def toy(verdict, *results, iterations=2_000):
    """The verdict of a toy, which is cheap, if it was trained to an end."""
    return judged(verdict, *results, steps=iterations, seeds=STARTS)


def rows(frame, where):
    for key, value in where.items():
        frame = frame[frame[key] == value]
    return frame
