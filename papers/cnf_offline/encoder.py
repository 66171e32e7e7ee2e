"""The encoder of actions: a flow between actions in (-1, 1)^n and latents (Section 3.1).

    z = f(a | s):   atanh, then `layers` steps of (normalisation, mix, coupling), then tanh if the base is uniform
    ln p(a | s) = ln p_Z(f(a | s)) + ln |det df/da|                                                       (eq. 4)

With the uniform base on (-1, 1)^n the latents of a policy that ends in tanh are all of the base's box; with the normal
base, which has no tanh at the end, latents are unbounded. Couplings keep the first and the last half in turn, and read the
state beside what they keep. The steps and their order are those of the authors' code.
"""

import torch

from common.flows.distributions import DiagonalGaussian, FlowDistribution, Uniform
from common.flows.glow import ActNorm, BoundedCoupling, Mix
from common.flows.transforms import Compose, Inverse, Tanh


def build(rngs, event, layers, hidden, base, context=0):
    """f, a transform from a to z, one member per generator. hidden: widths of a coupling's network; base: 'uniform' or
    'normal'; context: width of what the couplings are told of the state."""
    steps = [Inverse(Tanh())]
    for i in range(layers):
        coupling = BoundedCoupling(rngs, event, leading=i % 2 == 0, hidden=hidden, context=context)
        steps += [ActNorm(len(rngs), event), Mix(rngs, event), coupling]
    return Compose(*steps, *([Tanh()] if base == "uniform" else []))


def latents(base, like):
    """p_Z at the shape of a tensor [members, batch, n]."""
    if base == "uniform":
        return Uniform(torch.full_like(like, -1.0), torch.ones_like(like))
    return DiagonalGaussian(torch.zeros_like(like), torch.zeros_like(like))


def actions(flow, base, like, context=None):
    """p(a | s): a distribution over actions, of the shape of `like`, [members, batch, n]."""
    return FlowDistribution(latents(base, like), Inverse(flow), context)
