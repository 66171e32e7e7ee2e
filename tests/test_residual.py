"""Planar and radial flows obey the laws of every transform, in float64."""

import math

import numpy as np
import pytest
import torch

from common.flows.distributions import DiagonalGaussian, FlowDistribution
from common.flows.residual import Planar, Radial
from common.flows.transforms import Compose
from tests.laws import *  # noqa: F403
from tests.laws import EVENT, MEMBERS, integral


def planar(seed=0, event=EVENT):
    rng = np.random.default_rng(seed)
    return Planar(*(torch.tensor(rng.standard_normal(shape)) for shape in ((MEMBERS, event), (MEMBERS, event), MEMBERS)))


def radial(seed=0, event=EVENT):
    rng = np.random.default_rng(seed)
    return Radial(*(torch.tensor(rng.standard_normal(shape)) for shape in ((MEMBERS, event), MEMBERS, MEMBERS)))


FAMILIES = {
    "planar": planar,
    "radial": radial,
    "four in turn": lambda: Compose(planar(1), radial(2), planar(3), radial(4)),
}


def test_density_integrates_to_one():
    """Of planar flows alone: for radial ones see below."""
    torch.testing.assert_close(integral(planar()), torch.ones(MEMBERS), rtol=0, atol=1e-6)


def test_a_radial_density_integrates_to_one():
    """In rings about its centre, where it has a cusp that no square grid resolves."""
    made = radial()
    radius = (torch.arange(20_000) + 0.5) * 1e-3
    y = made.c.detach() + torch.stack([radius, torch.zeros_like(radius)], -1)
    base = DiagonalGaussian(made.c.detach().expand_as(y), torch.zeros_like(y))
    with torch.no_grad():
        density = FlowDistribution(base, made).log_prob(y).exp()
    total = (density * 2 * math.pi * radius * 1e-3).sum(-1)
    torch.testing.assert_close(total, torch.ones(MEMBERS), rtol=0, atol=1e-5)


@pytest.mark.parametrize("event", [1, 5])
def test_the_laws_hold_in_other_dimensions(event):
    x = torch.randn(MEMBERS, 4, event)
    for made in (planar(5, event), radial(6, event)):
        y, log_det = made(x)
        torch.testing.assert_close(made.inverse(y)[0], x, rtol=0, atol=1e-10)
        full = torch.autograd.functional.jacobian(lambda x, made=made: made(x)[0], x)
        found = torch.stack(
            [torch.stack([torch.linalg.slogdet(full[m, b, :, m, b])[1] for b in range(4)]) for m in range(MEMBERS)]
        )
        torch.testing.assert_close(log_det, found, rtol=0, atol=1e-10)


def test_inverses_exist_whatever_the_parameters():
    """At the edge of what is allowed: u against w, and a radial flow that pulls everything in."""
    x = torch.randn(MEMBERS, 50, EVENT)
    w = torch.randn(MEMBERS, EVENT)
    steep = Planar(w, -5 * w / w.square().sum(-1, keepdim=True), torch.zeros(MEMBERS))
    assert (steep.direction()[1] > -1).all() and (steep.direction()[1] < -0.99).any()
    pulled = Radial(torch.zeros(MEMBERS, EVENT), torch.full((MEMBERS,), 2.0), torch.full((MEMBERS,), -6.0))
    for made in (steep, pulled):
        y, log_det = made(x)
        back, inverse = made.inverse(y)
        assert log_det.isfinite().all()
        torch.testing.assert_close(made(back)[0], y, rtol=0, atol=1e-10)
        torch.testing.assert_close(back, x, rtol=0, atol=1e-4)  # nearly flat: digits are lost that no solver brings back


def test_the_inverse_has_the_gradient_of_the_inverse():
    y = torch.randn(MEMBERS, 3, EVENT, requires_grad=True)
    for made in (planar(), radial()):
        assert torch.autograd.gradcheck(lambda y, made=made: made.inverse(y)[0], y)


@pytest.mark.parametrize("along", [-5.0, -14.0, -40.0, -75.0])
def test_log_det_keeps_its_digits_where_the_slope_rounds_to_minus_one(along):
    """ln(1 + w'u^ (1 - t^2)) in float32 would lose all of them."""
    w, u, b, x = ([1.0, 0.0], [along, 0.3], 0.0, [0.0, 1.0])  # t = 0: ln |det| = ln softplus(w'u)
    flow = Planar(torch.tensor([w]), torch.tensor([u]), torch.tensor([b]))
    log_det = flow(torch.tensor([[x]]))[1].item()
    assert log_det == pytest.approx(math.log(math.log1p(math.exp(along))), rel=1e-6)


def test_a_planar_flow_has_a_direction():
    with pytest.raises(ValueError, match="w = 0"):
        Planar(torch.tensor([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0]]), torch.ones(2, 3), torch.zeros(2))
