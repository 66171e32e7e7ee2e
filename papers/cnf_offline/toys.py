"""The two moons of Section 3.1: a flow with a normal and one with a uniform base, and where their latents lead.

The data are two half circles of radius 1 that interleave, with Gaussian noise, squeezed into (-1, 1)^2 by a linear map. The
flow is the encoder of actions without a state, trained by the likelihood of the data (eq. 5).

What a policy in the latent space could do is measured at the end, by latents that reach farther and farther:

    scaled      z = a e, e from the base: what the paper's Figure 3 does to the normal base; a <= 1 for the uniform one
    pushed      z = a e, e ~ N(0, I), for the normal base; z = tanh(a e) for the uniform one, as far as its policies reach
    edge        z with one entry at the two ends beyond which the base has a share d of its mass, the other from the base

A decoded point is far if it is farther from the data than 99.9 % of the points held out are. The two bases compare at equal
d: their latents hold the same mass of the data.
"""

import math

import numpy as np
import torch
from scipy.spatial import KDTree
from scipy.stats import norm

from common.flows.glow import initialise
from common.flows.networks import widths
from common.rl.learner import IterativeLearner
from common.rl.optimisers import clipped, give_gradients
from common.rl.randomness import generator
from papers.cnf_offline import encoder

AMPLITUDES = (0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0)
DRAWN = (1.0, 2.0, 4.0)  # amplitudes whose samples are kept
TAILS = (0.3, 0.1, 1e-2, 1e-3, 1e-4, 1e-5)
WITHIN = 1 - 1e-5  # as far as the authors' policies reach in the uniform box
FAR = 0.999  # the share of held-out points that is not far
GRID = 81
CENTRE = (0.5, 0.25)
SCALE = (1.8, 1.05)  # half circles end at 1.5 and 0.75 from the centre; 0.3 is six times the largest noise


def moons(rng, count, noise):
    """Points in (-1, 1)^2, [count, 2]: every other one of the upper and of the lower half circle."""
    angle, upper = rng.uniform(0, math.pi, count), np.arange(count) % 2 == 0
    x = np.where(upper, np.cos(angle), 1 - np.cos(angle))
    y = np.where(upper, np.sin(angle), 0.5 - np.sin(angle))
    points = np.stack([x, y], -1) + noise * rng.standard_normal((count, 2))
    return ((points - CENTRE) / SCALE).astype(np.float32)


def entropy(noise):
    """Entropy of the moons in nats, for a small noise: half circles of length pi, equally likely, a normal profile across
    them, and the linear map."""
    across = 0.5 * math.log(2 * math.pi * math.e * noise**2)
    return math.log(2 * math.pi) + across - math.log(SCALE[0] * SCALE[1])


class Learner(IterativeLearner):
    """A fleet of flows on the moons, one member per seed, each with data of its own."""

    stored = ("flow", "optimiser")

    def __init__(self, config, seeds, device="cpu"):
        self.config, self.seeds, self.device = config, list(seeds), device
        rngs = [generator(seed, "init") for seed in seeds]
        self.data, self.held_out = (self._points(stream) for stream in ("sample", "evaluate"))
        self.flow = encoder.build(rngs, 2, config.layers, widths(config.units), config.base).to(device)
        initialise(self.flow, self.data[:, : config.batch_size])
        self.parameters = list(self.flow.parameters())
        rates = {"lr": config.learning_rate, "weight_decay": config.weight_decay}
        self.optimiser = torch.optim.AdamW(self.parameters, **rates, fused=True)

    def _points(self, stream):
        c = self.config
        drawn = [moons(generator(seed, stream), c.points, c.noise) for seed in self.seeds]
        return torch.from_numpy(np.stack(drawn)).to(self.device)

    def update_draws(self, rng, size):
        """Which points `size` updates of one member take."""
        return {"index": rng.integers(0, self.config.points, (size, self.config.batch_size))}

    def log_prob(self, points):
        """ln p of points [members, count, 2]."""
        return encoder.actions(self.flow, self.config.base, points).log_prob(points)

    def update(self, draws):
        """One step of AdamW up the likelihood of a batch, gradients cut member by member."""
        batch = torch.take_along_dim(self.data, draws["index"].unsqueeze(-1), 1)
        loss = -self.log_prob(batch).mean(-1)
        gradients = torch.autograd.grad(loss.sum(), self.parameters)
        squares = torch.stack([gradient.flatten(1).square().sum(1) for gradient in gradients]).sum(0)
        give_gradients(self.parameters, clipped(gradients, squares, self.config.gradient_limit))
        self.optimiser.step()

    @torch.no_grad()
    def measure(self):
        """Nats per point, -ln p, of the data and of the points held out."""
        points = {"nll": self.data, "nll_held_out": self.held_out}
        return {name: (-self.log_prob(x).mean(-1)).tolist() for name, x in points.items()}

    # At the end

    @torch.no_grad()
    def decode(self, z):
        """Points of latents [members, count, 2], as an array."""
        return self.flow.inverse(z.to(self.device, torch.float32))[0].cpu().numpy()

    def noise(self, entry):
        """Normal and uniform numbers for `samples` latents of every member: functions of its seed and `entry`."""
        rngs, shape = [generator(seed, "evaluate", 1 + entry) for seed in self.seeds], (self.config.samples, 2)
        drawn = [(rng.standard_normal(shape), rng.uniform(-1, 1, shape)) for rng in rngs]
        return [torch.from_numpy(np.stack(kind)) for kind in zip(*drawn, strict=True)]

    def scaled(self, amplitude):
        """Latents z = a e, e from the base; None where they would leave the box."""
        normal, uniform = self.noise(0)
        if self.config.base == "normal":
            return amplitude * normal
        return amplitude * uniform if amplitude <= 1 else None

    def pushed(self, amplitude):
        """Latents of a policy of spread a in the space before any tanh."""
        reach = amplitude * self.noise(1)[0]
        return reach if self.config.base == "normal" else torch.tanh(reach).clamp(-WITHIN, WITHIN)

    def edge(self, tail):
        """Latents with one entry at an end beyond which the base has `tail` of its mass, both ends together."""
        normal, uniform = self.noise(2)
        z, end = (normal, norm.isf(tail / 2)) if self.config.base == "normal" else (uniform, 1 - tail)
        ends = torch.tensor([[end, 0], [0, end], [-end, 0], [0, -end]], dtype=z.dtype)
        ends = ends.repeat(-(-z.shape[1] // 4), 1)[: z.shape[1]]
        return torch.where(ends != 0, ends, z)

    def tables(self):
        """`reach`: the share of far points, and how far the median one lies, by how latents were chosen and their size;
        `samples`: points at some amplitudes and of the data, of the first member; `density`: its ln p on a grid."""
        reached = [[] for _ in self.seeds]
        trees = [KDTree(points) for points in self.data.cpu().numpy()]
        limits = [np.quantile(tree.query(x)[0], FAR) for tree, x in zip(trees, self.held_out.cpu().numpy(), strict=True)]
        drawn = [("data", 0.0, *point) for point in self.data[0, : self.config.samples].tolist()]
        for how, size, z in self._latents():
            decoded = self.decode(z)
            for m, points in enumerate(decoded):
                sound = np.isfinite(points).all(-1)  # of a flow that overflows or diverged, some are not
                distance = np.where(sound, trees[m].query(np.where(sound[:, None], points, 0))[0], np.inf)
                far = float((distance > limits[m]).mean())
                reached[m].append({"how": how, "size": size, "far": far, "distance": float(np.median(distance))})
            if how != "edge" and size in DRAWN:
                drawn += [(how, size, *point) for point in decoded[0].tolist()]
        samples = [{"how": how, "amplitude": a, "x": x, "y": y} for how, a, x, y in drawn]
        others = [[] for _ in self.seeds[1:]]
        return {"reach": reached, "samples": [samples, *others], "density": [self._density(), *others]}

    def _latents(self):
        """(how, size, z) of everything that is decoded."""
        ways = {"scaled": (self.scaled, AMPLITUDES), "pushed": (self.pushed, AMPLITUDES), "edge": (self.edge, TAILS)}
        for how, (choose, sizes) in ways.items():
            for size in sizes:
                if (z := choose(size)) is not None:
                    yield how, size, z

    @torch.no_grad()
    def _density(self):
        """ln p of the first member on a grid over the square."""
        axis = (torch.arange(GRID) - (GRID - 1) / 2) / (GRID / 2)
        points = torch.cartesian_prod(axis, axis).to(self.device)
        values = self.log_prob(points.expand(len(self.seeds), -1, -1))[0]
        return [{"x": x, "y": y, "log_prob": v} for (x, y), v in zip(points.tolist(), values.tolist(), strict=True)]
