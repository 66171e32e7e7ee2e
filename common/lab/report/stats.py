"""Statistics for few seeds: from one number per seed to a verdict on a claim.

A claim states a region for its effect: above 0, below 1/2, within ±10 %. The functions below turn seeds into an
effect, an interval and a p-value (of the decision, on the scale of 1 - level), and judge the region by one rule:

- a region with one end is **reproduced** if the interval at `LEVEL` (95 %) lies inside it, **contradicted** if outside;
- one with two ends (equality) is **reproduced** if the interval at 90 % lies inside, the two one-sided tests,
  **contradicted** if that at 95 % lies outside; the interval shown is the one that decides;
- else it is **inconclusive**; `seeds_to_settle` would decide it with a power of 80 % if the effect and spread seen were
  the true ones: a guide, uncertain itself. Fewer than three seeds in an arm: **untested (n < 3)**; none at all:
  **untested (no runs at this scale)**.

**Diverged seeds** (not finite) are never dropped in silence. They are left out of effect and interval, counted in the
note, and the verdict stands only if it also holds with all of them set to the lowest, and to the highest, value seen:
leaving them out alone would reward the method that fails. Aggregates of scores rank them below everything.

References: Welch 1947; Schuirmann 1987; Terpstra 1952, Jonckheere 1954; Clopper & Pearson 1934; Rao & Wu
1988 (bootstrap of strata); Agarwal et al. 2021, "Deep RL at the edge of the statistical precipice" (aggregates).
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import combinations, product
from math import comb, factorial, inf, isfinite, isnan, nan, prod
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import binom, binomtest, chi2, nct, norm, t

from common.lab.report.verdicts import Verdict, untested

LEVEL = 0.95
ALPHA = 1 - LEVEL
MARGIN = 0.1  # of the reference's mean: closer than that is "the same"
ROUNDING = 1e-12  # of the largest value: sums of some thousand float64 numbers differ by less, float32 results by more


def _require(condition, message):
    if not condition:
        raise ValueError(message)


class Test(Protocol):
    """A statistic of the seeds, as the rule above needs it: its `effect`, one-sided p-values of "effect <= bound" (above)
    and of "effect >= bound" (below), an interval, and the standard error [k] and degrees of freedom [k] to expect of
    `seeds` [k] per arm."""

    effect: float

    def p_above(self, bound: float) -> float: ...
    def p_below(self, bound: float) -> float: ...
    def interval(self, level: float) -> tuple[float, float]: ...
    def error(self, seeds: np.ndarray) -> tuple[np.ndarray | float, np.ndarray | float]: ...


def _judge(test: Test, n: int, low: float, high: float, quantity: str) -> Verdict:
    """The rule above, for `n` seeds in the smallest arm and the region low < effect < high."""
    two_ends = isfinite(low) and isfinite(high)
    is_in = max(test.p_above(low) if isfinite(low) else 0, test.p_below(high) if isfinite(high) else 0)
    is_out = min(test.p_below(low) if isfinite(low) else 1, test.p_above(high) if isfinite(high) else 1)
    p_in, p_out = float(min(1, is_in if two_ends else 2 * is_in)), float(min(1, 2 * is_out))
    p, shown = min(p_in, p_out), 2 * LEVEL - 1 if two_ends and p_in <= ALPHA else LEVEL
    bottom, top = map(float, test.interval(shown))
    status = ("reproduced" if p_in <= ALPHA else "contradicted") if p <= ALPHA else "inconclusive"
    settle = _seeds_to_settle(test, n, low, high) if status == "inconclusive" else None
    return Verdict(status, float(test.effect), bottom, top, shown, p, n, quantity, settle)


def _seeds_to_settle(test: Test, n: int, low: float, high: float) -> int | None:
    """Fewest seeds per arm beyond `n` that decide with a power of 80 %, by the noncentral t-distribution."""
    sizes, effect = np.arange(n + 1, 1001), test.effect
    with np.errstate(divide="ignore", invalid="ignore"):  # without a finite spread no size can be named
        se, df = test.error(sizes)
        near, far = np.sort(np.abs([effect - low, effect - high]))[:, None] / se
    both = low < effect < high and isfinite(high - low)  # equality: both one-sided tests must reject
    critical = t.isf(ALPHA if both else ALPHA / 2, df)
    power = nct.sf(critical, df, near) - (nct.cdf(critical, df, far) if both else 0)
    return int(sizes[np.argmax(power >= 0.8)]) if (power >= 0.8).any() else None


def _tested(arms, test, low, high, quantity, paired=False, fills=()) -> Verdict:
    """Judges `test(arms)`, a `Test`; treats diverged seeds as said above. `fills`: their lowest and highest value."""

    def judge(arms):
        n = min(map(len, arms))
        if n < 3:
            return untested("n < 3", test(arms).effect if n else nan, n=n, quantity=quantity)
        return _judge(test(arms), n, low, high, quantity)

    if not all(map(len, arms)):
        return untested("no runs at this scale", quantity=quantity)
    arms = _without_rounding(arms)
    finite = [np.isfinite(x) for x in arms]
    kept = [np.logical_and(*finite)] * 2 if paired else finite
    verdict = judge([x[ok] for x, ok in zip(arms, kept, strict=True)])
    if len(set(map(len, arms))) > 1:
        verdict = verdict.with_note(f"seeds per arm: {', '.join(str(len(x)) for x in arms)}")
    lost, seeds, seen = sum(int((~ok).sum()) for ok in finite), sum(map(len, arms)), np.concatenate(arms)
    if lost and verdict.p <= ALPHA:
        for fill in fills or (seen[np.isfinite(seen)].min(), seen[np.isfinite(seen)].max()):
            other = judge([np.where(ok, x, fill) for x, ok in zip(arms, finite, strict=True)])
            verdict = replace(verdict, p=max(verdict.p, other.p))
            if other.status != verdict.status:
                verdict = replace(verdict, status="inconclusive", reason="diverged")
    return verdict.with_note(f"{lost} of {seeds} seeds diverged, or have no number") if lost else verdict


def _arms(*values) -> list[np.ndarray]:
    arms = [np.asarray(x, dtype=float) for x in values]
    _require(arms and all(x.ndim == 1 for x in arms), f"arms hold [seeds]: got {[x.shape for x in arms]}")
    return arms


def _tolerance(arms) -> float:
    """How far apart equal values may lie after rounding; arms: [n] each, not finite ones ignored."""
    values = np.concatenate(arms)
    return ROUNDING * np.abs(values[np.isfinite(values)]).max(initial=0.0)


def _without_rounding(arms) -> list[np.ndarray]:
    """The arms with each value that rounding alone parts from a smaller one replaced by it, across all arms."""
    values, places = np.unique(np.concatenate(arms), return_inverse=True)
    with np.errstate(invalid="ignore"):  # infinities
        same = np.diff(values, prepend=np.nan) <= _tolerance(arms)  # as the next smaller value
    first = np.maximum.accumulate(np.where(same, 0, np.arange(len(values))))
    return np.split(values[first][places], np.cumsum([len(x) for x in arms])[:-1])


def magnitude(values: ArrayLike) -> float:
    """Size of a reference's return, for margins in its units: |mean| of the finite values [n], 1 if there are none."""
    finite = np.asarray(values)[np.isfinite(values)]
    return max(abs(float(finite.mean())), 1e-9) if len(finite) else 1.0


def _region(low, high) -> tuple[float, float]:
    low, high = -inf if low is None else float(low), inf if high is None else float(high)
    _require(low < high and (low, high) != (-inf, inf), f"a claim needs a bound, and low < high: got {low}, {high}")
    return low, high


class Welch:
    """Student's t for the mean of one arm, Welch's for a difference of two means (Satterthwaite's degrees of freedom)."""

    def __init__(self, arms: Sequence[np.ndarray], effect: float):
        self.effect = effect
        self.variances = np.array([x.var(ddof=1) if len(x) > 1 else nan for x in arms])
        self.se, self.df = self._error(np.array([len(x) for x in arms]))

    def _error(self, n):
        parts = self.variances / n
        return np.sqrt(parts.sum(-1)), parts.sum(-1) ** 2 / (parts**2 / (n - 1)).sum(-1)

    def p_above(self, bound: float) -> float:
        return t.sf((self.effect - bound) / self.se, self.df)

    def p_below(self, bound: float) -> float:
        return t.cdf((self.effect - bound) / self.se, self.df)

    def interval(self, level: float) -> tuple[float, float]:
        return self.effect + self.se * t.ppf([(1 - level) / 2, (1 + level) / 2], self.df)

    def error(self, seeds: np.ndarray) -> tuple[np.ndarray | float, np.ndarray | float]:
        return self._error(seeds[:, None])


class Agreement:
    """The same for arms whose seeds agree to the last digits. They leave nothing to divide by, yet do not prove that there
    is no spread: p is that of the exact randomisation test, one split (two arms) or one choice of signs (one) among all."""

    def __init__(self, arms: Sequence[np.ndarray], effect: float):
        (n, *_), total, self.tolerance = map(len, arms), sum(map(len, arms)), _tolerance(arms)
        self.effect = effect if abs(effect) > self.tolerance else 0.0
        self.p = 1 / (comb(total, n) if len(arms) == 2 else 2.0**n)

    def p_above(self, bound: float) -> float:
        return self.p if self.effect > bound + self.tolerance else 1

    def p_below(self, bound: float) -> float:
        return self.p if self.effect < bound - self.tolerance else 1

    def interval(self, level: float) -> tuple[float, float]:
        return self.effect, self.effect

    def error(self, seeds: np.ndarray) -> tuple[np.ndarray | float, np.ndarray | float]:
        return nan, 1e6


def _t_test(arms, effect) -> Test:
    deviation = np.sqrt(np.max([x.var(ddof=1) if len(x) > 1 else nan for x in arms]))
    return (Agreement if deviation <= _tolerance(arms) else Welch)(arms, effect)


class Relative:
    """Welch's test of a difference against a bound that is itself a share of the second arm's mean. mean(a) - mean(b) > f
    mean(b) is mean(a) - (1 + f) mean(b) > 0, which is tested as such: the reference's error counts in the bound too."""

    def __init__(self, arms: Sequence[np.ndarray]):
        self.arms = arms
        self.difference = _t_test(arms, arms[0].mean() - arms[1].mean())
        self.effect = self.difference.effect

    def _scaled(self, bound):
        a, b = self.arms
        mean = b.mean()
        scaled = (1 + bound / mean) * b if mean else b + bound
        return _t_test([a, scaled], a.mean() - scaled.mean())

    def p_above(self, bound: float) -> float:
        return self._scaled(bound).p_above(0.0)

    def p_below(self, bound: float) -> float:
        return self._scaled(bound).p_below(0.0)

    def interval(self, level: float) -> tuple[float, float]:
        return self.difference.interval(level)

    def error(self, seeds: np.ndarray) -> tuple[np.ndarray | float, np.ndarray | float]:
        return self.difference.error(seeds)


def _compare(a, b, low, high, quantity, paired=False) -> Verdict:
    def test(arms):
        return _t_test([arms[0] - arms[1]] if paired else arms, arms[0].mean() - arms[1].mean())

    _require(not paired or len(a) == len(b), f"paired arms hold the same seeds: got {len(a)} and {len(b)}")
    return _tested(_arms(a, b), test, low, high, quantity, paired)


def difference(
    a: ArrayLike, b: ArrayLike, paired: bool = False, direction: str = "greater", margin: float = 0.0, quantity: str = ""
) -> Verdict:
    """Claim: mean(a) - mean(b) is greater than margin, or less than -margin.

    Welch's t-test, for arms of unequal spread; Student's on the differences if `paired` (a[i], b[i] share streams).
    Seeds must be independent, means near normal. a [n], b [m], one number per seed. ValueError: unknown direction,
    margin < 0, paired arms of two lengths.
    """
    regions = {"greater": (margin, inf), "less": (-inf, -margin)}
    message = f"needs margin >= 0 and a direction of {', '.join(regions)}: got {margin} and {direction!r}"
    _require(direction in regions and margin >= 0, message)
    return _compare(a, b, *regions[direction], quantity, paired)


def equivalence(
    a: ArrayLike, b: ArrayLike, margin: float | None = None, quantity: str = "", share: float = MARGIN
) -> Verdict:
    """Claim: |mean(a) - mean(b)| < margin ("as good as"). Two one-sided t-tests (Schuirmann 1987).

    margin: in the units of a, fixed before the runs; without it the claim is that mean(a) lies within `share` of mean(b), by
    `Relative`. Conditions as in `difference`. ValueError: margin <= 0, share not in (0, 1).
    """
    return _near(a, b, -1, 1, margin, share, quantity)


def non_inferiority(
    a: ArrayLike, b: ArrayLike, margin: float | None = None, quantity: str = "", share: float = MARGIN
) -> Verdict:
    """Claim: mean(a) - mean(b) > -margin ("a reaches b"). As in `equivalence`, of which it is one side; margin may be 0."""
    return _near(a, b, -1, inf, margin, share, quantity)


def non_superiority(
    a: ArrayLike, b: ArrayLike, margin: float | None = None, quantity: str = "", share: float = MARGIN
) -> Verdict:
    """Claim: mean(a) - mean(b) < margin ("a is of no clear benefit over b": it may be worse). As in `non_inferiority`."""
    return _near(a, b, -inf, 1, margin, share, quantity)


def _near(a, b, low, high, margin, share, quantity):
    """The three above: low, high are the ends of the region in margins."""
    both = isfinite(low) and isfinite(high)
    if margin is not None:
        _require(margin > 0 or (margin == 0 and not both), f"margin {margin} is not positive")
        return _compare(a, b, *(end * margin if isfinite(end) else end for end in (low, high)), quantity)
    _require(0 < share < 1, f"share {share} is not between 0 and 1")
    arms = _arms(a, b)
    margin = share * magnitude(arms[1])
    return _tested(arms, Relative, low * margin, high * margin, quantity)


def mean_within(a: ArrayLike, low: float | None = None, high: float | None = None, quantity: str = "") -> Verdict:
    """Claim: low < mean(a) < high, one bound or both, for a [n]. Student's t. ValueError: no bound, low >= high."""
    return _tested(_arms(a), lambda arms: _t_test(arms, arms[0].mean()), *_region(low, high), quantity)


def exact(value: float, low: float | None = None, high: float | None = None, quantity: str = "") -> Verdict:
    """Claim: low < value < high, one bound or both, of a number that is counted or computed and not sampled: its interval is
    itself, and nothing is left to chance. Untested if it is NaN. ValueError: no bound, low >= high."""
    low, high = _region(low, high)
    if isnan(value):
        return untested("no runs at this scale", quantity=quantity)
    status = "reproduced" if low < value < high else "contradicted"
    return Verdict(status, value, value, value, p=0.0, n=1, quantity=quantity)


class Binomial:
    """k successes in n trials: the exact test and interval of a chance (Clopper & Pearson 1934)."""

    def __init__(self, k: int, n: int):
        self.k, self.n, self.effect = k, n, k / n

    def p_above(self, bound: float) -> float:
        return binom.sf(self.k - 1, self.n, bound)

    def p_below(self, bound: float) -> float:
        return binom.cdf(self.k, self.n, bound)

    def interval(self, level: float) -> tuple[float, float]:
        return binomtest(self.k, self.n).proportion_ci(level)

    def error(self, seeds: np.ndarray) -> tuple[np.ndarray | float, np.ndarray | float]:
        smooth = (self.k + 2) / (self.n + 4)  # Agresti & Coull 1998: 0 of n has an error too
        return np.sqrt(smooth * (1 - smooth) / seeds), 1e6


def proportion(k: int, n: int, low: float | None = None, high: float | None = None, quantity: str = "") -> Verdict:
    """Claim: low < chance of success < high, after k successes in n trials. Exact.

    Trials are independent: seeds, not episodes of one; a diverged one is no success. ValueError: k not in 0 … n, no bound,
    low >= high, a bound outside [0, 1].
    """
    low, high = _region(low, high)
    possible = 0 <= k <= n and (low >= 0 or low == -inf) and (high <= 1 or high == inf)
    _require(possible, f"{k} successes in {n} trials, bounds {low} and {high}: not possible")
    if n < 3:
        return untested("n < 3" if n else "no runs at this scale", k / n if n else nan, n=n, quantity=quantity)
    return _judge(Binomial(k, n), n, low, high, quantity)


class Deviation:
    """The deviation within groups, one for all, of normal values: chi-square on squared distances from the groups' means."""

    def __init__(self, groups: Sequence[np.ndarray]):
        self.groups, self.df = len(groups), sum(len(x) - 1 for x in groups)
        self.squares = float(sum(((x - x.mean()) ** 2).sum() for x in groups))
        self.effect = float(np.sqrt(self.squares / self.df))

    def p_above(self, bound: float) -> float:
        return chi2.sf(self.squares / bound**2, self.df)

    def p_below(self, bound: float) -> float:
        return chi2.cdf(self.squares / bound**2, self.df)

    def interval(self, level: float) -> tuple[float, float]:
        low, high = chi2.ppf([(1 + level) / 2, (1 - level) / 2], self.df)
        return float(np.sqrt(self.squares / low)), float(np.sqrt(self.squares / high))

    def error(self, seeds: np.ndarray) -> tuple[np.ndarray | float, np.ndarray | float]:
        df = self.groups * (seeds - 1)
        return self.effect / np.sqrt(2 * df), df


def deviation_below(groups: Sequence[ArrayLike], high: float, quantity: str = "") -> Verdict:
    """Claim: the standard deviation within groups, which is the same in each, is below `high`. Exact for normal values.

    groups: [seeds] each, of three or more. Where a seed diverged nothing is decided. ValueError: high <= 0.
    """
    _require(high > 0, f"a deviation is below a bound above 0: got {high}")
    arms = _arms(*groups) if len(groups) else []
    if not all(map(len, arms)) or not arms:
        return untested("no runs at this scale", quantity=quantity)
    finite = [x[np.isfinite(x)] for x in arms]
    n, lost = min(map(len, finite)), sum(len(x) for x in arms) - sum(len(x) for x in finite)
    if n < 3:
        return untested("n < 3", n=n, quantity=quantity)
    verdict = _judge(Deviation(finite), n, -inf, high, quantity)
    if lost:
        verdict = replace(verdict, status="inconclusive", reason="diverged", seeds_to_settle=None)
        verdict = verdict.with_note(f"{lost} of {sum(map(len, arms))} seeds diverged, or have no number")
    return verdict


def jonckheere_null(sizes: Sequence[int], ties: Sequence[int]) -> np.ndarray:
    """P(2·JT = s), s = 0 … 2·pairs, over all allocations of the observations to levels, which are equally likely.

    JT counts the pairs in which the later level exceeds the earlier, ties a half. sizes [levels]; ties: observations
    per distinct value, ascending (all 1: no ties). A state is how many of the values so far each level has got.
    """
    _require(prod(n + 1 for n in sizes) <= 20_000, f"levels of {list(sizes)} seeds are too many to enumerate")
    width = 2 * sum(x * y for x, y in combinations(sizes, 2)) + 1
    states = {(0,) * len(sizes): np.eye(1, width)[0]}
    for tie in ties:
        grown: dict[tuple, np.ndarray] = defaultdict(lambda: np.zeros(width))
        for counts, weights in states.items():
            room = (range(min(tie, n - c) + 1) for n, c in zip(sizes, counts, strict=True))
            for new in (x for x in product(*room) if sum(x) == tie):
                gain = sum((2 * sum(counts[:j]) + sum(new[:j])) * x for j, x in enumerate(new))
                grown[tuple(np.add(counts, new))][gain:] += weights[: width - gain] / prod(map(factorial, new))
        states = grown
    (weights,) = states.values()
    return weights / weights.sum()


class Jonckheere:
    """Share of pairs in which the later level exceeds the earlier, ties a half, over strata of `levels` arms each.

    The interval is Wilson's with the effective number of pairs of the exact null variance, widened to 1/2 where the test
    allows 1/2: for three levels of 3-10 normal seeds it covers 94 % or more, a bootstrap of 4 less.
    """

    def __init__(self, arms: Sequence[np.ndarray], levels: int):
        seen, null = 0, np.ones(1)
        for stratum in (arms[i : i + levels] for i in range(0, len(arms), levels)):
            for earlier, later in combinations(stratum, 2):
                seen += int(((earlier[:, None] < later) * 2 + (earlier[:, None] == later)).sum())
            ties = np.unique(np.concatenate(stratum), return_counts=True)[1].tolist()
            null = np.convolve(null, jonckheere_null([len(x) for x in stratum], ties))
        self.effect, self.rising, self.falling = seen / (len(null) - 1), null[seen:].sum(), null[: seen + 1].sum()
        self.variance = null @ (np.linspace(0, 1, len(null)) - 0.5) ** 2
        self.n = min(map(len, arms))

    def p_above(self, bound: float) -> float:  # of 1/2, the only bound of an order
        return self.rising

    def p_below(self, bound: float) -> float:
        return self.falling

    def interval(self, level: float) -> tuple[float, float]:
        w = norm.isf((1 - level) / 2) ** 2 * 4 * self.variance  # z² / n, n the effective number of independent pairs
        half = np.sqrt(w * self.effect * (1 - self.effect) + w * w / 4)
        low, high = (self.effect + w / 2 - half) / (1 + w), (self.effect + w / 2 + half) / (1 + w)
        return (min(low, 0.5), max(high, 0.5)) if 2 * min(self.rising, self.falling) > 1 - level else (low, high)

    def error(self, seeds: np.ndarray) -> tuple[np.ndarray | float, np.ndarray | float]:
        return np.sqrt(self.variance * self.n / seeds), 1e6  # the null variance falls about as 1/n


def ordered(
    groups: Sequence[ArrayLike] | Mapping[str, Sequence[ArrayLike]],
    direction: str = "increasing",
    quantity: str = "P(later level is higher)",
) -> Verdict:
    """Claim: values rise (or fall, "decreasing") with the level. Exact Jonckheere-Terpstra permutation test with ties.

    groups: [levels][seeds] in the claimed order, or {environment: [levels][seeds]}: JT is summed, labels are permuted
    within an environment. Effect: share of pairs in which the later level exceeds the earlier (1/2: no order). p: twice
    the smaller one-sided. Diverged seeds are put below, then above, all others. ValueError: under two levels, unknown
    direction, too many.
    """
    regions = {"increasing": (0.5, inf), "decreasing": (-inf, 0.5)}
    _require(direction in regions, f"direction {direction!r} is none of {', '.join(regions)}")
    strata = [_arms(*levels) for levels in (groups.values() if isinstance(groups, Mapping) else [groups])]
    counts = [len(levels) for levels in strata]
    _require(counts and 1 < min(counts) == max(counts), f"order needs two levels, as many everywhere: got {counts}")
    low, high = regions[direction]
    arms = sum(strata, [])
    verdict = _tested(arms, lambda arms: Jonckheere(arms, counts[0]), low, high, quantity, fills=(-inf, inf))
    if isnan(verdict.effect):
        return verdict
    trend = "rises" if verdict.effect > 0.5 else "falls" if verdict.effect < 0.5 else "neither rises nor falls"
    return verdict.with_note(f"{trend} with the level: higher in {100 * verdict.effect:.0f} % of pairs")


def _scores(method) -> list[np.ndarray]:
    return [np.where(np.isnan(x), -inf, x) for x in (np.asarray(x, dtype=float) for x in method)]


def iqm(method: Sequence[ArrayLike]) -> np.ndarray:
    """Interquartile mean [...] of all runs; method: scores on one scale, [..., seeds] per environment; NaN as -inf."""
    runs = np.sort(np.concatenate(_scores(method), axis=-1), axis=-1)
    return runs[..., runs.shape[-1] // 4 : runs.shape[-1] - runs.shape[-1] // 4].mean(-1)


def probability_of_improvement(a: Sequence[ArrayLike], b: Sequence[ArrayLike]) -> np.ndarray:
    """P(a run of method a scores above one of b) [...], ties a half, averaged over environments; on any scale."""
    pairs = [(x[..., :, None], y[..., None, :]) for x, y in zip(_scores(a), _scores(b), strict=True)]
    return np.mean([((x > y) + 0.5 * (x == y)).mean((-2, -1)) for x, y in pairs], axis=0)


def stratified_bootstrap(
    statistic: Callable[..., np.ndarray], *methods: Sequence[ArrayLike], replicates: int = 10_000, seed: int = 0
) -> np.ndarray:
    """`statistic(*methods)` [replicates, ...] on resamples of the seeds within each environment.

    A statistic takes leading axes, as the three above do. Of n seeds, n - 1 are drawn with replacement (Rao & Wu 1988):
    n draws make the variance too small by 1/n. 95 % percentile intervals, simulated over 3-5 environments, then cover
    93-96 % at n = 10; at n = 4, 90-93 % for an IQM, 93-96 % for a difference of two. ValueError: n < 2, no environment.
    """
    arms = [_arms(*method) for method in methods]
    _require(all(len(x) > 1 for method in arms for x in method), "a bootstrap needs two seeds in every environment")
    rng = np.random.Generator(np.random.Philox(seed))
    with np.errstate(invalid="ignore"):  # -inf less -inf
        return statistic(*[[rng.choice(x, (replicates, len(x) - 1)) for x in method] for method in arms])


class Bootstrap:
    """Percentile intervals of a `sample` of replicates [replicates]; those that are no number count against both sides."""

    def __init__(self, effect: float, sample: np.ndarray, n: int, tolerance: float):
        self.effect, self.sample, self.n, self.tolerance = effect, sample, n, tolerance

    def p_above(self, bound: float) -> float:
        return (1 + (~(self.sample > bound + self.tolerance)).sum()) / (1 + len(self.sample))

    def p_below(self, bound: float) -> float:
        return (1 + (~(self.sample < bound - self.tolerance)).sum()) / (1 + len(self.sample))

    def interval(self, level: float) -> tuple[float, float]:
        return np.quantile(self.sample, ((1 - level) / 2, (1 + level) / 2), method="inverted_cdf")

    def error(self, seeds: np.ndarray) -> tuple[np.ndarray | float, np.ndarray | float]:
        return np.std(self.sample) * np.sqrt(self.n / seeds), 1e6


def aggregate(
    statistic: Callable[..., np.ndarray],
    *methods: Sequence[ArrayLike],
    low: float | None = None,
    high: float | None = None,
    quantity: str = "",
) -> Verdict:
    """Claim: low < statistic(*methods) < high over three environments or more. Percentile stratified bootstrap.

    methods: [seeds] per environment each. `aggregate(probability_of_improvement, a, b, low=0.5)`;
    `aggregate(lambda a, b: iqm(a) - iqm(b), a, b, low=0)`. Fewer than three environments: untested. ValueError: no bound,
    low >= high, no environment, empty arm.
    """
    low, high = _region(low, high)
    if not any(map(len, methods)):
        return untested("no runs at this scale", quantity=quantity)
    arms = [_arms(*method) for method in methods]
    environments = [_without_rounding(arms_of_one) for arms_of_one in zip(*arms, strict=True)]
    arms = [list(method) for method in zip(*environments, strict=True)]
    runs, n = np.concatenate(sum(arms, [])), min(map(len, sum(arms, [])))
    _require(n, "an aggregate needs a seed in every environment")
    with np.errstate(invalid="ignore"):
        effect = float(statistic(*arms))
    if n < 3 or min(map(len, arms)) < 3:
        return untested("n < 3" if n < 3 else "fewer than 3 environments", effect, n=n, quantity=quantity)
    test = Bootstrap(effect, stratified_bootstrap(statistic, *arms), n, _tolerance([runs]))
    verdict = _judge(test, n, low, high, quantity)
    lost = int((~np.isfinite(runs)).sum())
    return verdict.with_note(f"{lost} of {len(runs)} seeds diverged, ranked lowest") if lost else verdict
