"""From results to what claims compare: one number a seed, and one verdict from several.

Numbers of seeds are arrays; NaN stands for a seed that diverged, which `common.lab.stats` counts and never drops.
"""

from dataclasses import replace

import numpy as np

from common.lab import stats

STEPS, SEEDS = 500_000, 5  # the paper's budget
LAST = 5  # evaluations that a final number averages
MARGIN = 0.1  # of the reference's final return: closer than that is "the same"
COMMAND = "snakemake --cores 16 figures/claims_mcmc_po.md --config scale=paper"
ENVIRONMENTS = ("Hopper-v4", "HalfCheetah-v4", "Ant-v4")


def final(results, metric="return", **where):
    """Mean of each seed's last evaluations, in the order of the seeds; empty if nothing of the kind was run."""
    if not len(results.frame) or metric not in results.metrics:
        return np.array([])
    return results.final(metric, LAST, **where)


def of_table(results, name, column, where, **cells):
    """One number a seed of a further table: `column` in the row that `where`, {column: value}, leaves in the one cell that
    `cells` leaves. NaN for a seed that is not in the table: it diverged."""
    if not results.cells:
        return np.array([])
    frame, rows = results.frame, results.table(name)
    for key, value in cells.items():
        frame = frame[frame[key] == value]
    for key, value in (cells | where).items():
        rows = rows[rows[key] == value]
    return rows.set_index("seed")[column].reindex(sorted(frame["seed"].unique())).to_numpy(float)


def environments(results):
    """The environments that were run, in the paper's order."""
    ran = set(results.frame["env"]) if len(results.frame) else set()
    return [env for env in ENVIRONMENTS if env in ran]


def level(values):
    """Size of a reference's return, for margins in its units."""
    finite = values[np.isfinite(values)]
    return max(abs(float(finite.mean())), 1e-9) if len(finite) else 1.0


def missing(what):
    return stats.untested("no runs at this scale", what=what)


def above(a, b, what=""):
    """Claim: mean(a) > mean(b) (Welch), untested where one of them was not run."""
    return stats.difference(a, b, what=what) if len(a) and len(b) else missing(what)


def at_least(a, b, what=""):
    """Claim: mean(a) reaches mean(b) less `MARGIN` of it."""
    return stats.non_inferiority(a, b, MARGIN * level(b), what=what) if len(a) and len(b) else missing(what)


def same(a, b, what=""):
    """Claim: mean(a) lies within `MARGIN` of mean(b)."""
    return stats.equivalence(a, b, MARGIN * level(b), what=what) if len(a) and len(b) else missing(what)


def within(a, low=None, high=None, what=""):
    """Claim: low < mean(a) < high."""
    return stats.mean_within(a, low, high, what=what) if len(a) else missing(what)


def rising(groups, direction="increasing", what=""):
    """Claim: values rise (or fall) over the levels of `groups`, [levels][seeds]."""
    return stats.ordered(groups, direction, what=what) if all(map(len, groups)) else missing(what)


def every(parts, what):
    """Claim: all of `parts`, {name: Verdict}, hold.

    Reproduced if each is, at its own level (intersection-union: the largest p counts); contradicted if one is after a
    Bonferroni correction for their number; untested if one is; else inconclusive. Effect and interval are those of the
    part that decides; the note tells the others.
    """
    if not parts:
        return missing(what)
    by_status = {status: {n: v for n, v in parts.items() if v.status == status} for status in stats.STATUSES}
    contradicted = {n: v for n, v in by_status["contradicted"].items() if not v.p * len(parts) > 0.05}
    if contradicted:
        name = min(contradicted, key=lambda n: contradicted[n].p)
        chosen = replace(parts[name], p=min(1.0, len(parts) * parts[name].p))
    elif by_status["untested"]:
        name = next(iter(by_status["untested"]))
        chosen = parts[name]
    elif len(by_status["reproduced"]) < len(parts):
        undecided = by_status["inconclusive"] | by_status["contradicted"]
        name = max(undecided, key=lambda n: undecided[n].p)
        settle = [v.seeds_to_settle for v in undecided.values()]
        more = None if None in settle else max(settle)
        chosen = replace(parts[name], status="inconclusive", seeds_to_settle=more)
    else:
        name = max(parts, key=lambda n: parts[n].p)
        chosen = parts[name]
    if len(parts) == 1:
        return replace(chosen, what=what)
    told = ", ".join(f"{n} {v.effect:.3g} ({v.status})" for n, v in parts.items())
    return replace(chosen, what=f"{what}; {name}").with_note(f"all parts: {told}")


def judged(verdict, *results, steps=STEPS, seeds=SEEDS):
    """The verdict if all results have the least budget, in steps and seeds, that can test the claim."""
    had = [(one.steps, one.seeds) if one.cells else (0, 0) for one in results]
    return stats.within_budget(verdict, min(s for s, _ in had), steps, min(n for _, n in had), seeds, COMMAND)


def seconds(results, **where):
    """Core-seconds of training, one number a seed, from the runs' records; a worker's members share its time alike."""
    found = []
    for source in results.cells:
        if all(getattr(source.cell.config, key) == value for key, value in where.items()):
            for part in source.record.get("parts", ()):
                found += [part["seconds"] / len(part["labels"])] * len(part["labels"])
    return np.array(found)
