"""What figures, tables and claims of the review read alike."""

import numpy as np

from common.lab.report import measures, stats

LONG = 80  # states of a very long chain
LAST = 10  # evaluations that a final return averages


def gaussian_kl(vi_gaussian, energy, correlated=False):
    """(KL [seeds] of the Gaussian fitted to an energy, the annealing of each): of a fit with annealing and one without, the
    better one. Annealing leads a Gaussian between two modes, where it stays; without, it falls on one of them."""
    ways = sorted(vi_gaussian.setting("annealing"), reverse=True)
    found = _by_way(vi_gaussian, "kl", ways, energy, correlated)
    best = np.argmin(np.where(np.isnan(found), np.inf, found), axis=0)
    return found[best, range(found.shape[1])], np.array(ways)[best]


def chosen(vi_gaussian, metric, energy, correlated=False):
    """A further metric [seeds] of the fits that `gaussian_kl` chooses."""
    kept = gaussian_kl(vi_gaussian, energy, correlated)[1]
    ways = sorted(vi_gaussian.setting("annealing"), reverse=True)
    found = _by_way(vi_gaussian, metric, ways, energy, correlated)
    return np.array([found[ways.index(way), seed] for seed, way in enumerate(kept)])


def _by_way(vi_gaussian, metric, ways, energy, correlated):
    """[ways, seeds] of a metric, of the seeds that every way has."""
    where = {"energy": energy, "correlated": correlated}
    found = [vi_gaussian.final(metric, 1, annealing=way, **where) for way in ways]
    seeds = min(map(len, found), default=0)
    return np.stack([values[:seeds] for values in found]) if found else np.zeros((1, 0))


def vi_families(vi_planar, vi_flows):
    """[(name of a family, results, the settings that select it)] of the flows that were fitted."""
    planar = [(f"planar, K = {count}", vi_planar, {"flows": count}) for count in vi_planar.setting("flows")]
    return planar + [(name, vi_flows, {"family": name}) for name in vi_flows.setting("family")]


def per_pair(results, event, **where):
    """KL per pair of dimensions [seeds] of fits to bananas."""
    return results.final("kl", 1, event=event, **where) / (event / 2)


def solving(results, **where):
    """Whether the members solve their chain, one truth per length and seed."""
    return results.final("solved", 1, **where) < results.budget


def median_episodes(results):
    """The median of the members' episodes before a chain is solved, one number per length."""
    return np.array([np.median(results.final("solved", 1, length=length)) for length in results.setting("length")])


def is_short(length):
    return length < LONG


def is_long(length):
    return length >= LONG


def mean_over_lengths(results, kept):
    """The mean over the lengths that are kept, one number per seed."""
    numbers = [results.final("solved", 1, length=length) for length in results.setting("length") if kept(length)]
    return np.mean(numbers, axis=0) if numbers else np.array([])


def area(results, **where):
    """The mean of a member's whole curve of returns."""
    return results.final("return", 10**6, **where)


def mean_over(results, metric, over, **where):
    """The mean of a metric over the values of one setting, one number per seed."""
    return np.mean([results.final(metric, 1, **{over: value}, **where) for value in results.setting(over)], axis=0)


def mass_error(results, family):
    """|mass of q on a grid - 1|, the mean over distributions, one number per seed."""
    names = results.setting("data")
    return np.mean([np.abs(results.final("mass", 1, data=name, family=family) - 1) for name in names], axis=0)


def flow_and_gaussian(results, measure):
    """Two lists of arrays of seeds, one per robot: measure(env, policy) of the flow and of the Gaussian."""
    return ([measure(env, policy) for env in measures.environments(results)] for policy in ("flow", "gaussian"))


def gain(results, env, policy):
    """The final return of a class of policies less the Gaussian's, seed by seed: a verdict on whether it is above 0, whose
    effect and interval are shares of the size of the Gaussian's mean. None where a class was not run."""
    found = [
        measures.of_curves(results, "return", measures.last(LAST), env=env, policy=kind) for kind in (policy, "gaussian")
    ]
    seeds = found[0].index.intersection(found[1].index)
    if not len(seeds):
        return None
    mine, gaussian = (values[seeds].to_numpy() for values in found)
    size = abs(np.nanmean(gaussian))
    return stats.difference(mine / size, gaussian / size, paired=True, quantity=f"gain of {policy} over the Gaussian")


def share_left(results, beside, event, **where):
    """The share of a mean field's KL that a flow leaves, one number per seed."""
    return results.final("kl", 1, event=event, **where) / beside.final("kl", 1, event=event, family="mean_field")


def misjudged(shares):
    """The mean over posteriors of |ln| of shares of a variance, one number per seed."""
    return np.mean(np.abs(np.log(shares)), axis=0) if shares else np.array([])


def final_return(results, env, **where):
    """The final return in an environment, one number per seed; empty where it was not run."""
    return results.final("return", LAST, env=env, **where) if results.cells else np.array([])


def state_spread(results, env):
    """How widely states are spread, the mean of all evaluations, one number per seed."""
    return results.final("coverage", 10**6, env=env) if results.cells else np.array([])


def lasting_error(results):
    """The error of latents after training, cut at 10, one number per robot and seed."""
    return np.minimum(results.final("latent_error", 1), 10) if results.cells else np.array([])


def growth(rows):
    """d ln operations / d ln parameters from each size of a table to the next."""
    return np.diff(np.log(rows["operations"])) / np.diff(np.log(rows["parameters"]))
