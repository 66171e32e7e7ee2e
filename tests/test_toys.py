"""The toys against what is known of them in closed form."""

import math

import numpy as np
import pytest
import torch

from common.flows.distributions import DiagonalGaussian
from common.rl import iterations
from common.rl.journal import MemoryJournal
from papers.trpo_nf import spread
from papers.trpo_nf.config import Toys
from papers.trpo_nf.toys import Learner


def run(seeds=(0, 1, 2), **settings):
    """What a toy records at its end, {metric: [members]}."""
    kept = MemoryJournal(len(seeds))
    iterations.run(Learner, Toys(**settings), list(seeds), kept)
    last = [(name, value) for _, step, name, value in kept.records if step == settings["iterations"]]
    return {name: np.array([value for other, value in last if other == name]) for name, _ in last}, kept


def test_a_gaussian_on_the_boundary_is_hardly_wider_than_the_centre():
    """In closed form: standard deviations between 0.0933 and 0.1109 where KL = 0.01 and the samples are many."""
    found, kept = run(toy="kl_ball", policy="gaussian", iterations=700, learning_rate=1e-2, origin_samples=4000)
    assert (found["arrived"] == 1).all()
    np.testing.assert_allclose(found["kl"], 0.01, atol=6e-4)
    assert (found["std"] < 0.115).all() and (found["std"] > 0.088).all()
    np.testing.assert_allclose(found["kurtosis"], 3, atol=0.2)
    for table in ("samples", "density"):
        assert [len(rows) > 0 for _, rows in kept.tables[table]] == [True, True, False], "two members are shown"


def test_without_the_constant_the_ball_is_that_much_larger():
    """The released density is too large by ln 2 pi in two dimensions, so that "KL = 0.01" is 1.848 in truth."""
    found, _ = run(toy="kl_ball", policy="flow", constant=False, iterations=500, seeds=(0, 2), origin_samples=250)
    np.testing.assert_allclose(found["kl"], 0.01 + math.log(2 * math.pi), atol=1e-3)


def test_a_gaussian_of_known_entropy():
    """H = -1: standard deviations whose product is e^(-1) / (2 pi e), 0.1468 each if they are equal."""
    found, _ = run(toy="entropy", policy="gaussian", iterations=500, learning_rate=1e-2)
    np.testing.assert_allclose(found["entropy"], -1, atol=0.05)
    np.testing.assert_allclose(np.sqrt(found["det_covariance"]), 0.1468**2, rtol=0.06)


@pytest.mark.parametrize("constant", [True, False])
def test_flows_of_known_entropy(constant):
    """Its gradient is expanded in memory, which a fused optimiser does not see by itself. The released density is too large
    by ln 2 pi, so that its "entropy" is too small by as much."""
    settings = {"toy": "entropy", "policy": "flow", "entropy": -2.0, "constant": constant, "samples": 500}
    found, kept = run(range(20), iterations=400, learning_rate=1e-2, **settings)
    np.testing.assert_allclose(found["entropy"], -2 + (0 if constant else math.log(2 * math.pi)), atol=0.15)
    assert not kept.divergences


def test_a_member_without_a_number_is_counted_and_recorded_no_further():
    class Broken(Learner):
        def update(self, draws):
            super().update(draws)
            self.objective[1] = torch.nan

    kept = MemoryJournal(3)
    iterations.run(Broken, Toys(toy="correlated", iterations=40, samples=50), [0, 1, 2], kept)
    assert kept.divergences == [(1, 2)]
    assert {m for m, *_ in kept.records} == {0, 2}


def test_a_density_is_nothing_where_a_preimage_overflows():
    class Overflown:
        def log_prob(self, x):
            return torch.where(x[..., 0] > 1, torch.nan, -torch.inf)

    _, log_prob = spread.on_grid(lambda size: Overflown(), 2, "cpu", cells=5)
    assert (log_prob == spread.NOTHING).all()


def test_the_best_factorised_gaussian_for_a_correlated_target():
    """Standard deviation 0.0975 each and a gap of 0.830 nats (closed form)."""
    shared = {"toy": "correlated", "policy": "gaussian", "learning_rate": 4e-2, "samples": 256}
    found, _ = run(iterations=900, **shared)
    np.testing.assert_allclose(found["std"], 0.0975, rtol=0.04)
    np.testing.assert_allclose(found["kl_to_target"], 0.830, atol=0.02)
    scored, _ = run(iterations=900, estimator="score", **shared)
    np.testing.assert_allclose(scored["kl_to_target"], 0.830, atol=0.05)


def test_two_components_apart_fit_the_bimodal_target():
    shared = {"toy": "bimodal", "learning_rate": 2e-2, "samples": 256, "iterations": 700}
    found, _ = run(policy="gmm2", first_spread=0.7, seeds=(0, 1, 2, 3, 4, 5), **shared)
    apart = found["smaller_mass"] > 0.2
    assert apart.any()
    assert found["kl_to_target"][apart].max() < 0.05
    np.testing.assert_allclose(found["kl_to_target"][~apart], math.log(2), atol=0.1)


def test_under_the_released_density_the_bandits_have_no_best_policy():
    """-E ln of a product of densities grows without bound as components part: "entropy" beats any reward."""
    settings = {"toy": "bimodal", "policy": "gmm2", "learning_rate": 2e-2, "samples": 256, "iterations": 700}
    product, _ = run(preset="released", first_spread=0.7, **settings)
    assert product["component_distance"].min() > 100 and np.isnan(product["kl_to_target"]).all()


@pytest.mark.parametrize("toy", ["kl_ball", "entropy", "correlated", "bimodal"])
@pytest.mark.parametrize("preset", ["equations", "released"])
def test_every_toy_with_every_policy(toy, preset):
    for policy in ("gaussian", "gmm5", "flow"):
        for estimator in ("pathwise", "score") if toy in ("correlated", "bimodal") else ("pathwise",):
            shared = {"toy": toy, "policy": policy, "preset": preset, "estimator": estimator}
            found, _ = run((0, 1), iterations=5, samples=16, origin_samples=20, **shared)
            assert np.isfinite(found["std"]).all() and np.isfinite(found["objective"]).all(), shared


def test_rewards_are_the_bandits():
    learner = Learner(Toys(toy="correlated", policy="gaussian"), [0])
    a = torch.randn(7, 2)
    inverse = torch.linalg.inv(torch.tensor([[1.0, 0.9], [0.9, 1.0]]))
    torch.testing.assert_close(learner.reward(a), -torch.einsum("ni,ij,nj->n", a, inverse, a), rtol=1e-4, atol=1e-4)
    learner = Learner(Toys(toy="bimodal", policy="gaussian"), [0])
    expected = [max(-(p + 0.5).square().sum() / 0.5, -(p - 0.5).square().sum() / 0.5) for p in a]
    torch.testing.assert_close(learner.reward(a), torch.stack(expected))


def test_quadrature_is_the_closed_form():
    def distribution(size):
        return DiagonalGaussian(torch.full((1, size, 2), 0.1), torch.full((1, size, 2), math.log(0.2)))

    def log_target(x):
        return -0.5 * (x / 0.3).square().sum(-1) + 7

    kl = spread.kl_by_quadrature(distribution, log_target, 1, "cpu")
    expected = 2 * (math.log(0.3 / 0.2) + (0.04 + 0.01) / (2 * 0.09) - 0.5)
    np.testing.assert_allclose(kl.item(), expected, rtol=1e-4)


def test_spreads_of_a_known_cloud():
    x = torch.from_numpy(np.random.default_rng(0).standard_normal((2, 200_000, 2)))
    x[1] = torch.stack([x[1, :, 0], 0.6 * x[1, :, 0] + 0.8 * x[1, :, 1]], -1)
    found = spread.measure(x)
    radii = [math.sqrt(-2 * math.log(1 - q)) for q in (0.5, 0.9, 0.99, 0.999)]
    np.testing.assert_allclose([found[k][0] for k in spread.QUANTILES], radii, rtol=0.02)
    np.testing.assert_allclose(found["correlation"], [0, 0.6], atol=0.01)
    np.testing.assert_allclose(found["det_covariance"], [1, 0.64], rtol=0.02)
    np.testing.assert_allclose(found["kurtosis"], 3, rtol=0.02)
    low, high = (spread.modes(x[:1] * 0.1 + centre, 0.5) for centre in (-0.5, 0.5))
    assert low["mass_low"] > 0.99 and high["mass_high"] > 0.99 and low["smaller_mass"] < 0.01


def test_a_member_at_the_boundary_is_not_lost_to_what_comes_after():
    """Both members turn NaN; one of them had arrived."""
    learner = Learner(Toys(toy="kl_ball", policy="gaussian", samples=2), [0, 1])
    learner.arrived[0] = True
    for parameter in learner.parameters:
        parameter.data.fill_(torch.nan)
    learner.update({"uniform": torch.rand(2, 2), "normal": torch.randn(2, 2, 2)})
    objective = learner.measure()["objective"]
    assert objective[0] == pytest.approx(0.01) and math.isnan(objective[1])


def test_a_checkpoint_keeps_where_a_member_arrived():
    config = Toys(toy="kl_ball", iterations=40, samples=8, origin_samples=50)
    stopped, again = Learner(config, [4, 5]), Learner(config, [4, 5])
    stopped.arrived[1], stopped.final, stopped.updates = True, stopped.final + 1, 7
    again.load_state_dict(stopped.state_dict())
    assert again.arrived.tolist() == [False, True] and again.updates == 7 and torch.equal(again.final, stopped.final)


@pytest.mark.parametrize("preset", ["equations", "released"])
@pytest.mark.parametrize("policy", ["gaussian", "gmm2", "gmm5", "flow"])
def test_the_distribution_of_the_samples_has_a_density(policy, preset):
    """Whatever density is trained on, which for released mixtures and for flows without their constant is none."""
    flow = {"constant": False} if policy == "flow" else {}
    learner = Learner(Toys(toy="bimodal", policy=policy, preset=preset, first_spread=1.0, **flow), [0, 1])
    masses = {}
    with torch.no_grad():
        for kind in ("truth", "trained"):
            points, log_prob = spread.on_grid(getattr(learner, kind), 2, "cpu", limit=7.0, cells=141)
            masses[kind] = (log_prob.double().exp().sum(-1) * (points[1, 1] - points[0, 1]) ** 2).numpy()
    np.testing.assert_allclose(masses["truth"], 1, atol=1e-3)
    whole = policy == "gaussian" or (policy != "flow" and preset == "equations")
    assert (np.abs(masses["trained"] - 1) < 1e-3).all() == whole


def test_an_entropy_is_held_by_its_squared_distance():
    """Far off the steps are long, near they vanish: the distance itself would shake about the target."""
    learner = Learner(Toys(toy="entropy", policy="gaussian", entropy=-4.0, samples=64, iterations=10), [0, 1])
    drawn = learner.draws(np.random.default_rng(0), 64)
    draws = {name: torch.from_numpy(np.stack([x, x])) for name, x in drawn.items()}
    loss, entropy = learner.entropy(draws)
    assert ((entropy + 4).abs() > 1.1).all()
    torch.testing.assert_close(loss, (entropy + 4) ** 2)
