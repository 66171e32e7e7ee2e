"""What TRPO-NF's claims compare: one number per member (see `common.lab.report.measures`), for members differ in more than
seeds; and the paper's budget."""

from functools import partial

import numpy as np
from scipy.stats import ks_2samp

from common.lab.report import measures, stats, verdicts
from common.lab.report.measures import environments, last, of_table

judged = partial(verdicts.judged, steps=1_000_000, seeds=5)
toy = partial(judged, steps=2_000, seeds=10)  # of a toy, which is cheap: to its end, from ten random starts
per_member = partial(measures.of_curves, by="member")


def final(results, **where):
    """Final return: mean of each member's last ten recorded ones."""
    return per_member(results, "return", last(), **where)


def measured(results, metric, **where):
    """A toy's final measurement, one per random start."""
    return per_member(results, metric, last(1), **where)


def ends(policy, *runs):
    """{environment: final returns} of a policy class over several results, which share no environment."""
    return {env: final(results, env=env, policy=policy) for results in runs for env in environments(results)}


def improves(ours, theirs, quantity):
    """Claim: P(a run of ours ends above one of theirs) > 1/2, over the environments that both have."""
    shared = [env for env in ours if env in theirs]
    arms = [[np.asarray(arm[env]) for env in shared] for arm in (ours, theirs)]
    return stats.aggregate(stats.probability_of_improvement, *arms, low=0.5, quantity=quantity)


def dominates(ours, theirs, quantity=""):
    """Claim: the quantiles of ours [n] lie above those of theirs [m] (first-order stochastic dominance).

    Two one-sided Kolmogorov-Smirnov tests at 2.5 % each: reproduced if ours is above somewhere and nowhere below,
    contradicted if it is below somewhere. Effect: the largest gap between the two distribution functions, negative if ours
    is below there. Runs are taken as independent; one that diverged ranks below all others.
    """
    arms = [np.asarray(arm, dtype=float) for arm in (ours, theirs)]
    n, lost = min(int(np.isfinite(arm).sum()) for arm in arms), sum(int((~np.isfinite(arm)).sum()) for arm in arms)
    if n < 3:
        return verdicts.untested("n < 3", n=n, quantity=quantity)
    lowest = min(np.nanmin(arm) for arm in arms) - 1
    ranked = [np.nan_to_num(arm, nan=lowest) for arm in arms]
    above, below = (ks_2samp(*ranked, alternative=side) for side in ("less", "greater"))  # of distribution functions
    far = min(above, below, key=lambda test: test.pvalue)
    status = "reproduced" if 2 * far.pvalue <= 0.05 else "inconclusive"
    if 2 * below.pvalue <= 0.05:  # wherever else it is above
        far, status = below, "contradicted"
    effect = float(-far.statistic if far is below else far.statistic)
    verdict = verdicts.Verdict(status, effect, p=min(1.0, 2 * float(far.pvalue)), n=n, quantity=quantity)
    return verdict.with_note(f"{lost} of {sum(map(len, arms))} seeds diverged, ranked lowest") if lost else verdict


def episodes(trpo_ant, policy, measure):
    """Mean of `measure(path)` over the episodes of every seed."""

    def mean(rows):
        return np.mean([float(measure(path)) for _, path in rows.groupby("episode")])

    return of_table(trpo_ant, "trajectories", mean, by="member", policy=policy)
