"""The encoder of actions: a flow between actions in (-1, 1)^n and latents (Section 3.1).

    z = f(a | s):   atanh, then `layers` steps of (normalisation, mix, coupling), then tanh if the base is uniform
    ln p(a | s) = ln p_Z(f(a | s)) + ln |det df/da|                                                       (eq. 4)

With the uniform base on (-1, 1)^n the latents of a policy that ends in tanh are all of the base's box; with the normal
base, which has no tanh at the end, latents are unbounded. Couplings keep the first and the last half in turn, and read the
state beside what they keep. The steps and their order are those of the authors' code.
"""

import numpy as np
import torch
from torch import nn

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


class Frozen(nn.Module):
    """One trained encoder that serves all members of a fleet: f and f^-1 without gradients of its own, but through it.

    arrays: its parameters as `flow` left them. Latents of the uniform base are kept within 1 - 1e-5, where tanh has an
    inverse (authors' code).
    """

    limit = 1 - 1e-5

    def __init__(self, arrays, event, layers, hidden, base, context):
        super().__init__()
        self.base = base
        self.flow = build([np.random.default_rng(0)], event, layers, hidden, base, context)
        self.flow.load_state_dict(arrays)
        self.requires_grad_(False)

    def decode(self, z, context):
        """Actions f^-1(z | s) of latents [members, batch, n]."""
        z = z.clamp(-self.limit, self.limit) if self.base == "uniform" else z
        return self.flow.inverse(_one(z), _one(context))[0].view(z.shape)

    def encode(self, action, context):
        """Latents f(a | s) and ln |det df/da| of actions [members, batch, n]."""
        z, log_det = self.flow(_one(action), _one(context))
        return z.view(action.shape), log_det.view(action.shape[:-1])


def _one(x):
    """Members side by side as one batch, [1, members * batch, ...]."""
    return x.reshape(1, -1, x.shape[-1])
