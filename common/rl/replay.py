"""Experience replay for fleets: float32, every observation stored once.

Each member owns a ring of rows, in the order of time. A row is

    [ observation | action | reward | terminated | step ]

where `step` counts from 0 within the episode. An episode of T steps takes T + 1 rows: the last one holds the final
observation alone and has step -T. The successor of a transition is therefore the next row.
"""

from dataclasses import dataclass

import numpy as np
import torch


@dataclass(frozen=True)
class Batch:
    """Transitions, each field [members, batch, ...]; rewards and terminations have no further axis."""

    obs: torch.Tensor
    action: torch.Tensor
    reward: torch.Tensor
    terminated: torch.Tensor
    next_obs: torch.Tensor


class Replay:
    """The last `capacity` transitions of every member (a few fewer where many short episodes fill the ring with final
    observations)."""

    def __init__(self, members: int, observations: int, actions: int, capacity: int, device: str = "cpu"):
        self.observations, self.actions = observations, actions
        self.width = observations + actions + 3
        self.capacity = capacity
        self.length = capacity + capacity // 8 + 64
        self.device = device
        # In host memory whatever the device: a batch is small, and one row is written cheaply nowhere else.
        self.rows = np.zeros((members, self.length, self.width), dtype=np.float32)
        self.flat = torch.from_numpy(self.rows).view(-1, self.width)
        self.row_of = np.zeros((members, capacity), dtype=np.int64)  # transition -> row
        self.count = np.zeros(members, dtype=np.int64)  # transitions ever
        self.oldest = np.zeros(members, dtype=np.int64)  # the oldest transition that is still whole
        self.head = np.zeros(members, dtype=np.int64)  # rows ever

    def sizes(self) -> np.ndarray:
        """Number of transitions that can be sampled, [members]."""
        return self.count - self.oldest

    def add(self, member: int, transition: np.ndarray, next_obs: np.ndarray, step: int, ended: bool) -> np.ndarray:
        """Append one transition, a row of `width` floats; `ended` says that the episode stops here, so that its final
        observation gets a row. Returns the rows that are now complete, [1 or 2, width], for the log on disk."""
        head = self.head[member]
        self.rows[member, head % self.length] = transition
        # The successor's observation is written at once, so that the newest transition can be sampled.
        successor = self._write_successor(member, head + 1, next_obs, step + 1)
        self.row_of[member, self.count[member] % self.capacity] = head
        self.count[member] += 1
        self.head[member] += 2 if ended else 1
        self._forget(member)
        return np.stack([transition, successor]) if ended else transition[None]

    def _write_successor(self, member, row, obs, step):
        """The row of an observation that has no action yet."""
        successor = self.rows[member, row % self.length]
        successor[:] = 0
        successor[: self.observations], successor[-1] = obs, -step
        return successor

    def _forget(self, member):
        """Move `oldest` past what the ring has overwritten or the capacity does not allow."""
        oldest = max(self.oldest[member], self.count[member] - self.capacity)
        kept = self.head[member] + 1 - self.length
        while self.row_of[member, oldest % self.capacity] < kept:
            oldest += 1
        self.oldest[member] = oldest

    def restore(self, member: int, rows: np.ndarray, pending: np.ndarray | None = None) -> None:
        """Refill a member from its log, [rows ever, width], as `add` would have. `pending` is the present observation of
        an unfinished episode, which the log does not hold."""
        transitions = np.flatnonzero(rows[:, -1] >= 0)
        kept = rows[-self.length + 1 :]
        self.rows[member, (len(rows) - len(kept) + np.arange(len(kept))) % self.length] = kept
        recent = np.arange(max(0, len(transitions) - self.capacity), len(transitions))
        self.row_of[member, recent % self.capacity] = transitions[recent]
        self.count[member], self.head[member] = len(transitions), len(rows)
        if pending is not None:
            self._write_successor(member, len(rows), pending, rows[-1, -1] + 1)
        if len(transitions):
            self._forget(member)

    def sample(self, uniform: np.ndarray) -> Batch:
        """A batch drawn with replacement. uniform: [members, batch] in [0, 1)."""
        chosen = self.oldest[:, None] + (uniform * self.sizes()[:, None]).astype(np.int64)
        row = np.take_along_axis(self.row_of, chosen % self.capacity, 1)
        pair = row[..., None] + np.arange(2)  # the transition, its successor
        pair %= self.length
        pair += np.arange(len(row))[:, None, None] * self.length
        taken = self.flat.index_select(0, torch.from_numpy(pair.ravel())).to(self.device)
        now, after = taken.view(*pair.shape, self.width).unbind(2)
        first, last = self.observations, self.observations + self.actions
        return Batch(
            obs=now[..., :first],
            action=now[..., first:last],
            reward=now[..., -3],
            terminated=now[..., -2],
            next_obs=after[..., :first],
        )
