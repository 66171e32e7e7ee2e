"""The n-chain: a long way to a large reward, and a small one close by (Osband et al. 2016; Touati et al. 2018).

States 1 to N in a row; an episode starts in state 2 and lasts N + 8 steps. Action 0 goes left, action 1 right, as far as the
row reaches. Going left in state 1 pays 0.001, going right in state N pays 1, all else 0: the best return is N + 8 - (N - 2)
= 10 for every N, and that of staying at the near end 0.001 (N + 7). Observed is a thermometer: entry x is 1 for x up to the
state, else 0.
"""

from typing import Any

import gymnasium
import numpy as np

EXTRA_STEPS = 8
NEAR, FAR = 0.001, 1.0  # rewards at the two ends


class NChain(gymnasium.Env):
    """The chain of `length` states. Observation [length], zeros and ones; actions 0, left, and 1, right. No state is
    terminal; the time limit truncates. ValueError: fewer than 3 states."""

    metadata = {"render_modes": ["ansi"], "render_fps": 4}

    def __init__(self, length: int = 10, render_mode: str | None = None):
        if length < 3:
            raise ValueError(f"a chain has 3 states or more: got {length}")
        self.length, self.render_mode = length, render_mode
        self.observation_space = gymnasium.spaces.Box(0.0, 1.0, (length,), np.float32)
        self.action_space = gymnasium.spaces.Discrete(2)
        self.state, self.age = 2, 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[np.ndarray, dict]:
        super().reset(seed=seed)
        self.state, self.age = 2, 0
        return self._observed(), {}

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict]:
        reward = {(1, 0): NEAR, (self.length, 1): FAR}.get((self.state, int(action)), 0.0)
        self.state = min(max(self.state + (1 if action else -1), 1), self.length)
        self.age += 1
        return self._observed(), reward, False, self.age >= self.length + EXTRA_STEPS, {}

    def render(self) -> str | None:  # type: ignore[override]
        """The row as text: where the state is, and what remains."""
        if self.render_mode != "ansi":
            return None
        row = "".join("o" if x == self.state else "." for x in range(1, self.length + 1))
        return f"{row}  step {self.age} of {self.length + EXTRA_STEPS}"

    def _observed(self):
        return (np.arange(1, self.length + 1) <= self.state).astype(np.float32)


def register() -> None:
    """Make `NChain-v0` known to gymnasium; a second call does nothing."""
    if "NChain-v0" not in gymnasium.registry:
        gymnasium.register("NChain-v0", entry_point=NChain)  # type: ignore[arg-type]
