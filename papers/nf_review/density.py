"""Density estimation in the plane (Section 2.1): every family on the same points, with the same updates.

A flow f of a normal base is fitted by the likelihood of `points` points,

    max_theta mean ln N(f^-1(x); 0, I) + ln |det df^-1/dx|,

and judged by that of as many points held out, whose own density is known: ln p - ln q, the mean over them, is an estimate of
KL(p || q). Planar, radial and Sylvester flows are turned so that f^-1 has the closed form.
"""

import math

import numpy as np
import torch

from common.flows.distributions import DiagonalGaussian, FlowDistribution
from common.rl.learner import IterativeLearner
from common.rl.optimisers import Adam, clipped, give_gradients
from common.rl.randomness import generator
from papers.nf_review import datasets, families

SIDE = 4.0  # half of the grid that is drawn
WIDE = 8.0  # half of the grid on which the mass is taken


def falling(step, total):
    """The learning rate's share at a step: 1, and over the second half of all steps down to 0."""
    return min(1.0, 2 * (1 - step / total))


def grid(side, count, members):
    """The points of a square grid about 0, [members, count^2, 2]."""
    axis = torch.linspace(-side, side, count)
    return torch.cartesian_prod(axis, axis).expand(members, -1, -1)


class Fitted(IterativeLearner):
    """A fleet of flows that descends a loss of its own by Adam, gradients cut member by member; on the CPU."""

    stored = ("flow", "optimiser", "updates")

    def __init__(self, config, seeds, fast):
        self.config, self.seeds, self.updates = config, list(seeds), 0
        rngs = [generator(seed, "init") for seed in seeds]
        self.flow = families.build(config.family, rngs, config.event, config.flows, config.hidden, fast)
        self.parameters = [p for p in self.flow.parameters() if p.numel()]
        self.optimiser = Adam(self.parameters, lr=config.learning_rate)

    def descend(self, loss):
        """One step on the losses, [members]."""
        gradients = torch.autograd.grad(loss.sum(), self.parameters, materialize_grads=True)
        squares = sum(gradient.reshape(len(self.seeds), -1).square().sum(1) for gradient in gradients)
        give_gradients(self.parameters, clipped(gradients, squares, self.config.gradient_limit))
        for group in self.optimiser.param_groups:
            group["lr"] = self.config.learning_rate * falling(self.updates, self.config.total_steps)
        self.optimiser.step()
        self.updates += 1

    def distribution(self, count):
        """The flow of N(0, I), `count` samples per member."""
        zero = torch.zeros(len(self.seeds), count, self.config.event)
        return FlowDistribution(DiagonalGaussian(zero, zero), self.flow)

    def log_prob(self, x):
        """ln q, [members, count]. Far out a network may ask for a scale that overflows: such a point has no mass."""
        found = self.distribution(x.shape[1]).log_prob(x)
        return found if found.requires_grad else torch.nan_to_num(found, nan=-math.inf, neginf=-math.inf)


class Learner(Fitted):
    """One member per seed, each with points of its own."""

    def __init__(self, config, seeds, device="cpu"):
        super().__init__(config, seeds, "density")
        self.data, self.held_out = (self.drawn(stream) for stream in ("sample", "evaluate"))

    def drawn(self, stream):
        points = [datasets.sample(self.config.data, generator(seed, stream), self.config.points) for seed in self.seeds]
        return torch.tensor(np.stack(points), dtype=torch.float32)

    def update_draws(self, rng, size):
        return {"index": rng.integers(0, self.config.points, (size, self.config.batch_size))}

    def update(self, draws):
        self.descend(-self.log_prob(torch.take_along_dim(self.data, draws["index"].unsqueeze(-1), 1)).mean(-1))

    @torch.no_grad()
    def measure(self):
        """Mean ln q of the points held out and of those trained on."""
        points = {"log_likelihood": self.held_out, "log_likelihood_trained": self.data}
        return {name: self.log_prob(x).mean(-1).tolist() for name, x in points.items()}

    @torch.no_grad()
    def results(self):
        """Of the points held out: mean ln p, and mean ln of the best Gaussian's density; the mass of q on a wide grid; the
        number of parameters."""
        count = self.config.mass_points
        cell = (2 * WIDE / (count - 1)) ** 2
        mass = self.log_prob(grid(WIDE, count, len(self.seeds))).double().exp().sum(-1) * cell
        return {
            "log_likelihood_possible": [float(datasets.log_prob(self.config.data, x.numpy()).mean()) for x in self.held_out],
            "log_likelihood_gaussian": [gaussian(*pair) for pair in zip(self.data, self.held_out, strict=True)],
            "mass": mass.tolist(),
            "parameters": [families.parameters(self.flow, len(self.seeds))] * len(self.seeds),
        }

    @torch.no_grad()
    def tables(self):
        """`density`: q of the first member, and p, on a grid."""
        x = grid(SIDE, self.config.grid_points, len(self.seeds))
        found, true = self.log_prob(x)[0].exp().numpy(), np.exp(datasets.log_prob(self.config.data, x[0].numpy()))
        return {"density": [density_rows(x[0].numpy(), found, true), *([] for _ in self.seeds[1:])]}


def density_rows(points, found, true):
    """Rows of the density that was found and of the true one."""
    return [
        {"x": round(float(a), 4), "y": round(float(b), 4), "density": float(f"{q:.4g}"), "target": float(f"{p:.4g}")}
        for (a, b), q, p in zip(points, found, true, strict=True)
    ]


def gaussian(data, held_out):
    """Mean ln density of points held out under the Gaussian of the data's mean and covariance."""
    mean, covariance = data.double().mean(0), torch.cov(data.double().T)
    away = held_out.double() - mean
    distance = (away * torch.linalg.solve(covariance, away.T).T).sum(-1).mean()
    return float(-(distance + torch.logdet(covariance)) / 2 - math.log(2 * math.pi))
