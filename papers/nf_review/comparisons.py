"""What figures, tables and claims of the review read alike."""

import numpy as np


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
