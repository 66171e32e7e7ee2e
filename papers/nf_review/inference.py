"""Variational inference with flows (Section 2.2): q, a flow of N(0, I), descends the free energy of Rezende & Mohamed 2015,

    F = E_q[ln q(z) + beta_t U(z)],    z = f(z_0), ln q(z) = ln N(z_0; 0, I) - ln |det dz/dz_0|    (review, eqs. 4, 5),

on distributions p ~ exp(-U) whose constant is known, so that KL(q || p) = E_q[ln q + U] + ln Z is too. beta_t rises from
0.01 to 1 over the first updates, which keeps q from settling in the first mode that it meets. A mean field is the flow
without a step: an affine transform of each entry.
"""

import numpy as np
import torch

from common.rl.randomness import generator
from papers.nf_review import families, posteriors
from papers.nf_review.density import SIDE, Fitted, density_rows, grid

COLDEST = 0.01  # beta at the start


class Learner(Fitted):
    """One member per seed."""

    def __init__(self, config, seeds, device="cpu"):
        super().__init__(config, seeds, "samples")
        self.log_constant, self.variance = posteriors.moments(config.energy, config.event)
        noise = [generator(seed, "evaluate").standard_normal((config.evaluation_samples, config.event)) for seed in seeds]
        self.noise = torch.tensor(np.stack(noise), dtype=torch.float32)

    def update_draws(self, rng, size):
        shape = (size, self.config.batch_size, self.config.event)
        return {"noise": rng.standard_normal(shape, dtype=np.float32)}

    def beta(self):
        """The inverse temperature of the next update."""
        return min(1.0, COLDEST + self.updates / self.config.annealed) if self.config.annealed else 1.0

    def update(self, draws):
        self.descend(self.free_energy(draws["noise"], self.beta())[0].mean(-1))

    def free_energy(self, noise, beta=1.0):
        """ln q + beta U at samples of q, [members, count], and the samples. noise: [members, count, event]."""
        z, log_q = self.distribution(noise.shape[1]).rsample_and_log_prob(noise)
        return log_q + beta * posteriors.energy(self.config.energy, z), z

    @torch.no_grad()
    def measure(self):
        """KL(q || p) in nats, estimated by samples, and ln of the trace of q's covariance relative to p's."""
        energy, z = self.free_energy(self.noise)
        ratio = z.double().var(1).sum(-1) / self.variance
        return {"kl": (energy.double().mean(-1) + self.log_constant).tolist(), "log_variance": ratio.log().tolist()}

    def results(self):
        """The number of parameters."""
        return {"parameters": [families.parameters(self.flow, len(self.seeds))] * len(self.seeds)}

    @torch.no_grad()
    def tables(self):
        """`density`: in the plane, q of the first member, and p, on a grid."""
        if self.config.event > 2:
            return {"density": [[] for _ in self.seeds]}
        x = grid(SIDE, self.config.grid_points, len(self.seeds))
        true = torch.exp(-posteriors.energy(self.config.energy, x[0]) - self.log_constant)
        found = self.log_prob(x)[0].exp()
        return {"density": [density_rows(x[0].numpy(), found.numpy(), true.numpy()), *([] for _ in self.seeds[1:])]}
