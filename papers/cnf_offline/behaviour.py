"""The behaviour policies of the data: soft actor-critic, stopped at the level of return that D4RL calls medium.

The learner is SAC with a tuned temperature, as in D4RL's recipe. It keeps the policy of the first evaluation at which the
mean return of the last three enters the band of D4RL's medium policies; until one does, that of the evaluation nearest to
the band. Data of what ends outside it are called weak where
their names stand.
"""

from collections.abc import Sequence
from copy import deepcopy

import numpy as np
import torch

from common.rl import sac_auto

RECENT = 3  # evaluations whose mean return has to be in the band


class Learner(sac_auto.Learner):
    """A fleet of soft actor-critics, each with the policy `medium` that it kept, [members] the return and step of it."""

    stored = (*sac_auto.Learner.stored, "medium", "medium_return", "medium_step", "recent")

    def __init__(self, config, seeds: Sequence[int], observations: int, actions: int, device: str = "cpu"):
        super().__init__(config, seeds, observations, actions, device)
        members = len(seeds)
        self.medium = deepcopy(self.policy).requires_grad_(False)
        self.medium_return, self.medium_step = np.full(members, np.inf), np.zeros(members)
        self.recent = np.full((members, RECENT), np.nan)

    @torch.no_grad()
    def consider(self, step: int, returns: Sequence[float]) -> None:
        """Takes the returns of an evaluation, one per member, and keeps the policy where it is nearest to the band."""
        self.recent = np.concatenate([self.recent[:, 1:], np.array(returns)[:, None]], 1)
        for m, mean in enumerate(np.nanmean(self.recent, 1)):
            if self.distance(mean) < self.distance(self.medium_return[m]):
                self.medium_return[m], self.medium_step[m] = mean, step
                for kept, present in zip(self.medium.parameters(), self.policy.parameters(), strict=True):
                    kept[m].copy_(present[m])

    def distance(self, value: float) -> float:
        """How far a return is from the band; 0 inside."""
        low, high = self.config.band
        return max(low - value, value - high, 0.0)
