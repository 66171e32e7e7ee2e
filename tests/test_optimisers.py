"""Gradients as an optimiser sees them."""

from copy import deepcopy

import torch

from common.rl import optimisers, sac
from common.rl.config import SAC
from common.rl.optimisers import clipped, descend
from common.rl.replay import Batch


def test_a_fused_step_along_an_expanded_gradient_is_the_plain_one():
    """The gradient of a sum is one number with strides of 0; a fused optimiser reads memory in order."""
    steps = {}
    for fused in (False, True):
        x = torch.nn.Parameter(torch.linspace(-1, 1, 1000).view(500, 2))
        optimiser = torch.optim.Adam([x], lr=0.1, fused=fused)
        for _ in range(3):
            descend(optimiser, x.sum(-1).square())
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


def test_adam_is_torchs_to_the_last_bit_also_after_a_checkpoint():
    generator = torch.Generator().manual_seed(0)
    start = [torch.randn(3, 5, 7, generator=generator), torch.randn(3, 7, generator=generator)]
    ours, theirs = ([torch.nn.Parameter(x.clone()) for x in start] for _ in range(2))
    quick = optimisers.Adam(ours, lr=3e-3, eps=1e-6)
    plain = torch.optim.Adam(theirs, lr=3e-3, eps=1e-6, fused=True)
    for step in range(12):
        for pair in zip(ours, theirs, strict=True):
            gradient = torch.randn(pair[0].shape, generator=generator)
            for parameter in pair:
                parameter.grad = gradient.clone()
        if step == 6:  # as packing.unpack does
            quick.load_state_dict(quick.state_dict() | {"state": deepcopy(quick.state_dict()["state"])})
            quick.param_groups[0]["lr"] = plain.param_groups[0]["lr"] = 1e-3
        quick.step()
        plain.step()
        assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))
    states = zip(quick.state.values(), plain.state.values(), strict=True)
    assert all(torch.equal(a[name], b[name]) for a, b in states for name in b)


def test_adam_of_a_copied_learner_moves_the_copy():
    learner = sac.Learner(SAC(base="1x32", critic="1x32", batch_size=4), [0], 3, 2)
    batch = Batch(*(torch.zeros(1, 4, *shape) for shape in ((3,), (2,), (), (), (3,))))
    noise = {name: torch.zeros(1, 4, 2) for name in ("noise", "next_noise")}
    learner.update(batch, noise)
    copied = deepcopy(learner)
    before = [p.detach().clone() for p in learner.critics.parameters()]
    copied.update(batch, noise)
    assert all(torch.equal(p, b) for p, b in zip(learner.critics.parameters(), before, strict=True))
    assert not all(torch.equal(p, b) for p, b in zip(copied.critics.parameters(), before, strict=True))
