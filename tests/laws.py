"""The laws of every transform and of the densities made of it, in float64, as tests.

A test module that takes all of them (`from tests.laws import *`) runs them on each of its FAMILIES, {name: function that
builds a transform} of inputs [MEMBERS, BATCH, EVENT] and contexts [MEMBERS, BATCH, CONTEXT].
"""

import numpy as np
import pytest
import torch

from common.flows.distributions import DiagonalGaussian, FlowDistribution
from common.flows.transforms import Compose, Tanh

MEMBERS, BATCH, EVENT, CONTEXT = 3, 5, 2, 4


@pytest.fixture(autouse=True)
def double():
    torch.set_default_dtype(torch.float64)
    torch.manual_seed(0)
    yield
    torch.set_default_dtype(torch.float32)


def pytest_generate_tests(metafunc):
    if "transform" in metafunc.fixturenames:
        metafunc.parametrize("transform", metafunc.module.FAMILIES, indirect=True)


@pytest.fixture
def transform(request):
    return request.module.FAMILIES[request.param]()


def rngs(members=MEMBERS):
    return [np.random.default_rng(seed) for seed in range(members)]


def points():
    return torch.randn(MEMBERS, BATCH, EVENT), torch.randn(MEMBERS, BATCH, CONTEXT)


def test_inverse_undoes_forward(transform):
    x, context = points()
    y, forward = transform(x, context)
    back, inverse = transform.inverse(y, context)
    torch.testing.assert_close(back, x, rtol=0, atol=1e-10)
    torch.testing.assert_close(forward + inverse, torch.zeros(MEMBERS, BATCH), rtol=0, atol=1e-10)


def test_log_det_is_the_jacobians(transform):
    x, context = points()
    log_det = transform(x, context)[1]
    full = torch.autograd.functional.jacobian(lambda x: transform(x, context)[0], x)
    for m in range(MEMBERS):
        for b in range(BATCH):
            expected = torch.linalg.slogdet(full[m, b, :, m, b])[1]
            torch.testing.assert_close(log_det[m, b], expected, rtol=0, atol=1e-10)


def integral(transform, count=301):
    """The integral [MEMBERS] of a density made of the transform, on `count` points a side."""
    context = torch.randn(MEMBERS, 1, CONTEXT)
    grid = torch.linspace(-12, 12, count)  # the error of such a sum falls exponentially, here to rounding
    bounded = isinstance(transform, Tanh) or isinstance(transform, Compose) and isinstance(transform.transforms[-1], Tanh)
    # A bounded event is integrated in pre-tanh coordinates, where the grid resolves its edges.
    axis = torch.tanh(grid) if bounded else grid
    weight = (1 - axis**2 if bounded else torch.ones_like(axis)) * (grid[1] - grid[0])
    y = torch.cartesian_prod(axis, axis).expand(MEMBERS, -1, -1)
    w = torch.cartesian_prod(weight, weight).prod(-1)
    base = DiagonalGaussian(torch.zeros(MEMBERS, 1, EVENT), torch.full((MEMBERS, 1, EVENT), -0.5))
    context = context.expand(-1, y.shape[1], -1)
    inside = (y.abs() < 1 - 1e-9).all(-1)
    with torch.no_grad():
        density = FlowDistribution(base, transform, context).log_prob(y).exp()
    return (torch.where(inside, density * w, 0.0) if bounded else density * w).sum(-1)


def test_density_integrates_to_one(transform):
    torch.testing.assert_close(integral(transform), torch.ones(MEMBERS), rtol=0, atol=1e-6)


def test_gradients_reach_every_parameter(transform):
    x, context = points()
    mean = x.clone().requires_grad_()
    y, log_prob = FlowDistribution(DiagonalGaussian(mean, torch.zeros_like(x)), transform, context).rsample_and_log_prob()
    (y.sum() + log_prob.sum()).backward()
    assert mean.grad.abs().sum() > 0
    for name, parameter in transform.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name


def test_gradients_agree_with_finite_differences(transform):
    x, context = points()
    x.requires_grad_()
    assert torch.autograd.gradcheck(lambda x: transform(x, context), x)


def test_save_and_load(transform, tmp_path):
    x, context = points()
    before = transform(x, context)[0].detach()
    torch.save(transform.state_dict(), tmp_path / "state")
    for parameter in transform.parameters():
        parameter.data.zero_()
    transform.load_state_dict(torch.load(tmp_path / "state", weights_only=True))
    torch.testing.assert_close(transform(x, context)[0], before, rtol=0, atol=0)


def test_sampled_and_evaluated_densities_agree(transform):
    x, context = points()
    distribution = FlowDistribution(DiagonalGaussian(x, torch.zeros_like(x)), transform, context)
    y, log_prob = distribution.rsample_and_log_prob()
    torch.testing.assert_close(distribution.log_prob(y), log_prob, rtol=0, atol=1e-8)
