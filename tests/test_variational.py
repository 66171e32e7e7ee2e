"""Variational inference with flows: energies, their constants, the objective, and what a fit reaches."""

import dataclasses
import itertools
import math

import pytest
import torch
from scipy.stats import norm

from common.errors import UserError
from common.rl import iterations
from common.rl.journal import MemoryJournal
from common.rl.randomness import Blocks
from common.settings import resolve
from papers.nf_review import energies, variational
from papers.nf_review.config import Variational

SMALL = {"total_steps": 8, "evaluate_every": 4, "batch_size": 16, "flows": 2, "hidden": "2x3", "evaluation_samples": 200,
         "grid_points": 11}  # fmt: skip


def learner(seeds=2, steps=0, **settings):
    """A fleet after so many updates."""
    made = variational.Learner(Variational(**SMALL | {"total_steps": max(steps, 8)} | settings), range(seeds))
    blocks = Blocks(range(seeds), "update", made.block, made.update_draws)
    for step in range(1, steps + 1):
        made.update({name: torch.from_numpy(x) for name, x in blocks.at(step).items()})
    return made


# Worked by hand from Table 1 at points where w1, w2, w3 and the distance are plain numbers.
PLAIN = {
    ("U1", 2, 0): 0 - math.log(1 + math.exp(-0.5 * (4 / 0.6) ** 2)),
    ("U1", 0, 2): 0 - math.log(2 * math.exp(-0.5 * (2 / 0.6) ** 2)),
    ("U1", 0, 0): 12.5 - math.log(2 * math.exp(-0.5 * (2 / 0.6) ** 2)),
    ("U1", 3, 4): 0.5 * 7.5**2 - math.log(math.exp(-0.5 * (1 / 0.6) ** 2) + math.exp(-0.5 * (5 / 0.6) ** 2)),
    ("U2", 1, 1.4): 0.5,
    ("U2", 3, 0): 0.5 * 2.5**2,
    ("U2", 4.8, math.sin(2.4 * math.pi)): 2.0,  # on the ridge, two deviations into the wall
    ("U3", 1, 1): -math.log(1 + math.exp(-0.5 * (3 / 0.35) ** 2)),
    ("U3", 1, -2): -math.log(math.exp(-0.5 * (3 / 0.35) ** 2) + 1),
    ("U3", -4, 0.35): 0.5 - math.log(2),  # both ridges are one
    ("U4", 1, 1.4): -math.log(math.exp(-0.5) + math.exp(-0.5 * (1.9 / 0.35) ** 2)),
    ("U4", 1, -0.5): -math.log(math.exp(-0.5 * (1.5 / 0.4) ** 2) + 1),
    # On the lower ridge, where w2 is not at its peak, nor w3 in its middle.
    ("U3", 1.6, math.sin(0.8 * math.pi) - 3 * math.exp(-0.5)): -math.log1p(
        math.exp(-0.5 * (3 * math.exp(-0.5) / 0.35) ** 2)
    ),
    ("U4", 1.3, math.sin(0.65 * math.pi) - 3 / (1 + math.exp(-1))): -math.log1p(
        math.exp(-0.5 * (3 / (1 + math.exp(-1)) / 0.4) ** 2)
    ),
    ("correlated", 0.5, 0.5): (0.25 + 0.25 - 0.45) / 0.19 / 0.1,
    ("correlated", 0.5, -0.5): (0.25 + 0.25 + 0.45) / 0.19 / 0.1,
    ("bimodal", 0.5, 0.5): 0.0,
    ("bimodal", 0.0, 0.0): 0.5 / 0.5 / 0.1,
}


@pytest.mark.parametrize("name, x, y", PLAIN)
def test_energies_are_table_1s(name, x, y):
    found = energies.ENERGIES[name](torch.tensor([x, y], dtype=torch.float64))
    assert float(found) == pytest.approx(PLAIN[name, x, y], abs=1e-12)


LENGTH = 8 + 0.4 * math.sqrt(2 * math.pi)  # of the strip and its two walls
NORMALISERS = {
    "U2": 0.4 * math.sqrt(2 * math.pi) * LENGTH,
    "U3": 2 * 0.35 * math.sqrt(2 * math.pi) * LENGTH,
    "U4": (0.4 + 0.35) * math.sqrt(2 * math.pi) * LENGTH,
    "correlated": math.pi * 0.1 * math.sqrt(1 - 0.9**2),
    "bimodal": 2 * math.pi * 0.05 * norm.cdf(math.sqrt(2) * 0.5 / math.sqrt(0.025)),
}


@pytest.mark.parametrize("name", NORMALISERS)
def test_normalisers_are_the_closed_forms(name):
    assert energies.log_normaliser(name) == pytest.approx(math.log(NORMALISERS[name]), abs=1e-5)


@pytest.mark.parametrize("name", energies.PLANE)
def test_normalisers_and_moments_do_not_depend_on_the_grid(name):
    coarse, fine = energies.by_quadrature(name), energies.by_quadrature(name, 9.0, 701)
    for one, other in zip(coarse, fine, strict=True):
        torch.testing.assert_close(torch.as_tensor(one), torch.as_tensor(other), rtol=0, atol=1e-4)


def test_moments_are_those_of_a_known_posterior():
    _, mean, covariance = energies.by_quadrature("correlated")
    expected = 0.05 * torch.tensor([[1.0, 0.9], [0.9, 1.0]], dtype=torch.float64)
    torch.testing.assert_close(mean, torch.zeros_like(mean), rtol=0, atol=1e-9)
    torch.testing.assert_close(covariance, expected, rtol=0, atol=1e-6)


def test_bananas_are_a_density_of_mean_zero_and_unit_covariance():
    """y bends as high as 40 where x still has mass."""
    x, y = (torch.linspace(low, high, 801, dtype=torch.float64) for low, high in ((-7, 7), (-4, 40)))
    points = torch.cartesian_prod(x, y)
    mass = (-energies.bananas(points)).exp() * (14 / 800) * (44 / 800)
    assert float(mass.sum()) == pytest.approx(1, abs=1e-6)
    torch.testing.assert_close(mass @ points, torch.zeros(2, dtype=torch.float64), rtol=0, atol=1e-6)
    covariance = points.T @ (mass.unsqueeze(-1) * points)
    torch.testing.assert_close(covariance, torch.eye(2, dtype=torch.float64), rtol=0, atol=1e-6)
    pairs = torch.randn(5, 3, 2, dtype=torch.float64)
    torch.testing.assert_close(energies.bananas(pairs.flatten(1)), energies.bananas(pairs).sum(-1))


def test_a_rotation_keeps_lengths_and_every_member_has_its_own():
    made = learner(energy="bananas", event=6)
    eye = torch.eye(6).expand(2, -1, -1)
    torch.testing.assert_close(made.rotation @ made.rotation.mT, eye, rtol=0, atol=1e-5)
    assert (made.rotation[0] - made.rotation[1]).abs().max() > 0.1
    z = torch.randn(2, 3, 6)
    expected = energies.bananas(torch.stack([z[m] @ made.rotation[m] for m in range(2)]))
    torch.testing.assert_close(made.energy(z), expected)


def test_the_energys_weight_rises_as_published():
    """min(1, 0.01 + t / 10000), eq. 20."""
    made = variational.Learner(Variational(family="mean_field", evaluation_samples=2), [0])
    for updates, weight in ((0, 0.01), (5_000, 0.51), (9_900, 1.0), (20_000, 1.0)):
        made.updates = updates
        assert made.weight() == pytest.approx(weight)
    assert learner(annealing=0.0).weight() == 1


@pytest.mark.parametrize("correlated", [False, True])
def test_the_divergence_of_a_gaussian_from_a_gaussian_is_the_closed_form(correlated):
    """From the start, N(0, I) or that turned round, to N(0, (c / 2) Sigma)."""
    made = learner(family="mean_field", energy="correlated", correlated=correlated, evaluation_samples=100_000)
    inverse = torch.linalg.inv(0.05 * torch.tensor([[1.0, 0.9], [0.9, 1.0]]))
    expected = 0.5 * (inverse.trace() - 2 - torch.logdet(inverse))
    assert made.measure()["kl"] == pytest.approx([float(expected)] * 2, rel=0.01)


@pytest.mark.parametrize("family", ["planar", "realnvp"])
def test_the_divergence_from_samples_is_that_by_quadrature(family):
    """Of a flow away from its start; quadrature uses its inverse."""
    made = learner(1, 60, family=family, energy="U2", evaluation_samples=50_000)
    x = energies.grid(8.0, 301)
    with torch.no_grad():
        log_prob = made.log_prob(x.float().unsqueeze(0))[0].double()
    mass = log_prob.exp() * (16 / 300) ** 2
    by_grid = (mass * (log_prob + energies.u2(x) + energies.log_normaliser("U2")).nan_to_num(0, 0, 0)).sum()
    assert float(mass.sum()) == pytest.approx(1, abs=0.01)
    assert made.measure()["kl"][0] == pytest.approx(float(by_grid), rel=0.03)


@pytest.mark.parametrize("annealing, weight", [(0.0, 1.0), (1.0, 0.01)])
def test_the_gradient_is_that_of_the_free_energy(annealing, weight):
    """Of a mean field z = s u + m in closed form: dF/dm = beta E[U'(z)], dF/d ln s = -1 + beta E[U'(z) s u]."""
    made = learner(family="mean_field", energy="U4", annealing=annealing, gradient_limit=1e9)
    noise = torch.randn(2, 16, 2)
    kept = {}
    made.optimiser.step = lambda: kept.update({name: p.grad.clone() for name, p in made.flow.named_parameters()})
    made.update({"noise": noise})
    z = noise.clone().requires_grad_()
    (slope,) = torch.autograd.grad(energies.u4(z).sum(), z)
    moved = weight * slope.mean(1, keepdim=True)
    stretched = weight * (slope * noise).mean(1, keepdim=True) - 1
    for found, expected in zip(kept.values(), (stretched, moved), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


REACHES = {
    "correlations": ({"correlated": True}, 0.0),
    "mean field": ({}, -0.5 * math.log(1 - 0.9**2)),
}


@pytest.mark.parametrize("name", REACHES)
def test_a_fit_finds_the_best_of_its_family(name):
    """A Gaussian posterior: a family that holds it reaches it, and a mean field the KL of the best factorised Gaussian,
    -ln(1 - rho^2) / 2."""
    settings, best = REACHES[name]
    made = learner(1, 300, family="mean_field", energy="correlated", batch_size=64, learning_rate=0.05, annealing=0.0,
                   evaluation_samples=20_000, **settings)  # fmt: skip
    assert made.measure()["kl"] == pytest.approx([best], abs=0.02)
    found = made.results()
    narrow = 1.0 if settings.get("correlated") else 1 - 0.9**2  # the best factorised variance: 1 / precision
    assert found["variance_share"] == pytest.approx([narrow], abs=0.06 * narrow)
    assert max(found["mean_away"]) < 0.05


def test_a_flow_bends_as_no_gaussian_can():
    """One banana: most of the nats that a mean field lacks."""
    settings = {"batch_size": 64, "learning_rate": 0.02, "annealing": 0.0, "hidden": "2x8", "evaluation_samples": 2_000}
    kl = {
        family: learner(1, 200, energy="bananas", family=family, flows=2, **settings).measure()["kl"][0]
        for family in ("mean_field", "realnvp")
    }
    assert kl["mean_field"] > 0.5 and kl["realnvp"] < 0.6 * kl["mean_field"], kl


@pytest.mark.parametrize("energy", ["U1", "bananas"])
def test_a_run_records_divergences_and_draws_its_first_member(energy):
    kept = MemoryJournal(2)
    config = Variational(**SMALL | {"energy": energy, "event": 4 if energy == "bananas" else 2})
    iterations.run(variational.Learner, config, [0, 1], kept)
    metrics = {(step, metric) for _, step, metric, _ in kept.records}
    plane = {(8, "variance_share"), (8, "mean_away")}
    assert metrics == {(4, "kl"), (8, "kl"), (8, "parameters")} | (plane if energy == "U1" else set())
    if energy == "U1":
        (_, first), (_, second) = kept.tables["density"]
        assert len(first) == 11**2 and not second
        target = {(row["x"], row["y"]): row["target"] for row in first}
        z = torch.tensor([0.8, 1.6], dtype=torch.float64)
        assert target[0.8, 1.6] == pytest.approx(math.exp(-float(energies.u1(z)) - energies.log_normaliser("U1")), rel=1e-3)


@pytest.mark.parametrize("energy, event", [*itertools.product(["U1", "bananas"], [2, 3, 4])])
def test_energies_have_their_dimensions(energy, event):
    fits = event == 2 or (energy == "bananas" and event == 4)
    values = dataclasses.asdict(Variational()) | {"energy": energy, "event": event}
    if fits:
        resolve(Variational, values, "here")
    else:
        with pytest.raises(UserError, match="lies in"):
            resolve(Variational, values, "here")
