"""Fixed data sets of transitions, which offline algorithms learn from.

A data set is one tensor of float32 rows, [count, 2 observations + actions + 3], mapped into memory from a file; a row is

    [ observation | action | reward | terminated | truncated | next observation ]

Every row has its true successor: the last one of an episode too, which a time limit (`truncated`) or the end of the data
cut. Only `terminated` says that nothing follows; a time limit does not.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..errors import UserError
from .replay import Batch


@dataclass(frozen=True)
class Transitions:
    """Rows [count, width] of an environment with so many observations and actions."""

    rows: Tensor
    observations: int
    actions: int

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def obs(self) -> Tensor:
        return self.rows[:, : self.observations]

    @property
    def action(self) -> Tensor:
        return self.rows[:, self.observations : self.observations + self.actions]

    @property
    def reward(self) -> Tensor:
        return self.rows[:, self.observations + self.actions]

    @property
    def terminated(self) -> Tensor:
        return self.rows[:, self.observations + self.actions + 1]

    @property
    def truncated(self) -> Tensor:
        return self.rows[:, self.observations + self.actions + 2]

    @property
    def next_obs(self) -> Tensor:
        return self.rows[:, -self.observations :]

    def take(self, index: Tensor, device: str = "cpu") -> Batch:
        """The rows of an index [members, batch], in one gather, on a device."""
        taken = self.rows.index_select(0, index.flatten()).view(*index.shape, -1).to(device)
        first, last = self.observations, self.observations + self.actions
        return Batch(taken[..., :first], taken[..., first:last], taken[..., last], taken[..., last + 1],
                     taken[..., -first:])  # fmt: skip

    def episodes(self) -> list[slice]:
        """The rows of each episode; rows after the last end are one that the data cut."""
        ends = np.flatnonzero((self.terminated + self.truncated).numpy() > 0) + 1
        cuts = [0, *ends.tolist()]
        cuts += [len(self)] if cuts[-1] < len(self) else []
        return [slice(*pair) for pair in zip(cuts, cuts[1:], strict=False)]


def stacked(obs: np.ndarray, action: np.ndarray, reward: np.ndarray, terminated: np.ndarray, truncated: np.ndarray,
            next_obs: np.ndarray) -> np.ndarray:  # fmt: skip
    """Rows from their fields: obs and next_obs [count, observations], action [count, actions], the others [count]."""
    scalars = np.stack([reward, terminated, truncated], -1)
    return np.concatenate([obs, action, scalars, next_obs], -1).astype(np.float32)


def checked(rows: Tensor, observations: int, actions: int, where: str) -> Transitions:
    """The data set of some rows. Raises `UserError` with the field that is wrong: rows of another width, none, numbers that
    are not finite, actions beyond [-1, 1], ends that are neither 0 nor 1."""
    width = 2 * observations + actions + 3
    if rows.ndim != 2 or rows.shape[1] != width:
        raise UserError(f"{where}: rows of shape {list(rows.shape)}; an environment with {observations} observations and "
                        f"{actions} actions has rows of width {width}")  # fmt: skip
    if not len(rows):
        raise UserError(f"{where}: has no rows")
    data = Transitions(rows, observations, actions)
    for name in ("obs", "action", "reward", "next_obs"):
        if not torch.isfinite(getattr(data, name)).all():
            raise UserError(f"{where}: {name}: holds NaN or infinite numbers")
    if (largest := float(data.action.abs().max())) > 1 + 1e-6:
        raise UserError(f"{where}: action: entries must lie in [-1, 1], one is {largest:.6g}")
    for name in ("terminated", "truncated"):
        if not ((getattr(data, name) == 0) | (getattr(data, name) == 1)).all():
            raise UserError(f"{where}: {name}: must be 0 or 1")
    return data
