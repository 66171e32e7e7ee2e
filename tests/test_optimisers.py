"""Gradients as an optimiser sees them."""

import torch

from common.rl.optimisers import descend, give_gradients


def test_a_fused_step_along_an_expanded_gradient_is_the_plain_one():
    """The gradient of a sum is one number with strides of 0; a fused optimiser reads memory in order."""
    steps = {}
    for fused in (False, True):
        x = torch.nn.Parameter(torch.linspace(-1, 1, 1000).view(500, 2))
        optimiser = torch.optim.Adam([x], lr=0.1, fused=fused)
        for _ in range(3):
            descend(optimiser, [x], x.sum(-1).square())
        assert x.grad.stride() == x.stride()
        steps[fused] = x.detach()
    torch.testing.assert_close(steps[True], steps[False])


def test_a_parameter_without_a_gradient_stays():
    x = torch.nn.Parameter(torch.ones(3))
    give_gradients([x], [None])
    assert x.grad.tolist() == [0, 0, 0]
