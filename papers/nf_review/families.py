"""The flows of Section 2.3 by name, as figures compare them: so many steps of one family, then a free affine transform.

Every flow leads from N(0, I) to the data or to the posterior. Planar, radial and Sylvester flows have a closed form one way
only, or are slow the other way: `fast` says which way that is to be, "samples" as they are written, "density" turned round.
"""

import math

import numpy as np
import torch

from common.flows.autoregressive import (
    GatedInverseAutoregressive,
    InverseAutoregressive,
    MaskedAutoregressive,
    MaskedMLP,
)
from common.flows.coupling import AdditiveCoupling, Coupling, Diagonal
from common.flows.glow import Mix, MixLU, Permutation
from common.flows.networks import small_uniform, widths
from common.flows.residual import Planar, Radial
from common.flows.spline import AutoregressiveSpline, SplineCoupling
from common.flows.sylvester import HouseholderSylvester, OrthogonalSylvester, Sylvester
from common.flows.transforms import Compose, Inverse

REFLECTIONS = 8  # at most, of a Householder Sylvester flow
GATE = 1.5
SOFTPLUS_ONE = math.log(math.e - 1)  # softplus of it is 1


def _drawn(rngs, draw):
    """Arrays of every member, stacked, in the default precision."""
    return torch.tensor(np.stack([draw(rng) for rng in rngs]), dtype=torch.get_default_dtype())


def planar(rngs, event):
    """Nearly the identity: w'u^ is small, for w'u is near the number whose softplus is 1."""
    w, u = (_drawn(rngs, lambda rng, s=s: s * rng.standard_normal(event) / math.sqrt(event)) for s in (1.0, 0.1))
    u = u + SOFTPLUS_ONE * w / w.square().sum(-1, keepdim=True)
    return Planar(w, u, _drawn(rngs, lambda rng: rng.standard_normal()))


def radial(rngs, event):
    """Nearly the identity: beta^ is small."""
    centre, a = _drawn(rngs, lambda rng: rng.standard_normal(event)), _drawn(rngs, lambda rng: rng.uniform(0, 1))
    return Radial(centre, a, a + _drawn(rngs, lambda rng: 0.1 * rng.standard_normal()))


def _coupling(rngs, event, hidden, k, family=Coupling, leading=None):
    return family(rngs, event, k % 2 == 0 if leading is None else leading, hidden, last_init=small_uniform())


def _mixed(linear):
    """A linear map of all entries, then a coupling of always the same half."""
    return lambda rngs, event, hidden, k: Compose(linear(rngs, event), _coupling(rngs, event, hidden, k, leading=True))


def _autoregressive(family, **settings):
    return lambda rngs, event, hidden, k: family(
        rngs, event, hidden, reverse=k % 2 == 1, last_init=small_uniform(), **settings
    )


# Step k of each family: a function of (rngs, event, hidden, k).
STEPS = {
    "planar": lambda rngs, event, hidden, k: planar(rngs, event),
    "radial": lambda rngs, event, hidden, k: radial(rngs, event),
    "sylvester": lambda rngs, event, hidden, k: OrthogonalSylvester(rngs, event, event),
    "householder": lambda rngs, event, hidden, k: HouseholderSylvester(rngs, event, min(event, REFLECTIONS)),
    "nice": lambda rngs, event, hidden, k: _coupling(rngs, event, hidden, k, AdditiveCoupling),
    "realnvp": _coupling,
    "permuted": _mixed(Permutation),
    "glow": _mixed(Mix),
    "glow_lu": _mixed(MixLU),
    "maf": _autoregressive(MaskedAutoregressive),
    "iaf": _autoregressive(InverseAutoregressive),
    "iaf_gated": _autoregressive(GatedInverseAutoregressive, gate=GATE),
    "spline": lambda rngs, event, hidden, k: _coupling(rngs, event, hidden, k, SplineCoupling),
    "spline_ar": _autoregressive(AutoregressiveSpline),
}
SIMPLE = ("planar", "radial", "sylvester", "householder")
MODERN = tuple(name for name in STEPS if name not in SIMPLE)


def build(family, rngs, event, flows, hidden, fast="samples"):
    """The flow of a family, or "mean_field": the affine transform alone. rngs: one per member; hidden: as "2x32"."""
    count = 0 if family == "mean_field" else flows
    steps = [STEPS[family](rngs, event, widths(hidden), k) for k in range(count)]
    if family in SIMPLE and fast == "density":
        steps = [Inverse(step) for step in steps]
    shrunk = math.log1p(math.exp(-GATE)) * count if family == "iaf_gated" else 0.0  # by the gates, at the start
    return Compose(*steps, Diagonal(torch.full((len(rngs), 1, event), shrunk), torch.zeros(len(rngs), 1, event)))


def parameters(flow, members):
    """Numbers that one member has to learn, free of one another: what a mask or a triangle leaves out does not count, nor
    what orthonormal columns, or the length of a reflection's normal, take away."""
    total = 0
    for module in flow.modules():
        own = [p.numel() for p in module.parameters(recurse=False)]
        total += sum(own) // members
        if isinstance(module, MaskedMLP):
            total -= sum(int((mask == 0).sum()) for name, mask in module.named_buffers() if name.startswith("mask"))
        if isinstance(module, Sylvester):
            total -= module.units * (module.units + 1)  # two triangles, each with its diagonal
            k = len(module.normals[0]) if isinstance(module, HouseholderSylvester) else module.units
            total -= k * (k + 1) // 2  # the k-th of orthonormal columns, or of reflections, is free in event - k ways
        if isinstance(module, MixLU):
            size = module.lower.shape[-1]
            total -= size * (size + 1)
    return total
