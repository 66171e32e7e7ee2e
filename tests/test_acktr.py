"""Kronecker factors against explicit Fisher blocks, and ACKTR with every policy."""

import numpy as np
import pytest
import torch

from common.flows.networks import MLP, LayerNorm, Linear
from common.rl import on_policy
from common.rl.journal import MemoryJournal
from common.rl.kfac import Kfac, eigen
from papers.trpo_nf import acktr, policies, ppo_nf
from papers.trpo_nf.config import ACKTR, PPONF

SMALL = {"hidden": "2x32", "value_hidden": "2x32", "batch_steps": 60, "record_every": 60, "embedding_units": 16}


def rngs(members):
    return [np.random.default_rng(seed) for seed in range(members)]


def optimiser(module, members, **settings):
    return Kfac(module, members, **{"momentum": 0.0, "decay": 0.9, "damping": 0.0, "clip_kl": 1e9} | settings)


def test_a_single_linear_layer_with_unit_scores_is_solved_exactly(double):
    """With g independent of x the block is exactly A (x) G; without damping the step is the inverse of that matrix."""
    net = MLP(rngs(2), [3, 2])
    kfac = optimiser(net, 2, damping=1e-9)
    x, noise = torch.randn(2, 50, 3), torch.randn(2, 50, 2)
    with kfac.watch():
        y = net(x)
    kfac.learn((y * noise).sum(-1))
    gradients = [torch.randn_like(p) for p in kfac.parameters()]
    before = [p.detach().clone() for p in kfac.parameters()]
    kfac.step(gradients, 1.0)
    for m in range(2):
        wide = torch.cat([x[m], torch.ones(50, 1)], -1)
        block = torch.kron(wide.T @ wide / 50, noise[m].T @ noise[m] / 50)
        flat = torch.cat([gradients[0][m], gradients[1][m][None]]).flatten()
        expected = torch.linalg.solve(block, flat).view(4, 2)
        moved = torch.cat([before[0][m] - net[0].weight[m], (before[1][m] - net[0].bias[m])[None]])
        torch.testing.assert_close(moved, expected, rtol=1e-4, atol=1e-6)


def test_factors_are_those_of_the_definition_and_uses_are_summed(double):
    net = MLP(rngs(2), [3, 4, 1], "tanh", layer_norm=True)
    kfac = optimiser(net, 2)
    x, other = torch.randn(2, 20, 3), torch.randn(2, 20, 3)
    with kfac.watch():
        log_prob = net(x).squeeze(-1) + net(other).squeeze(-1)
    kfac.learn(log_prob)
    layers = [layer for layer in net.modules() if isinstance(layer, Linear | LayerNorm)]
    inside = (
        sum(torch.cat([z, torch.ones(2, 20, 1)], -1).mT @ torch.cat([z, torch.ones(2, 20, 1)], -1) for z in (x, other)) / 20
    )
    torch.testing.assert_close(kfac.averages[0][0], inside)
    torch.testing.assert_close(kfac.averages[2][1], torch.full((2, 1, 1), 2.0))  # g = 1 at the output, in both uses
    # Layer normalisation: mean square of the sample's gradient, use by use.
    expected = 0.0
    for z in (x, other):
        rows = [torch.autograd.grad(net(z)[:, i].sum(), layers[1].gain)[0].square() for i in range(20)]
        expected = expected + torch.stack(rows).mean(0)
    torch.testing.assert_close(kfac.averages[1][0], expected)
    shifts = 0.0
    for z in (x, other):
        rows = [torch.autograd.grad(net(z)[:, i].sum(), layers[1].bias)[0].square() for i in range(20)]
        shifts = shifts + torch.stack(rows).mean(0)
    torch.testing.assert_close(kfac.averages[1][1], shifts)


def test_watching_does_not_change_the_gradients(double):
    net = MLP(rngs(2), [3, 4, 1], "relu", layer_norm=True)
    kfac, x = optimiser(net, 2), torch.randn(2, 20, 3)
    plain = torch.autograd.grad(net(x).square().sum(), kfac.parameters())
    with kfac.watch():
        watched = net(x)
    for ours, theirs in zip(torch.autograd.grad(watched.square().sum(), kfac.parameters()), plain, strict=True):
        torch.testing.assert_close(ours, theirs)
    assert torch.equal(net(x), watched), "and the hooks are gone"


def test_the_step_is_clipped_by_its_predicted_divergence(double):
    net = MLP(rngs(2), [3, 2])
    kfac, x = optimiser(net, 2, damping=0.1, clip_kl=0.01), torch.randn(2, 50, 3)
    with kfac.watch():
        y = net(x)
    kfac.learn((y * torch.randn(2, 50, 2)).sum(-1))
    gradients = [torch.randn_like(p) * torch.tensor([1e-3, 10.0]).view(2, *[1] * (p.dim() - 1)) for p in kfac.parameters()]
    before = [p.detach().clone() for p in kfac.parameters()]
    kfac.step(gradients, torch.tensor([1.0, 1.0]))
    moved = [b - p for b, p in zip(before, kfac.parameters(), strict=True)]
    natural = kfac._precondition(gradients)
    for m, scaled in ((0, False), (1, True)):
        predicted = sum((v[m] * g[m]).sum() for v, g in zip(natural, gradients, strict=True))
        factor = (0.01 / predicted).sqrt() if scaled else torch.tensor(1.0)
        assert (predicted > 0.01) == scaled
        torch.testing.assert_close(moved[0][m], natural[0][m] * factor)


def test_a_factor_that_is_not_finite_anywhere_is_taken_for_the_identity():
    """And the other members' factors are not."""
    factor = torch.stack([torch.diag(torch.tensor([1.0, 2.0, 3.0])) for _ in range(3)])
    factor[0, 1, 2] = float("nan")
    factor[1, 0] = float("inf")
    values, vectors = eigen(factor)
    torch.testing.assert_close(values, torch.tensor([[1.0, 1, 1], [1, 1, 1], [1, 2, 3]]))
    assert torch.isfinite(vectors).all()


@pytest.mark.parametrize("policy, preset", [(p, s) for p in ("gaussian", "gmm2", "flow") for s in ("equations", "released")])
def test_acktr_with_every_policy(policy, preset):
    kept = MemoryJournal(2)
    settings = ACKTR(policy=policy, preset=preset, env="Hopper-v4", total_steps=240, value_updates=3, **SMALL)
    on_policy.run(acktr.Learner, settings, [4, 5], kept)
    values = {metric: [v for _, _, name, v in kept.records if name == metric] for _, _, metric, _ in kept.records}
    assert not kept.divergences and len(values["kl"]) == 8 and np.isfinite(values["kl"]).all()
    assert len(set(values["rate"])) > 1 and 1e-8 <= min(values["rate"]) and max(values["rate"]) <= 1


def test_ppo_with_every_policy():
    for policy in ("gaussian", "gmm2", "flow"):
        kept = MemoryJournal(1)
        settings = PPONF(policy=policy, env="Reacher-v4", total_steps=120, epochs=1, minibatch=30, **SMALL)
        on_policy.run(ppo_nf.Learner, settings, [4], kept)
        assert not kept.divergences and len([r for r in kept.records if r[2] == "kl"]) == 2


def test_ppos_gaussian_starts_as_baselines_and_the_others_as_the_paper():
    gaussian, flow = (ppo_nf.Learner(PPONF(policy=policy), [4], 5, 2).policy for policy in ("gaussian", "flow"))
    first = gaussian.mean[0].weight[0].detach()
    torch.testing.assert_close(first @ first.T, 2 * torch.eye(5), rtol=0, atol=1e-5)
    assert isinstance(flow, policies.CouplingFlow)


def test_a_baseline_with_slope_in_the_log_density_is_an_entropy_bonus(double):
    """E[-(c ln pi) grad ln pi] = c grad H(pi): what the released V does to the flow. For a Gaussian dH / d ln sigma = 1."""
    mean, log_std = torch.zeros(2, requires_grad=True), torch.tensor([-0.5, 0.3], requires_grad=True)
    action = log_std.detach().exp() * torch.randn(400_000, 2)
    log_prob = torch.distributions.Normal(mean, log_std.exp()).log_prob(action).sum(-1)
    found = torch.autograd.grad((-0.7 * log_prob.detach() * log_prob).mean(), (mean, log_std))
    torch.testing.assert_close(found, (torch.zeros(2), torch.full((2,), 0.7)), rtol=0, atol=0.02)


@pytest.mark.parametrize(
    ("policy", "sees", "differs"), [("flow", "state", False), ("gaussian", "policy", False), ("flow", "policy", True)]
)
def test_what_the_value_function_sees_of_the_action(policy, sees, differs):
    learner = acktr.Learner(ACKTR(policy=policy, value_sees=sees, value_hidden="2x32"), [0, 1], 6, 2)
    obs, age = torch.randn(2, 5, 6), np.zeros((2, 5))
    with torch.no_grad():
        values = [learner.value(learner.value_inputs(obs, torch.randn(2, 5, 2), age)) for _ in range(2)]
    assert bool((values[0] != values[1]).any()) == differs
