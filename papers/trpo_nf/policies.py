"""The paper's policy classes: factorised Gaussian, mixtures of Gaussians, normalizing flow (Section 4.1, Appendices A and
B).

A policy is a module: `forward(obs)` gives a distribution over actions that are not squashed, `draws` the random numbers of
an iteration, `noise` what the distribution makes of them, `actor` a NumPy function that acts step by step; `truth(obs)` is
the distribution of the samples, whatever density they are trained on. obs: [members, batch, observations], normalised. At
the start all of them are close to N(0, I) in every state.

Two presets, because the released code departs from the paper:

                         equations (Appendices A, B)                released (authors' code)
    flow of K            K couplings                                K pairs of couplings
    networks s, t        four layers of weights (three hidden)      three (two hidden), layer normalisation
    log-density          ln p                                       ln p + (m / 2) ln 2 pi: the constant is left out
    components           networks of their own                      one trunk, linear means on top
    density of K         ln (1/K) sum_k N_k                         (1/K) sum_k ln N_k: a product, not a mixture
    negative curvature   no step, V is fitted                       flow: the whole batch is passed over

The constant cancels in ratios and divergences between two flows; it counts in entropies and beside other classes.
"""

import dataclasses
import math

import torch

from common.errors import UserError
from common.flows.coupling import Coupling, Shift, with_norm_eps
from common.flows.networks import MLP, normc, small_uniform, widths, xavier_uniform
from common.flows.transforms import Compose
from common.rl.flow_policies import CouplingFlow
from common.rl.mixture_policies import Mixture
from common.rl.policies import FactorisedGaussian
from papers.trpo_nf.classes import CLASSES

NORM_EPS = 1e-12  # what the released layer normalisation adds to a variance


def build(config, rngs, observations, actions):
    """The policy that `config.policy` and `config.preset` name. Raises `UserError` where it cannot act in so few
    dimensions."""
    return BUILDERS[CLASSES[config.policy].builder](config, rngs, observations, actions)


def with_preset(config):
    """TRPO's settings with what the preset decides filled in."""
    if config.preset == "equations":
        return config
    return dataclasses.replace(config, skip_negative_curvature=config.policy == "flow")


def gaussian(config, rngs, observations, actions):
    """The factorised Gaussian, the same in both presets."""
    return FactorisedGaussian(rngs, observations, actions, widths(config.hidden))


def mixture(config, rngs, observations, actions):
    """Gaussians each parameterised as the factorised one. Released: the means share their hidden layers."""
    released, components = config.preset == "released", CLASSES[config.policy].components
    rows, outputs = rngs, components * actions
    if not released:
        rows, outputs = [rng for rng in rngs for _ in range(components)], actions
    mean = MLP(rows, [observations, *widths(config.hidden), outputs], "tanh", normc(1.0), normc(0.01))
    return Mixture(mean, torch.zeros(len(rngs), 1, components, actions), shared=released, geometric=released)


def flow(config, rngs, observations, actions):
    """a = g_K o … o g_2 o (L(s) + g_1(e)), e ~ N(0, I) (eq. 7): affine couplings with alternating halves kept (eq. 8), whose
    networks s and t do not see the state; a network L of the state is added behind the first one (eq. 9).

    The last layers of s, t and L start in U(-0.003, 0.003), so that the flow starts close to the identity.
    """
    if actions < 2:
        raise UserError(
            "policy = 'flow' needs actions of two dimensions or more: with one, couplings have no half to condition on "
            "and the flow degenerates to a Gaussian whose standard deviation does not depend on the state"
        )
    released, units = config.preset == "released", config.coupling_units
    layers = couplings(config, rngs, actions, small_uniform())
    sizes = [observations, config.embedding_units, config.embedding_units, actions]
    embedding = MLP(rngs, sizes, "relu", xavier_uniform(), small_uniform(), layer_norm=released)
    with_norm_eps(embedding, NORM_EPS)
    for layer in layers if released else ():
        # The released networks read all entries, half of them masked, and are initialised for that width.
        layer.network[0].weight.data *= math.sqrt((layer.kept + units) / (actions + units))
    return CouplingFlow(Compose(layers[0], Shift(embedding), *layers[1:]), actions, constant=not released)


BUILDERS = {"gaussian": gaussian, "mixture": mixture, "flow": flow}


def couplings(config, rngs, event, last_init):
    """The couplings of a flow of K, as the preset has them. `last_init` draws the last layers of s and t."""
    released = config.preset == "released"
    hidden, count = [config.coupling_units] * (2 if released else 3), config.couplings * (2 if released else 1)
    options = {"layer_norm": released, "init": xavier_uniform(), "last_init": last_init}
    layers = [Coupling(rngs, event, i % 2 == 0, hidden, **options) for i in range(count)]
    for layer in layers:
        with_norm_eps(layer.network, NORM_EPS)
    return layers
