"""Laws that every transform and distribution obeys, in float64."""

import importlib
import math
import re

import pytest
import torch
import zuko

from common import flows
from common.flows.distributions import DiagonalGaussian, FlowDistribution, Uniform
from common.flows.networks import MLP
from common.flows.transforms import Affine, Compose, Inverse, Tanh
from tests.laws import *  # noqa: F403
from tests.laws import BATCH, CONTEXT, EVENT, MEMBERS, points, rngs


def affine():
    return Affine(MLP(rngs(), [CONTEXT, 16, 2 * EVENT]), shift_limit=5.0)


# One entry a family: how to build it, and whether it has parameters.
FAMILIES = {
    "affine": affine,
    "tanh": Tanh,
    "affine then tanh": lambda: Compose(affine(), Tanh()),
    "inverse affine": lambda: Inverse(affine()),
    "two affines": lambda: Compose(affine(), affine()),
}


def test_tanh_at_the_edge_of_its_range():
    for dtype, edge in ((torch.float32, 9.0), (torch.float64, 18.5)):
        x = torch.tensor([[-100.0, -edge, 0.0, edge, 100.0]], dtype=dtype).T
        y, log_det = Tanh()(x)
        assert torch.isfinite(log_det).all()
        torch.testing.assert_close(log_det[[0, 4]], 2 * math.log(2) - 2 * torch.tensor([100.0, 100.0], dtype=dtype))
        assert torch.isfinite(Tanh().inverse(y)[0]).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_tanh_is_inverted_up_to_the_last_number_below_one(dtype):
    largest = torch.nextafter(torch.ones(1, 1, 1, dtype=dtype), torch.zeros(1, 1, 1, dtype=dtype))
    torch.testing.assert_close(Tanh().inverse(largest)[0], torch.atanh(largest.double()).to(dtype), rtol=1e-6, atol=0)


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


def test_the_public_page_names_what_can_be_imported():
    """Each name of `__all__` exists and stands in the docstring; all transforms and distributions are public."""
    assert {name for name in flows.__all__ if getattr(flows, name)} <= set(re.findall(r"\w+", flows.__doc__))
    for name in (
        "autoregressive",
        "coupling",
        "distributions",
        "glow",
        "mixtures",
        "residual",
        "spline",
        "sylvester",
        "transforms",
    ):
        home = vars(importlib.import_module(f"common.flows.{name}"))
        classes = {key for key, x in home.items() if isinstance(x, type) and x.__module__ == home["__name__"]}
        assert classes <= set(flows.__all__)
