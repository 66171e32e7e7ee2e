"""Networks for fleets: each member is the network it would be alone; initialisers have the spread they claim."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from common.flows import networks
from common.flows.networks import MLP, Linear, orthogonal, small_uniform, torch_default, widths, xavier_uniform
from common.rl import acting


def rngs(*seeds):
    return [np.random.default_rng(seed) for seed in seeds]


@pytest.mark.parametrize("activation", networks.ACTIVATIONS)
@pytest.mark.parametrize("layer_norm", [False, True])
def test_a_member_of_a_stack_is_the_network_alone(activation, layer_norm):
    stack = MLP(rngs(0, 1, 2), [5, 16, 16, 3], activation, layer_norm=layer_norm)
    alone = MLP(rngs(1), [5, 16, 16, 3], activation, layer_norm=layer_norm)
    x = torch.randn(3, 7, 5)
    torch.testing.assert_close(stack(x)[1:2], alone(x[1:2]))
    gradients = torch.autograd.grad(stack(x).square().sum(), list(stack.parameters()))
    expected = torch.autograd.grad(alone(x[1:2]).square().sum(), list(alone.parameters()))
    for ours, theirs in zip(gradients, expected, strict=True):
        torch.testing.assert_close(ours[1:2], theirs, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name, module", [("relu", nn.ReLU()), ("tanh", nn.Tanh()), ("prelu", nn.PReLU())])
def test_activations_and_layer_norm_are_torchs(name, module):
    ours = MLP(rngs(0), [4, 6, 2], name, layer_norm=True)
    first, last = ours[0], ours[-1]
    theirs = nn.Sequential(nn.Linear(4, 6), nn.LayerNorm(6), module, nn.Linear(6, 2))
    for layer, linear in ((first, theirs[0]), (last, theirs[3])):
        linear.weight.data, linear.bias.data = layer.weight.data[0].T, layer.bias.data[0]
    x = torch.randn(1, 9, 4)
    torch.testing.assert_close(ours(x)[0], theirs(x[0]))


def test_second_derivatives_exist():
    """Trust-region methods differentiate twice; the in-place operations must not stand in the way."""
    torch.set_default_dtype(torch.float64)
    try:
        network = MLP(rngs(0, 1), [3, 8, 2], "tanh")
        x = torch.randn(2, 4, 3, requires_grad=True)
        assert torch.autograd.gradgradcheck(network, x)
    finally:
        torch.set_default_dtype(torch.float32)


def test_initialisers():
    rng = np.random.default_rng(0)
    weight, bias = xavier_uniform()(rng, 300, 200)
    assert np.abs(weight).max() <= math.sqrt(6 / 500) and np.isclose(weight.std(), math.sqrt(2 / 500), rtol=0.02)
    assert not bias.any()
    weight, _ = xavier_uniform(heads=2)(rng, 300, 200)
    assert np.isclose(weight.std(), math.sqrt(2 / 400), rtol=0.02)  # two heads of 100 each
    for shape in ((20, 30), (30, 20), (20, 20)):
        weight, _ = orthogonal(2.0)(rng, *shape)
        small = weight if shape[0] < shape[1] else weight.T
        np.testing.assert_allclose(small @ small.T, 4 * np.eye(20), atol=1e-10)
    weight, bias = torch_default()(rng, 400, 300)
    reference = nn.Linear(400, 300)
    assert np.isclose(weight.std(), reference.weight.std().item(), rtol=0.03)
    assert np.isclose(bias.std(), reference.bias.std().item(), rtol=0.2)
    weight, bias = small_uniform()(rng, 50, 40)
    assert np.abs(weight).max() <= 3e-3 and not bias.any()


def test_shapes_and_widths():
    assert Linear(rngs(0, 1), 3, 5)(torch.zeros(2, 4, 3)).shape == (2, 4, 5)
    assert widths("2x256") == [256, 256] and widths("1x32") == [32]


@pytest.mark.parametrize("activation", ["relu", "tanh", "prelu"])
@pytest.mark.parametrize("layer_norm", [False, True])
def test_a_network_in_numpy_is_the_network(activation, layer_norm):
    network = MLP(rngs(1, 2), [4, 8, 8, 3], activation, layer_norm=layer_norm)
    x = torch.randn(2, 5, 4, generator=torch.Generator().manual_seed(0))
    np.testing.assert_allclose(acting.network(network)(x.numpy()), network(x).detach().numpy(), rtol=1e-5, atol=1e-6)
