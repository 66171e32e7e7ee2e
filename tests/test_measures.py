"""Numbers of runs, on tables made for them."""

import numpy as np
import pandas as pd
import pytest

from common.lab.report import measures
from common.lab.results.records import Results


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
