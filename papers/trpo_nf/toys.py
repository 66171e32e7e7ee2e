"""The paper's toys (Tang & Agrawal 2018, Sections 4.2 and 4.3): distributions pi over actions in two dimensions.

    kl_ball      from a random start to |KL[pi_o || pi] - kl| small, pi_o the empirical distribution of samples x_i of N(0,
    s^2 I):
                 KL = mean [ln N(x_i; 0, s^2 I) - ln pi(x_i)], up to a constant that no pi can change
    entropy      from a random start, min (H[pi] - entropy)^2, H = -mean ln pi(a), a ~ pi
    correlated   max E_pi[r] + c H[pi],   r(a) = -a' Sigma^-1 a
    bimodal      the same,                r(a) = max_i -(a - mu_i)' Lambda^-1 (a - mu_i)

The bandits' best policy is p* ~ exp(r / c), and E_pi[r] + c H[pi] = -c KL[pi || p*] + constant. For `correlated` it is
N(0, (c / 2) Sigma): the paper writes Sigma / c in the text and Sigma in the caption. For `bimodal` each mode is close to
N(mu_i, (c / 2) Lambda); the paper drops the minus sign.

Gradients of the bandits are `pathwise`, through a = f(e), or by the `score` function, mean (r - c ln pi - mean) d ln pi.

A member that reaches the boundary of the KL ball stays there. It may come from inside: without the normalising constant
"KL" is no divergence and starts below zero for some, as "first_kl" records. At the end spread, tails and modes come
from 10,000 samples, and KL[pi || p*] from quadrature on a grid, both with the density that the samples truly have.
"""

import numpy as np
import torch

from common.rl.learner import IterativeLearner, tensors
from common.rl.naturalgradient import assign, flatten
from common.rl.optimisers import Adam, give_gradients
from common.rl.randomness import draws, generator
from papers.trpo_nf import families, spread
from papers.trpo_nf.classes import CLASSES

TOLERANCE = 5e-4  # nats from the boundary at which a member has arrived
MEASURED = 10_000  # samples of the final distribution
SHOWN = 2  # members whose samples and density are kept for figures


class Learner(IterativeLearner):
    """A fleet of distributions, one member per random start."""

    block, first_entry = 16, 0
    stored = ("policy", "optimiser", "arrived", "final", "updates")

    def __init__(self, config, seeds, device="cpu"):
        self.config, self.seeds, self.device = config, list(seeds), device
        rngs = [generator(seed, "init") for seed in seeds]
        self.policy = families.build(config, rngs).to(device)
        self.parameters = list(self.policy.parameters())
        self.optimiser = Adam(self.parameters, lr=config.learning_rate)
        centre = [rng.standard_normal((config.origin_samples, families.EVENT)) for rng in rngs]
        self.origin = torch.tensor(np.stack(centre) * config.origin_std, dtype=torch.float32, device=device)
        self.updates = 0
        self.arrived = torch.zeros(len(seeds), dtype=torch.bool, device=device)
        self.final = flatten(self.parameters, len(seeds)).detach().clone()
        with torch.no_grad():
            self.first_kl = self.divergence() if config.toy == "kl_ball" else None

    @staticmethod
    def draws(rng, *shape):
        """Random numbers of samples of one member."""
        return {"uniform": rng.random(shape, dtype=np.float32), "normal": rng.standard_normal((*shape, 2), dtype=np.float32)}

    def update_draws(self, rng, size):
        return self.draws(rng, size, self.config.samples)

    def update(self, draws):
        """One step of Adam; `objective` [members] is from before it."""
        loss, value = getattr(self, self.config.toy)(draws)
        if self.config.toy == "kl_ball":
            self.note_arrivals(value)
        for group in self.optimiser.param_groups:
            group["lr"] = self.config.learning_rate * min(1.0, 2 * (1 - self.updates / self.config.iterations))
        # An entropy does not depend on where the distribution stands.
        give_gradients(self.parameters, torch.autograd.grad(loss.sum(), self.parameters, materialize_grads=True))
        self.optimiser.step()
        self.updates += 1
        # A member that has arrived stays there, whatever becomes of its parameters.
        self.objective = torch.where(self.arrived & ~value.isfinite(), self.config.kl, value).detach()

    def measure(self):
        return {"objective": self.objective.tolist()}

    def trained(self, size):
        """The policy's distribution as it is trained, with `size` samples per member."""
        return self.policy(torch.zeros(len(self.seeds), size, 0, device=self.device))

    def truth(self, size):
        """The distribution of its samples."""
        return self.policy.truth(torch.zeros(len(self.seeds), size, 0, device=self.device))

    def noise(self, draws):
        """What distributions take as their noise, from `draws` stacked over members."""
        component = (draws["uniform"] * CLASSES[self.config.policy].components).long()
        return self.policy.noise({"component": component, "noise": draws["normal"]})

    # Losses: (what is minimised, what is recorded), [members] each

    def kl_ball(self, draws):
        kl = self.divergence()
        return (kl - self.config.kl).abs(), kl

    def divergence(self, truth=False):
        """KL from the samples that form the centre, [members]."""
        x, std = self.origin, self.config.origin_std
        centre = -0.5 * (x / std).square().sum(-1) - 2 * np.log(std) - np.log(2 * np.pi)
        distribution = (self.truth if truth else self.trained)(x.shape[1])
        return (centre - distribution.log_prob(x)).mean(-1)

    def entropy(self, draws):
        distribution = self.trained(self.config.samples)
        entropy = -distribution.rsample_and_log_prob(self.noise(draws))[1].mean(-1)
        return (entropy - self.config.entropy).square(), entropy

    def correlated(self, draws):
        distribution, c = self.trained(self.config.samples), self.config.temperature
        noise = self.noise(draws)
        if self.config.estimator == "pathwise":
            action, log_prob = distribution.rsample_and_log_prob(noise)
            value = (self.reward(action) - c * log_prob).mean(-1)
            return -value, value
        action = distribution.sample(noise)
        log_prob = distribution.log_prob(action)
        worth = (self.reward(action) - c * log_prob).detach()
        return -((worth - worth.mean(-1, keepdim=True)) * log_prob).mean(-1), worth.mean(-1)

    bimodal = correlated

    def reward(self, action):
        """r(a), without the last axis."""
        c = self.config
        if c.toy == "correlated":
            x, y = action.unbind(-1)
            return -(x.square() + y.square() - 2 * c.correlation * x * y) / (1 - c.correlation**2)
        modes = [(action - sign * c.distance).square().sum(-1) / c.width for sign in (-1, 1)]
        return -torch.minimum(*modes)

    # The boundary of the KL ball

    @torch.no_grad()
    def note_arrivals(self, kl):
        """Keeps the parameters of members that are at the boundary for the first time."""
        new = ((kl - self.config.kl).abs() < TOLERANCE) & ~self.arrived
        present = flatten(self.parameters, len(self.seeds))
        self.final = torch.where(self.arrived.unsqueeze(-1), self.final, present)
        self.arrived |= new

    def arrive(self):
        """Every member back to where it arrived; those that did not stay where they are."""
        if self.config.toy == "kl_ball":
            self.note_arrivals(self.divergence().detach())
            assign(self.parameters, self.final)

    # At the end

    @torch.no_grad()
    def results(self):
        """{metric: [members]} of the final distributions, from samples and by quadrature."""
        self.arrive()
        c = self.config
        x, log_prob = (part.double() for part in self.sampled())
        measured = spread.measure(x) | {"entropy": -log_prob.mean(-1)}
        if c.toy == "kl_ball":
            measured |= {"kl": self.divergence(truth=True), "arrived": self.arrived.float(), "first_kl": self.first_kl}
        if c.toy in ("correlated", "bimodal"):
            measured |= spread.modes(x, c.distance) if c.toy == "bimodal" else {}
            measured["kl_to_target"] = spread.kl_by_quadrature(self.truth, self.log_target, len(self.seeds), self.device)
        if CLASSES[c.policy].components > 1:
            mixture = self.truth(1)
            measured["component_distance"] = spread.component_distance(mixture.mean[:, 0], mixture.log_std[:, 0])
        return {name: values.tolist() for name, values in measured.items()}

    def sampled(self):
        """(samples, their true ln pi) of every member, [members, 10000, ...]."""
        drawn = draws(self.seeds, "evaluate", 0, lambda rng: self.draws(rng, MEASURED))
        return self.truth(MEASURED).rsample_and_log_prob(self.noise(tensors(drawn, self.device)))

    def log_target(self, action):
        """ln p*(a) up to a constant."""
        return self.reward(action) / self.config.temperature

    @torch.no_grad()
    def tables(self):
        """Tables of the first members, for figures: `samples`, some of each kind, and `density`, ln pi on a grid."""
        x = self.sampled()[0].cpu().numpy()
        centre = self.origin.cpu().numpy()
        limit = 0.5 if self.config.toy == "kl_ball" else 2.0
        grid, log_prob = spread.on_grid(self.truth, len(self.seeds), self.device, limit, 61)

        def samples(m):
            rows = [("policy", *point) for point in x[m, :500]]
            rows += [("centre", *point) for point in centre[m, :200]] if self.config.toy == "kl_ball" else []
            return [{"kind": kind, "x": float(a), "y": float(b)} for kind, a, b in rows]

        def density(m):
            values = zip(grid.tolist(), log_prob[m].clamp(min=-50).tolist(), strict=True)
            return [{"x": a, "y": b, "log_prob": value} for (a, b), value in values]

        first, others = range(min(SHOWN, len(self.seeds))), [[] for _ in self.seeds[SHOWN:]]
        return {"samples": [samples(m) for m in first] + others, "density": [density(m) for m in first] + others}
