"""Verdicts of several parts, within a budget, and corrected over a paper."""

from dataclasses import FrozenInstanceError

import numpy as np
import pytest

from common.lab.report.verdicts import Verdict, conjunction, holm, holm_verdicts, judged, untested
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

    budget = {"steps": 100, "seeds": 3, "command": "more"}
    assert judged(YES, Run(100, 3), Run(200, 5), **budget) == YES
    for short in (Run(99, 3), Run(100, 2), Results("smoke", [])):
        found = judged(YES, Run(100, 3), short, **budget)
        assert (found.status, found.reason, found.effect, found.low) == ("untested", "budget", 1.0, 0.5)
        assert "run: more" in str(found) and str(found).startswith("untested (budget): ")
    # A claim that is put to one environment is not short of an experiment that runs in others alone.
    assert judged(YES, Run(100, 3), Results("paper", [], others=2), **budget) == YES


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
    assert strong.status == "reproduced" and "p = 0.003 after Holm over 3 claims" in strong.note
    assert (weak.status, weak.reason, weak.p, weak.effect) == ("inconclusive", "Holm", 0.03, -1.0)
    assert weak.seeds_to_settle > 4
    for name in ("open", "budget", "theorem"):
        assert corrected[name] == made[name]
    alone = {"weak": made["weak"]}
    assert holm_verdicts(alone)["weak"].status == "contradicted"


@pytest.mark.parametrize("call", [lambda: holm([1.5]), lambda: holm([[0.5]]), lambda: Verdict("proven")])
def test_bad_input_is_one_clear_line(call):
    with pytest.raises(ValueError) as error:
        call()
    assert str(error.value) and "\n" not in str(error.value)
