"""Numbers of runs, on tables made for them."""

import numpy as np
import pandas as pd
import pytest

from common.lab.report import measures
from common.lab.results.records import Results
from papers.arsac import comparisons as arsac


def given(frame, **tables):
    return Results("quick", [], given={"metrics": frame, **tables})


@pytest.mark.parametrize("by", ["seed", "member"])
def test_a_run_that_diverged_is_a_number_that_is_none(by):
    frame = pd.DataFrame(
        [("A", 0, 0, 10, "return", 1.0), ("A", 0, 0, 20, "return", 3.0), ("A", 1, 1, 10, "return", 5.0),
         ("A", 1, 1, 15, "diverged", 1.0), ("A", 2, 2, 5, "diverged", 1.0), ("B", 0, 0, 10, "return", 7.0)],
        columns=["env", "member", "seed", "step", "metric", "value"],
    )  # fmt: skip
    results = given(frame, trace=pd.DataFrame({"env": ["A", "A", "B"], "member": 0, "seed": 0, "x": [1.0, 2.0, 9.0]}))
    found = measures.of_curves(results, "return", measures.last(2), by, env="A")
    assert list(found.index) == [0, 1, 2]
    np.testing.assert_array_equal(found, [2, np.nan, np.nan])
    table = measures.of_table(results, "trace", lambda rows: rows["x"].sum(), by, env="A")
    np.testing.assert_array_equal(table, [3, np.nan, np.nan])
    assert measures.environments(results) == ["A", "B"]


def test_where_nothing_was_run_there_are_no_numbers():
    results = given(Results("smoke", []).frame, trace=pd.DataFrame(columns=["cell", "member", "seed"]))
    assert measures.of_curves(results, "return", measures.last(), env="A").empty
    assert measures.of_table(results, "trace", len, env="A").empty
    assert measures.environments(results) == []
    with pytest.raises(KeyError, match="evn"):
        measures.rows(pd.DataFrame({"env": ["A"]}), {"evn": "A"})


STEPS = np.array([10.0, 20, 30, 40, 50])


@pytest.mark.parametrize(
    "measure, values, expected",
    [
        (measures.last(2), [1, 2, 3, 4, 10], 7),
        (measures.last(9), [1, 2, 3, 4, 10], 4),
        (arsac.first(20), [1, 3, 9, 9, 9], 2),
        (arsac.first(5), [1, 3, 9, 9, 9], 1),  # the first one at least
        (arsac.between(20, 40), [9, 9, 1, 5, 9], 3),  # 20 < step <= 40
        (arsac.between(60, 80), [1, 2, 3, 4, 5], np.nan),
        (arsac.slope(20, 50), [9, 0, 2, 4, 6], 200_000),  # 2 per 10 steps, per million
        (arsac.slope(45, 90), [9, 0, 2, 4, 6], np.nan),
        (arsac.peak(10), [1, 2, 9, 2, 1], 30),
        (arsac.peak(20), [1, 9, 0, 5, 6], 45),  # pairs: 5, 4.5, 2.5, 5.5; a single high one does not count
        (arsac.climb(10, 30), [1, 2, 4, 9, 9], 3),
        (arsac.climb(20, 40), [1, 5, 3, 6, 99], 3.5),  # pairs up to 40: 3, 4, 4.5
        (arsac.climb(10, 5), [1, 2, 4, 9, 9], np.nan),
    ],
)
def test_measures_of_a_curve_by_hand(measure, values, expected):
    assert measure(STEPS, np.array(values, float)) == pytest.approx(expected, nan_ok=True)


def test_numbers_are_averaged_seed_by_seed():
    """Over sizes or environments: a seed that one of them lacks is left out, one that diverged in one is none."""
    one, two = pd.Series({0: 1.0, 1: 2.0, 2: 5.0}), pd.Series({0: 3.0, 1: np.nan, 3: 9.0})
    pd.testing.assert_series_equal(measures.mean_over([one, two]), pd.Series({0: 2.0, 1: np.nan}))
    assert measures.mean_over([]).empty


def test_a_value_of_one_row_per_seed():
    table = pd.DataFrame(
        {
            "env": "A",
            "member": [0, 0, 1],
            "seed": [4, 4, 5],
            "how": ["near", "far", "near"],
            "size": 1.0,
            "gap": [1.0, 2.0, 3.0],
        }
    )
    frame = pd.DataFrame(
        [("A", m, s, 10, "return", 1.0) for m, s in ((0, 4), (1, 5))],
        columns=["env", "member", "seed", "step", "metric", "value"],
    )
    found = measures.of_row(given(frame, reach=table), "reach", "gap", {"how": "far"}, env="A")
    np.testing.assert_array_equal(found, [2, np.nan])
