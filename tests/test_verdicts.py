"""Verdicts of several parts, within a budget, and corrected over a paper."""

from dataclasses import FrozenInstanceError, replace

import numpy as np
import pytest

from common.lab.report.verdicts import (
    Verdict,
    at_least,
    conjunction,
    holm,
    holm_verdicts,
    in_part,
    judged,
    over_environments,
    untested,
)
from common.lab.results.records import Results
from tests.samples import generator

nan = np.nan


def part(status, p, **fields):
    return Verdict(status, 1.0, 0.5, 1.5, p=p, n=4, **fields)


YES, NO, OPEN = part("reproduced", 0.04), part("contradicted", 0.04), part("inconclusive", 0.3, seeds_to_settle=20)


def test_a_conjunction_needs_all_parts_and_corrects_what_contradicts():
    assert conjunction({"a": YES, "b": part("reproduced", 0.01)}, "").status == "reproduced"
    assert conjunction({"a": YES, "b": part("reproduced", 0.01)}, "").p == 0.04
    assert conjunction({"a": YES, "b": OPEN}, "").status == "inconclusive"
    assert conjunction({"a": YES, "b": NO}, "").status == "inconclusive"  # 0.08 after Bonferroni
    found = conjunction({"a": OPEN, "b": part("contradicted", 0.01)}, "")
    assert (found.status, found.p) == ("contradicted", 0.02)
    assert conjunction({"a": YES, "b": part("untested", np.nan)}, "").status == "untested"


def test_a_conjunction_of_one_part_is_that_part_and_of_none_untested():
    assert conjunction({"a": OPEN}, "gain") == part("inconclusive", 0.3, seeds_to_settle=20, quantity="gain")
    found = conjunction({}, "gain")
    assert (found.status, found.reason, found.quantity) == ("untested", "no runs at this scale", "gain")


def test_at_least_two_of_three_parts():
    """The second p in order, times the number of ways in which it could be the least of those that fail."""
    good, bad = part("reproduced", 0.01), part("contradicted", 0.01)
    found = at_least(2, {"a": good, "b": part("reproduced", 0.02), "c": NO}, "gain")
    assert (found.status, found.p, found.quantity) == ("reproduced", 0.04, "gain; b")
    assert at_least(2, {"a": good, "b": YES, "c": NO}, "").status == "inconclusive"  # 2 x 0.04
    assert at_least(2, {"a": good, "b": YES, "c": part("reproduced", 0.001)}, "").p == 0.02
    assert at_least(2, {"a": good, "b": OPEN, "c": OPEN}, "").status == "inconclusive"
    found = at_least(2, {"a": good, "b": bad, "c": part("contradicted", 0.02)}, "")
    assert (found.status, found.p) == ("contradicted", 0.04)
    assert at_least(2, {"a": good, "b": bad, "c": OPEN}, "").status == "inconclusive"
    assert at_least(1, {"a": good, "b": bad, "c": bad}, "").p == 0.03  # any of three
    assert at_least(1, {"a": bad, "b": bad, "c": part("contradicted", 0.05)}, "").p == 0.05  # all of three
    assert at_least(2, {"a": good, "b": good, "c": part("untested", np.nan)}, "").status == "reproduced"
    assert at_least(2, {"a": good, "b": OPEN, "c": part("untested", np.nan)}, "").status == "untested"
    assert at_least(2, {"a": good}, "").status == at_least(2, {}, "").status == "untested"
    with pytest.raises(ValueError, match="at least 0"):
        at_least(0, {}, "")


def test_a_conjunction_tells_the_parts_that_do_not_decide():
    lost = part("reproduced", 0.01, note="1 of 8 seeds diverged")
    found = conjunction({"a": OPEN, "b": lost}, "gain")
    assert (found.quantity, found.seeds_to_settle) == ("gain; a", 20)
    assert found.note == "all parts: a 1 (inconclusive), b 1 (reproduced); b: 1 of 8 seeds diverged"
    assert conjunction({"a": YES, "b": lost}, "gain").note == "all parts: a 1, b 1; b: 1 of 8 seeds diverged"
    # Seeds are asked for only where every undecided part says how many.
    assert conjunction({"a": OPEN, "b": part("inconclusive", 0.5)}, "").seeds_to_settle is None


def test_a_verdict_stands_on_the_results_with_the_least_budget():
    class Run:
        def __init__(self, budget, seeds):
            self.budget, self.seeds, self.cells, self.others = budget, seeds, [None], 0

    budget = {"steps": 100, "seeds": 3}
    assert judged(YES, Run(100, 3), Run(200, 5), **budget) == replace(YES, needs=(100, 3))
    for short in (Run(99, 3), Run(100, 2), Results("smoke", [])):
        found = judged(YES, Run(100, 3), short, **budget)
        assert (found.status, found.reason, found.effect, found.low) == ("untested", "budget", 1.0, 0.5)
        assert str(found).startswith("untested (budget): ") and found.needs == (100, 3)
    halves = over_environments({"A": YES, "B": YES}, "gain")
    parts = judged(halves, Run(99, 3), **budget).parts
    assert {part.status for part in parts.values()} == {"untested"} and parts["A"].effect == YES.effect
    # A claim that is put to one environment is not short of an experiment that runs in others alone.
    assert judged(YES, Run(100, 3), Results("paper", [], others=2), **budget).status == "reproduced"


def test_a_verdict_is_one_readable_line():
    line = str(Verdict("inconclusive", 1.5, -0.5, 3.5, p=0.1, n=4, quantity="gain", seeds_to_settle=9, note="so"))
    assert line == "inconclusive: gain = 1.5 [-0.5, 3.5] (95 %), p = 0.1, n = 4, about 9 per arm would settle it; so"
    assert str(untested("budget", 2.0, quantity="gain", n=1)) == "untested (budget): gain = 2, n = 1"
    with pytest.raises(FrozenInstanceError):
        Verdict("untested").status = "reproduced"


# ---- Holm ----


def test_holm_by_hand():
    """0.005 · 4, 0.01 · 3, 0.03 · 2, and 0.04 · 1 raised to the 0.06 before it."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, 0.9]) == pytest.approx([1, 1])
    assert holm([0.02, nan, 0.03]) == pytest.approx([0.04, nan, 0.04], nan_ok=True)
    assert len(holm([])) == 0


def test_holm_laws():
    p = generator(18).uniform(size=20) ** 3
    adjusted = holm(p)
    assert (adjusted >= p).all() and (adjusted <= np.minimum(1, 20 * p) + 1e-12).all()
    assert (np.diff(adjusted[np.argsort(p)]) >= 0).all()
    order = generator(19).permutation(20)
    assert np.allclose(holm(p[order]), adjusted[order])


def test_holm_keeps_the_family_wise_error():
    p = generator(20).uniform(size=(4000, 10))
    assert np.mean([holm(x).min() <= 0.05 for x in p]) <= 0.06


def test_holm_demotes_what_does_not_survive():
    made = {
        "strong": Verdict("reproduced", 1.0, p=0.001, n=4),
        "weak": Verdict("contradicted", -1.0, p=0.03, n=4),
        "open": Verdict("inconclusive", 0.1, p=0.4, n=4),
        "budget": Verdict("untested", 1.0, p=0.0001, n=4, reason="budget"),
        "theorem": Verdict("reproduced", 1.0),
    }
    corrected = holm_verdicts(made)
    assert list(corrected) == list(made)
    strong, weak = corrected["strong"], corrected["weak"]
    assert strong.status == "reproduced" and "p = 0.003 after Holm over 3 hypotheses" in strong.note
    assert (weak.status, weak.reason, weak.p, weak.effect) == ("inconclusive", "Holm", 0.03, -1.0)
    assert weak.seeds_to_settle > 4
    for name in ("open", "budget", "theorem"):
        assert corrected[name] == made[name]
    alone = {"weak": made["weak"]}
    assert holm_verdicts(alone)["weak"].status == "contradicted"


def test_a_claim_about_several_environments_counts_each_and_costs_nothing_more():
    """Three hypotheses, 0.01 · 3, 0.02 · 2 and 0.04: all survive, so does the claim. A fourth of 0.012 costs it one part:
    0.01 · 4, 0.012 · 3 and 0.02 · 2 survive, and so does 0.04 as the last; 0.06 does not survive anywhere."""
    whole = over_environments({"A": part("reproduced", 0.01), "B": part("reproduced", 0.04)}, "gain")
    assert whole.p == 0.04
    kept = holm_verdicts({"whole": whole, "other": part("reproduced", 0.02)})["whole"]
    assert (kept.status, kept.p) == ("reproduced", 0.04)
    assert "p = 0.03 after Holm over 3 hypotheses" in kept.parts["A"].note
    lost = holm_verdicts({"whole": whole, "other": part("inconclusive", 0.5)})["whole"]
    assert (lost.status, lost.reason) == ("inconclusive", "Holm")
    assert [v.status for v in lost.parts.values()] == ["reproduced", "inconclusive"]
    assert lost.seeds_to_settle == lost.parts["B"].seeds_to_settle > 4


def test_one_environment_refutes_what_is_said_of_each():
    parts = {"A": part("contradicted", 0.001), "B": part("reproduced", 0.001)}
    refuted = in_part(over_environments(parts, "gain"), ["A", "B"], ["C"])
    assert refuted.status == "contradicted" and "A, B alone; not run: C" in refuted.note
    assert holm_verdicts({"x": refuted})["x"].status == "contradicted"
    weaker = over_environments({"A": part("contradicted", 0.02), "B": YES}, "gain")
    assert weaker.status == "contradicted"
    assert holm_verdicts({"x": weaker, "y": OPEN})["x"].status == "inconclusive"
    open_yet = in_part(over_environments({"A": YES}, "gain"), ["A"], ["C"])
    assert (open_yet.status, open_yet.reason, open_yet.parts["A"].status) == ("untested", "in part", "reproduced")
    refuted_size = in_part(conjunction({"1x32": part("contradicted", 0.001)}, "gain"), ["A"], ["C"])
    assert refuted_size.status == "untested"  # its parts are not environments


def test_environments_keep_the_family_wise_error():
    """Three claims about four environments each, all on the border: seldom is one decided, part or whole."""
    p, wrong = generator(21).uniform(size=(1500, 3, 4)), 0
    for claims in p:
        family = {
            str(i): over_environments(
                {str(j): part("reproduced" if x <= 0.05 else "inconclusive", x) for j, x in enumerate(row)}, ""
            )
            for i, row in enumerate(claims)
        }
        found = holm_verdicts(family).values()
        wrong += any(v.status == "reproduced" or "reproduced" in {w.status for w in v.parts.values()} for v in found)
    assert 0.03 <= wrong / len(p) <= 0.065


@pytest.mark.parametrize("call", [lambda: holm([1.5]), lambda: holm([[0.5]]), lambda: Verdict("proven")])
def test_bad_input_is_one_clear_line(call):
    with pytest.raises(ValueError) as error:
        call()
    assert str(error.value) and "\n" not in str(error.value)
