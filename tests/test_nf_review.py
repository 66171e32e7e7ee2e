"""The review's Figure 1 and its claim."""

import matplotlib.pyplot
import numpy as np
import pytest
import torch

from common.lab.plan import catalog
from common.lab.report import plots, stamping
from common.rl import iterations
from common.rl.journal import MemoryJournal
from common.settings import fields
from papers.nf_review import claims, figures, shapes, tables
from papers.nf_review.config import Shapes
from tests.synthetic import synthetic

matplotlib.use("agg")
FIGURES = catalog.artefacts("nf_review", "figures")


@pytest.mark.parametrize("family", ["planar", "radial"])
def test_of_many_flows_the_first_are_those_of_few(family):
    few, many = (shapes.Learner(Shapes(family=family, flows=k, points=11), [3, 4]).flow for k in (2, 5))
    x = torch.randn(2, 20, 2, dtype=torch.float64)
    for one, other in zip(few.transforms, many.transforms, strict=False):
        torch.testing.assert_close(one(x)[0], other(x)[0], rtol=0, atol=0)


def test_flows_have_the_parameters_that_were_drawn():
    rngs = [np.random.default_rng(seed) for seed in range(200)]
    slopes = shapes.planar(rngs).direction()[1]
    assert slopes.min() > -0.7 and slopes.max() < 1.5 and slopes.min() < -0.65 and slopes.max() > 1.4
    alpha, beta = shapes.radial(rngs).shape()
    assert alpha.min() > 0.3 and alpha.max() < 1 and (beta / alpha).min() > -0.85 and (beta / alpha).max() < 1.5


@pytest.mark.parametrize("base", ["normal", "uniform"])
def test_the_run_writes_its_density_and_mass(base):
    kept = MemoryJournal(2)
    iterations.run(shapes.Learner, Shapes(base=base, flows=2, points=61), [0, 1], kept)
    assert [record[:3] for record in kept.records] == [(0, 1, "mass"), (1, 1, "mass")]
    np.testing.assert_allclose([record[3] for record in kept.records], 1, atol=0.05)
    (_, first), (_, second) = kept.tables["density"]
    assert len(first) == 61**2 and not second and min(row["density"] for row in first) >= 0


def results(mass, scale="paper", seeds=5):
    def density(experiment, cell, z):
        return [{"x": x, "y": y, "density": np.exp(-x * x - y * y)} for x in range(-4, 5) for y in range(-4, 5)]

    made = {"mass": mass}
    return synthetic("nf_review", "shapes", scale, None, lambda e, c, z, s: {"mass": made["mass"] + 0.01 * z},
                     {"density": density}, seeds)  # fmt: skip


@pytest.mark.parametrize("mass, status", [(1.0, "reproduced"), (0.8, "contradicted"), (0.953, "inconclusive")])
def test_the_claim_is_decided_as_constructed(mass, status):
    assert claims.c18_a_flow_of_a_density_is_a_density(results(mass)).status == status


@pytest.mark.parametrize("scale", ["smoke", "paper"])
def test_figure_draws(scale, tmp_path):
    loaded = {"shapes": results(1.0, scale, 2)}
    with plots.style():
        fig = figures.fig1_planar_radial(**loaded)
        stamping.stamp(fig, list(loaded.values()), scale, "A caption.")
        assert all(path.stat().st_size > 5_000 for path in stamping.save(fig, tmp_path / "fig1", scale))
    matplotlib.pyplot.close(fig)
    assert "steps" not in stamping.summary(list(loaded.values()), scale), "nothing is trained"


@pytest.mark.parametrize("family", ["planar", "radial"])
def test_the_mass_is_taken_where_the_flows_reach(family):
    """Ten flows carry some of it beyond the grid that is drawn."""
    learner = shapes.Learner(Shapes(family=family, flows=10, points=81), range(5))
    drawn = learner.log_prob(learner.grid(1)).exp().sum(-1) * (8 / 80) ** 2
    np.testing.assert_allclose(learner.measure()["mass"], 1, atol=0.01)
    assert drawn.min() < 0.95


def test_hyperparameters_name_every_setting_of_every_experiment_with_its_source():
    frame = tables.table_nf_review_hyperparameters()
    listed = [name for names in tables.COLUMNS.values() for name in names]
    assert sorted(listed) == sorted(catalog.experiment_names("nf_review"))
    for column, names in tables.COLUMNS.items():
        configs = [next(iter(catalog.cells("nf_review", name, "paper").values())).config for name in names]
        assert len(set(map(type, configs))) == 1, column
        assert sorted(frame[frame[column] != ""]["setting"]) == sorted(fields(type(configs[0]))), column
    assert set(frame["origin"]) == {"paper", "peer", "our choice"}
    paper = frame[frame["origin"] == "paper"]
    assert dict(zip(paper["setting"], paper["figure 1"], strict=True))["flows"] == "1, 2, 10"  # Figure 1 of the review
    driven = frame[frame["setting"] == "total_steps"].set_index("unit")
    assert driven.loc["episodes", "MNF-DQN"] == "2,000, 1,000"  # n-Chain, MountainCar (Touati et al. 2018)
