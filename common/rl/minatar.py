"""The five games of MinAtar (Young & Tian 2019): Atari in small, for machines on which Atari's own would take weeks.

A state is ten by ten cells of some channels, each 0 or 1. As an observation it is packed, 24 bits to a float32, which holds
them exactly: replay and log would need twenty times the memory otherwise. `unpacked` gives the images back. The previous
action is repeated with probability 0.1, and difficulty grows, as the games have it; an episode is determined by its seed.
The package is optional (GPL-3.0): `pip install minatar`.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..errors import UserError

GAMES = {
    "MinAtar-Asterix": "asterix",
    "MinAtar-Breakout": "breakout",
    "MinAtar-Freeway": "freeway",
    "MinAtar-Seaquest": "seaquest",
    "MinAtar-SpaceInvaders": "space_invaders",
}
SIDE, CELLS = 10, 100
BITS = 24  # a float32 holds integers up to 2^24


class Game:
    """One game. `observations`: floats of a packed state; `choices`: number of actions, those that the game tells apart; an
    action is stored as one number. After `episode_steps` steps an episode is cut. Raises `UserError` without the package."""

    actions = 1

    def __init__(self, name: str, episode_steps: int):
        try:
            from minatar import Environment  # type: ignore[import-not-found]
        except ImportError as error:
            raise UserError(f"{name}: needs the package MinAtar, which is not installed ({error})") from error
        self.name, self.horizon = name, episode_steps
        self.game: Any = Environment(GAMES[name])
        self.known = self.game.minimal_action_set()
        self.choices, self.age = len(self.known), 0
        self.observations = -(-self.game.state_shape()[2] * CELLS // BITS)

    def reset(self, seed: int) -> np.ndarray:
        """The first observation of the episode that `seed` determines, [observations]."""
        self.game.seed(seed)
        self.game.reset()
        self.game.last_action, self.age = 0, 0  # the package keeps that of the episode before
        return packed(self.game.state())

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool]:
        """obs, reward, terminated, truncated after an action [1]."""
        reward, over = self.game.act(self.known[int(action[0])])
        self.age += 1
        return packed(self.game.state()), float(reward), bool(over), not over and self.age >= self.horizon


def packed(state: np.ndarray) -> np.ndarray:
    """A state [10, 10, channels] of zeros and ones as float32 numbers of 24 bits, the last one filled up with zeros."""
    bits = np.moveaxis(state, -1, 0).ravel()
    words = np.concatenate([bits, np.zeros(-len(bits) % BITS, bits.dtype)]).reshape(-1, BITS)
    return (words @ (1 << np.arange(BITS))).astype(np.float32)


def unpacked(obs: Tensor) -> Tensor:
    """Images [..., channels, 10, 10], in torch's default type, of packed observations [..., observations]."""
    words = obs.to(torch.int32).unsqueeze(-1)
    bits = (words >> torch.arange(BITS, device=obs.device, dtype=torch.int32)) & 1
    channels = obs.shape[-1] * BITS // CELLS
    images = bits.flatten(-2)[..., : channels * CELLS]
    return images.reshape(*obs.shape[:-1], channels, SIDE, SIDE).to(torch.get_default_dtype())
