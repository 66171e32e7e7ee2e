"""Settings. Imports no learning library."""

from dataclasses import dataclass

from common.rl.config import Iterations
from common.settings import setting


@dataclass(frozen=True)
class Shapes(Iterations):
    """What random flows make of a base distribution. The figure that the review reprints gives no numbers (Rezende & Mohamed
    2015, Figure 1)."""

    total_steps = evaluate_every = 1  # the flows are drawn, and measured, once

    family: str = setting("planar", "the flow", "Figure 1", choices=("planar", "radial"))
    base: str = setting("normal", "N(0, I), or uniform on [-2, 2]^2", "Figure 1", choices=("normal", "uniform"))
    flows: int = setting(10, "how many in turn", "Figure 1", low=1, high=1000)
    points: int = setting(141, "points per side of the grid, over [-4, 4]^2", "our choice", low=11, high=401)
