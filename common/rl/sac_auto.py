"""Soft actor-critic that tunes its temperature, for fleets (Haarnoja et al. 2018, arXiv 1812.05905, Section 5).

SAC (`common/rl/sac.py`) with alpha > 0 a parameter, learned so that the policy's mean entropy is a given H:

    J_alpha = ln alpha * mean_batch [-ln pi(a|s) - H],   a ~ pi(.|s)

after the steps of critics and policy, on the policy's own sample. H is `target_entropy` times the number of actions.

Details that matter: the step is on ln alpha and its loss is linear in it, as in the authors' code, where the paper writes
alpha; the sample's ln pi is the one before the policy's step.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from . import sac
from .config import SACAuto
from .learner import Draws
from .optimisers import Adam, descend
from .replay import Batch


class Temperature(nn.Module):
    """alpha = exp(ln alpha), one per member: [members, 1]."""

    def __init__(self, members: int, initial: float):
        super().__init__()
        self.log = nn.Parameter(torch.full((members, 1), math.log(initial)))

    def forward(self) -> Tensor:
        return self.log.exp()


class Learner(sac.Learner):
    """A fleet of soft actor-critics with a temperature per member."""

    config: SACAuto
    stored = (*sac.Learner.stored, "temperature", "temperature_optimiser")

    def __init__(self, config: SACAuto, seeds: Sequence[int], observations: int, actions: int, device: str = "cpu"):
        super().__init__(config, seeds, observations, actions, device)
        self.temperature = Temperature(len(seeds), config.temperature).to(device)
        rate = config.temperature_learning_rate
        self.temperature_optimiser = Adam(self.temperature.parameters(), lr=rate)

    def update(self, batch: Batch, draws: Draws) -> None:
        super().update(batch, draws)
        surplus = -self.log_prob - self.config.target_entropy * self.actions
        loss = (self.temperature.log * surplus).mean(-1)
        descend(self.temperature_optimiser, loss)

    def alpha(self) -> Any:
        return self.temperature().detach()

    def summarise(self, trace: dict[str, list[np.ndarray]]) -> dict[str, list[float]]:
        return super().summarise(trace) | {"temperature": self.alpha()[:, 0].tolist()}
