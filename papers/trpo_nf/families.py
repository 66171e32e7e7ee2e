"""The policy classes without a state: distributions over two dimensions whose parameters are free, one a member."""

import math

import numpy as np
import torch
from torch import nn

from common.flows.coupling import Coupling, Diagonal, with_norm_eps
from common.flows.distributions import DiagonalGaussian, FlowDistribution
from common.flows.mixtures import GaussianMixture
from common.flows.networks import small_uniform, xavier_uniform
from common.flows.transforms import Compose
from papers.trpo_nf.policies import NORM_EPS, GeometricMixture

EVENT = 2


def build(config, rngs):
    """The family that `config.policy` names."""
    if config.policy == "flow":
        return Flow(config, rngs)
    return Mixture(config, rngs, 1 if config.policy == "gaussian" else int(config.policy.removeprefix("gmm")))


def starts(config, rngs, *shape):
    """Means and ln sigma at the start, [members, *shape, 2] each: wide and apart for the toys of Figure 1, which are reached
    from random places; deviation 1 and means near 0 for the bandits."""
    if config.toy in ("kl_ball", "entropy"):
        drawn = [(rng.normal(0, 0.1, (*shape, EVENT)), rng.uniform(-3, 0, (*shape, EVENT))) for rng in rngs]
    else:
        drawn = [(rng.normal(0, 1, (*shape, EVENT)) * config.first_spread, np.zeros((*shape, EVENT))) for rng in rngs]
    means, log_stds = (np.stack(x) for x in zip(*drawn, strict=True))
    return tuple(torch.tensor(x, dtype=torch.get_default_dtype()) for x in (means, log_stds))


class Mixture(nn.Module):
    """Equally weighted Gaussians; one of them is the factorised Gaussian. `released` trains on the geometric density."""

    def __init__(self, config, rngs, components):
        super().__init__()
        mean, log_std = starts(config, rngs, 1, components)
        self.mean, self.log_std = nn.Parameter(mean), nn.Parameter(log_std)
        self.components, self.released = components, config.preset == "released"

    def forward(self, size):
        """The distribution that is trained, with `size` samples a member."""
        shape = (len(self.mean), size, self.components, EVENT)
        return (GeometricMixture if self.released else GaussianMixture)(self.mean.expand(shape), self.log_std.expand(shape))

    def truth(self, size):
        """The distribution of the samples, whatever density they are trained on."""
        trained = self(size)
        return GaussianMixture(trained.mean, trained.log_std)

    def noise(self, draws):
        """`draws`: {"uniform": [members, size], "normal": [members, size, 2]}."""
        return (draws["uniform"] * self.components).long(), draws["normal"]


class Flow(nn.Module):
    """Couplings and one free diagonal affine transform behind them. For the toys of Figure 1 the last layers of s and t are
    not small, so that flows start different from each other and from Gaussians."""

    def __init__(self, config, rngs):
        super().__init__()
        released = config.preset == "released"
        bandit = config.toy in ("correlated", "bimodal")
        hidden, count = [config.coupling_units] * (2 if released else 3), config.couplings * (2 if released else 1)
        last = small_uniform() if bandit else xavier_uniform(0.5)
        options = {"layer_norm": released, "init": xavier_uniform(), "last_init": last}
        layers = [Coupling(rngs, EVENT, i % 2 == 0, hidden, **options) for i in range(count)]
        for layer in layers if released else ():
            with_norm_eps(layer.network, NORM_EPS)
        mean, log_std = starts(config, rngs, 1)
        self.transform = Compose(*layers, Diagonal(log_std, mean))
        self.offset = 0.0 if config.constant else EVENT / 2 * math.log(2 * math.pi)
        self.members = len(rngs)

    def forward(self, size):
        return Offset(self.truth(size), self.offset)

    def truth(self, size):
        zeros = self.transform.transforms[-1].shift.new_zeros(self.members, size, EVENT)
        return FlowDistribution(DiagonalGaussian(zeros, zeros), self.transform)

    def noise(self, draws):
        return draws["normal"]


class Offset:
    """A distribution whose log-density is too large by `offset`: what is trained where the constant is left out."""

    def __init__(self, inner, offset):
        self.inner, self.offset = inner, offset

    def rsample_and_log_prob(self, noise=None):
        x, log_prob = self.inner.rsample_and_log_prob(noise)
        return x, log_prob + self.offset

    def log_prob(self, x):
        return self.inner.log_prob(x) + self.offset

    def sample(self, noise=None):
        return self.inner.sample(noise)
