"""Numbers of runs and verdicts of several parts, on tables and verdicts made for them."""

import numpy as np
import pandas as pd
import pytest

from common.lab.report import evidence
from common.lab.report.evidence import every
from common.lab.report.stats import Verdict
from common.lab.results.records import Results


class Given(Results):
    """Results with given tables, of no cell."""

    def table(self, name):
        return self.__dict__[name]


def given(frame, **tables):
    results = Given("quick", [])
    results.__dict__.update(tables, frame=frame)
    return results


def part(status, p, **fields):
    return Verdict(status, 1.0, 0.5, 1.5, p=p, n=4, **fields)


YES, NO, OPEN = part("reproduced", 0.04), part("contradicted", 0.04), part("inconclusive", 0.3, seeds_to_settle=20)


def test_every_needs_all_parts_and_corrects_what_contradicts():
    assert every({"a": YES, "b": part("reproduced", 0.01)}, "").status == "reproduced"
    assert every({"a": YES, "b": part("reproduced", 0.01)}, "").p == 0.04
    assert every({"a": YES, "b": OPEN}, "").status == "inconclusive"
    assert every({"a": YES, "b": NO}, "").status == "inconclusive"  # 0.08 after Bonferroni
    found = every({"a": OPEN, "b": part("contradicted", 0.01)}, "")
    assert (found.status, found.p) == ("contradicted", 0.02)
    assert every({"a": YES, "b": part("untested", np.nan)}, "").status == "untested"


def test_every_of_one_part_is_that_part_and_of_none_untested():
    assert every({"a": OPEN}, "gain") == part("inconclusive", 0.3, seeds_to_settle=20, quantity="gain")
    found = every({}, "gain")
    assert (found.status, found.reason, found.quantity) == ("untested", "no runs at this scale", "gain")


def test_every_tells_the_parts_that_do_not_decide():
    lost = part("reproduced", 0.01, note="1 of 8 seeds diverged")
    found = every({"a": OPEN, "b": lost}, "gain")
    assert (found.quantity, found.seeds_to_settle) == ("gain; a", 20)
    assert found.note == "all parts: a 1 (inconclusive), b 1 (reproduced); b: 1 of 8 seeds diverged"
    assert every({"a": YES, "b": lost}, "gain").note == "all parts: a 1, b 1; b: 1 of 8 seeds diverged"
    # Seeds are asked for only where every undecided part says how many.
    assert every({"a": OPEN, "b": part("inconclusive", 0.5)}, "").seeds_to_settle is None


def test_a_verdict_stands_on_the_results_with_the_least_budget():
    class Run:
        def __init__(self, budget, seeds):
            self.budget, self.seeds, self.cells, self.others = budget, seeds, [None], 0

    budget = {"steps": 100, "seeds": 3, "command": "more"}
    assert evidence.judged(YES, Run(100, 3), Run(200, 5), **budget) == YES
    for short in (Run(99, 3), Run(100, 2), Results("smoke", [])):
        found = evidence.judged(YES, Run(100, 3), short, **budget)
        assert (found.status, found.reason, found.effect) == ("untested", "budget", 1.0) and "run: more" in found.note
    # A claim that is put to one environment is not short of an experiment that runs in others alone.
    assert evidence.judged(YES, Run(100, 3), Results("paper", [], others=2), **budget) == YES


@pytest.mark.parametrize("by", ["seed", "member"])
def test_a_run_that_diverged_is_a_number_that_is_none(by):
    frame = pd.DataFrame(
        [("A", 0, 0, 10, "return", 1.0), ("A", 0, 0, 20, "return", 3.0), ("A", 1, 1, 10, "return", 5.0),
         ("A", 1, 1, 15, "diverged", 1.0), ("A", 2, 2, 5, "diverged", 1.0), ("B", 0, 0, 10, "return", 7.0)],
        columns=["env", "member", "seed", "step", "metric", "value"],
    )  # fmt: skip
    results = given(frame, trace=pd.DataFrame({"env": ["A", "A", "B"], "member": 0, "seed": 0, "x": [1.0, 2.0, 9.0]}))
    found = evidence.of_curves(results, "return", evidence.last(2), by, env="A")
    assert list(found.index) == [0, 1, 2]
    np.testing.assert_array_equal(found, [2, np.nan, np.nan])
    table = evidence.of_table(results, "trace", lambda rows: rows["x"].sum(), by, env="A")
    np.testing.assert_array_equal(table, [3, np.nan, np.nan])
    assert evidence.environments(results) == ["A", "B"]


def test_where_nothing_was_run_there_are_no_numbers():
    results = given(Results("smoke", []).frame, trace=pd.DataFrame(columns=["cell", "member", "seed"]))
    assert evidence.of_curves(results, "return", evidence.last(), env="A").empty
    assert evidence.of_table(results, "trace", len, env="A").empty
    assert evidence.environments(results) == []
    with pytest.raises(KeyError, match="evn"):
        evidence.rows(pd.DataFrame({"env": ["A"]}), {"evn": "A"})


def test_the_size_of_a_reference_is_never_zero():
    assert evidence.level(np.array([-3.0, np.nan, -1.0])) == 2
    assert evidence.level(np.array([np.nan])) == 1 and evidence.level(np.array([0.0])) > 0
