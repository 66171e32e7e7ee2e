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
"KL" is no divergence and starts below zero for some, which "first_kl" tells. At the end 10,000 samples tell spread, tails
and modes, and quadrature on a grid tells KL[pi || p*], both with the density that the samples truly have.
"""

import numpy as np
import torch

from common.rl.naturalgradient import assign, flatten
from common.rl.optimisers import give_gradients
from common.rl.packing import pack, unpack
from common.rl.randomness import Blocks, generator
from papers.trpo_nf import families, spread

TOLERANCE = 5e-4  # nats from the boundary at which a member has arrived
MEASURED = 10_000  # samples of the final distribution
POINTS = 20  # records a run


def train(build, config, seeds, journal, device="cpu"):
    """`iterations` gradient steps of every member, records on the way, measurements and tables at the end."""
    learner = build(config, seeds, device)
    found = journal.resume()
    start = 0
    if found is not None:
        start, arrays, state = found
        learner.load_state_dict(arrays)
    draws = Blocks(seeds, "update", 16, lambda rng, n: learner.draws(rng, n, config.samples))
    alive = np.array(state["alive"]) if found else np.ones(len(seeds), dtype=bool)
    every = max(1, config.iterations // POINTS)
    for i in range(start, config.iterations):
        value = learner.update(i, {name: torch.from_numpy(x).to(device) for name, x in draws.at(i).items()})
        if (i + 1) % every == 0 or i + 1 == config.iterations:
            for member in np.flatnonzero(alive & learner.lost(value).cpu().numpy()):
                journal.diverged(member, i + 1)
                alive[member] = False
            journal.record(i + 1, "objective", value.tolist(), alive)
        if journal.due(i + 1, config.iterations):
            journal.save(i + 1, learner.state_dict(), {"alive": alive.tolist()})
    learner.arrive()
    for metric, values in learner.measure().items():
        journal.record(config.iterations, metric, [float(v) for v in values], alive)
    for table, rows in learner.tables().items():
        for m in range(min(2, len(seeds))):
            journal.table(table, m, rows(m))
    journal.end(learner)


class Learner:
    """A fleet of distributions, one member a random start."""

    loop = staticmethod(train)

    def __init__(self, config, seeds, device="cpu"):
        self.config, self.seeds, self.device = config, list(seeds), device
        rngs = [generator(seed, "init") for seed in seeds]
        self.family = families.build(config, rngs).to(device)
        self.parameters = list(self.family.parameters())
        self.optimiser = torch.optim.Adam(self.parameters, lr=config.learning_rate, fused=True)
        centre = [rng.standard_normal((config.origin_samples, families.EVENT)) for rng in rngs]
        self.origin = torch.tensor(np.stack(centre) * config.origin_std, dtype=torch.float32, device=device)
        self.arrived = torch.zeros(len(seeds), dtype=torch.bool, device=device)
        self.final = flatten(self.parameters, len(seeds)).detach().clone()
        with torch.no_grad():
            self.first_kl = self.divergence() if config.toy == "kl_ball" else None

    @staticmethod
    def draws(rng, *shape):
        """Random numbers of samples of one member."""
        return {"uniform": rng.random(shape, dtype=np.float32), "normal": rng.standard_normal((*shape, 2), dtype=np.float32)}

    def update(self, iteration, draws):
        """One step of Adam. Returns every member's objective before it, [members]."""
        loss, value = getattr(self, self.config.toy)(draws)
        if self.config.toy == "kl_ball":
            self.note_arrivals(value)
        for group in self.optimiser.param_groups:
            group["lr"] = self.config.learning_rate * min(1.0, 2 * (1 - iteration / self.config.iterations))
        # An entropy does not depend on where the distribution stands.
        give_gradients(self.parameters, torch.autograd.grad(loss.sum(), self.parameters, allow_unused=True))
        self.optimiser.step()
        return value.detach()

    def lost(self, value):
        """Members whose objective is not finite, and that have not arrived before, [members]."""
        return ~value.isfinite() & ~self.arrived

    # Losses: (what is minimised, what is recorded), [members] each

    def kl_ball(self, draws):
        kl = self.divergence()
        return (kl - self.config.kl).abs(), kl

    def divergence(self, truth=False):
        """KL from the samples that form the centre, [members]."""
        x, std = self.origin, self.config.origin_std
        centre = -0.5 * (x / std).square().sum(-1) - 2 * np.log(std) - np.log(2 * np.pi)
        distribution = (self.family.truth if truth else self.family)(x.shape[1])
        return (centre - distribution.log_prob(x)).mean(-1)

    def entropy(self, draws):
        distribution = self.family(self.config.samples)
        entropy = -distribution.rsample_and_log_prob(self.family.noise(draws))[1].mean(-1)
        return (entropy - self.config.entropy).square(), entropy

    def correlated(self, draws):
        return self.bandit(draws)

    bimodal = correlated

    def bandit(self, draws):
        distribution, c = self.family(self.config.samples), self.config.temperature
        noise = self.family.noise(draws)
        if self.config.estimator == "pathwise":
            action, log_prob = distribution.rsample_and_log_prob(noise)
            value = (self.reward(action) - c * log_prob).mean(-1)
            return -value, value
        action = distribution.sample(noise)
        log_prob = distribution.log_prob(action)
        worth = (self.reward(action) - c * log_prob).detach()
        return -((worth - worth.mean(-1, keepdim=True)) * log_prob).mean(-1), worth.mean(-1)

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
    def measure(self):
        """{metric: [members]} of the final distributions, from samples and by quadrature."""
        c = self.config
        x, log_prob = (part.double() for part in self.sampled())
        found = spread.measure(x) | {"entropy": -log_prob.mean(-1)}
        if c.toy == "kl_ball":
            found |= {"kl": self.divergence(truth=True), "arrived": self.arrived.float(), "first_kl": self.first_kl}
        if c.toy in ("correlated", "bimodal"):
            found |= spread.modes(x, c.distance) if c.toy == "bimodal" else {}
            found["kl_to_target"] = spread.kl_by_quadrature(self.family.truth, self.log_target, len(self.seeds), self.device)
        if c.policy.startswith("gmm"):
            found["component_distance"] = spread.component_distance(self.family.mean[:, 0], self.family.log_std[:, 0])
        return {name: values.cpu().numpy() for name, values in found.items()}

    def sampled(self):
        """(samples, their true ln pi) of every member, [members, 10000, ...]."""
        drawn = [self.draws(generator(seed, "evaluate"), MEASURED) for seed in self.seeds]
        stacked = {name: torch.from_numpy(np.stack([d[name] for d in drawn])).to(self.device) for name in drawn[0]}
        return self.family.truth(MEASURED).rsample_and_log_prob(self.family.noise(stacked))

    def log_target(self, action):
        """ln p*(a) up to a constant."""
        return self.reward(action) / self.config.temperature

    @torch.no_grad()
    def tables(self):
        """Tables that the figures draw: {table: member -> rows}. `samples`: some of each kind; `density`: ln pi on a
        grid."""
        x = self.sampled()[0].cpu().numpy()
        centre = self.origin.cpu().numpy()
        limit = 0.5 if self.config.toy == "kl_ball" else 2.0
        grid, log_prob = spread.on_grid(self.family.truth, len(self.seeds), self.device, limit, 61)

        def samples(m):
            rows = [("policy", *point) for point in x[m, :500]]
            rows += [("centre", *point) for point in centre[m, :200]] if self.config.toy == "kl_ball" else []
            return [{"kind": kind, "x": float(a), "y": float(b)} for kind, a, b in rows]

        def density(m):
            values = zip(grid.tolist(), log_prob[m].clamp(min=-50).tolist(), strict=True)
            return [{"x": a, "y": b, "log_prob": value} for (a, b), value in values]

        return {"samples": samples, "density": density}

    # Checkpoints

    def state_dict(self):
        arrived = {"arrived": self.arrived.cpu().numpy().astype(np.uint8), "final": self.final.cpu().numpy().copy()}
        return pack({"family": self.family}, {"optimiser": self.optimiser}) | arrived

    def load_state_dict(self, arrays):
        arrays = dict(arrays)
        self.arrived = torch.from_numpy(arrays.pop("arrived").astype(bool)).to(self.device)
        self.final = torch.from_numpy(arrays.pop("final").copy()).to(self.device)
        unpack(arrays, {"family": self.family}, {"optimiser": self.optimiser})
