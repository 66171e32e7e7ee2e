"""Laws that every transform and distribution obeys, in float64."""

import math

import numpy as np
import pytest
import torch
import zuko

from common.flows.distributions import DiagonalGaussian, FlowDistribution, Uniform
from common.flows.networks import MLP
from common.flows.transforms import Affine, Compose, Inverse, Tanh

MEMBERS, BATCH, EVENT, CONTEXT = 3, 5, 2, 4


@pytest.fixture(autouse=True)
def double():
    torch.set_default_dtype(torch.float64)
    torch.manual_seed(0)
    yield
    torch.set_default_dtype(torch.float32)


def affine():
    rngs = [np.random.default_rng(seed) for seed in range(MEMBERS)]
    return Affine(MLP(rngs, [CONTEXT, 16, 2 * EVENT]), shift_limit=5.0)


# One entry a family: how to build it, and whether it has parameters.
FAMILIES = {
    "affine": affine,
    "tanh": Tanh,
    "affine then tanh": lambda: Compose(affine(), Tanh()),
    "inverse affine": lambda: Inverse(affine()),
    "two affines": lambda: Compose(affine(), affine()),
}


@pytest.fixture(params=FAMILIES)
def transform(request):
    return FAMILIES[request.param]()


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


def test_density_integrates_to_one(transform):
    context = torch.randn(MEMBERS, 1, CONTEXT)
    grid = torch.linspace(-12, 12, 301)  # the error of such a sum falls exponentially, here to rounding
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
    total = torch.where(inside, density * w, 0.0).sum(-1)
    torch.testing.assert_close(total if bounded else (density * w).sum(-1), torch.ones(MEMBERS), rtol=0, atol=1e-6)


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


def test_tanh_at_the_edge_of_its_range():
    for dtype, edge in ((torch.float32, 9.0), (torch.float64, 18.5)):
        x = torch.tensor([[-100.0, -edge, 0.0, edge, 100.0]], dtype=dtype).T
        y, log_det = Tanh()(x)
        assert torch.isfinite(log_det).all()
        torch.testing.assert_close(log_det[[0, 4]], 2 * math.log(2) - 2 * torch.tensor([100.0, 100.0], dtype=dtype))
        assert torch.isfinite(Tanh().inverse(y)[0]).all()


def test_affine_at_the_edge_of_its_range():
    transform = affine()
    for parameter in transform.parameters():
        parameter.data.mul_(1e4)
    x, context = points()
    y, log_det = transform(x, context)
    assert torch.isfinite(y).all() and log_det.max() <= 5.0 * EVENT and log_det.min() >= -20.0 * EVENT


def test_gaussian_is_torchs():
    mean, log_std = torch.randn(MEMBERS, BATCH, EVENT), torch.randn(MEMBERS, BATCH, EVENT)
    x = torch.randn(MEMBERS, BATCH, EVENT)
    expected = torch.distributions.Normal(mean, log_std.exp()).log_prob(x).sum(-1)
    torch.testing.assert_close(DiagonalGaussian(mean, log_std).log_prob(x), expected)


def test_uniform_is_torchs():
    low, high = torch.tensor([-1.0, 2.0]), torch.tensor([1.0, 5.0])
    ours = Uniform(low, high)
    inside, outside = torch.tensor([0.5, 3.0]), torch.tensor([0.5, 6.0])
    torch.testing.assert_close(ours.log_prob(inside), torch.distributions.Uniform(low, high).log_prob(inside).sum())
    assert ours.log_prob(outside) == -math.inf
    x, log_prob = ours.rsample_and_log_prob(torch.tensor([0.25, 0.5]))
    torch.testing.assert_close(x, torch.tensor([-0.5, 3.5]))
    torch.testing.assert_close(log_prob, torch.tensor(-math.log(6.0)))


def test_squashed_gaussian_is_zukos():
    mean, log_std = torch.randn(BATCH, EVENT), torch.randn(BATCH, EVENT)
    y = torch.tanh(torch.randn(BATCH, EVENT))
    squash = zuko.transforms.DependentTransform(torch.distributions.TanhTransform().inv, 1)
    theirs = zuko.distributions.NormalizingFlow(squash, zuko.distributions.DiagNormal(mean, log_std.exp()))
    ours = FlowDistribution(DiagonalGaussian(mean, log_std), Tanh()).log_prob(y)
    torch.testing.assert_close(ours, theirs.log_prob(y), rtol=0, atol=1e-8)
