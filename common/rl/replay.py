"""Experience replay for fleets: float32, every observation stored once, action histories rebuilt by index.

Each member owns a ring of rows, in the order of time. A row is

    [ observation | action | reward | terminated | step ]

where `step` counts from 0 within the episode. An episode of T steps takes T + 1 rows: the last one holds the final
observation alone and has step -T. The successor of a transition is therefore the next row, and the actions before it are
the rows before it, as many as its `step` allows.
"""

from dataclasses import dataclass

import numpy as np
import torch


@dataclass(frozen=True)
class Batch:
    """Transitions, each field [members, batch, ...]. `history` holds the actions before the state, the newest last, zeros
    before the episode's start: [members, batch, length * actions]; `next_history` is the same one step later."""

    obs: torch.Tensor
    history: torch.Tensor
    action: torch.Tensor
    reward: torch.Tensor
    terminated: torch.Tensor
    next_obs: torch.Tensor
    next_history: torch.Tensor


class Replay:
    """The last `capacity` transitions of every member (a few fewer where many short episodes fill the ring with final
    observations). `history` is the number of past actions that a batch carries."""

    def __init__(self, members, observations, actions, capacity, history=0, device="cpu"):
        self.observations, self.actions, self.history = observations, actions, history
        self.width = observations + actions + 3
        self.capacity = capacity
        self.length = capacity + capacity // 8 + history + 64
        self.device = device
        # In host memory whatever the device: a batch is small, and one row is written cheaply nowhere else.
        self.rows = np.zeros((members, self.length, self.width), dtype=np.float32)
        self.flat = torch.from_numpy(self.rows).view(-1, self.width)
        self.row_of = np.zeros((members, capacity), dtype=np.int64)  # transition -> row
        self.count = np.zeros(members, dtype=np.int64)  # transitions ever
        self.oldest = np.zeros(members, dtype=np.int64)  # the oldest transition that is still whole
        self.head = np.zeros(members, dtype=np.int64)  # rows ever

    def sizes(self):
        """Number of transitions that can be sampled, [members]."""
        return self.count - self.oldest

    def add(self, member, transition, next_obs, step, ended):
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
        kept = self.head[member] + 1 - self.length + self.history
        while self.row_of[member, oldest % self.capacity] < kept:
            oldest += 1
        self.oldest[member] = oldest

    def restore(self, member, rows, pending=None):
        """Refill a member from its log, [rows ever, width], as `add` would have. `pending` is the present observation of
        an episode that goes on, which the log does not hold."""
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

    def sample(self, uniform):
        """A batch drawn with replacement. uniform: [members, batch] in [0, 1)."""
        chosen = self.oldest[:, None] + (uniform * self.sizes()[:, None]).astype(np.int64)
        row = np.take_along_axis(self.row_of, chosen % self.capacity, 1)
        window = row[..., None] + np.arange(-self.history, 2)  # the past actions, the transition, its successor
        window %= self.length
        window += np.arange(len(row))[:, None, None] * self.length
        taken = self.flat.index_select(0, torch.from_numpy(window.ravel())).to(self.device)
        taken = taken.view(*window.shape, self.width)
        now, after = taken[:, :, -2], taken[:, :, -1]
        first, last = self.observations, self.observations + self.actions
        action = now[..., first:last]
        history = self._histories(taken[:, :, :-2, first:last], now[..., -1])
        return Batch(
            obs=now[..., :first],
            history=history,
            action=action,
            reward=now[..., -3],
            terminated=now[..., -2],
            next_obs=after[..., :first],
            next_history=shifted(history, action),
        )

    def _histories(self, past, step):
        """past: [members, batch, history, actions], oldest first; those before the episode's start become zeros."""
        age = torch.arange(self.history, 0, -1, device=past.device)
        inside = age <= step.unsqueeze(-1)
        # where, not a product: a row of an earlier episode may hold anything.
        return torch.where(inside.unsqueeze(-1), past, 0.0).flatten(2)


def shifted(history, action):
    """The history one step later: the oldest action leaves, `action` enters as the newest. Both [..., n * actions]."""
    return torch.cat([history[..., action.shape[-1] :], action], -1) if history.shape[-1] else history
