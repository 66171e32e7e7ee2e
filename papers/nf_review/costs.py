"""What a sample and a density of a flow cost (Section 2.3), counted rather than timed: the same on every machine.

A sample with its density asks for f and its log-determinant, the density of a given point for f^-1. Counted are the calls of
networks that follow one another (`passes`), and the kernels (`operations`): a call of one costs about the same for small
batches, whatever it computes. Both per step of the flow. Bisection counts as it is run (`common.flows.residual.HALVINGS`).
`python -m benchmarks flows` times.
"""

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from common.flows.autoregressive import MaskedMLP
from common.flows.networks import MLP
from common.rl.learner import IterativeLearner
from common.rl.randomness import generator
from papers.nf_review import families

POINTS = 4  # no count depends on how many


class Kernels(TorchDispatchMode):
    """Counts what runs inside it and returns a new tensor; views cost nothing."""

    count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.count += not any(result.alias_info for result in func._schema.returns)
        return func(*args, **(kwargs or {}))


class Learner(IterativeLearner):
    """One member per seed; all count the same."""

    def __init__(self, config, seeds, device="cpu"):
        self.config, self.seeds = config, list(seeds)
        rngs = [generator(seed, "init") for seed in seeds]
        self.flow = families.build(config.family, rngs, config.event, config.flows, config.hidden)

    @torch.no_grad()
    def counted(self, work):
        """(passes of networks, operations) of work(x), x [members, points, event]."""
        passes = []
        hooks = [
            module.register_forward_hook(lambda *_: passes.append(1))
            for module in self.flow.modules()
            if isinstance(module, MLP | MaskedMLP)
        ]
        with Kernels() as kernels:
            work(torch.zeros(len(self.seeds), POINTS, self.config.event))
        for hook in hooks:
            hook.remove()
        return len(passes), kernels.count

    def results(self):
        """Passes and operations per step, of a sample and of a density; the number of parameters of all steps."""
        found = {}
        for name, work in (("sample", self.flow.forward), ("density", self.flow.inverse)):
            for what, count in zip(("passes", "operations"), self.counted(work), strict=True):
                found[f"{name}_{what}"] = [count / self.config.flows] * len(self.seeds)
        return found | {"parameters": [families.parameters(self.flow, len(self.seeds))] * len(self.seeds)}
