"""Bayesian regression on twenty points: how far a posterior over weights knows what it does not know (Section 3.2).

y = x^3 + 3 e, e ~ N(0, 1), at 20 places drawn from [-4, 4] (Hernandez-Lobato & Adams 2015; Louizos & Welling 2017). A
network of one hidden layer with a posterior q over all its weights, of a mean field or with multiplicative flows (`mnf.py`)
is fitted by the bound on the evidence of all points,

    L = sum_n E_q ln N(y_n; f(x_n; W), 3^2) - KL(q || p)      ascended; with multipliers the bound on KL.

Inputs and outputs are divided by the deviations of x and x^3 on [-4, 4]. Every point sees draws of its own in every update;
the divergence has a draw of its own.
"""

import math

import numpy as np
import torch

from common.rl.learner import IterativeLearner
from common.rl.optimisers import Adam, descend
from common.rl.randomness import draws, generator
from papers.nf_review.mnf import LOG_TAU
from papers.nf_review.stochastic import Network, dense

PLACES, EDGE, NOISE = 20, 4.0, 3.0
X_SCALE, Y_SCALE = EDGE / math.sqrt(3), EDGE**3 / math.sqrt(7)  # deviations of x and x^3, x uniform on [-4, 4]
HELD_OUT = 200
REACH = np.linspace(-6, 6, 97)  # where the predictive distribution is drawn


def points(rng, count):
    """x in [-4, 4] and y, each [count]."""
    x = rng.uniform(-EDGE, EDGE, count)
    return x, x**3 + NOISE * rng.standard_normal(count)


class Learner(IterativeLearner):
    """A fleet of regressions, one member per seed, each with data of its own; on the CPU."""

    stored = ("network", "optimiser")

    def __init__(self, config, seeds, device="cpu"):
        self.config, self.seeds = config, list(seeds)
        rngs = [generator(seed, "init") for seed in seeds]
        sizes = ((1, config.units), (config.units, 1))
        self.network = Network([dense(config.posterior, rngs, *size, config) for size in sizes])
        self.optimiser = Adam(self.network.parameters(), lr=config.learning_rate)
        self.data, self.held_out = (
            torch.tensor(np.array([points(generator(seed, "init", block), n) for seed in seeds]), dtype=torch.float32)
            for block, n in ((1, PLACES), (2, HELD_OUT))
        )  # [members, 2, points]

    def update_draws(self, rng, size):
        drawn = self.network.draws(rng, size, PLACES * self.config.samples)
        return drawn | self.network.divergence_draws(rng, size)

    def update(self, draws):
        """One step of Adam on -L, divided by the number of points."""
        descend(self.optimiser, -self.evidence(draws) / PLACES)

    def evidence(self, draws):
        """One estimate of L, [members]."""
        fitted = self.log_densities(self.data, draws).mean(-1).sum(-1)
        return fitted - self.network.divergence(draws)

    def log_densities(self, data, draws):
        """ln N(y; f(x; W), 3^2) at draws of W, [members, points, draws]."""
        return -((data[:, 1].unsqueeze(-1) - self.outputs(data[:, 0], draws)) / NOISE).square() / 2 - (
            LOG_TAU / 2 + math.log(NOISE)
        )

    def outputs(self, x, draws):
        """f(x; W) at draws of W, [members, points, draws], in the units of y."""
        count = next(draws[name].shape[1] for name in draws if name.endswith(".out")) // x.shape[1]
        rows = (x / X_SCALE).repeat_interleave(count, 1).unsqueeze(-1)
        return Y_SCALE * self.network(rows, draws).reshape(*x.shape, count)

    def evaluation_draws(self, block, rows):
        """Random numbers of `rows` draws of the outputs, functions of the member's seed and `block`."""
        drawn = draws(self.seeds, "evaluate", block, lambda rng: self.network.draws(rng, rows))
        return {name: torch.from_numpy(x) for name, x in drawn.items()}

    @torch.no_grad()
    def measure(self):
        """L and KL over many draws; ln of the predictive density of held-out points, their mean; the predictive deviation of
        f inside [-4, 4] and outside."""
        count = self.config.evaluation_samples
        densities = self.log_densities(self.held_out, self.evaluation_draws(0, HELD_OUT * count))
        fitted = self.log_densities(self.data, self.evaluation_draws(1, PLACES * count)).mean(-1).sum(-1)
        divergence = self.divergence(count)
        x, spread = np.abs(REACH), self.predictive()[1]
        return {
            "bound": (fitted - divergence).tolist(),
            "divergence": divergence.tolist(),
            "log_likelihood": (densities.logsumexp(-1) - math.log(count)).mean(-1).tolist(),
            "deviation_inside": spread[:, x <= EDGE].mean(1).tolist(),
            "deviation_outside": spread[:, x > EDGE].mean(1).tolist(),
        }

    def divergence(self, count):
        """KL, or its bound, the mean of many draws, [members]."""
        drawn = draws(self.seeds, "evaluate", 2, lambda rng: self.network.divergence_draws(rng, count))
        tensors = {name: torch.from_numpy(x) for name, x in drawn.items()}
        each = [{name: x[:, i] for name, x in tensors.items()} for i in range(count if drawn else 1)]
        return torch.stack([self.network.divergence(numbers) for numbers in each]).mean(0)

    @torch.no_grad()
    def predictive(self):
        """Mean and deviation of f at REACH, two arrays [members, places]."""
        x = torch.tensor(REACH, dtype=torch.float32).expand(len(self.seeds), -1)
        values = self.outputs(x, self.evaluation_draws(3, len(REACH) * self.config.evaluation_samples)).double()
        return values.mean(-1).numpy(), values.std(-1).numpy()

    def tables(self):
        """`predictive`: mean and deviation of f; `points`: the data."""
        means, deviations = self.predictive()
        curves = [
            [
                {"x": round(float(x), 4), "mean": float(f"{m:.5g}"), "deviation": float(f"{d:.5g}")}
                for x, m, d in zip(REACH, mean, deviation, strict=True)
            ]
            for mean, deviation in zip(means, deviations, strict=True)
        ]
        data = [[{"x": round(x, 5), "y": round(y, 5)} for x, y in member.T.tolist()] for member in self.data]
        return {"predictive": curves, "points": data}
