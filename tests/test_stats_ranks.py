"""Permutations, order over levels and aggregates in common.lab.report.stats. Fixed seeds; all simulations are small."""

from itertools import combinations, permutations

import numpy as np
import pytest
import scipy.stats

from common.lab.report import stats
from common.lab.report.stats import ordered
from tests.samples import generator, spread

nan = np.nan


# ---- permutations and order ----


def count(levels):
    """2·JT, pair by pair."""
    pairs = [(x, y) for one, two in combinations(levels, 2) for x in one for y in two]
    return sum(2 * (x < y) + (x == y) for x, y in pairs)


def split(values, sizes):
    return np.split(np.array(values), np.cumsum(sizes)[:-1])


@pytest.mark.parametrize(
    ("sizes", "values"),
    [
        ((2, 2, 2), [1, 2, 3, 4, 5, 6]),
        ((1, 3, 2), [1, 2, 3, 4, 5, 6]),
        ((2, 2, 3), [1, 1, 2, 2, 2, 3, 4]),
        ((3, 3), [1, 1, 1, 1, 2, 2]),
        ((2, 1, 2, 1), [1, 2, 2, 3, 3, 3]),
        ((2, 2), [7, 7, 7, 7]),
    ],
)
def test_jonckheere_null_against_every_permutation(sizes, values):
    brute = np.bincount([count(split(order, sizes)) for order in permutations(values)])
    null = stats.jonckheere_null(sizes, np.unique(values, return_counts=True)[1].tolist())
    assert np.allclose(null, np.pad(brute / brute.sum(), (0, len(null) - len(brute))))
    assert null.sum() == pytest.approx(1)


def test_jonckheere_by_hand():
    """Three levels of one: inversions of three, 1 2 2 1 of six. Levels of 4, 4, 4 in full order: one of 34 650."""
    assert stats.jonckheere_null((1, 1, 1), (1, 1, 1))[::2] == pytest.approx(np.array([1, 2, 2, 1]) / 6)
    full = ordered([[1, 2, 3, 4], [5, 6, 7, 8], [9, 10, 11, 12]])
    assert (full.effect, full.p) == (1, pytest.approx(2 / 34_650))
    # {1, 2, 4}, {3, 5, 6}, {7, 8, 9}: of 27 pairs only (4, 3) is out of order; JT >= 26 in 3 of 1680 allocations
    v = ordered([[1, 2, 4], [3, 5, 6], [7, 8, 9]])
    assert (v.effect, v.p) == (pytest.approx(26 / 27), pytest.approx(2 * 3 / 1680))


def test_two_levels_are_mann_whitney():
    rng = generator(12)
    a, b = rng.normal(0, 1, 5), rng.normal(1, 1, 6)
    reference = scipy.stats.mannwhitneyu(b, a, method="exact")
    v = ordered([a, b])
    assert (v.effect, v.p) == (pytest.approx(reference.statistic / 30), pytest.approx(reference.pvalue))
    assert stats.probability_of_improvement([b], [a]) == pytest.approx(v.effect)


@pytest.mark.parametrize("sizes", [(4, 4, 4), (3, 3, 3), (5, 5), (2, 2, 2, 2, 2)])
def test_order_errs_in_at_most_5_percent(sizes):
    null = stats.jonckheere_null(sizes, [1] * sum(sizes))
    p = 2 * np.minimum(null[::-1].cumsum()[::-1], null.cumsum())
    assert 0 < null[p <= 0.05].sum() <= 0.05


def test_order_true_false_undecided():
    up = [spread(i, 0.3) for i in range(3)]
    for groups in (up, {"one": up, "two": [x * 100 for x in up]}):
        assert ordered(groups).status == "reproduced"
        assert ordered(groups, "decreasing").status == "contradicted"
        assert ordered(groups).p == ordered(groups, "decreasing").p
    undecided = ordered([[1.0, 5, 9], [2, 6, 7], [3, 4, 8]])
    assert undecided.status == "inconclusive" and undecided.low <= 0.5 <= undecided.high


def test_order_sees_ranks_only_and_mirrors():
    rng = generator(13)
    groups = [rng.normal(0.7 * i, 1, 4) for i in range(3)]
    v, w, mirrored = ordered(groups), ordered([np.exp(x) for x in groups]), ordered(groups[::-1])
    assert v == w
    assert (mirrored.effect, mirrored.p) == (pytest.approx(1 - v.effect), pytest.approx(v.p))


def test_strata_are_summed_exactly():
    """Two strata of two levels of three: JT >= 18 in 1, JT >= 17 in 3, of the 20 · 20 pairs of allocations."""
    full, nearly = [[1.0, 2, 3], [4, 5, 6]], [[1.0, 2, 4], [3, 5, 6]]
    assert ordered({"a": full, "b": full}).p == pytest.approx(2 * 1 / 400)
    mixed = ordered({"a": full, "b": nearly})
    assert (mixed.effect, mixed.p) == (pytest.approx(17 / 18), pytest.approx(2 * 3 / 400))
    assert ordered(full).status == "inconclusive" and mixed.status == "reproduced"


# ---- aggregates ----


def test_iqm_is_the_trimmed_mean_and_ignores_outliers():
    scores = generator(14).normal(size=(4, 5))
    assert stats.iqm(scores) == pytest.approx(scipy.stats.trim_mean(scores, 0.25, axis=None))
    wild = scores.copy()
    wild[np.unravel_index(scores.argmax(), scores.shape)] = 1e9
    assert stats.iqm(wild) == pytest.approx(stats.iqm(scores))
    assert stats.iqm(np.stack([scores, scores + 1], axis=1)).shape == (2,)  # leading axes map


def test_probability_of_improvement_laws():
    rng = generator(15)
    a, b = rng.integers(0, 4, (3, 5)), rng.integers(0, 4, (3, 6))
    forth, back = stats.probability_of_improvement(a, b), stats.probability_of_improvement(b, a)
    assert forth + back == pytest.approx(1)
    assert stats.probability_of_improvement(a, a) == pytest.approx(0.5)
    assert stats.probability_of_improvement(b + 10, a) == 1
    assert stats.probability_of_improvement(a**3, b**3) == pytest.approx(forth)


def test_aggregate_true_false_undecided():
    a, b = [spread(1, 0.3, 5)] * 3, [spread(0, 0.3, 5)] * 3
    for claim in (
        lambda a, b: stats.aggregate(lambda a, b: stats.iqm(a) - stats.iqm(b), a, b, low=0),
        lambda a, b: stats.aggregate(stats.probability_of_improvement, a, b, low=0.5),
    ):
        assert claim(a, b).status == "reproduced" and claim(b, a).status == "contradicted"
        undecided = claim(b, b)
        assert undecided.status == "inconclusive" and undecided.low < undecided.effect < undecided.high
    equal = stats.aggregate(lambda a, b: stats.iqm(a) - stats.iqm(b), b, b, low=-0.5, high=0.5)
    assert (equal.status, equal.level) == ("reproduced", pytest.approx(0.9))
    assert stats.aggregate(stats.iqm, a[:2], low=0).reason == "fewer than 3 environments"


def test_bootstrap_owns_its_generator():
    scores = generator(17).normal(size=(3, 5))
    state = np.random.get_state()[1].copy()
    one, two = (stats.stratified_bootstrap(stats.iqm, scores, replicates=50, seed=3) for _ in range(2))
    assert (one == two).all()
    assert (one != stats.stratified_bootstrap(stats.iqm, scores, replicates=50, seed=4)).any()
    assert (state == np.random.get_state()[1]).all()


def test_the_interval_of_an_order_is_wilsons_with_the_effective_pairs():
    """Its ends are the p at which |effect - p| is z of their own standard errors."""
    order = stats.Jonckheere([np.array([1.0, 2, 3, 7]), np.array([4.0, 5, 6, 9]), np.array([8.0, 10, 11, 12])], 3)
    z = scipy.stats.norm.isf(0.05)
    for end in order.interval(0.9):
        assert (order.effect - end) ** 2 == pytest.approx(z**2 * 4 * order.variance * end * (1 - end))


def test_the_variance_of_an_order_without_one():
    """One run on each of two levels: 0 or 1, a quarter. Two: 0, 1/4, 1/2 twice, 3/4 and 1 of six allocations, 5/48."""
    assert stats.Jonckheere([np.array([1.0]), np.array([2.0])], 2).variance == pytest.approx(1 / 4)
    assert stats.Jonckheere([np.array([1.0, 3]), np.array([2.0, 4])], 2).variance == pytest.approx(5 / 48)


def test_an_aggregates_error_falls_with_the_root_of_the_seeds():
    boots = stats.Bootstrap(0.0, np.array([-1.0, 1.0, -1.0, 1.0]), 4, 0.0)
    assert boots.error(np.array([16]))[0] == pytest.approx(0.5)
