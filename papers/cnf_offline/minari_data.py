"""A data set in Minari's format as the rows that the agents learn from: anybody's, of this machine or of Minari's hub.

It takes the place of `dataset.py`'s. What its episodes, time limits, parts of observations and bounds of actions become is
said in `common/rl/minari_files.py`.
"""

from collections.abc import Iterator, Sequence

import torch

from common.rl.datasets import Transitions, checked, stacked
from common.rl.inputs import Inputs


class Learner:
    """What the data set consists of; it learns nothing."""

    def __init__(self, config, seeds: Sequence[int], device: str, inputs: Inputs):
        self.config = config

    def parts(self, observations: int, actions: int) -> Iterator[Transitions]:
        """The rows, [count, 2 observations + actions + 3]. UserError: as `minari_files.load`."""
        from common.rl.minari_files import load  # it loads simulators, which no algorithm does before it has to

        fields = load(self.config.dataset, self.config.env)
        rows = torch.from_numpy(stacked(**fields)[: self.config.total_steps])
        yield checked(rows, observations, actions, self.config.dataset)
