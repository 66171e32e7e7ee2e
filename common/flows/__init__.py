"""Normalizing flows for fleets: everything that can be imported from here, and nothing of RL.

A transform is a module: `forward(x, context=None) -> (y, log_det)`, `inverse(y, context=None) -> (x, log_det)`, with x and y
[members, batch, event] and log_det [members, batch], ln |det dy/dx| or ln |det dx/dy|.

    Affine           y = exp(s(c)) x + t(c), elementwise; s and t a network of the context c
    Tanh             y = tanh(x), elementwise
    Halves           the base of couplings: what half of an event moves, the other half says
    Coupling         half of the event moves affinely, as the other half and the context say (RealNVP)
    BoundedCoupling  the same with a bounded log-scale
    AdditiveCoupling half of the event is shifted (NICE)
    SplineCoupling   half of the event moves by rational-quadratic splines (neural spline flows)
    Shift            y = x + t(c)
    Diagonal         y = exp(s) x + t with free s and t
    ActNorm          the same, set from the first batch (`initialise`; Glow)
    Mix, MixLU       y = x W with a free matrix W (Glow's 1x1 convolution), and the same in triangular factors
    Permutation      a fixed order of the entries
    Planar, Radial   residual flows of Rezende & Mohamed 2015
    OrthogonalSylvester, HouseholderSylvester
                     planar flows with several hidden units, `Sylvester`; a density needs as many bisections
    Autoregressive   the base of those below: entry i moves as the entries before it say
    MaskedAutoregressive
                     affine; a density is one pass of its network, a sample one per entry (MAF)
    InverseAutoregressive, GatedInverseAutoregressive
                     affine, and with a gate; the other way round (IAF)
    AutoregressiveSpline
                     rational-quadratic splines; a density is one pass
    Compose          transforms one after the other
    Inverse          a transform, the other way round

A distribution has `rsample_and_log_prob(noise=None)`, `log_prob(x)`, `sample(noise=None)`, `mode()`; log-densities have
the shape of a sample without its last axis. `Distribution` is their base.

    DiagonalGaussian   N(mean, diag(exp(log_std))^2)
    Uniform            on a box
    GaussianMixture    of equal weights
    FlowDistribution   of f(u; context), u from a base distribution, f a transform

    MLP        a multilayer perceptron per member, weights [members, in, out], drawn from the members' own generators
    MaskedMLP  one whose outputs for an entry read the entries before it alone
    rational_quadratic, rational_quadratic_inverse, knots
               monotone splines as functions
    widths     "2x256" -> [256, 256]
"""

from .autoregressive import (
    Autoregressive,
    GatedInverseAutoregressive,
    InverseAutoregressive,
    MaskedAutoregressive,
    MaskedMLP,
)
from .coupling import AdditiveCoupling, Coupling, Diagonal, Halves, Shift
from .distributions import DiagonalGaussian, Distribution, FlowDistribution, Uniform
from .glow import ActNorm, BoundedCoupling, Mix, MixLU, Permutation, initialise
from .mixtures import GaussianMixture
from .networks import MLP, widths
from .residual import Planar, Radial
from .spline import AutoregressiveSpline, SplineCoupling, knots, rational_quadratic, rational_quadratic_inverse
from .sylvester import HouseholderSylvester, OrthogonalSylvester, Sylvester
from .transforms import Affine, Compose, Inverse, Tanh

__all__ = [
    "Affine", "Tanh", "Halves", "Coupling", "BoundedCoupling", "AdditiveCoupling", "SplineCoupling", "Shift", "Diagonal",
    "ActNorm", "initialise", "Mix", "MixLU", "Permutation", "Planar", "Radial", "Sylvester", "OrthogonalSylvester",
    "HouseholderSylvester", "Autoregressive", "MaskedAutoregressive", "InverseAutoregressive", "GatedInverseAutoregressive",
    "AutoregressiveSpline", "Compose", "Inverse", "Distribution", "DiagonalGaussian", "Uniform", "GaussianMixture",
    "FlowDistribution", "MLP", "MaskedMLP", "rational_quadratic", "rational_quadratic_inverse", "knots", "widths",
]  # fmt: skip
