"""Four classes of policies with about as many parameters, for one question: which of them does which algorithm profit from?

                 on policy                                            soft actor-critic
    gaussian     N(mu(s), sigma)                                      tanh of N(mu(s), sigma(s))
    mixture      1/K sum_k N(mu_k(s), sigma_k), one network           tanh of 1/K sum_k N(mu_k(s), sigma_k(s)), one network
    coupling     g_K o ... o g_2 o (mu(s) + g_1(e)), e ~ N(0, I)      tanh o g_K o ... o g_1 of N(mu(s), sigma(s))
    spline       the same                                             the same

The g are affine couplings (RealNVP) or couplings by rational-quadratic splines, alternating halves kept, which do not see
the state, as in Section 3.1.1. mu is the Gaussian's network, with its initial weights' law; all classes start close to the
Gaussian. The weights of a mixture are equal and fixed, so that the choice of a component carries no gradient.
"""

from typing import Any

import torch
from torch import Tensor, nn

from common.flows.coupling import Coupling, Shift
from common.flows.distributions import FlowDistribution
from common.flows.mixtures import GaussianMixture
from common.flows.networks import MLP, small_uniform, widths, xavier_uniform
from common.flows.spline import SplineCoupling
from common.flows.transforms import Compose, Tanh
from common.rl.flow_policies import CouplingFlow, Trained
from common.rl.mixture_policies import Mixture
from common.rl.policies import FlowPolicy, GaussianNetwork


def layers(config, rngs, event):
    """The couplings of config.policy, halves kept in turn. rngs: one per member; event: entries of an action."""
    hidden = [config.coupling_units] * 3
    if config.policy == "spline":
        settings = {"bins": config.bins, "bound": config.bound, "last_init": small_uniform()}
        return [SplineCoupling(rngs, event, i % 2 == 0, hidden, **settings) for i in range(config.couplings)]
    settings = {"init": xavier_uniform(), "last_init": small_uniform()}
    return [Coupling(rngs, event, i % 2 == 0, hidden, **settings) for i in range(config.couplings)]


def on_policy(config, rngs, observations, actions, init, last_init):
    """A mixture or a flow for `ActorCritic`. init, last_init: of the Gaussian's network, which it shares."""
    count = config.components if config.policy == "mixture" else 1
    mean = MLP(rngs, [observations, *widths(config.hidden), count * actions], "tanh", init, last_init)
    if config.policy == "mixture":
        return Mixture(mean, torch.zeros(len(rngs), 1, count, actions), shared=True, geometric=False)
    first, *rest = layers(config, rngs, actions)
    transform = Compose(first, Shift(mean), *rest)
    return (SplineFlow if config.policy == "spline" else CouplingFlow)(transform, actions, constant=True)


class SplineFlow(Trained):
    """a = f(e; s), e ~ N(0, I), with f a composed `transform` of splines. It acts through torch. constant: as for
    `CouplingFlow`, here always true."""

    distribution = CouplingFlow.distribution

    def __init__(self, transform: Any, actions: int, constant: bool = True):
        super().__init__()
        self.transform, self.actions, self.kinds = transform, actions, (FlowDistribution, FlowDistribution)


def squashed(config, rngs, observations, actions):
    """A mixture or a flow for soft actor-critic, with actions in [-1, 1]."""
    clamp, hidden = (config.log_std_low, config.log_std_high), widths(config.base)
    if config.policy == "mixture":
        return FlowPolicy(MixtureNetwork(rngs, observations, hidden, actions, config.components, clamp), Tanh())
    base = GaussianNetwork(rngs, observations, hidden, actions, clamp)
    return FlowPolicy(base, Compose(*layers(config, rngs, actions), Tanh()))


class MixtureNetwork(nn.Module):
    """A network of the observation gives means and clamped log standard deviations of `components` Gaussians."""

    def __init__(self, rngs, observations, hidden, actions, components, log_std_range):
        super().__init__()
        sizes = [observations, *hidden, 2 * components * actions]
        self.network = MLP(rngs, sizes, init=xavier_uniform(), last_init=xavier_uniform(heads=2 * components))
        self.components, self.log_std_range = components, log_std_range

    def forward(self, obs: Tensor) -> "OneNoise":
        mean, log_std = self.network(obs).unflatten(-1, (2, self.components, -1)).unbind(-3)
        return OneNoise(mean, log_std.clamp(*self.log_std_range))


class OneNoise(GaussianMixture):
    """A mixture whose noise is one standard normal vector with an entry more than an action: the last one chooses the
    component, by its quantile."""

    def noise(self) -> Tensor:  # type: ignore[override]
        return torch.randn(*self.mean.shape[:-2], self.mean.shape[-1] + 1, device=self.mean.device)

    def _rsample(self, noise=None):
        noise = self.noise() if noise is None else noise
        count = self.mean.shape[-2]
        chosen = (count * torch.special.ndtr(noise[..., -1])).long().clamp(max=count - 1)
        return super()._rsample((chosen, noise[..., :-1]))
