"""The loop of updates without an environment, on a learner that notes what it is given."""

from types import SimpleNamespace

import numpy as np
import pytest

from common.rl import iterations
from common.rl.journal import MemoryJournal
from common.rl.learner import IterativeLearner
from common.rl.randomness import generator


class Noted(IterativeLearner):
    """Its second member has no number from the fourth update on."""

    block = 3

    def __init__(self, config, seeds, device):
        self.given = config.given

    def update_draws(self, rng, size):
        return {"x": rng.standard_normal(size)}

    def update(self, draws):
        self.given.append(draws["x"].tolist())

    def measure(self):
        return {"updates": [len(self.given), np.nan if len(self.given) >= 4 else 0]}

    def results(self):
        return {"found": [np.nan, 1.0]}

    def tables(self):
        return {"rows": [[{"a": 1}], [{"a": 2}]]}


@pytest.mark.parametrize("first", [0, 1])
def test_updates_measurements_and_results(first):
    Noted.first_entry = first
    config = SimpleNamespace(total_steps=7, evaluate_every=2, given=[])
    kept = MemoryJournal(2)
    iterations.run(Noted, config, [4, 5], kept)
    blocks = [[generator(seed, "update", block).standard_normal(3) for block in range(3)] for seed in (4, 5)]
    np.testing.assert_array_equal(config.given, np.reshape(blocks, (2, 9)).T[first : first + 7])
    assert [step for m, step, metric, _ in kept.records if (m, metric) == (0, "updates")] == [2, 4, 6, 7]
    assert kept.divergences == [(1, 4)] and [step for m, step, *_ in kept.records if m == 1] == [2]
    assert kept.records[-1][:3] == (0, 7, "found"), "NaN at the end is a result"
    assert kept.tables == {"rows": [(0, [{"a": 1}])]}
