"""The steps of Glow obey the laws of every transform, in float64."""

import pytest
import torch

from common.flows.distributions import FlowDistribution, Uniform
from common.flows.glow import ActNorm, BoundedCoupling, Mix, initialise
from common.flows.networks import normc
from common.flows.transforms import Compose, Inverse, Tanh
from tests.laws import *  # noqa: F403
from tests.laws import CONTEXT, EVENT, MEMBERS, points, rngs


def coupling(leading, context=0):
    """One that is no identity, smooth, and whose scales a grid can resolve."""
    made = BoundedCoupling(rngs(), EVENT, leading, [16, 16], context, "tanh")
    last = made.network[-1]
    for row, rng in zip(last.weight.data, rngs(), strict=True):
        row.copy_(torch.tensor(normc(0.3)(rng, *row.shape)[0]))
    return made


def norm():
    made = ActNorm(MEMBERS, EVENT)
    made.initialise(0.3 + 0.7 * torch.randn(MEMBERS, 100, EVENT))
    return made


def flow(context=CONTEXT):
    return Compose(norm(), Mix(rngs(), EVENT), coupling(True, context), Mix(rngs(), EVENT), coupling(False, context))


FAMILIES = {
    "normalisation": norm,
    "mix": lambda: Mix(rngs(), EVENT),
    "bounded coupling, first half kept": lambda: coupling(True),
    "bounded coupling, second half kept": lambda: coupling(False),
    "bounded coupling with context": lambda: coupling(True, CONTEXT),
    "three steps in turn": flow,
}


def test_a_flow_starts_with_standardised_inputs_everywhere():
    x, context = torch.randn(MEMBERS, 500, EVENT) ** 3 + 4, torch.randn(MEMBERS, 500, CONTEXT)
    steps = [step for i in range(3) for step in (ActNorm(MEMBERS, EVENT), Mix(rngs(), EVENT), coupling(i % 2 == 0, CONTEXT))]
    made = Compose(*steps)
    initialise(made, x, context)
    for step in steps:
        x = step(x, context)[0]
        if isinstance(step, ActNorm):
            torch.testing.assert_close(x.mean(1), torch.zeros(MEMBERS, EVENT), rtol=0, atol=1e-12)
            torch.testing.assert_close(x.std(1), torch.ones(MEMBERS, EVENT), rtol=1e-5, atol=0)


def test_a_new_coupling_is_the_identity_and_its_bound_holds():
    x, context = points()
    fresh = BoundedCoupling(rngs(), EVENT, True, [16, 16], CONTEXT)
    y, log_det = fresh(x, context)
    torch.testing.assert_close(y, x, rtol=0, atol=0)
    assert (log_det == 0).all()
    fresh.network[-1].bias.data.fill_(100.0)  # as far as the network may ever go: e^1
    assert (fresh.parameters_at(fresh.split(x)[0], context)[0] <= 1).all()


@pytest.mark.parametrize("event, leading, kept", [(3, True, 2), (3, False, 1), (6, True, 3)])
def test_odd_vectors_are_split_unevenly(event, leading, kept):
    made = BoundedCoupling(rngs(), event, leading, [8, 8])
    assert made.kept == kept and made.network[-1].weight.shape[-1] == 2 * (event - kept)
    with pytest.raises(ValueError, match="two entries or more"):
        BoundedCoupling(rngs(), 1, True, [8, 8])


def test_a_flow_between_boxes_is_a_density_on_a_box():
    """Actions in (-1, 1)^2 to the uniform base on it and back: what the conservative flow is made of."""
    encoder = Compose(Inverse(Tanh()), flow(0), Tanh())
    low = -torch.ones(MEMBERS, 1, EVENT)
    axis = torch.tanh(torch.linspace(-14, 14, 561))
    weight = (1 - axis**2) * 28 / 560
    y = torch.cartesian_prod(axis, axis).expand(MEMBERS, -1, -1)
    base = Uniform(low.expand_as(y), -low.expand_as(y))
    with torch.no_grad():
        density = FlowDistribution(base, Inverse(encoder)).log_prob(y).exp()
    total = (density * torch.cartesian_prod(weight, weight).prod(-1)).sum(-1)
    torch.testing.assert_close(total, torch.ones(MEMBERS), rtol=0, atol=1e-5)


def test_a_member_is_the_flow_it_would_be_alone():
    x = torch.randn(MEMBERS, 5, EVENT)
    together = Mix(rngs(), EVENT)
    for m, rng in enumerate(rngs()):
        torch.testing.assert_close(Mix([rng], EVENT)(x[m : m + 1])[0][0], together(x)[0][m], rtol=1e-12, atol=1e-12)
