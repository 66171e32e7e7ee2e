"""What a few random planar or radial flows make of a base distribution (Section 2.3, Figure 1). Nothing is trained.

A fleet of flows f = f_K ... f_1, drawn at random, one member per seed; of K flows the first are those that fewer would be.
The density after K of them,

    ln q_K(y) = ln q_0(f^-1(y)) + ln |det df^-1 / dy|,

is evaluated on a grid, for both families have inverses (`common/flows/residual.py`). The review gives the radial flow the
planar one's parameters; its own are a centre, alpha > 0 and beta >= -alpha, which stand here.
"""

import math

import torch

from common.flows.distributions import DiagonalGaussian, FlowDistribution, Uniform
from common.flows.residual import Planar, Radial
from common.flows.transforms import Compose
from common.rl.learner import IterativeLearner
from common.rl.randomness import generator

SIDE = 4.0  # half of the grid that is drawn
WIDER = 3  # the grid on which the mass is taken is so many times as wide, as fine
EDGE = 2.0  # half of the uniform base's


def softplus_inverse(x):
    return x.expm1().log()


def planar(rngs):
    """w of length 2 in any direction, w'u^ in [-0.7, 1.5], u's part across w in [-0.7, 0.7], b in [-1, 1]."""
    drawn = [
        (rng.uniform(0, 2 * math.pi), rng.uniform(-0.7, 1.5), rng.uniform(-0.7, 0.7), rng.uniform(-1, 1)) for rng in rngs
    ]
    angle, along, across, b = torch.tensor(drawn, dtype=torch.float64).T
    w, normal = (torch.stack(x, -1) for x in ((angle.cos(), angle.sin()), (-angle.sin(), angle.cos())))
    u = softplus_inverse(1 + along).unsqueeze(-1) * w / 2 + across.unsqueeze(-1) * normal
    return Planar(2 * w, u, b)


def radial(rngs):
    """Centre in [-1.5, 1.5]^2, alpha in [0.3, 1], beta from -0.85 alpha to 1.5 alpha."""
    drawn = [(*rng.uniform(-1.5, 1.5, 2), rng.uniform(0.3, 1), rng.uniform(-0.85, 1.5)) for rng in rngs]
    x, y, alpha, share = torch.tensor(drawn, dtype=torch.float64).T
    return Radial(torch.stack([x, y], -1), softplus_inverse(alpha), softplus_inverse(alpha * (1 + share)))


class Learner(IterativeLearner):
    """Flows that learn nothing, one member per seed, in float64 on the CPU."""

    def __init__(self, config, seeds, device="cpu"):
        self.config, self.seeds = config, list(seeds)
        draw = {"planar": planar, "radial": radial}[config.family]
        self.flow = Compose(*(draw([generator(seed, "init", k) for seed in seeds]) for k in range(config.flows)))

    def grid(self, times):
        """The points of a grid over [-4 times, 4 times]^2, [members, points, 2]."""
        count = times * (self.config.points - 1) + 1
        axis = torch.linspace(-times * SIDE, times * SIDE, count, dtype=torch.float64)
        return torch.cartesian_prod(axis, axis).expand(len(self.seeds), -1, -1)

    @torch.no_grad()
    def log_prob(self, grid):
        """ln q_K on a grid, [members, points]."""
        zero = torch.zeros_like(grid)
        edges = Uniform(zero - EDGE, zero + EDGE)
        base = edges if self.config.base == "uniform" else DiagonalGaussian(zero, zero)
        return FlowDistribution(base, self.flow).log_prob(grid)

    def measure(self):
        """The mass that the grid holds, 1 if it is fine and wide enough."""
        cell = (2 * SIDE / (self.config.points - 1)) ** 2
        return {"mass": (self.log_prob(self.grid(WIDER)).exp().sum(-1) * cell).tolist()}

    def tables(self):
        """`density`: q_K of the first member on the grid."""
        grid = self.grid(1)
        points, values = grid[0].tolist(), self.log_prob(grid)[0].exp().tolist()
        rows = [
            {"x": round(x, 4), "y": round(y, 4), "density": float(f"{v:.4g}")}
            for (x, y), v in zip(points, values, strict=True)
        ]
        return {"density": [rows, *([] for _ in self.seeds[1:])]}
