"""The policy classes without a state: distributions over two dimensions whose parameters are free, one set per member."""

import numpy as np
import torch
from torch import nn

from common.flows.coupling import Diagonal
from common.flows.networks import small_uniform, xavier_uniform
from common.flows.transforms import Compose
from common.rl.flow_policies import CouplingFlow
from common.rl.mixture_policies import Mixture
from papers.trpo_nf.classes import CLASSES
from papers.trpo_nf.policies import couplings

EVENT = 2


class Constant(nn.Module):
    """The same free output in every state. value: [members, 1, features], at the start."""

    def __init__(self, value):
        super().__init__()
        self.value = nn.Parameter(value)

    def forward(self, obs):
        return self.value.expand(-1, obs.shape[1], -1)


def build(config, rngs):
    """The policy that `config.policy` names. Its observations [members, batch, 0] are empty."""
    return BUILDERS[CLASSES[config.policy].builder](config, rngs)


def starts(config, rngs, *shape):
    """Means and ln sigma at the start, [members, *shape, 2] each: wide and apart for the toys of Figure 1, which start
    from random places; deviation 1 and means near 0 for the bandits."""
    if config.toy in ("kl_ball", "entropy"):
        drawn = [(rng.normal(0, 0.1, (*shape, EVENT)), rng.uniform(-3, 0, (*shape, EVENT))) for rng in rngs]
    else:
        drawn = [(rng.normal(0, 1, (*shape, EVENT)) * config.first_spread, np.zeros((*shape, EVENT))) for rng in rngs]
    means, log_stds = (np.stack(x) for x in zip(*drawn, strict=True))
    return tuple(torch.tensor(x, dtype=torch.get_default_dtype()) for x in (means, log_stds))


def mixture(config, rngs):
    """Equally weighted Gaussians; one of them is the factorised Gaussian. Released, it trains on the geometric density."""
    mean, log_std = starts(config, rngs, 1, CLASSES[config.policy].components)
    return Mixture(Constant(mean.flatten(2)), log_std, shared=True, geometric=config.preset == "released")


def flow(config, rngs):
    """Couplings and one free diagonal affine transform behind them. For the toys of Figure 1 the last layers of s and t are
    not small, so that flows start different from each other and from Gaussians."""
    last_init = small_uniform() if config.toy in ("correlated", "bimodal") else xavier_uniform(0.5)
    layers = couplings(config, rngs, EVENT, last_init)
    mean, log_std = starts(config, rngs, 1)
    return CouplingFlow(Compose(*layers, Diagonal(log_std, mean)), EVENT, config.constant)


BUILDERS = {"gaussian": mixture, "mixture": mixture, "flow": flow}
