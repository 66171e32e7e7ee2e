"""The encoder of actions, the moons, and the paper's figures and claims on synthetic results."""

import math
import warnings
from copy import deepcopy

import matplotlib.pyplot
import numpy as np
import pytest
import torch

from common.errors import UserError
from common.lab.plan import catalog
from common.lab.report import plots, stamping
from common.rl import iterations
from common.rl.journal import MemoryJournal
from common.rl.randomness import Blocks
from common.settings import resolve
from papers.cnf_offline import claims, encoder, figures, toys
from papers.cnf_offline.config import Toys
from tests.synthetic import synthetic

matplotlib.use("agg")
CLAIMS, FIGURES = (  # of the toy; those on agents stand in test_cnf_claims.py
    {name: read for name, read in catalog.artefacts("cnf_offline", kind).items() if set(read) <= {"moons"}}
    for kind in ("claims", "figures")
)
SMALL = {"layers": 2, "units": "2x16", "points": 400, "batch_size": 64, "samples": 200}


def rngs(count=2):
    return [np.random.default_rng(seed) for seed in range(count)]


@pytest.mark.parametrize("base", ["uniform", "normal"])
@pytest.mark.parametrize("event", [2, 3, 6])
def test_an_encoder_is_undone_by_its_decoder(base, event):
    torch.set_default_dtype(torch.float64)
    flow = encoder.build(rngs(), event, 4, [16, 16], base, context=5)
    torch.set_default_dtype(torch.float32)
    for parameter in flow.parameters():
        parameter.data += 0.1 * torch.randn(parameter.shape, dtype=torch.float64)
    action = torch.rand(2, 50, event, dtype=torch.float64) * 1.98 - 0.99
    state = torch.randn(2, 50, 5, dtype=torch.float64)
    z = flow(action, state)[0]
    torch.testing.assert_close(flow.inverse(z, state)[0], action, rtol=0, atol=1e-8)
    assert (z.abs() < 1).all() == (base == "uniform")
    distribution = encoder.actions(flow, base, action, state)
    sampled, log_prob = distribution.rsample_and_log_prob()
    assert (sampled.abs() < 1).all()
    torch.testing.assert_close(distribution.log_prob(sampled), log_prob, rtol=0, atol=1e-6)


def test_an_encoder_is_built_as_it_says():
    """Only the uniform base ends in tanh; halves are kept in turn; what is encoded depends on the state."""
    uniform, normal = (encoder.build(rngs(), 3, 4, [8], base, context=2) for base in ("uniform", "normal"))
    kinds = [type(step).__name__ for step in normal.transforms]
    assert kinds == ["Inverse", *["ActNorm", "Mix", "BoundedCoupling"] * 4]
    assert [type(step).__name__ for step in uniform.transforms] == [*kinds, "Tanh"]
    assert [step.leading for step in normal.transforms if hasattr(step, "leading")] == [True, False, True, False]
    for parameter in normal.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    action, state = torch.rand(2, 5, 3) - 0.5, torch.randn(2, 5, 2)
    assert not torch.allclose(normal(action, state)[0], normal(action, state + 1)[0])


def test_moons_are_two_half_circles_of_known_entropy():
    points = toys.moons(np.random.default_rng(0), 100_000, 0.05)
    assert (np.abs(points) < 1).all()
    x, y = (points * toys.SCALE + toys.CENTRE).T
    upper = np.arange(len(x)) % 2 == 0
    radius = np.where(upper, np.hypot(x, y), np.hypot(x - 1, y - 0.5))
    np.testing.assert_allclose(radius.mean(), 1, atol=0.005)
    np.testing.assert_allclose(radius.std(), 0.05, rtol=0.02)
    # By a histogram whose cells are finer than the moons are thick; it is too coarse by little.
    counts = np.histogram2d(*points.T, bins=200, range=[[-1, 1], [-1, 1]])[0].ravel()
    share = counts[counts > 0] / counts.sum()
    np.testing.assert_allclose(-(share * np.log(share)).sum() + math.log(0.01**2), toys.entropy(0.05), atol=0.05)
    assert round(toys.entropy(Toys().noise), 2) == -0.38, "fig2_moons says so"


@pytest.mark.parametrize("base", ["uniform", "normal"])
def test_a_flow_learns_the_moons(base):
    """From 1.1 nats towards the entropy of the data, below which no density can be."""
    config = Toys(base=base, layers=6, batch_size=256, learning_rate=3e-3)
    learner = toys.Learner(config, [0, 1])
    draws = Blocks([0, 1], "update", 64, learner.update_draws)
    first = learner.measure()["nll_held_out"]
    for step in range(1, 401):
        learner.update({name: torch.from_numpy(array) for name, array in draws.at(step).items()})
    last = np.array(learner.measure()["nll_held_out"])
    assert (last < np.array(first) - 0.6).all()
    assert (last > toys.entropy(config.noise) - 0.02).all()


def test_an_update_is_torchs_adamw_on_the_likelihood_with_a_gradient_cut_to_length():
    config = Toys(**SMALL | {"base": "normal"}, weight_decay=0.1)
    learner = toys.Learner(config, [0])
    reference = deepcopy(learner.flow)
    parameters = list(reference.parameters())
    optimiser = torch.optim.AdamW(parameters, lr=config.learning_rate, weight_decay=0.1)
    index = torch.from_numpy(learner.update_draws(np.random.default_rng(0), 3)["index"])
    for step in range(3):
        learner.update({"index": index[step : step + 1]})
        z, log_det = reference(learner.data[:, index[step]])
        normal = torch.distributions.Normal(0.0, 1.0)
        optimiser.zero_grad()
        (-(normal.log_prob(z).sum(-1) + log_det).mean()).backward()
        assert torch.nn.utils.clip_grad_norm_(parameters, config.gradient_limit) > config.gradient_limit
        optimiser.step()
    for mine, other in zip(learner.parameters, parameters, strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-4, atol=1e-6)


def test_points_are_far_if_few_of_the_data_are_as_far():
    learner = toys.Learner(Toys(**SMALL | {"points": 20_000, "samples": 5_000}), [0, 1])
    fresh = np.stack([toys.moons(np.random.default_rng(9), 5_000, 0.05)] * 2)
    learner.decode = lambda z: fresh
    for rows in learner.tables()["reach"]:
        assert all(row["far"] < 0.005 and 0 < row["distance"] < 0.02 for row in rows)
    learner.decode = lambda z: np.concatenate([fresh[:1], fresh[1:] + 5])
    here, away = learner.tables()["reach"]
    assert all(row["far"] < 0.005 for row in here), "a member's points are held against its own data"
    assert all(row["far"] == 1 and row["distance"] > 4 for row in away)


def test_a_member_is_the_flow_it_would_be_alone():
    config = Toys(**SMALL)
    found = []
    for seeds in ([0, 1], [1]):
        learner = toys.Learner(config, seeds)
        draws = Blocks(seeds, "update", 64, learner.update_draws)
        for step in range(1, 21):
            learner.update({name: torch.from_numpy(array) for name, array in draws.at(step).items()})
        found.append(learner.measure()["nll"][-1])
    assert found[0] == pytest.approx(found[1], rel=1e-5)


def test_latents_reach_as_far_as_they_say():
    normal, uniform = (toys.Learner(Toys(base=base, **SMALL | {"samples": 20_000}), [0]) for base in ("normal", "uniform"))
    assert uniform.scaled(1.5) is None and uniform.scaled(1.0).abs().max() <= 1
    assert normal.scaled(3.0).std() == pytest.approx(3.0, rel=0.02)
    assert uniform.pushed(6.0).abs().max() == toys.WITHIN
    torch.testing.assert_close(torch.atanh(uniform.pushed(1.0)), normal.pushed(1.0), rtol=0, atol=1e-9)
    for tail in (0.1, 1e-3):
        end = normal.edge(tail)[0, 0, 0]
        outside = (normal.noise(0)[0].abs() > end).double().mean()
        assert float(outside) == pytest.approx(tail, rel=0.25)
        ends = {tuple(row) for row in (uniform.edge(tail)[0].abs() == 1 - tail).tolist()}
        assert ends == {(True, False), (False, True)}


def test_the_loop_goes_on_where_it_stopped_and_counts_the_lost():
    class Stopped(MemoryJournal):
        kept = None

        def due(self, step, total):
            return step == 30

        def save(self, step, arrays, state):
            Stopped.kept = step, arrays, state

        def resume(self):
            return Stopped.kept

    config = Toys(total_steps=60, evaluate_every=20, **SMALL)
    whole, rest = Stopped(2), Stopped(2)
    iterations.run(toys.Learner, config, [0, 1], whole)
    iterations.run(toys.Learner, config, [0, 1], rest)
    assert rest.records == [record for record in whole.records if record[1] > 30] and rest.tables == whole.tables
    assert [member for member, _ in whole.tables["reach"]] == [0, 1] and len(whole.tables["samples"][1][1]) == 0

    class Lost(toys.Learner):
        def measure(self):
            return {"nll": [math.nan, 1.0]}

    Stopped.kept, kept = None, MemoryJournal(2)
    iterations.run(Lost, config, [0, 1], kept)
    assert kept.divergences == [(0, 20)] and {record[0] for record in kept.records} == {1}
    assert [member for member, _ in kept.tables["reach"]] == [1]


@pytest.mark.parametrize(
    "wrong, said", [({"base": "gamma"}, "base"), ({"layers": 0}, "at least 1|in \\[1"), ({"noise": 0.1}, "0.05")]
)
def test_bad_settings_are_named(wrong, said):
    with pytest.raises(UserError, match=said):
        resolve(Toys, wrong, "moons.yaml")


# Figures and claims

EXPECTED = {"true": "reproduced", "false": "contradicted", "undecided": "inconclusive"}


def results(world, scale="paper", seeds=5):
    """The moons in a world: every claim true, false or undecided."""

    def metrics(experiment, cell, z, steps):
        uniform, wide = cell.config.base == "uniform", world == "undecided"
        level = -0.3 + (0.5 if world == "false" and uniform else 0) + (0.15 if wide else 0.01) * (z if uniform else -z)
        return {"nll": level, "nll_held_out": level}

    def reach(experiment, cell, z):
        spread = 0.2 if world == "undecided" else 0.005
        rows = []
        for how, sizes in (("scaled", toys.AMPLITUDES), ("pushed", toys.AMPLITUDES), ("edge", toys.TAILS)):
            for i, size in enumerate(sizes):
                if world == "true":
                    far = {"scaled": 0.01, "pushed": 0.01, "edge": 0.6}[how]
                    far += 0 if how == "pushed" else 0.01 * i if size > 1 else 0.2 * (size < 0.3)
                elif world == "false":
                    far = {"scaled": 0.5, "pushed": 0.3, "edge": 0.1}[how] - (0.01 * i if size > 1 else 0.2 * (size < 0.3))
                else:
                    far = {"scaled": 0.05, "pushed": 0.05, "edge": 0.25}[how]
                    far += 0.1 * ((i % 2) - 0.5) * z
                rows.append({"how": how, "size": size, "far": far + spread * z * (1 + (size < 0.3)), "distance": 0.1})
        return rows

    def samples(experiment, cell, z):
        sizes = [("data", 0.0), *(("scaled", a) for a in toys.DRAWN), *(("pushed", a) for a in toys.DRAWN)]
        return [{"how": how, "amplitude": a, "x": 0.1 * i, "y": 0.1 * i} for how, a in sizes for i in range(5)]

    def density(experiment, cell, z):
        return [{"x": x, "y": y, "log_prob": -x * x - y * y} for x in np.linspace(-1, 1, 9) for y in np.linspace(-1, 1, 9)]

    tables = {"reach": reach, "samples": samples, "density": density}
    return synthetic("cnf_offline", "moons", scale, None, metrics, tables, seeds)


@pytest.mark.parametrize("world", EXPECTED)
@pytest.mark.parametrize("name", CLAIMS)
def test_claim_is_decided_as_constructed(name, world):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        verdict = getattr(claims, name)(moons=results(world))
    assert verdict.status == EXPECTED[world], str(verdict)


@pytest.mark.parametrize("name", CLAIMS)
def test_short_runs_and_few_seeds_decide_nothing(name):
    assert getattr(claims, name)(moons=results("true", "smoke", 2)).status == "untested"


@pytest.mark.parametrize("name", FIGURES)
@pytest.mark.parametrize("scale", ["smoke", "paper"])
def test_figures_draw(name, scale, tmp_path):
    loaded = {"moons": results("true", scale, 2 if scale == "smoke" else 5)} if FIGURES[name] else {}
    with plots.style():
        fig = getattr(figures, name)(**loaded)
        stamping.stamp(fig, list(loaded.values()), scale, "A caption.")
        assert all(path.stat().st_size > 5_000 for path in stamping.save(fig, tmp_path / name, scale))
    matplotlib.pyplot.close(fig)


def test_claims_read_the_amplitudes_that_they_name():
    """c02 from 1 to 6; the bridge's samples at a quarter of the base's amplitude and at all of it."""
    assert claims.AMPLITUDES == (1.0, 2.0, 3.0, 4.0, 6.0)
    moons, table = results("true"), results("true").given["reach"]
    scaled = table[(table["how"] == "scaled") & (table["base"] == "normal")].pivot(
        index="seed", columns="size", values="far"
    )
    verdict = claims.own_bridge_between_the_moons(moons)
    assert f"normal {(scaled[0.25] - scaled[1.0]).mean():.3g}" in verdict.note


def test_an_actor_that_is_pushed_is_what_c19_asks_about():
    """Samples of the box that stay on the data do not speak for one."""
    moons = results("true")
    table = moons.given["reach"]
    table.loc[(table["how"] == "pushed") & (table["size"] == 4.0), "far"] += 0.3
    assert claims.c19_no_actor_leaves_the_data(moons).status == "contradicted"


def test_a_point_with_one_entry_that_is_not_finite_is_far_away():
    learner = toys.Learner(Toys(**SMALL), [0])
    decode = learner.decode

    def broken(z):
        points = np.array(decode(z))
        points[..., 1] = np.nan
        return points

    learner.decode = broken
    tables = learner.tables()
    assert all(row["far"] == 1 and row["distance"] == np.inf for row in tables["reach"][0])
    places = sorted({row["x"] for row in tables["density"][0]})
    assert places == pytest.approx([-x for x in reversed(places)]) and 0.9 < places[-1] < 1  # a grid about 0
