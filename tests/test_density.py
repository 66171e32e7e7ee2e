"""Distributions in the plane, and the mass of a flow that is fitted to them."""

import numpy as np
import pytest
import torch

from papers.nf_review import comparisons, datasets, density, families
from papers.nf_review.config import Density
from tests.samples import generator


@pytest.mark.parametrize("name", datasets.NAMES)
def test_a_sets_density_is_that_of_its_samples(name):
    """It integrates to 1, and the samples' shares of the cells of a coarse grid are its masses."""
    fine = (np.arange(400) + 0.5) / 50 - 4
    places = np.stack(np.meshgrid(fine, fine, indexing="ij"), -1).reshape(-1, 2)
    mass = np.exp(datasets.log_prob(name, places)).reshape(8, 50, 8, 50).sum((1, 3)) / 50**2
    assert mass.sum() == pytest.approx(1, abs=0.01)
    points = datasets.sample(name, generator(0), 20_000)
    share = np.histogram2d(*points.T, bins=np.arange(-4, 5))[0] / len(points)
    np.testing.assert_allclose(share, mass, atol=0.012)


def test_the_mass_of_a_flow_near_the_identity_is_one():
    learner = density.Learner(Density(family="realnvp", flows=2, mass_points=201), [3, 4])
    np.testing.assert_allclose(learner.results()["mass"], 1, atol=2e-3)


def test_a_hundred_updates_beat_the_best_gaussian():
    """On points that are held out, whose mean is another number than that of the points trained on."""
    config = Density(family="realnvp", flows=4, points=2000, total_steps=100, evaluate_every=50, learning_rate=0.01)
    learner, rngs = density.Learner(config, [3, 4]), [generator(3), generator(4)]
    for _ in range(100):
        drawn = [learner.update_draws(rng, 1)["index"][0] for rng in rngs]
        learner.update({"index": torch.tensor(np.stack(drawn))})
    found = learner.measure()
    assert (np.array(found["log_likelihood"]) > np.array(learner.results()["log_likelihood_gaussian"]) + 0.1).all()
    learner.held_out = learner.held_out + 3
    assert (np.array(learner.measure()["log_likelihood"]) < np.array(found["log_likelihood"]) - 1).all()
    assert learner.measure()["log_likelihood_trained"] == found["log_likelihood_trained"]


def test_an_error_of_latents_is_cut_at_ten():
    class Run:
        cells = (1,)

        def final(self, metric, last):
            return np.array([0.5, 1e3, 10.5])

    assert comparisons.lasting_error(Run()).tolist() == [0.5, 10, 10]


def test_residual_flows_begin_near_the_identity():
    """w'u near the number whose softplus is 1, so that w'u^ is small; beta^ small, and of a tenth's deviation."""
    rngs = [generator(seed) for seed in range(200)]
    flow = families.planar(rngs, 8)
    inner = (flow.w * flow.u).sum(-1).flatten().detach().numpy()
    assert np.abs(inner - np.log(np.e - 1)).max() < 0.2
    flow = families.radial(rngs, 8)
    apart = (flow.b - flow.a).flatten().detach().numpy()
    assert 0.08 < apart.std() < 0.12 and np.abs(flow.shape()[1].detach().numpy()).max() < 0.4
