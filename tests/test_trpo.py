"""TRPO against its equations."""

from copy import deepcopy

import numpy as np
import pytest
import torch

from common.flows.distributions import DiagonalGaussian, kl_divergence
from common.rl import trpo
from common.rl.config import TRPO
from common.rl.learner import Rollout
from common.rl.naturalgradient import assign, conjugate_gradient, flatten, gradient, hessian_product, score_product
from common.rl.randomness import draws, generator

OBSERVATIONS, ACTIONS, STEPS = 4, 3, 60


def learner(seeds=(4, 5, 6), observations=OBSERVATIONS, actions=ACTIONS, **settings):
    settings = {"batch_steps": STEPS, "minibatch": 16, "hidden": "2x32", "value_hidden": "2x32"} | settings
    return trpo.Learner(TRPO(**settings), list(seeds), observations, actions)


def rollout(seeds, learner, iteration=0, steps=STEPS):
    """A made-up rollout: observations and rewards of each seed's own, actions of the present policy."""

    def seen(rng):
        return {"obs": rng.standard_normal((steps, OBSERVATIONS), dtype=np.float32)}

    obs = draws(seeds, "reset", iteration, seen)["obs"]
    actor = learner.actor(draws(seeds, "act", iteration, learner.acting_draws))
    action = np.stack([actor(t, obs[:, t]) for t in range(steps)], 1)
    ended = np.zeros((len(seeds), steps), bool)
    ended[:, 24::25] = True
    reward = obs[..., 0] - np.square(action - obs[..., 1:2]).sum(-1)
    zeros = np.zeros_like(ended)
    return Rollout(obs, action, reward, np.roll(obs, -1, 1), ended, zeros, zeros, np.full(len(seeds), 50.0))


def update(learner, seeds, iteration=0):
    return learner.update(rollout(seeds, learner, iteration), draws(seeds, "update", iteration, learner.update_draws))


def batch(members, dtype=torch.float64, steps=STEPS):
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(members, steps, n, generator=generator, dtype=dtype) for n in (OBSERVATIONS, ACTIONS)]


def jittered(fleet):
    """Parameters away from their start, at which last layers are nearly zero."""
    generator = torch.Generator().manual_seed(2)
    for parameter in fleet.policy.parameters():
        parameter.data += 0.2 * torch.randn(parameter.shape, generator=generator, dtype=parameter.dtype)
    return fleet


def test_conjugate_gradient_solves_every_members_system(double):
    root = torch.randn(5, 12, 12)
    matrix = root @ root.mT + torch.eye(12)
    b = torch.randn(5, 12)
    x, met = conjugate_gradient(lambda v: (matrix @ v.unsqueeze(-1)).squeeze(-1), b, iterations=40, tolerance=1e-24)
    torch.testing.assert_close(x, torch.linalg.solve(matrix, b), rtol=0, atol=1e-9)
    assert not met.any()
    assert not conjugate_gradient(lambda v: v, torch.zeros(2, 3))[0].any(), (
        "a gradient of zero gives a step of zero, not NaN"
    )


def test_negative_curvature_on_the_way_is_told_and_can_stop_it(double):
    """diag(3, 1, -0.5): the first direction has positive curvature, a later one has not."""
    matrix = torch.diag(torch.tensor([3.0, 1.0, -0.5])).expand(2, 3, 3).clone()
    matrix[1, 2, 2] = 0.5
    b = torch.tensor([[1.0, 1.0, 0.3]]).expand(2, 3)

    def product(v):
        return (matrix @ v.unsqueeze(-1)).squeeze(-1)

    x, met = conjugate_gradient(product, b, iterations=3)
    assert met.tolist() == [True, False]
    torch.testing.assert_close(product(x)[1], b[1])
    short, _ = conjugate_gradient(product, b, iterations=3, truncate=True)
    best = torch.stack([conjugate_gradient(product, b, iterations=k)[0][0] for k in (1, 2)])
    assert any(torch.allclose(short[0], x) for x in best) and (short[0] * product(short)[0]).sum() > 0
    torch.testing.assert_close(short[1], x[1])
    none, met = conjugate_gradient(lambda v: -v, b, truncate=True)
    assert met.all() and not none.any()


def test_conjugate_gradient_of_a_member_does_not_depend_on_the_others(double):
    root = torch.randn(3, 8, 8)
    matrix, b = root @ root.mT, torch.randn(3, 8)
    matrix[0] = torch.eye(8)  # converges at once, and waits
    together, _ = conjugate_gradient(lambda v: (matrix @ v.unsqueeze(-1)).squeeze(-1), b)
    for m in range(3):
        one = matrix[m : m + 1]
        alone, _ = conjugate_gradient(lambda v, one=one: (one @ v.unsqueeze(-1)).squeeze(-1), b[m : m + 1])
        torch.testing.assert_close(together[m : m + 1], alone, rtol=1e-9, atol=1e-9)


def test_a_parameter_that_no_loss_reads_has_gradient_zero(double):
    read, unread = torch.ones(2, 3, requires_grad=True), torch.ones(2, 2, requires_grad=True)
    found = gradient((2 * read).sum(-1), [read, unread], 2)
    torch.testing.assert_close(found, torch.tensor([[2.0, 2, 2, 0, 0]] * 2))


def test_the_kl_divergence_is_torchs(double):
    old, new = (DiagonalGaussian(torch.randn(2, 7, 3), torch.randn(2, 7, 3)) for _ in range(2))
    theirs = [torch.distributions.Independent(torch.distributions.Normal(d.mean, d.log_std.exp()), 1) for d in (old, new)]
    torch.testing.assert_close(kl_divergence(old, new), torch.distributions.kl_divergence(*theirs))


def explicit_fisher(policy, obs):
    """mean over states of J' diag(1 / sigma^2) J for the mean, 2 I for the ln sigma: the Gaussian's Fisher matrix, member
    by member, from the Jacobian of mean and ln sigma."""
    parameters = list(policy.parameters())

    def row(piece, m):
        found = torch.autograd.grad(piece, parameters, retain_graph=True, allow_unused=True)
        pairs = zip(found, parameters, strict=True)
        return torch.cat([torch.zeros(p[m].numel()) if g is None else g[m].flatten() for g, p in pairs])

    matrices = []
    for m in range(len(obs)):
        total = 0.0
        for t in range(obs.shape[1]):
            distribution = policy(obs[:, t : t + 1])
            for mean, log_std in zip(distribution.mean[m, 0], distribution.log_std[m, 0], strict=True):
                for piece in (mean * (-log_std.detach()).exp(), 2**0.5 * log_std):
                    total = total + torch.outer(row(piece, m), row(piece, m))
        matrices.append(total / obs.shape[1])
    return torch.stack(matrices)


def test_the_fisher_vector_product_is_the_explicit_fisher(double):
    fleet = jittered(learner((4, 5), hidden="1x32", fisher_stride=1))
    obs, action = batch(2, steps=10)
    product = fleet.fisher(obs, action, {})
    v = torch.randn(2, flatten(fleet.parameters, 2).shape[1])
    expected = (explicit_fisher(fleet.policy, obs) @ v.unsqueeze(-1)).squeeze(-1)
    torch.testing.assert_close(product(v), expected, rtol=1e-8, atol=1e-10)


def test_every_estimate_of_the_fisher_matrix_approaches_it(double):
    """Over many fresh actions the sampled Hessian and the scores' covariance are the analytic product."""
    obs, action = batch(2, steps=12)
    many, v, found = 20_000, None, {}
    for kind in ("analytic", "fresh", "scores"):
        fleet = jittered(learner((4, 5), hidden="1x32", fisher=kind, fisher_stride=4, fisher_actions=many))
        v = torch.randn(2, flatten(fleet.parameters, 2).shape[1]) if v is None else v
        found[kind] = fleet.fisher(obs, action, {"fisher_noise": torch.randn(2, 3 * many, ACTIONS)})(v)
    for kind in ("fresh", "scores"):
        error = (found[kind] - found["analytic"]).norm(dim=-1) / found["analytic"].norm(dim=-1)
        assert error.max() < 0.03, (kind, error)


def test_the_scores_product_is_the_sum_of_outer_products_and_never_negative(double):
    fleet = jittered(learner((4, 5), hidden="1x32"))
    obs, action = batch(2, steps=7)
    log_prob = fleet.policy(obs).log_prob(action)
    v = torch.randn(2, flatten(fleet.parameters, 2).shape[1])
    scores = torch.stack([gradient(log_prob[:, t], fleet.parameters, 2, retain_graph=True) for t in range(7)], 1)
    expected = ((scores * v.unsqueeze(1)).sum(-1, keepdim=True) * scores).mean(1)
    product = score_product(log_prob, fleet.parameters, 2)
    torch.testing.assert_close(product(v), expected)
    assert all((u * product(u)).sum(-1).min() >= 0 for u in torch.randn(20, *v.shape))


def test_the_hessian_product_is_a_difference_of_gradients(double):
    fleet = jittered(learner((4, 5), hidden="1x32"))
    obs, action = batch(2)

    def loss():
        return -fleet.policy(obs).log_prob(action).mean(-1)

    v = torch.randn(2, flatten(fleet.parameters, 2).shape[1])
    exact = hessian_product(loss(), fleet.parameters, 2)(v)
    start, size = flatten(fleet.parameters, 2).detach().clone(), 1e-5
    sides = []
    for sign in (1, -1):
        assign(fleet.parameters, start + sign * size * v)
        sides.append(gradient(loss(), fleet.parameters, 2))
    torch.testing.assert_close(exact, (sides[0] - sides[1]) / (2 * size), rtol=1e-5, atol=1e-6)


def test_the_surrogates_gradient_is_the_policy_gradient(double):
    """At theta_old: mean A grad ln pi, checked against finite differences."""
    fleet = jittered(learner((4, 5), hidden="1x32"))
    obs, action = batch(2)
    advantage = torch.randn(2, STEPS)
    old, old_log_prob = fleet.frozen(obs, action)
    surrogate, kl = fleet.objectives(obs, action, advantage, old, old_log_prob)
    torch.testing.assert_close(surrogate, advantage.mean(-1))
    torch.testing.assert_close(kl, torch.zeros(2), rtol=0, atol=1e-12)
    slope = gradient(surrogate, fleet.parameters, 2)
    score = (fleet.policy(obs).log_prob(action) * advantage).mean(-1)
    torch.testing.assert_close(slope, gradient(score, fleet.parameters, 2))
    start, v, size = flatten(fleet.parameters, 2).detach().clone(), torch.randn_like(slope), 1e-6
    sides = []
    for sign in (1, -1):
        assign(fleet.parameters, start + sign * size * v)
        sides.append(fleet.objectives(obs, action, advantage, old, old_log_prob)[0])
    torch.testing.assert_close((slope * v).sum(-1), (sides[0] - sides[1]) / (2 * size), rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("tolerance", [1.0, 1.5])
@pytest.mark.parametrize("fisher", ["auto", "hessian", "scores", "fresh"])
def test_an_accepted_step_stays_in_the_trust_region_and_improves(fisher, tolerance):
    seeds = [4, 5, 6, 7]
    radius = np.array([1e-4, 1e-3, 1e-2, 1e-1], np.float32)
    fleet = learner(seeds, fisher=fisher, kl_tolerance=tolerance, fisher_actions=2)
    fleet.radius = torch.from_numpy(radius)
    for iteration in range(4):
        before = deepcopy(fleet.policy)
        seen = rollout(seeds, fleet, iteration)
        found = fleet.update(seen, draws(seeds, "update", iteration, fleet.update_draws))
        with torch.no_grad():  # the divergence once more, from a copy of the earlier policy
            obs, action = fleet.normaliser(torch.from_numpy(seen.obs)), torch.from_numpy(seen.action)
            old, new = before(obs), fleet.policy(obs)
            exact, sampled = kl_divergence(old, new), old.log_prob(action) - new.log_prob(action)
            kl = (exact if fisher == "auto" else sampled).mean(-1)
        np.testing.assert_allclose(found["kl"], kl, rtol=1e-3, atol=1e-6)
        assert (found["kl"] <= tolerance * radius * (1 + 1e-5)).all() and (found["gain"] >= 0).all()
        assert ((found["step_fraction"] == 0) | np.isin(found["step_fraction"], 0.5 ** np.arange(10))).all()
    assert (found["step_fraction"] > 0).any()


def test_a_first_step_reaches_the_radius_it_was_given():
    """Where the quadratic model is good, KL after the step is the radius, for every member's own radius."""
    seeds = [4, 5]
    fleet = learner(seeds, kl_tolerance=1.5, batch_steps=400, fisher_damping=1e-5, conjugate_iterations=40, fisher_stride=1)
    fleet.radius = torch.tensor([1e-4, 1e-3])
    found = fleet.update(rollout(seeds, fleet, steps=400), draws(seeds, "update", 0, fleet.update_draws))
    np.testing.assert_allclose(found["kl"], [1e-4, 1e-3], rtol=0.15)
    np.testing.assert_allclose(found["gain"], found["expected_gain"], rtol=0.2)


def test_the_policy_learns_from_standardised_advantages():
    seeds = [4, 5]
    fleet = learner(seeds)
    _, advantage, target, _ = fleet.prepare(rollout(seeds, fleet))
    torch.testing.assert_close(advantage.mean(1), torch.zeros(2), rtol=0, atol=1e-6)
    torch.testing.assert_close(advantage.std(1, correction=0), torch.ones(2))
    assert (target.std(1) > 1.1).all(), "V learns returns as they are"


def test_skipped_members_keep_their_value_function():
    fleet = learner([4, 5], skip_negative_curvature=True)
    update(fleet, [4, 5])
    obs, target = torch.randn(2, STEPS, OBSERVATIONS), torch.randn(2, STEPS)
    order = torch.from_numpy(draws([4, 5], "update", 1, fleet.update_draws)["order"])
    before = [p.detach().clone() for p in fleet.value.parameters()]
    fleet.fit_all_but(torch.tensor([True, False]), obs, target, order)
    for parameter, earlier in zip(fleet.value.parameters(), before, strict=True):
        assert torch.equal(parameter[0], earlier[0]) and not torch.equal(parameter[1], earlier[1])


def test_a_first_batch_that_is_skipped_leaves_no_moments():
    fleet = learner([4, 5], skip_negative_curvature=True)
    obs, target = torch.randn(2, STEPS, OBSERVATIONS), torch.randn(2, STEPS)
    order = torch.from_numpy(draws([4, 5], "update", 0, fleet.update_draws)["order"])
    fleet.fit_all_but(torch.tensor([True, False]), obs, target, order)
    for moment in fleet.fitted()[len(list(fleet.value.parameters())) :]:
        assert not moment[0].any() and moment[1].any()


def test_the_value_function_is_fitted_to_its_targets():
    fleet = learner([4, 5], epochs=60)
    obs = torch.randn(2, STEPS, OBSERVATIONS)
    target = obs.sum(-1)
    order = torch.from_numpy(draws([4, 5], "update", 0, fleet.update_draws)["order"])
    fleet.fit_value(obs, target, order)
    assert (fleet.value(obs).squeeze(-1) - target).square().mean(-1).max() < 0.1 * target.var()


def test_acting_in_numpy_is_sampling_from_the_policy():
    seeds = [4, 5, 6]
    fleet = jittered(learner(seeds))
    fleet.normaliser.update(torch.randn(3, 50, OBSERVATIONS) * 3 + 1)
    drawn = draws(seeds, "act", 0, fleet.acting_draws)
    actor = fleet.actor(drawn)
    obs = generator(0, "reset").standard_normal((3, OBSERVATIONS)).astype(np.float32)
    for t in range(3):
        noise = torch.from_numpy(drawn["noise"][:, t : t + 1])
        expected = fleet.policy(fleet.normaliser(torch.from_numpy(obs)[:, None])).sample(noise)[:, 0]
        np.testing.assert_allclose(actor(t, obs), expected.numpy(), rtol=1e-5, atol=1e-6)
