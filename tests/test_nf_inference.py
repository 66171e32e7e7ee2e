"""Variational inference: energies, their constants, a KL that falls to 0 where it can, and what families cost."""

import math

import numpy as np
import pytest
import torch

from papers.nf_review import posteriors
from papers.nf_review.config import FamilyCosts, Inference
from papers.nf_review.family_costs import Learner as Costs
from papers.nf_review.inference import Learner

SEEDS = [0, 1]


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


@pytest.mark.parametrize("x, y", [(0.3, -1.2), (2.1, 0.4), (-1.5, 1.0)])
def test_energies_are_those_of_the_table(x, y):
    """Rezende & Mohamed 2015, Table 1, written out."""
    wave = math.sin(2 * math.pi * x / 4)
    high, step = 3 * math.exp(-0.5 * ((x - 1) / 0.6) ** 2), 3 * sigmoid((x - 1) / 0.3)

    def bump(d):
        return math.exp(-0.5 * d**2)

    expected = {
        "u1": 0.5 * ((math.hypot(x, y) - 2) / 0.4) ** 2 - math.log(bump((x - 2) / 0.6) + bump((x + 2) / 0.6)),
        "u2": 0.5 * ((y - wave) / 0.4) ** 2,
        "u3": -math.log(bump((y - wave) / 0.35) + bump((y - wave + high) / 0.35)),
        "u4": -math.log(bump((y - wave) / 0.4) + bump((y - wave + step) / 0.35)),
    }
    z = torch.tensor([x, y], dtype=torch.float64)
    assert {name: pytest.approx(float(posteriors.energy(name, z)), rel=1e-12) for name in expected} == expected


def test_walls_begin_at_four():
    inside, outside = (posteriors.energy("u2", torch.tensor([x, math.sin(math.pi * x / 2)])) for x in (3.99, -4.4))
    assert float(inside) < 1e-6 and float(outside) == pytest.approx(0.5 * (0.4 / 0.2) ** 2, rel=1e-4)


def test_the_constant_of_the_second_energy_is_known():
    """A normal number of deviation 0.4 beside one that is flat on [-4, 4] with normal ends of deviation 0.2."""
    width = 8 + math.sqrt(2 * math.pi) * 0.2
    log_constant, variance = posteriors.moments("u2", 2)
    assert log_constant == pytest.approx(math.log(width * math.sqrt(2 * math.pi) * 0.4), abs=1e-6)
    assert variance > width**2 / 12


@pytest.mark.parametrize("event", [2, 8])
def test_bananas_have_the_moments_that_are_stated(event):
    """Samples drawn by their recipe: U's mean is entropy's, and the covariance's trace the stated one."""
    rng = np.random.default_rng(0)
    first = rng.standard_normal((200_000, event // 2))
    second = posteriors.BEND * (first**2 - 1) + posteriors.NARROW * rng.standard_normal(first.shape)
    y = torch.tensor(np.stack([first, second], -1).reshape(len(first), event))
    z = y @ posteriors.turn(event).T
    log_constant, variance = posteriors.moments("bananas", event)
    assert float(z.var(0).sum()) == pytest.approx(variance, rel=0.02)
    assert float(posteriors.energy("bananas", z).mean()) == pytest.approx(event / 2, rel=0.01)
    one = torch.linspace(-8, 8, 801, dtype=torch.float64)
    if event == 2:
        grid = torch.cartesian_prod(one, torch.linspace(-8, 30, 1901, dtype=torch.float64))
        mass = torch.exp(-posteriors.energy("bananas", grid @ posteriors.turn(2).T)).sum() * 0.02 * 0.02
        assert math.log(float(mass)) == pytest.approx(log_constant, abs=1e-6)


def inference(**settings):
    small = {"batch_size": 64, "total_steps": 200, "evaluate_every": 10, "annealed": 40, "evaluation_samples": 4000}
    return Inference(**small | {"hidden": "1x16", "flows": 4, "learning_rate": 0.02} | settings)


def trained(config):
    learner = Learner(config, SEEDS)
    rng = np.random.default_rng(1)
    for _ in range(config.total_steps):
        draws = [learner.update_draws(rng, 1)["noise"][0] for _ in SEEDS]
        learner.update({"noise": torch.tensor(np.stack(draws))})
    return learner


def test_kl_is_that_of_gaussians_where_both_are(monkeypatch):
    """A mean field before it learns is N(0, I); p = N(m, 4 I)."""
    monkeypatch.setattr(posteriors, "energy", lambda name, z: ((z - 1) / 2).square().sum(-1) / 2)
    monkeypatch.setattr(posteriors, "moments", lambda name, event: (math.log(2 * math.pi * 4), 8.0))
    learner = Learner(inference(family="mean_field", evaluation_samples=200_000), SEEDS)
    expected = 2 * (math.log(2) + (1 + 1) / 8 - 0.5)
    measured = learner.measure()
    assert measured["kl"] == pytest.approx([expected] * 2, abs=0.01)
    assert measured["log_variance"] == pytest.approx([math.log(2 / 8)] * 2, abs=0.02)


def test_a_mean_field_finds_a_gaussian(monkeypatch):
    """It holds the posterior: the KL goes to 0, and the variance to that of p."""
    monkeypatch.setattr(posteriors, "energy", lambda name, z: ((z - 1) / torch.tensor([2.0, 0.5])).square().sum(-1) / 2)
    monkeypatch.setattr(posteriors, "moments", lambda name, event: (math.log(2 * math.pi), 4.25))
    measured = trained(inference(family="mean_field", total_steps=300)).measure()
    assert max(measured["kl"]) < 0.01 and max(map(abs, measured["log_variance"])) < 0.1


def test_a_flow_comes_closer_to_a_banana_than_a_mean_field():
    """And its KL is not below 0, as a wrong log-determinant or constant would have it."""
    field, flow = (
        trained(inference(family=family, energy="bananas")).measure()["kl"] for family in ("mean_field", "realnvp")
    )
    assert min(field) > 0.3 and max(flow) < 0.5 * min(field) and min(flow) > -0.02


def test_the_temperature_falls_in_the_stated_updates():
    learner = Learner(inference(annealed=40), SEEDS)
    betas = []
    for learner.updates in (0, 20, 40, 100):
        betas.append(learner.beta())
    assert betas == pytest.approx([0.01, 0.51, 1.0, 1.0])
    assert Learner(inference(annealed=0), SEEDS).beta() == 1.0


def test_dimensions_that_a_target_does_not_have_are_refused():
    assert "event = 3 must be 2, or an even number" in Inference(event=3, energy="bananas").problem()
    assert "not u1" in Inference(event=4).problem()


# ---- costs ----


def costs(family, event, flows=3):
    return {
        name: values[0]
        for name, values in Costs(FamilyCosts(family=family, event=event, flows=flows), [0]).results().items()
    }


@pytest.mark.parametrize("event", [2, 6])
def test_of_maf_and_iaf_each_is_fast_where_the_other_is_slow(event):
    maf, iaf = costs("maf", event), costs("iaf", event)
    assert (maf["density_passes"], maf["sample_passes"]) == (3, 3 * event)
    assert (iaf["density_passes"], iaf["sample_passes"]) == (3 * event, 3)
    assert maf["sample_operations"] > event / 2 * maf["density_operations"]


def test_couplings_are_fast_both_ways():
    found = costs("realnvp", 6)
    assert found["density_passes"] == found["sample_passes"] == 3
    assert found["density_operations"] == pytest.approx(found["sample_operations"], rel=0.3)


def test_counts_do_not_depend_on_the_fleet_or_the_step():
    config = FamilyCosts(family="planar", event=4, flows=2)
    assert all(len(set(values)) == 1 for values in Costs(config, [0, 1, 2]).results().values())
    assert costs("planar", 4, 4)["sample_operations"] < 2.2 * costs("planar", 4, 2)["sample_operations"]
