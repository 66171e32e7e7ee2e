"""Policies: modules that map observations to distributions over actions in [-1, 1]."""

from torch import nn

from ..flows.distributions import DiagonalGaussian, FlowDistribution
from ..flows.networks import MLP


class GaussianNetwork(nn.Module):
    """A network of the observation gives the mean and the clamped log standard deviation of a diagonal Gaussian.

    obs: [members, batch, observations]; the distribution's events have `actions` entries.
    """

    def __init__(self, rngs, observations, hidden, actions, log_std_range, init=None, last_init=None):
        super().__init__()
        self.network = MLP(rngs, [observations, *hidden, 2 * actions], init=init, last_init=last_init)
        self.log_std_range = log_std_range

    def forward(self, obs):
        mean, log_std = self.network(obs).chunk(2, -1)
        return DiagonalGaussian(mean, log_std.clamp(*self.log_std_range))


class FlowPolicy(nn.Module):
    """a = f(u; context), u ~ base(obs): a base distribution that depends on the observation, and a transform that does not
    (or does so through the context). With f = tanh alone it is SAC's squashed Gaussian."""

    def __init__(self, base, transform):
        super().__init__()
        self.base = base
        self.transform = transform

    def forward(self, obs, context=None):
        return FlowDistribution(self.base(obs), self.transform, context)
