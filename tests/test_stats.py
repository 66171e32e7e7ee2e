"""Decisions of common.lab.report.stats, by construction: t-tests, divergence, bad input. Fixed seeds."""

import numpy as np
import pytest
import scipy.stats

from common.lab.report import stats
from common.lab.report.stats import (
    deviation_below,
    difference,
    equivalence,
    mean_within,
    non_inferiority,
    ordered,
    proportion,
)
from tests.samples import covers, generator, spread

nan = np.nan


# ---- the t-tests ----


def test_difference_is_welch_and_student():
    rng = generator(6)
    a, b = rng.normal(3, 1, 5), rng.normal(0, 2, 5)
    for verdict, reference in (
        (difference(a, b), scipy.stats.ttest_ind(a, b, equal_var=False)),
        (difference(a, b, paired=True), scipy.stats.ttest_rel(a, b)),
        (mean_within(a, low=0), scipy.stats.ttest_1samp(a, 0)),
    ):
        assert verdict.p == pytest.approx(reference.pvalue)
        assert (verdict.low, verdict.high) == pytest.approx(tuple(reference.confidence_interval(0.95)))


def test_difference_agrees_with_its_interval_in_both_directions():
    rng = generator(7)
    seen = set()
    for _ in range(150):
        a, b, margin = rng.normal(rng.normal(0, 2), 1, 4), rng.normal(0, 1, 4), 0.5
        v = difference(a, b, margin=margin)
        assert v.status == ("reproduced" if v.low > margin else "contradicted" if v.high < margin else "inconclusive")
        assert (v.p <= 0.05) == (v.status != "inconclusive")
        assert difference(b, a, direction="less", margin=margin).status == v.status
        seen |= {v.status}
    assert seen == {"reproduced", "contradicted", "inconclusive"}


def test_verdict_climbs_as_the_arm_rises():
    b, rank = spread(0, 1), {"contradicted": 0, "inconclusive": 1, "reproduced": 2}
    for claim in (difference, lambda a, b: non_inferiority(a, b, margin=1), lambda a, b: ordered([b, a])):
        ranks = [rank[claim(spread(shift, 1.5), b).status] for shift in np.linspace(-12, 12, 25)]
        assert ranks == sorted(ranks) and set(ranks) == {0, 1, 2}


def test_false_decisions_are_rare_at_the_border():
    rng = generator(8)
    found = [difference(rng.normal(0, 3, 4), rng.normal(0, 1, 4)).status for _ in range(800)]
    assert np.mean(np.array(found) != "inconclusive") <= 0.07


@pytest.mark.parametrize(
    ("shift", "margin", "status", "level"),
    [
        (0.0, 3.0, "reproduced", 0.9),
        (0.5, 3.0, "reproduced", 0.9),
        (8.0, 3.0, "contradicted", 0.95),
        (-8.0, 3.0, "contradicted", 0.95),
        (0.0, 0.5, "inconclusive", 0.95),
        (3.0, 3.0, "inconclusive", 0.95),
    ],
)
def test_equivalence(shift, margin, status, level):
    v = equivalence(spread(shift, 1), spread(0, 1), margin)
    assert (v.status, v.level) == (status, pytest.approx(level))
    inside, outside = -margin < v.low and v.high < margin, v.low > margin or v.high < -margin
    assert (inside, outside) == (status == "reproduced", status == "contradicted")


def test_equivalence_needs_more_than_an_interval_that_includes_zero():
    a, b = spread(0.1, 5), spread(0, 5)
    assert difference(a, b).low < 0 < difference(a, b).high and equivalence(a, b, 1).status == "inconclusive"


def test_wider_margin_never_unsettles_equality():
    found = [equivalence(spread(1, 1), spread(0, 1), m) for m in np.linspace(0.1, 6, 30)]
    status = [v.status == "reproduced" for v in found]
    assert status == sorted(status) and any(status) and not all(status)


def test_non_inferiority():
    b = spread(10, 1)
    assert non_inferiority(spread(9.5, 1), b, 3).status == "reproduced"
    assert non_inferiority(spread(30, 1), b, 3).status == "reproduced"
    assert non_inferiority(spread(2, 1), b, 3).status == "contradicted"
    assert non_inferiority(spread(7.5, 1), b, 3).status == "inconclusive"


def test_mean_within():
    assert mean_within(spread(-1, 0.2), high=0).status == "reproduced"
    assert mean_within(spread(1, 0.2), high=0).status == "contradicted"
    assert mean_within(spread(-0.1, 0.2), high=0).status == "inconclusive"
    assert mean_within(spread(1.5, 0.1), low=1.2).status == "reproduced"
    assert mean_within(spread(0.5, 0.1), low=0, high=1).status == "reproduced"
    assert mean_within(spread(2, 0.1), low=0, high=1).status == "contradicted"


def test_proportion():
    assert proportion(10, 10, low=0.5).status == "reproduced"
    assert proportion(0, 10, low=0.5).status == "contradicted"
    assert proportion(6, 10, low=0.5).status == "inconclusive"
    assert proportion(10, 10, low=0.5).p == pytest.approx(2 * 0.5**10)
    assert proportion(1, 2, low=0.1).reason == "n < 3" and proportion(1, 3, low=0.1).status == "inconclusive"
    assert proportion(0, 0, low=0.1).reason == "no runs at this scale"


def test_a_deviation_within_groups_is_of_its_size():
    """The interval covers the truth as often as it says, and where the truth is the bound 2.5 % are called below it."""
    rng = generator(3)
    made = [deviation_below(rng.normal([[0.0], [50.0], [9.0]], 1.3, (3, 3)), 1.3) for _ in range(2000)]
    assert covers([v.low for v in made], [v.high for v in made], 1.3) == pytest.approx(0.95, abs=0.014)
    for status in ("reproduced", "contradicted"):
        assert np.mean([v.status == status for v in made]) == pytest.approx(0.025, abs=0.01)
    groups = [spread(0, 0.2, 3), spread(70, 0.3, 3), spread(9, 0.4, 3)]
    found = deviation_below(groups, 1.0)
    assert found.effect == pytest.approx(np.sqrt((0.04 + 0.09 + 0.16) / 3)) and found.status == "reproduced" and found.n == 3
    assert deviation_below([spread(0, 5, 3), spread(1, 4, 3), spread(7, 5, 4)], 1.0).status == "contradicted"
    assert deviation_below([spread(0, 0.2, 3), [1.0, 1.1, 1.2, np.nan]], 1.0).reason == "diverged"
    assert deviation_below([spread(0, 0.2, 2)], 1.0).reason == "n < 3" and deviation_below([], 1.0).status == "untested"
    unsure = deviation_below([spread(0, 0.7, 3), spread(0, 0.8, 3)], 1.0)
    assert unsure.status == "inconclusive" and unsure.seeds_to_settle > 10
    with pytest.raises(ValueError, match="above 0"):
        deviation_below(groups, 0.0)


def test_seeds_that_all_agree_do_not_count_as_certainty():
    """The p-value is then that of the exact randomisation test: two of C(2n, n) splits."""
    three, four = difference([1.0] * 3, [0.0] * 3), difference([1.0] * 4, [0.0] * 4)
    assert (three.status, three.p) == ("inconclusive", pytest.approx(2 / 20))
    assert (four.status, four.p, four.low, four.high) == ("reproduced", pytest.approx(2 / 70), 1, 1)
    assert difference([1.0] * 4, [1.0] * 4).p == 1
    assert mean_within([0.1 + 0.2] * 6, low=0).p == pytest.approx(2 / 64)
    assert difference([1.0, 2.0, 3.0, 4.0], [0.0, 1.0, 2.0, 3.0], paired=True).p == pytest.approx(2 / 16)
    assert difference([5.0] * 4, spread(0, 1)).status == "reproduced"  # one arm without spread: Welch still holds


@pytest.mark.parametrize("margin", [None, 2.5])
def test_seeds_to_settle_have_a_power_of_80_percent(margin):
    a, b = spread(1.0, 1.5), spread(0, 1)
    v = difference(a, b) if margin is None else equivalence(a, b, margin)
    n, rng = v.seeds_to_settle, generator(9)
    assert v.status == "inconclusive" and n > v.n
    x, y = rng.normal(1, 1.5, (20_000, n)), rng.normal(0, 1, (20_000, n))
    interval = scipy.stats.ttest_ind(x, y, axis=1, equal_var=False).confidence_interval(0.95 if margin is None else 0.9)
    power = np.mean(interval.low > 0 if margin is None else (interval.low > -margin) & (interval.high < margin))
    assert 0.78 <= power <= 0.88
    assert difference(spread(0, 1), spread(0, 1)).seeds_to_settle is None  # no effect: never


def test_nearer_effects_need_more_seeds():
    needed = [difference(spread(x, 1), spread(0, 1)).seeds_to_settle for x in (1.2, 0.8, 0.4, 0.2)]
    assert needed == sorted(needed) and len(set(needed)) == 4
    assert proportion(7, 10, low=0.5).seeds_to_settle > proportion(8, 10, low=0.5).seeds_to_settle > 10


# ---- seeds that diverged, seeds that are too few ----


def test_diverged_seeds_are_counted_and_left_out():
    a, b = [*spread(10, 0.1, 9), nan], spread(0, 0.1, 9)
    v, clean = difference(a, b), difference(a[:-1], b)
    assert (v.status, v.effect, v.low, v.n) == ("reproduced", clean.effect, clean.low, 9)
    assert "1 of 19 seeds diverged" in v.note and v.p > clean.p
    assert difference([*spread(10, 0.1, 9), np.inf], b).note == v.note


def test_a_verdict_must_survive_its_diverged_seeds():
    """Three of six runs crash: those left are far better, but the method is not shown to be."""
    crashed = difference([*spread(10, 0.1, 3), nan, nan, nan], spread(0, 0.1, 6))
    assert (crashed.status, crashed.reason) == ("inconclusive", "diverged")
    assert ordered([spread(0, 0.1), spread(1, 0.1), [*spread(2, 0.1, 3), nan, nan, nan]]).reason == "diverged"
    assert mean_within([*spread(5, 3, 9), nan], low=0).status == "reproduced"
    left = [10.0, 11, 12, 13, nan], [nan, 1.1, 2, 2.9, 4]
    paired = difference(*left, paired=True)
    assert paired.n == 3 and paired.effect == pytest.approx(np.mean([9.9, 10, 10.1])) and "2 of 10" in paired.note


def test_diverged_runs_rank_last_in_aggregates():
    a = [np.array([1.0, 2, nan, 4])] * 3
    assert stats.iqm(a) < stats.iqm([np.array([1.0, 2, 3, 4])] * 3)
    assert stats.iqm([np.array([1.0, nan, nan, 4])] * 3) == -np.inf
    assert stats.probability_of_improvement([[nan, nan]], [[0.0, 1.0]]) == 0
    assert stats.probability_of_improvement([[nan]], [[nan]]) == 0.5
    v = stats.aggregate(stats.probability_of_improvement, a, [np.zeros(4)] * 3, low=0.5)
    assert v.effect == 0.75 and "3 of 24 seeds diverged" in v.note
    lost = stats.aggregate(lambda a, b: stats.iqm(a) - stats.iqm(b), [[nan] * 4] * 3, [[nan] * 4] * 3, low=0)
    assert lost.status == "inconclusive"


@pytest.mark.parametrize(
    ("verdict", "effect"),
    [
        (difference([5.0, 6.0], [1.0, 2.0, 3.0]), 3.5),
        (difference([5.0], [1.0, 2.0, 3.0]), 3.0),
        (difference([5.0, 6.0, nan], [1.0, 2.0, 3.0]), 3.5),
        (difference([5.0, 6.0], [1.0, 2.0], paired=True), 4.0),
        (equivalence([5.0, 5.0], [5.0, 5.0], 1), 0.0),
        (non_inferiority([5.0, 5.0], [5.0, 5.0], 1), 0.0),
        (mean_within([3.0, 4.0], low=0), 3.5),
        (ordered([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]), 1.0),
        (stats.aggregate(stats.iqm, [[1.0, 1.0]] * 4, low=0), 1.0),
    ],
)
def test_two_seeds_are_never_a_verdict(verdict, effect):
    assert (verdict.status, verdict.reason, verdict.effect) == ("untested", "n < 3", pytest.approx(effect))
    assert np.isnan(verdict.p) and np.isnan(verdict.low) and verdict.n < 3


def test_an_arm_that_diverged_whole_is_untested():
    v = difference([nan] * 4, spread(0, 1))
    assert (v.status, v.n) == ("untested", 0) and np.isnan(v.effect) and "4 of 8 seeds diverged" in v.note


def test_the_size_of_a_reference_is_never_zero():
    assert stats.magnitude(np.array([-3.0, np.nan, -1.0])) == 2
    assert stats.magnitude(np.array([np.nan])) == 1 and stats.magnitude(np.array([0.0])) > 0


def test_an_arm_that_was_not_run_leaves_a_claim_untested():
    """At any number of seeds of the other arm; an order needs all its levels."""
    seeds = [1.0, 2, 3]
    for verdict in (difference([], seeds), difference(seeds, []), mean_within([], low=0), ordered([seeds, [], seeds]),
                    equivalence(seeds, []), non_inferiority([], seeds)):  # fmt: skip
        assert (verdict.status, verdict.reason, verdict.n) == ("untested", "no runs at this scale", 0)


def test_the_margin_is_a_tenth_of_the_reference():
    a, b = spread(9.5, 0.1), spread(10, 0.1)
    for claim in (equivalence, non_inferiority, stats.non_superiority):
        assert claim(a, b).status == claim(a, b, 1.0).status == claim(a, b, share=0.1).status
        assert claim(a, b, share=0.04).status == claim(a, b, 0.4).status


# ---- bad input: one clear line ----


@pytest.mark.parametrize(
    "call",
    [
        lambda: difference([[1.0, 2], [3, 4]], [1.0, 2, 3]),
        lambda: difference([1.0, 2, 3], [1.0, 2, 3], direction="up"),
        lambda: difference([1.0, 2, 3], [1.0, 2, 3], margin=-1),
        lambda: difference([1.0, 2, 3], [1.0, 2, 3], margin=nan),
        lambda: difference([1.0, 2, 3], [1.0, 2, 3, 4], paired=True),
        lambda: equivalence([1.0, 2, 3], [1.0, 2, 3], 0),
        lambda: non_inferiority([1.0, 2, 3], [1.0, 2, 3], -1),
        lambda: mean_within([1.0, 2, 3]),
        lambda: mean_within([1.0, 2, 3], low=1, high=0),
        lambda: proportion(4, 3, low=0.5),
        lambda: proportion(1, 3, low=-0.5),
        lambda: ordered([[1.0, 2, 3]]),
        lambda: ordered({}),
        lambda: ordered([[1.0, 2, 3]] * 2, direction="up"),
        lambda: ordered({"a": [[1.0]] * 2, "b": [[1.0]] * 3}),
        lambda: ordered([np.arange(5.0)] * 8),
        lambda: stats.stratified_bootstrap(stats.iqm, [[1.0], [2.0]]),
        lambda: stats.aggregate(stats.iqm, [[1.0] * 3] * 3),
        lambda: stats.aggregate(stats.iqm, [[1.0] * 3, []], low=0),
    ],
)
def test_bad_input_is_one_clear_line(call):
    with pytest.raises(ValueError) as error:
        call()
    assert str(error.value) and "\n" not in str(error.value)


def test_what_is_counted_is_not_left_to_chance():
    assert stats.exact(8.0, 7.9, 8.1).status == "reproduced" and stats.exact(8.0, high=8.0).status == "contradicted"
    assert (stats.exact(8.0, low=9).low, stats.exact(8.0, low=9).p) == (8.0, 0.0)
    assert stats.exact(float("nan"), low=0).status == "untested"


# ---- rounding ----


def numbers_as_stored(count):
    """Constants as metrics.csv holds them: float32 numbers, and decimals."""
    rng = generator(11)
    return [*np.float32(rng.normal(0, 1, count)).astype(float), *np.round(rng.uniform(0, 1000, count), 1), 0.1, 0.7, 0.04]


@pytest.mark.parametrize(
    "claim",
    [
        lambda c, n, m: difference([c] * n, [c] * m),
        lambda c, n, m: difference([c] * n, [c] * m, direction="less"),
        lambda c, n, m: non_inferiority([c] * n, [c] * m, margin=0.0),
        lambda c, n, m: mean_within([c] * n, low=c),
        lambda c, n, m: mean_within([c] * m, high=c),
        lambda c, n, m: equivalence([c + 3] * n, [c] * m, margin=3.0),
        lambda c, n, m: ordered([[np.mean([c] * k)] * 4 for k in (n, m, n + m)]),
        lambda c, n, m: stats.aggregate(stats.probability_of_improvement, *each(c, n, m), low=0.5),
        lambda c, n, m: stats.aggregate(lambda a, b: stats.iqm(a) - stats.iqm(b), *each(c, n, m), low=0),
    ],
)
def test_rounding_decides_nothing(claim):
    """Equal constants in arms of several sizes, whose means differ in the last digits."""
    slow = "aggregate" in claim.__code__.co_names
    for i, constant in enumerate(numbers_as_stored(10 if slow else 1000)):
        n, m = ((3, 5), (10, 30), (4, 7), (6, 3))[i % 4]
        verdict = claim(constant, n, m)
        assert (verdict.status, verdict.p) == ("inconclusive", 1), (constant, n, m, str(verdict))


def each(constant, n, m):
    """Two methods in three environments: the same number, as means of `n` and of `m` copies."""
    return [[np.full(4, np.mean([constant] * k))] * 3 for k in (n, m)]


def test_differences_beyond_rounding_still_count():
    assert difference([0.1 + 1e-9] * 3, [0.1] * 5).status == "reproduced"
    assert ordered([[0.1] * 4, [0.1 + 1e-9] * 4, [0.1 + 2e-9] * 4]).status == "reproduced"
    assert mean_within([1e-3] * 6, low=0).status == "reproduced"


# ---- bounds that are a share of the reference ----


def test_a_share_of_the_reference_is_tested_with_the_references_own_error():
    """a - 0.9 b > 0 by Welch, and its mirror images; also where returns are negative: "reaches" is then up to a tenth
    lower."""
    rng = generator(12)
    a, b = rng.normal(95, 6, 5), rng.normal(100, 9, 6)
    greater, less = ({"equal_var": False, "alternative": side} for side in ("greater", "less"))
    reaches = scipy.stats.ttest_ind(a, 0.9 * b, **greater).pvalue
    assert stats.non_inferiority(a, b).p == pytest.approx(min(2 * reaches, 2 * (1 - reaches)))
    gains_nothing = scipy.stats.ttest_ind(a, 1.1 * b, **less).pvalue
    assert stats.non_superiority(a, b).p == pytest.approx(min(2 * gains_nothing, 2 * (1 - gains_nothing)))
    assert stats.equivalence(a, b).p == pytest.approx(max(reaches, gains_nothing))
    below = scipy.stats.ttest_ind(a - 200, 1.1 * (b - 200), **greater).pvalue
    assert stats.non_inferiority(a - 200, b - 200).p == pytest.approx(min(2 * below, 2 * (1 - below)))
    assert stats.non_inferiority(a, b).effect == pytest.approx(a.mean() - b.mean())


def test_no_clear_benefit_is_one_sided():
    """An arm that is worse is of no benefit either; an equal one neither; a better one is."""
    b = spread(100, 2)
    for shift, status in ((-40, "reproduced"), (0, "reproduced"), (40, "contradicted"), (10, "inconclusive")):
        assert stats.non_superiority(spread(100 + shift, 2), b).status == status
    assert stats.equivalence(spread(60, 2), b).status == "contradicted"


def test_an_order_says_its_direction_in_words():
    falling = [[3, 3.1, 3.2], [2, 2.1, 2.2], [1, 1.1, 1.2]]
    assert ordered(falling).note == "falls with the level: higher in 0 % of pairs"
    assert ordered(falling, "decreasing").note == ordered(falling).note
    assert ordered(falling[::-1]).note == "rises with the level: higher in 100 % of pairs"
