"""Gradients as an optimiser sees them."""

import torch

from common.rl.optimisers import clipped, descend


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


def test_gradients_are_clipped_by_each_members_own_norm():
    """A parameter may hold several rows per member; a short gradient stays, a long one keeps its direction."""
    small, large = torch.full((2, 2), 0.01), torch.full((2, 2), 10.0)
    gradients = [torch.cat([small, large]), torch.tensor([0.01, 10.0])]
    ours = clipped(gradients, torch.tensor([5e-4, 500.0]), 0.1)
    torch.testing.assert_close([x.flatten()[: x.numel() // 2] for x in ours], [small.flatten(), gradients[1][:1]])
    rest = torch.cat([x.flatten()[x.numel() // 2 :] for x in ours])
    torch.testing.assert_close(rest, torch.full((5,), 0.1 / 5**0.5))
