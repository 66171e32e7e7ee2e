"""The off-policy loop in stages: a learner reads files of other runs, and leaves files that further runs read.

`build(config, seeds, observations, actions, device, inputs)` makes a `StagedLearner`, trained by `off_policy.run`. At the
end what its `files` gives of every living member is left.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from . import off_policy
from .config import OffPolicy
from .inputs import Inputs
from .journal import Journal, Watched


def run(
    build: Callable[..., Any],
    config: OffPolicy,
    seeds: Sequence[int],
    journal: Journal,
    device: str = "cpu",
    inputs: Inputs | None = None,
) -> None:
    """As `off_policy.run`. inputs: {role: the members of the runs that play it}."""

    def told(*arguments):
        return build(*arguments, inputs or {})

    off_policy.run(told, config, seeds, Leaving(journal, len(seeds)), device)  # type: ignore[arg-type]


class Leaving(Watched):
    """A journal that has the living members' files written when the loop ends."""

    def end(self, learner: Any, replay: Any = None) -> None:
        for name, arrays in learner.files().items():
            for m in np.flatnonzero(self.alive):
                self.journal.produce(name, m, arrays[m])
        self.journal.end(learner, replay)
