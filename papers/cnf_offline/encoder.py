"""The encoder of actions: a flow between actions in (-1, 1)^n and latents (Section 3.1).

    z = f(a | s):   atanh, then `layers` steps of (normalisation, mix, coupling), then tanh if the base is uniform
    ln p(a | s) = ln p_Z(f(a | s)) + ln |det df/da|                                                       (eq. 4)

With the uniform base on (-1, 1)^n the latents of a policy that ends in tanh are all of the base's box; with the normal
base, which has no tanh at the end, latents are unbounded. Couplings keep the first and the last half in turn, and read the
state beside what they keep. The steps and their order are those of the authors' code, whose first coupling keeps the last
half: after a mix of all entries the two say the same.
"""

import numpy as np
import torch
from torch.nn import functional as F

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


class Frozen:
    """One trained encoder that serves all members of a fleet: f and f^-1 without gradients of its own, but through it.

    arrays: its parameters as `flow` left them, a fleet of one. Latents of the uniform base are kept within 1 - 1e-5, where
    tanh has an inverse (authors' code).
    """

    limit = 1 - 1e-5

    def __init__(self, arrays, event, layers, hidden, base, context, device="cpu"):
        self.base = base
        self.flow = build([np.random.default_rng(0)], event, layers, hidden, base, context)
        self.flow.load_state_dict(arrays)
        self.flow.requires_grad_(False).to(device)
        steps = self.flow.transforms[1 : 1 + 3 * layers]
        self.steps = [Folded(*steps[i : i + 3]) for i in range(0, len(steps), 3)][::-1]
        self.told = torch.cat([step.told for step in self.steps], -1)

    def encode(self, action, context):
        """Latents f(a | s) and ln |det df/da| of actions [members, batch, n]."""
        z, log_det = self.flow(_one(action), _one(context))
        return z.view(action.shape), log_det.view(action.shape[:-1])

    def decode(self, z, context):
        """Actions f^-1(z | s) of latents [members, batch, n]: `flow.inverse` up to rounding, in two thirds of the time."""
        x = z.reshape(-1, z.shape[-1])
        x = torch.atanh(x.clamp(-self.limit, self.limit)) if self.base == "uniform" else x
        # What every coupling is told of the state enters its first layer linearly: one product serves them all.
        told = torch.matmul(context.reshape(-1, context.shape[-1]), self.told).chunk(len(self.steps), -1)
        for step, part in zip(self.steps, told, strict=True):
            x = step(x, part)
        return torch.tanh(x).view(z.shape)


class Folded:
    """The inverse of one step (normalisation, mix, coupling) of a frozen flow: a coupling, then one affine map,

        x_b = (y_b - t) exp(-s),   x <- x W^-1 diag(exp(-s_n)) - t_n exp(-s_n)

    with s_n, t_n of the normalisation. told: the first layer's weights of the context, [context, units].
    """

    def __init__(self, norm, mix, coupling):
        self.coupling = coupling
        scale = (-norm.log_scale[0]).exp()
        self.mixed, self.shift = torch.linalg.inv(mix.weight[0]) * scale, (-norm.shift[0] * scale).squeeze(0)
        layers = list(coupling.network)
        first = layers[0].weight[0]
        self.seen, self.told = first[: coupling.kept], first[coupling.kept :]
        self.slopes = [float(layer.slope) for layer in layers[1::2]]
        self.linear = [(layer.weight[0], layer.bias[0]) for layer in layers[::2]]

    def __call__(self, y, told):
        """y: [rows, n], told: the context's share of the first layer, [rows, units]."""
        kept, moved = self.coupling.split(y)
        h = torch.addmm(told, kept, self.seen) + self.linear[0][1]
        for slope, (weight, bias) in zip(self.slopes, self.linear[1:], strict=True):
            h = torch.addmm(bias, F.leaky_relu(h, slope), weight)
        height, shift = h.chunk(2, -1)
        moved = (moved - shift) * (-self.coupling.bound[0] * torch.tanh(height)).exp()
        return torch.addmm(self.shift, self.coupling.join(kept, moved), self.mixed)


def _one(x):
    """Members side by side as one batch, [1, members * batch, ...]."""
    return x.reshape(1, -1, x.shape[-1])
