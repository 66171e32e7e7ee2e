"""What multiplicative flows cost: the operations of one step of learning on a dense layer, counted (Section 3.2).

A layer of n inputs and n units, n a power of two, takes a batch forward; its output's sum, and the divergence of its
posterior from the prior, are differentiated by every parameter. A product of matrices counts 2 operations per
multiplication; anything else that computes, one per entry that it makes. No clock is read: the counts are the same on every
machine.
"""

import numpy as np
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from common.rl.learner import IterativeLearner
from common.rl.randomness import generator
from papers.nf_review.stochastic import Plain, dense

SMALLEST = 16


class Counter(TorchDispatchMode):
    """A context that counts operations: `total`."""

    def __init__(self):
        super().__init__()
        self.total = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        made = result if isinstance(result, tuple | list) else [result]
        if function in (torch.ops.aten.bmm.default, torch.ops.aten.mm.default):
            self.total += 2 * result.numel() * args[0].shape[-1]
        elif not function.is_view:
            self.total += sum(x.numel() for x in made if isinstance(x, torch.Tensor))
        return result


class Learner(IterativeLearner):
    """Layers of growing size, of one posterior; nothing is trained."""

    def __init__(self, config, seeds, device="cpu"):
        self.config, self.seeds = config, list(seeds)
        self.sizes = 2 ** np.arange(int(np.log2(SMALLEST)), int(np.log2(config.largest)) + 1)

    def layer(self, size):
        """A layer of one member."""
        rngs, c = [generator(self.seeds[0], "init")], self.config
        return Plain(rngs, size, size) if c.posterior == "plain" else dense(c.posterior, rngs, size, size, c)

    def tables(self):
        rows = []
        for size in map(int, self.sizes):
            layer = self.layer(size)
            rows.append({"units": size, "parameters": parameters(layer), "operations": self.operations(layer, size)})
        return {"cost": [rows for _ in self.seeds]}

    def results(self):
        """The share of the operations of a step on the largest layer that a weight has, where all is paid by weights."""
        size = int(self.sizes[-1])
        layer = self.layer(size)
        return {"operations_per_parameter": [self.operations(layer, size) / parameters(layer)] * len(self.seeds)}

    def operations(self, layer, size):
        """Of one step of learning."""
        rng, batch = generator(self.seeds[0], "update"), self.config.batch_size
        noise, free = (
            {name: torch.from_numpy(x)[None] for name, x in drawn.items()}
            for drawn in (layer.draws(rng, batch), layer.divergence_draws(rng))
        )
        x = torch.randn(1, batch, size, generator=torch.Generator().manual_seed(0))
        with Counter() as counter:
            loss = layer(x, noise).sum()
            if self.config.posterior != "plain":
                loss = loss + layer.divergence(free).sum()
            torch.autograd.grad(loss, list(layer.parameters()))
        return counter.total


def parameters(layer):
    """How many numbers a layer of one member learns."""
    return sum(p.numel() for p in layer.parameters())
