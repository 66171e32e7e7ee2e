"""Intervals of common.lab.report.stats cover what they promise. Fixed seeds; all simulations are small."""

from itertools import combinations

import numpy as np
import pytest
import scipy.stats

from common.lab.report import stats
from common.lab.report.stats import difference, mean_within, ordered, proportion
from tests.samples import covers, generator, spread

nan = np.nan


@pytest.mark.parametrize("sizes", [(4, 4), (3, 5), (8, 4)])
@pytest.mark.parametrize("deviations", [(1.0, 1.0), (1.0, 3.0)])
def test_welch_interval_covers(sizes, deviations):
    rng, found = generator(1), []
    for _ in range(2000):
        a, b = (rng.normal(50 * (i == 0), s, n) for i, (s, n) in enumerate(zip(deviations, sizes, strict=True)))
        found.append(difference(a, b))
    assert 0.93 <= covers([v.low for v in found], [v.high for v in found], 50) <= 0.97


def test_paired_interval_covers_and_gains_from_shared_streams():
    rng, found, widths = generator(2), [], []
    for _ in range(2000):
        shared = rng.normal(0, 5, 4)
        a, b = 50 + shared + rng.normal(size=4), shared + 2 * rng.normal(size=4)
        found.append(difference(a, b, paired=True))
        widths.append(difference(a, b).high - difference(a, b).low)
    assert 0.93 <= covers([v.low for v in found], [v.high for v in found], 50) <= 0.97
    assert np.mean([v.high - v.low for v in found]) < np.mean(widths)


def test_one_sample_interval_covers():
    rng = generator(3)
    found = [mean_within(rng.normal(50, 1, 4), low=0) for _ in range(2000)]
    assert 0.93 <= covers([v.low for v in found], [v.high for v in found], 50) <= 0.97


@pytest.mark.parametrize("skewed", [False, True])
def test_bootstrap_intervals_of_aggregates_cover(skewed):
    rng, environments, n = generator(4), 5, 12
    location, scale = np.array([[0.0], [0.3], [0.6], [0.2], [0.5]]), np.array([[0.2], [0.4], [0.3], [0.6], [0.3]])

    def draw(n):
        noise = rng.gamma(2, size=(environments, n)) - 2 if skewed else rng.normal(size=(environments, n))
        return location + scale * noise

    def gain(a, b):
        return stats.iqm(a) - stats.iqm(b)

    many = draw(200_000)
    improvement = np.mean([(x + 0.2 > np.roll(x, 1)).mean() for x in many])
    truths = [stats.iqm(many), 0.2, improvement]
    inside = np.zeros(3)
    for i in range(800):
        a, b = draw(n) + 0.2, draw(n)
        cases = [(stats.iqm, b), (gain, a, b), (stats.probability_of_improvement, a, b)]
        for j, ((statistic, *methods), truth) in enumerate(zip(cases, truths, strict=True)):
            sample = stats.stratified_bootstrap(statistic, *methods, replicates=500, seed=i)
            inside[j] += covers(*np.quantile(sample, (0.025, 0.975)), truth)
    assert ((inside / 800 >= 0.93) & (inside / 800 <= 0.97)).all(), inside / 800


def test_bootstrap_of_a_mean_has_the_unbiased_standard_error():
    """The reason for n - 1 draws: at four seeds, n draws would fall short by a factor sqrt(3/4)."""
    scores = [spread(0, s) for s in (1.0, 2.0, 3.0)]
    sample = stats.stratified_bootstrap(lambda m: np.mean([x.mean(-1) for x in m], axis=0), scores, replicates=40_000)
    assert np.std(sample) == pytest.approx(np.sqrt((1 + 4 + 9) / 4) / 3, rel=0.02)


@pytest.mark.parametrize("step", [0.0, 0.6, 1.5])
def test_interval_of_the_order_effect_covers(step):
    rng = generator(5)
    truth = np.mean([scipy.stats.norm.cdf((j - i) * step / np.sqrt(2)) for i, j in combinations(range(3), 2)])
    found = [ordered([rng.normal(i * step, 1, 4) for i in range(3)]) for _ in range(300)]
    assert covers([v.low for v in found], [v.high for v in found], truth) >= 0.93


@pytest.mark.parametrize("chance", [0.05, 0.3, 0.5])
def test_proportion_interval_covers_at_least_its_level(chance):
    n = 12
    weight = scipy.stats.binom.pmf(np.arange(n + 1), n, chance)
    inside = [v.low <= chance <= v.high for v in (proportion(k, n, low=0.99) for k in range(n + 1))]
    assert weight @ inside >= 0.95
