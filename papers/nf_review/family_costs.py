"""What a sample and a density cost in every family (Section 2.3), counted and not timed, so that the numbers are the same
everywhere: operations that follow one another, each on a whole batch, and passes of networks.

A machine that works on a batch at once takes as long as its operations follow one another. Planar, radial and Sylvester
flows find densities by bisection, sixty halvings a step; autoregressive ones have a way that moves entry by entry.
"""

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from common.flows.autoregressive import MaskedMLP
from common.flows.distributions import DiagonalGaussian, FlowDistribution
from common.flows.networks import MLP
from common.rl.learner import IterativeLearner
from common.rl.randomness import generator
from papers.nf_review import families

BATCH = 16  # the counts do not depend on it


class Counted(TorchDispatchMode):
    """Counts the operations that compute, not those that look at an array otherwise."""

    def __init__(self):
        super().__init__()
        self.operations = 0

    def __torch_dispatch__(self, function, types, arguments=(), keywords=None):
        looks = any(result.alias_info and not result.alias_info.is_write for result in function._schema.returns)
        self.operations += not looks  # what writes in place computes
        return function(*arguments, **(keywords or {}))


class Learner(IterativeLearner):
    """One member per seed; nothing is trained."""

    def __init__(self, config, seeds, device="cpu"):
        self.config, self.seeds = config, list(seeds)
        rngs = [generator(seed, "init") for seed in seeds]
        self.flow = families.build(config.family, rngs, config.event, config.flows, config.hidden)

    def results(self):
        """Operations and passes of a sample with its density, and of the density of a point that is given; the number of
        parameters."""
        zero = torch.zeros(len(self.seeds), BATCH, self.config.event)
        distribution = FlowDistribution(DiagonalGaussian(zero, zero), self.flow)
        found = {}
        for name, call in {
            "sample": lambda: distribution.rsample_and_log_prob(zero),
            "density": lambda: distribution.log_prob(zero),
        }.items():
            passes = []
            networks = [module for module in self.flow.modules() if isinstance(module, MLP | MaskedMLP)]
            hooks = [network.register_forward_hook(lambda *_, seen=passes: seen.append(1)) for network in networks]
            with torch.no_grad(), Counted() as counted:
                call()
            for hook in hooks:
                hook.remove()
            found |= {f"{name}_operations": counted.operations, f"{name}_passes": len(passes)}
        found["parameters"] = families.parameters(self.flow, len(self.seeds))
        return {name: [value] * len(self.seeds) for name, value in found.items()}
