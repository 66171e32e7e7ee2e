"""D4RL's reference returns and its normalised score (Fu et al. 2020). Imports no learning library.

The same numbers serve D4RL's versions 0 to 2 of the robots, whose nearest that still runs is gymnasium's -v4; they do not
hold for -v5, where rewards and contacts differ. Those of the mazes are for the sparse reward, -v1.
"""

from typing import Any

import numpy as np

from ..errors import UserError
from ..settings import nearest

# Returns that score 0 and 100: means of 100 episodes of random actions, and of an expert (in a maze: of a controller).
D4RL = {
    "HalfCheetah-v4": (-280.178953, 12135.0),
    "Hopper-v4": (-20.272305, 3234.3),
    "Walker2d-v4": (1.629008, 4592.3),
    "Ant-v4": (-325.6, 3879.7),
    "Maze2dUmaze-v0": (23.85, 161.86),
    "Maze2dMedium-v0": (13.13, 277.39),
    "Maze2dLarge-v0": (6.7, 273.99),
}


def references(env: str) -> tuple[float, float]:
    """D4RL's returns (random, expert) of an environment. Raises `UserError` if it has none."""
    if env not in D4RL:
        raise UserError(f"{env}: D4RL gives no reference returns for it; {nearest(env, D4RL)}")
    return D4RL[env]


def score(env: str, returns: Any) -> Any:
    """100 (R - random) / (expert - random), for one return or an array of them."""
    low, high = references(env)
    return 100 * (np.asarray(returns, float) - low) / (high - low)
