"""Pre-training of the conservative flow: maximum likelihood of the data's actions (Algorithm 1, eq. 5).

    L_f(phi) = mean over a batch of -ln p_phi(a | s)

The couplings are told the standardised state. A tenth of the data, the same for all members, is held out for validation.
With `search` each member is a trial that draws its learning rate and weight decay from Table 3's ranges. The agents read the
experiment `flows`, without a search, and of several runs the one with the best held-out likelihood.
"""

from copy import deepcopy

import numpy as np
import torch

from common.flows.glow import initialise
from common.flows.networks import widths
from common.rl.learner import OfflineLearner
from common.rl.optimisers import FleetAdamW, clipped, give_gradients
from common.rl.randomness import generator
from papers.cnf_offline import encoder
from papers.cnf_offline.data import DATA_LIMIT, Standardised, padded

RATES, DECAYS = (1e-5, 3e-3), (0.0, 1e-2)  # Table 3
MEASURED = 10_000  # rows, of the data and held out, of each validation
CHUNK = 2_000


class Learner(OfflineLearner):
    """A fleet of encoders, one member per seed."""

    stored = ("flow", "optimiser", "best", "best_nll")

    def __init__(self, config, seeds, data, device="cpu", inputs=None):
        self.config, self.seeds, self.device, self.data = config, list(seeds), device, data
        rngs = [generator(seed, "init") for seed in seeds]
        self.rates = np.full(len(seeds), config.learning_rate), np.full(len(seeds), config.weight_decay)
        if config.search:
            drawn = [generator(seed, "sample", 10**6) for seed in seeds]
            self.rates = tuple(np.array([rng.uniform(*interval) for rng in drawn]) for interval in (RATES, DECAYS))
        self.event = data.actions + (data.actions % 2 if config.padded else 0)
        shuffled = torch.from_numpy(generator(0, "sample", 10**6).permutation(len(data)))
        held_out = max(1, int(config.held_out * len(data)))
        self.order, self.validation = shuffled[held_out:], shuffled[:held_out]
        self.standardise = Standardised(data, device)
        layers, units = config.size
        self.flow = encoder.build(rngs, self.event, layers, widths(units), config.base, data.observations).to(device)
        first = self._rows(self.order[: config.batch_size])
        initialise(self.flow, *first)
        self.parameters = list(self.flow.parameters())
        self.optimiser = FleetAdamW(self.parameters, *self.rates)
        self.best = deepcopy(self.flow).requires_grad_(False)
        self.best_nll = torch.full((len(seeds),), torch.inf, dtype=torch.float64)  # of validations, which no update reads

    def _rows(self, index):
        """Actions and contexts of some rows, for every member."""
        batch = self.data.take(index.expand(len(self.seeds), -1), self.device)
        return self.prepare(batch)

    def prepare(self, batch):
        """Actions within their open box, and standardised states, of a batch [members, batch, ...]."""
        return padded(batch.action, self.event).clamp(-DATA_LIMIT, DATA_LIMIT), self.standardise(batch.obs)

    def log_prob(self, action, context):
        """ln p(a | s), [members, batch]."""
        return encoder.actions(self.flow, self.config.base, action, context).log_prob(action)

    def update(self, batch, draws):
        """One step of AdamW on L_f, gradients cut member by member."""
        loss = -self.log_prob(*self.prepare(batch)).mean(-1)
        gradients = torch.autograd.grad(loss.sum(), self.parameters)
        squares = torch.stack([gradient.flatten(1).square().sum(1) for gradient in gradients]).sum(0)
        give_gradients(self.parameters, clipped(gradients, squares, self.config.gradient_limit))
        self.optimiser.step()

    @torch.no_grad()
    def measure(self):
        """Nats per row, -ln p, of data and of held-out rows; keeps the parameters that have the fewest on the latter."""
        measured = {}
        for name, rows in (("nll", self.order[:MEASURED]), ("nll_held_out", self.validation[:MEASURED])):
            parts = [-self.log_prob(*self._rows(part)).sum(-1) for part in rows.split(CHUNK)]
            measured[name] = (torch.stack(parts).sum(0) / len(rows)).tolist()
        for m, nll in enumerate(measured["nll_held_out"]):
            if nll < float(self.best_nll[m]):
                self.best_nll[m] = nll
                for kept, present in zip(self.best.parameters(), self.flow.parameters(), strict=True):
                    kept[m].copy_(present[m])
        return measured

    def results(self):
        """What was drawn, and the best held-out likelihood."""
        rates, decays = self.rates
        return {"learning_rate": rates, "weight_decay": decays, "nll_best": self.best_nll.tolist()}

    def files(self):
        """The parameters with the best held-out likelihood, as a fleet of one."""
        arrays = self.best.state_dict().items()
        return {"flow": [{name: x[m : m + 1].cpu().numpy() for name, x in arrays} for m in range(len(self.seeds))]}
