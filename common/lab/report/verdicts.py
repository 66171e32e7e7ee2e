"""Verdicts on a claim, on a claim of several parts, and on all claims of a paper.

Holm 1979, A simple sequentially rejective multiple test procedure; Benjamini & Heller 2008, Screening for partial
conjunction hypotheses.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import ceil, isnan, nan
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import norm

from common.lab.results.records import Results

STATUSES = ("reproduced", "contradicted", "inconclusive", "untested")


@dataclass(frozen=True)
class Verdict:
    """What the seeds say of one claim; NaN where a field does not apply. ValueError: unknown status."""

    status: str  # one of STATUSES
    effect: float = nan  # in the units of `quantity`
    low: float = nan  # interval of the effect
    high: float = nan
    level: float = 0.95  # of that interval
    p: float = nan  # of the decision
    n: int = 0  # finite seeds in the smallest arm
    quantity: str = ""  # what the effect is, in a phrase: "difference in final return, ARSAC - SAC"
    seeds_to_settle: int | None = None  # per arm, of an inconclusive one; None: unknown, or more than 1000
    reason: str = ""  # why there is no decision: "budget", "n < 3", "diverged", "in part", "Holm"
    note: str = ""
    parts: Mapping[str, "Verdict"] = field(default_factory=dict)  # by environment, of a claim about several
    needs: tuple[int, int] | None = None  # the least steps and seeds that can test the claim

    def __post_init__(self):
        if self.status not in STATUSES:
            raise ValueError(f"status {self.status!r} is none of {', '.join(STATUSES)}")

    def with_note(self, note: str) -> "Verdict":
        return replace(self, note="; ".join(filter(None, (self.note, note))))

    def __str__(self) -> str:
        """One line: status, effect, interval, p, n, what would settle it, note."""
        interval = "" if isnan(self.low) else f" [{self.low:.4g}, {self.high:.4g}] ({100 * self.level:g} %)"
        p = "" if isnan(self.p) else f", p = {self.p:.2g}"
        settle = f", about {self.seeds_to_settle} per arm would settle it" if self.seeds_to_settle else ""
        line = f"{self.quantity or 'effect'} = {self.effect:.4g}{interval}{p}, n = {self.n}{settle}"
        return f"{self.status}{f' ({self.reason})' * bool(self.reason)}: {line}{f'; {self.note}' * bool(self.note)}"


def untested(reason: str, effect: float = nan, **fields: Any) -> Verdict:
    """No verdict, for `reason`; the effect is shown all the same."""
    return Verdict("untested", float(effect), reason=reason, **fields)


def conjunction(parts: Mapping[str, Verdict], quantity: str) -> Verdict:
    """Claim: all parts hold. `quantity`: what their effects are, in a phrase.

    Reproduced if each part is, at its own level (the intersection-union test: the largest p counts, no correction is
    needed); contradicted if one is after a Bonferroni correction for their number; untested if one is, or if there is none;
    else inconclusive. Effect and interval are those of the part that decides; the note lists the others.
    """
    if not parts:
        return untested("no runs at this scale", quantity=quantity)
    name, verdict = _deciding(parts)
    if len(parts) == 1:
        return replace(verdict, quantity=quantity)
    split = any(part.status != verdict.status for part in parts.values())
    effects = [f"{other} {part.effect:.3g}" + f" ({part.status})" * split for other, part in parts.items()]
    verdict = replace(verdict, quantity=f"{quantity}; {name}").with_note("all parts: " + ", ".join(effects))
    for other, part in parts.items():
        verdict = verdict.with_note(f"{other}: {part.note}") if part.note and other != name else verdict
    return verdict


def over_environments(parts: Mapping[str, Verdict], quantity: str) -> Verdict:
    """Claim: it holds in each environment, {environment: its verdict}. A `conjunction` that keeps its parts: each is shown,
    and counted by `holm_verdicts`, on its own."""
    return replace(conjunction(parts, quantity), parts=dict(parts))


def at_least(count: int, parts: Mapping[str, Verdict], quantity: str) -> Verdict:
    """Claim: `count` of the parts hold, or more. `quantity`: what their effects are, in a phrase.

    Of k parts in order of p, the `count`th of those reproduced decides: reproduced if k - count + 1 times its p is at most
    0.05 (the partial conjunction test of Benjamini and Heller, by Bonferroni). Contradicted in the same way if so many are
    that fewer than `count` are left. Else untested if a part is, or inconclusive. Fewer parts than `count`: untested.
    ValueError: count < 1.
    """
    if count < 1:
        raise ValueError(f"a claim about at least {count} parts says nothing")
    if len(parts) < count:
        return untested("no runs at this scale" if not parts else "in part", quantity=quantity)
    for status, needed in (("reproduced", count), ("contradicted", len(parts) - count + 1)):
        ranked = sorted((part for part in parts if parts[part].status == status), key=lambda part: parts[part].p)
        if len(ranked) >= needed:
            p = (len(parts) - needed + 1) * parts[ranked[needed - 1]].p
            if p <= 0.05:
                return _counted(parts, ranked[needed - 1], quantity, p=p)
    missing = [name for name, part in parts.items() if part.status == "untested"]
    if missing:
        return _counted(parts, missing[0], quantity)
    order = sorted(parts, key=lambda part: ({"reproduced": 0, "contradicted": 2}.get(parts[part].status, 1), parts[part].p))
    return _counted(parts, order[count - 1], quantity, status="inconclusive", seeds_to_settle=None)


def _counted(parts, name, quantity, **changed):
    effects = [f"{other} {part.effect:.3g} ({part.status})" for other, part in parts.items()]
    verdict = replace(parts[name], quantity=f"{quantity}; {name}", **changed)
    return verdict.with_note("all parts: " + ", ".join(effects))


def in_part(verdict: Verdict, ran: Sequence[str], lacking: Sequence[str]) -> Verdict:
    """The verdict of a trial in the environments that `ran` on a claim that is about those `lacking` too. One environment
    refutes what is said of each; nothing else is decided: untested (in part). Effect, interval and parts stay."""
    noted = verdict.with_note(f"{', '.join(ran)} alone; not run: {', '.join(lacking)}")
    if verdict.parts and verdict.status == "contradicted":
        return noted
    reason = verdict.reason if verdict.status == "untested" else "in part"
    return replace(noted, status="untested", reason=reason, seeds_to_settle=None)


def _deciding(parts):
    """The deciding part's name, and its verdict with p, status and seeds replaced by those of the conjunction."""
    contradicted = {name: v for name, v in parts.items() if v.status == "contradicted" and v.p * len(parts) <= 0.05}
    missing = [name for name, v in parts.items() if v.status == "untested"]
    undecided = {name: v for name, v in parts.items() if v.status != "reproduced"}
    if contradicted:
        name = min(contradicted, key=lambda part: contradicted[part].p)
        return name, replace(parts[name], p=min(1.0, len(parts) * parts[name].p))
    if missing:
        return missing[0], parts[missing[0]]
    if undecided:
        name = max(undecided, key=lambda part: (undecided[part].status == "inconclusive", undecided[part].p))
        settle = [v.seeds_to_settle for v in undecided.values()]
        settle = None if None in settle else max(settle)
        return name, replace(parts[name], status="inconclusive", seeds_to_settle=settle)
    name = max(parts, key=lambda part: parts[part].p)
    return name, parts[name]


def judged(verdict: Verdict, *results: Results, steps: int, seeds: int) -> Verdict:
    """`verdict` if all `results` have the least budget that can test the claim, else untested (budget), as are its parts:
    effect and interval stay.

    steps: of training; seeds: per cell. Results without cells have no budget, unless `others` counts the cells that they
    would have.
    """
    budgets = [(result.budget, result.seeds) for result in results if result.cells or not result.others]
    had_steps, had_seeds = map(min, zip(*budgets, strict=True)) if budgets else (0, 0)
    verdict = replace(verdict, needs=(steps, seeds))
    if had_steps >= steps and had_seeds >= seeds:
        return verdict
    note = f"{had_steps:,} of {steps:,} steps, {had_seeds} of {seeds} seeds"

    def short(v):
        return replace(v, status="untested", reason="budget", seeds_to_settle=None)

    return replace(short(verdict), parts={name: short(part) for name, part in verdict.parts.items()}).with_note(note)


def holm(p_values: ArrayLike) -> np.ndarray:
    """Holm's adjusted p-values [k], in the order given; NaN stays and does not count. ValueError: p not in [0, 1]."""
    p = np.asarray(p_values, dtype=float)
    if p.ndim != 1 or ((p < 0) | (p > 1)).any():
        raise ValueError(f"p-values are a list of numbers in [0, 1]: got {p}")
    adjusted, order = np.full(len(p), nan), np.argsort(p, kind="stable")[: (~np.isnan(p)).sum()]
    adjusted[order] = np.minimum(1, np.maximum.accumulate(p[order] * np.arange(len(order), 0, -1)))
    return adjusted


def holm_verdicts(verdicts: Mapping[str, Verdict], alpha: float = 0.05) -> dict[str, Verdict]:
    """The verdicts of one family of claims; those decided whose Holm-adjusted p exceeds `alpha` become inconclusive (Holm).

    A hypothesis is a claim, or each environment of a claim about several. Such a claim costs nothing beyond its parts: it
    stays reproduced if all of them do (the intersection-union test), contradicted if one does. Untested hypotheses and those
    without p stay and do not count. `p` stays the hypothesis's own, the note gives the adjusted one. A demoted one is
    settled, by the normal distribution, by the seeds that reach its threshold with a power of 80 %.
    """
    hypotheses = {(x, part): v for x, claim in verdicts.items() for part, v in (claim.parts or {"": claim}).items()}
    tested = {key: v for key, v in hypotheses.items() if v.status != "untested" and not isnan(v.p)}
    p_values = [1.0 if v.status == "inconclusive" else v.p for v in tested.values()]  # counted, and last in rank
    for (key, v), adjusted in zip(tested.items(), holm(p_values), strict=True):
        if v.status != "inconclusive":
            hypotheses[key] = _corrected(v, float(adjusted), len(tested), alpha)
    return {x: _rebuilt(v, {part: hypotheses[x, part] for part in v.parts or [""]}) for x, v in verdicts.items()}


def _corrected(v, adjusted, count, alpha):
    v = v.with_note(f"p = {adjusted:.2g} after Holm over {count} hypotheses")
    if adjusted <= alpha:
        return v
    z, needed = norm.isf(v.p / 2), norm.isf(alpha * v.p / adjusted / 2) + norm.isf(0.2)
    return replace(v, status="inconclusive", reason="Holm", seeds_to_settle=ceil(v.n * (needed / z) ** 2))


def _rebuilt(claim, parts):
    """A claim whose hypotheses are these after Holm."""
    if not claim.parts:
        return parts[""]
    statuses = {part.status for part in parts.values()}
    stands = {"reproduced": statuses == {"reproduced"}, "contradicted": "contradicted" in statuses}
    if stands.get(claim.status, True):
        return replace(claim, parts=parts)
    settle = [part.seeds_to_settle for part in parts.values() if part.status == "inconclusive"]
    least = None if None in settle else max(settle)
    return replace(claim, parts=parts, status="inconclusive", reason="Holm", seeds_to_settle=least)
