"""Variational inference (Section 2.2): a flow of a normal base is fitted to a posterior that is known up to a constant.

    min_theta  E[ln q(z) + beta_t U(z)],    z = f(u), u ~ N(0, I),    ln q(z) = ln N(u; 0, I) - ln |det df/du|,

by gradients through the samples; beta_t = min(1, 0.01 + t / T) lets q spread before the energy holds it (Rezende &
Mohamed 2015, eq. 20). A fit is judged by

    KL(q || p) = E[ln q(z) + U(z)] + ln Z,

the mean of as many samples as an evaluation has, drawn once per member; Z is known (`energies`).
"""

import numpy as np
import torch

from common.flows.glow import MixLU
from common.flows.transforms import Compose
from common.rl.optimisers import Adam
from common.rl.randomness import draws, generator, normal
from papers.nf_review import energies, families
from papers.nf_review.density import Fitted, density_rows

FIRST = 0.01  # the energy's weight at the start


class Learner(Fitted):
    """One member per seed. Those of `bananas` have a rotation each."""

    def __init__(self, config, seeds, device="cpu"):
        super().__init__(config, seeds, "samples")
        rngs = [generator(seed, "sample") for seed in seeds]
        last = self.flow.transforms[-1]  # an affine map of each entry
        last.shift.data += config.first_spread * torch.tensor(
            np.stack([rng.standard_normal((1, config.event)) for rng in rngs]), dtype=torch.float32
        )
        if config.correlated:
            self.flow = Compose(self.flow, MixLU(rngs, config.event))
            self.parameters = [p for p in self.flow.parameters() if p.numel()]
            self.optimiser = Adam(self.parameters, lr=config.learning_rate)
        size = (config.evaluation_samples, config.event)
        self.noise = torch.from_numpy(draws(seeds, "evaluate", 0, lambda rng: normal(rng, *size))["noise"])
        self.log_normaliser = energies.log_normaliser(config.energy)
        self.rotation = None
        if config.energy == "bananas":
            turned = [rotation(rng, config.event) for rng in rngs]
            self.rotation = torch.tensor(np.stack(turned), dtype=torch.float32)

    def energy(self, z):
        """U, [members, count]."""
        return energies.ENERGIES[self.config.energy](z if self.rotation is None else torch.bmm(z, self.rotation))

    def weight(self):
        """beta_t of the next update."""
        rising = self.config.annealing * self.config.total_steps
        return min(1.0, FIRST + self.updates / rising) if rising else 1.0

    def update_draws(self, rng, size):
        return normal(rng, size, self.config.batch_size, self.config.event)

    def update(self, draws):
        z, log_prob = self.distribution(self.config.batch_size).rsample_and_log_prob(draws["noise"])
        self.descend((log_prob + self.weight() * self.energy(z)).mean(-1))

    def sampled(self):
        """Samples of an evaluation and their ln q, [members, count, event] and [members, count]."""
        return self.distribution(self.config.evaluation_samples).rsample_and_log_prob(self.noise)

    @torch.no_grad()
    def measure(self):
        """KL(q || p), in nats."""
        z, log_prob = self.sampled()
        return {"kl": ((log_prob + self.energy(z)).double().mean(-1) + self.log_normaliser).tolist()}

    @torch.no_grad()
    def results(self):
        """The number of parameters; in the plane also q's total variance as a share of p's, and how far q's mean lies from
        p's, in units of p's total deviation."""
        found = {"parameters": [families.parameters(self.flow, len(self.seeds))] * len(self.seeds)}
        if self.config.energy == "bananas":
            return found
        z = self.sampled()[0].double()
        _, mean, covariance = energies.by_quadrature(self.config.energy)
        total = covariance.trace()
        away = (z.mean(1) - mean).norm(dim=-1) / total.sqrt()
        return found | {"variance_share": (z.var(1).sum(-1) / total).tolist(), "mean_away": away.tolist()}

    @torch.no_grad()
    def tables(self):
        """`density`: q of the first member, and p, on a grid; none of bananas."""
        if self.config.energy == "bananas":
            return {"density": [[] for _ in self.seeds]}
        x = energies.grid(energies.SIDE.get(self.config.energy, 4.0), self.config.grid_points)
        found = self.log_prob(x.float().expand(len(self.seeds), -1, -1))[0].exp().numpy()
        true = (-energies.ENERGIES[self.config.energy](x) - self.log_normaliser).exp().numpy()
        return {"density": [density_rows(x.numpy(), found, true), *([] for _ in self.seeds[1:])]}


def rotation(rng, event):
    """A random orthogonal matrix [event, event]: QR of normal numbers, with a positive diagonal of R."""
    q, r = np.linalg.qr(rng.standard_normal((event, event)))
    return q * np.sign(np.diag(r))
