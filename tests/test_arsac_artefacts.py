"""ARSAC's claims on results that are true, false or undecided by construction; its figures, table and budgets."""

import dataclasses
import json
import warnings

import matplotlib
import numpy as np
import pandas as pd
import pytest

from common.lab.plan import catalog
from common.lab.report import plots, stamping
from common.lab.results import records
from common.settings import fields
from papers.arsac import claims, figures, tables
from papers.arsac.config import ARSAC
from tests.synthetic import synthetic

matplotlib.use("agg")
CLAIMS = catalog.artefacts("arsac", "claims")
FIGURES = catalog.artefacts("arsac", "figures")
SIZES = {"1x32": 0, "1x128": 1, "2x256": 2, "1x256": 2, "2x384": 2}
CHEETAH, WALKER = "HalfCheetah-v4", "Walker2d-v4"

# Final returns by world, experiment's kind and size; "" stands for the other environments, "limited" for hidden or late
# observations.
RETURNS = {
    "true": {
        (CHEETAH, "sac"): (8000, 10000, 11000),
        (CHEETAH, "sac_history"): (None, 10200, 11200),
        (CHEETAH, "arsac"): (9500, 11500, 12500),
        (CHEETAH, "critic"): (None, 11500, 12500),
        (WALKER, "sac"): (4500, 4500, 4500),
        (WALKER, "arsac"): (3500, 4000, 4400),
        ("", "sac"): (3000, 3000, 3000),
        ("", "arsac"): (3000, 3000, 3000),
        ("limited", "sac"): (None, 1500, None),
        ("limited", "sac_history"): (None, 1600, None),
        ("limited", "arsac"): (None, 2000, None),
    },
    "false": {
        (CHEETAH, "sac"): (12000, 10000, 11000),
        (CHEETAH, "sac_history"): (None, 11000, 11000),
        (CHEETAH, "arsac"): (10000, 9000, 9000),
        (CHEETAH, "critic"): (None, 5000, 5000),
        (WALKER, "sac"): (2000, 2000, 4000),
        (WALKER, "arsac"): (3000, 3000, 3000),
        ("", "sac"): (2000, 2000, 4000),
        ("", "arsac"): (3000, 3000, 3000),
        ("limited", "sac"): (None, 2000, None),
        ("limited", "sac_history"): (None, 2100, None),
        ("limited", "arsac"): (None, 1500, None),
    },
}


def final_return(world, experiment, config, z):
    """The return that a seed ends with."""
    if world == "undecided":
        return 3000 * (1 + z)
    kind = "critic" if "critic" in experiment else "arsac" if experiment.startswith("arsac") else "sac"
    kind += "_history" if experiment.startswith("sac_history") else ""
    limited = config.delay or config.observe == "positions"
    env = "limited" if limited else config.env if config.env in (CHEETAH, WALKER) else ""
    return RETURNS[world][env, kind][SIZES[config.base]] * (1 + 0.01 * z)


def metrics(world):
    """What a run records in a world, as a function of its progress."""

    def curves(experiment, cell, z, steps):
        t, size, config = steps / 1e6, SIZES[cell.config.base], cell.config
        value = final_return(world, experiment, config, z)
        found = {"return": np.full(len(t), value)}
        if not experiment.startswith("arsac"):
            return found | {"log_std": np.zeros(len(t))}
        if world == "true":  # up to a peak near 170k, then down, lower for larger bases
            peak, loss, shift = 0.17 + 0.01 * z, 0.2 + 0.1 * size + 0.01 * z, 0.3
            scale = np.interp(t, [0, peak, 1], [0, 0.5, -0.4 - 0.01 * z]) - (0.1 + 0.005 * z) * size * t
            deviation, both = np.interp(t, [0.2, 1], [0, 0.8 + 0.01 * z]), np.interp(t, [0, 1], [-0.2, -0.3 + 0.01 * z])
            share = 0.2 + (0.1 + 0.1 * size + 0.01 * z) * t
        elif world == "false":
            peak, loss, shift = 0.6 + 0.02 * z, -0.2 - 0.1 * size + 0.01 * z, 0.02
            scale = np.interp(t, [0, 0.15, peak, 1], [0.02, -0.4, 0.05 + 0.01 * z, 0]) + 0.01 * size * t
            deviation = np.interp(t, [0.2, 1], [0, -1 - 0.01 * z])
            both = scale + deviation + (0.5 + 0.01 * z) * size
            share = 0.8 - (0.1 + 0.1 * size + 0.01 * z) * t
        else:
            loss, shift, deviation = 0.1 + z, 0.1 + 0.1 * z, np.zeros(len(t))
            scale = z * np.interp(t, [0, 0.17, 1], [0, 1, 0])
            both = (abs(z) / 2 + 0.3 * z) * np.interp(t, [0, 0.17, 1], [0, 1, 0])
            share = 0.4 + 0.2 * z * t
        level = 3000 if world == "undecided" else value
        absolute = np.abs(scale) if world != "undecided" else np.full(len(t), 0.1 + 0.1 * z)
        return found | {
            "log_scale": scale,
            "abs_log_scale": absolute,
            "log_std": deviation,
            "log_scale_std": both,
            "shift_share": share,
            "abs_shift": np.full(len(t), shift * (1 + 0.01 * z)),
            "return_without_flow": value - level * loss,
            "return_frozen_flow": value - level * loss,
        }

    return curves


def dimensions(world):
    """Six action dimensions, the last one the most flow-driven."""

    def rows(experiment, cell, z):
        low, high, memory = {
            "true": (0.05, 0.8, 0.2),
            "false": (0.3, 0.4, -0.2),
            "undecided": (0.2 + 0.2 * z, 0.5 + 0.2 * z, 0.3 * z),
        }[world]
        x = {f"autocorrelation_x_{lag}": 0.5 + memory + 0.01 * z for lag in range(1, 11)}
        u = {f"autocorrelation_u_{lag}": 0.5 for lag in range(1, 11)}
        shares = np.linspace(low, high, 6) + 0.01 * z
        return [
            {"dim": dim, "shift_share": share, "base_share": 0.5, "r2": share, **x, **u} for dim, share in enumerate(shares)
        ]

    return rows


def trace(world):
    """Fifty steps of an episode, in which the shift adds to the base's movement, or takes from it."""

    def rows(experiment, cell, z):
        moves = {"true": 2 + 0.1 * z, "false": -0.5 + 0.05 * z, "undecided": np.exp(z) - 1}[world]
        return [
            {
                "step": t,
                "dim": dim,
                "base_mean": np.sin(t / 5),
                "base_std": 0.5,
                "scale": 1.0,
                "shift": moves * np.sin(t / 5),
            }
            for t in range(60)
            for dim in range(6)
        ]

    return rows


@pytest.fixture(scope="module")
def made():
    """results(world, arguments, scale, seeds): {experiment: Results}, each made once."""
    done = {}

    def results(world, arguments, scale="paper", seeds=None):
        for one in arguments.items():
            key = (world, *one, scale, seeds)
            if key not in done:
                further = {"dimensions": dimensions(world), "trace": trace(world)} if one[0].startswith("arsac") else {}
                done[key] = synthetic("arsac", one[0], scale, one[1], metrics(world), further, seeds)
        return {experiment: done[world, experiment, selection, scale, seeds] for experiment, selection in arguments.items()}

    return results


EXPECTED = {"true": "reproduced", "false": "contradicted", "undecided": "inconclusive"}


@pytest.mark.parametrize("world", EXPECTED)
@pytest.mark.parametrize("name", CLAIMS)
def test_claim_is_decided_as_constructed(made, name, world):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        verdict = getattr(claims, name)(**made(world, CLAIMS[name]))
    assert verdict.status == EXPECTED[world], str(verdict)


@pytest.mark.parametrize("scale", ["smoke", "day"])
@pytest.mark.parametrize("name", CLAIMS)
def test_below_its_budget_a_claim_is_untested_and_says_what_it_had(made, name, scale):
    verdict = getattr(claims, name)(**made("true", CLAIMS[name], scale))
    if scale == "smoke" or verdict.status == "untested":
        assert (verdict.status, verdict.reason) == ("untested", "budget")
        assert " steps, " in verdict.note and verdict.needs


def test_claims_that_a_day_can_test(made):
    able = [name for name in CLAIMS if getattr(claims, name)(**made("true", CLAIMS[name], "day")).status != "untested"]
    assert able == [
        "c02_peak_at_150k",
        "c04_initial_increase_elsewhere",
        "c05_larger_base_relies_more",
        "own_larger_base_has_lower_log_scale_elsewhere",
        "own_sizes_split_one_scale",
        "own_larger_base_has_larger_shift_share",
        "own_critics_may_step_once",
    ]


def test_a_rise_after_the_middle_is_no_initial_increase():
    """c04 looks for the highest point in the first half of a run."""

    def metrics(experiment, cell, z, steps):
        return {"log_scale": np.where(steps > 0.6 * steps[-1], 1.0, 0.0) + 0.001 * z}

    selection = CLAIMS["c04_initial_increase_elsewhere"]["arsac"]
    verdict = claims.c04_initial_increase_elsewhere(synthetic("arsac", "arsac", "paper", selection, metrics))
    assert verdict.status == "contradicted"


def test_every_size_of_figure_3_has_a_colour_of_its_own():
    drawn = [
        cell.config.base for name in ("arsac", "arsac_1x256") for cell in catalog.cells("arsac", name, "paper").values()
    ]
    colours = {base: figures.SIZE_COLOURS[base] for base in drawn}
    assert len(set(colours.values())) == len(colours) == 4


def test_the_table_of_reliance_by_hand():
    """Two seeds: log-scales 1 and 3 at all evaluations, half of the return lost."""

    def metrics(experiment, cell, z, steps):
        level = 2.0 + np.sign(z)
        values = {"log_scale": level, "log_scale_std": -level, "shift_share": 0.1 * level, "return": 100 * level}
        return {name: np.full(len(steps), value) for name, value in values.items()} | {"return_without_flow": 50 * level}

    table = tables.table_arsac_reliance(
        synthetic("arsac", "arsac", "day", "env=HalfCheetah-v4, base=1x32", metrics, seeds=2)
    )
    assert table.values.tolist() == [
        ["1x32", 4, "1.00", "-1.00", "0.100", "0.50"],
        ["1x32", 5, "3.00", "-3.00", "0.300", "0.50"],
    ]


def test_the_order_without_the_flow_is_told(made):
    name = "own_larger_base_loses_more_without_flow"
    assert "without the flow: HalfCheetah-v4 1" in getattr(claims, name)(**made("true", CLAIMS[name])).note
    assert "without the flow: HalfCheetah-v4 0" in getattr(claims, name)(**made("false", CLAIMS[name])).note


def test_two_seeds_are_no_verdict(made):
    for name in CLAIMS:
        assert getattr(claims, name)(**made("true", CLAIMS[name], seeds=2)).status == "untested"


def test_a_diverged_seed_is_counted(made):
    results = made("true", CLAIMS["c06_halfcheetah_gains"])
    frame = results["arsac_half"].frame
    first = (frame["seed"] == 4) & (frame["step"] == 10_000) & (frame["metric"] == "return")
    kept = frame[(frame["seed"] != 4) | (frame["step"] < 10_000)]
    broken = pd.concat([kept, frame[first].assign(metric="diverged")], ignore_index=True)
    arsac = dataclasses.replace(results["arsac_half"], given={"metrics": broken})
    verdict = claims.c06_halfcheetah_gains(arsac, results["sac_half"])
    assert verdict.n == 7
    assert verdict.note.count("1 of 16 seeds diverged") == 2


def test_the_papers_claims_are_all_there():
    numbers = [name[:4] for name in CLAIMS if not name.startswith("own_")]
    assert numbers == [f"c{number:02d}_" for number in range(1, 18)]


# ---- figures ----

AXES = {
    "fig1_arsac_policy": 1,
    "fig2_flow_policy": 8,
    "fig3_logscale": 4,
    "fig4_performance": 4,
    "fig5_logscale_all": 4,
    "figx_arsac_controls": 2,
    "figx_arsac_pomdp": 9,
}


def drawn(name, results):
    """The figure as `draw` makes it; any warning is an error."""
    with warnings.catch_warnings(), plots.style():
        warnings.simplefilter("error")
        figure = getattr(figures, name)(**results)
        stamping.stamp(figure, list(results.values()), "paper", getattr(figures, name).__doc__.split("\n\n")[0])
        figure.canvas.draw()
    return figure


def test_figures_are_those_of_the_inventory():
    assert list(FIGURES) == list(AXES)


@pytest.mark.parametrize("name", FIGURES)
def test_figure_is_drawn_with_every_panel_and_label(made, name):
    figure = drawn(name, made("true", FIGURES[name]))
    assert len(figure.axes) == AXES[name]
    if name != "fig1_arsac_policy":
        assert all(ax.lines for ax in figure.axes)
        assert any(ax.get_ylabel() for ax in figure.axes) and any(ax.get_xlabel() for ax in figure.axes)
        entries = [text.get_text() for text in figure.legends[0].get_texts()]
        assert len(figure.legends) == 1 and len(entries) == len(set(entries)) >= 3
    matplotlib.pyplot.close(figure)


@pytest.mark.parametrize("name", FIGURES)
def test_figure_of_smoke_results_has_no_empty_panel(made, name):
    figure = drawn(name, made("undecided", FIGURES[name], "smoke"))
    assert len(figure.axes) == (3 if name == "figx_arsac_pomdp" else AXES[name])
    assert name == "fig1_arsac_policy" or all(ax.lines for ax in figure.axes)
    matplotlib.pyplot.close(figure)


def test_figure_4_can_be_smoothed_as_the_authors_did(made, monkeypatch):
    monkeypatch.setattr(figures, "SMOOTHING", 71)
    results = made("undecided", FIGURES["fig4_performance"])
    noisy = results["sac"].frame.assign(value=lambda frame: frame["value"] + 100 * (-1) ** frame.index)
    figure = drawn("fig4_performance", results | {"sac": dataclasses.replace(results["sac"], given={"metrics": noisy})})
    means = [line.get_ydata() for line in figure.axes[0].lines if line.get_label() == "SAC 1x128"]
    assert np.abs(np.diff(means[0])).max() < 10  # 200 as measured
    matplotlib.pyplot.close(figure)


def test_figure_3_shows_one_curve_a_size_its_seeds_and_the_authors(made):
    figure = drawn("fig3_logscale", made("true", FIGURES["fig3_logscale"]))
    lines = figure.axes[0].lines
    assert [line.get_label() for line in lines if line.get_label() in SIZES] == ["1x32", "1x128", "2x256", "1x256"]
    assert sum(line.get_alpha() == 0.3 for line in lines) == 3 * 4 + 2
    authors = [line for line in lines if line.get_linestyle() == ":" and len(line.get_xdata())]
    assert [len(line.get_xdata()) for line in authors] == [99] * 3
    matplotlib.pyplot.close(figure)


def test_figure_2_transforms_once_and_as_released_twice(made):
    figure = drawn("fig2_flow_policy", made("true", FIGURES["fig2_flow_policy"]))
    correct, released = (figure.axes[4 + column].lines for column in (1, 3))
    shift, dots = (line.get_ydata() for line in (correct[0], correct[1]))
    again = released[1].get_ydata()
    np.testing.assert_allclose(again, dots + shift)  # the scale is 1
    np.testing.assert_allclose(figure.axes[3].lines[0].get_ydata(), dots)
    matplotlib.pyplot.close(figure)


# ---- table, reported numbers, budgets ----


def test_table_1_has_every_setting_with_its_source():
    table = tables.table1_arsac_hyperparameters()
    assert set(fields(ARSAC)) <= set(table.loc[table["ARSAC"] != "", "setting"])
    assert (table[["meaning", "origin", "source"]] != "").all().all()
    assert set(table["origin"]) == {"paper", "authors' code", "our choice"}
    printed = {
        "discount": "0.99", "temperature": "0.2", "target_rate": "0.005", "learning_rate": "0.0003", "batch_size": "256",
        "warmup": "10,000", "buffer_size": "1,000,000", "critic": "2x256", "flow": "2x256",
    }  # fmt: skip
    rows = table.set_index("setting")
    assert {name: rows.loc[name, "ARSAC"] for name in printed} == printed
    assert set(rows.loc[list(printed), "source"]) == {"Table 1"}
    for column, experiment in (("ARSAC", "arsac"), ("SAC", "sac")):
        cells = catalog.cells("arsac", experiment, "paper").values()
        for name in ("env", "base"):
            assert rows.loc[name, column] == ", ".join(dict.fromkeys(cell.point[name] for cell in cells))


def test_reported_numbers_are_complete():
    table = records.reported("arsac")
    assert not table.drop(columns=["sd"]).isna().any().any()
    curves = table[table["metric"] == "log_scale"].groupby(["env", "base"])["step"].count()
    environments = ("HalfCheetah-v2", "Hopper-v2", "Walker2d-v2")
    assert curves.to_dict() == {(env, base): 99 for env in environments for base in ("1x32", "1x128", "2x256")}
    assert (catalog.ROOT / "papers/arsac/reported.csv").stat().st_size < 200_000


@pytest.mark.parametrize("scale", catalog.SCALES)
@pytest.mark.parametrize("experiment", catalog.experiment_names("arsac"))
def test_curves_have_ten_points_that_the_policy_made(experiment, scale):
    for cell in catalog.cells("arsac", experiment, scale).values():
        config = cell.config
        steps = np.arange(config.evaluate_every, config.total_steps + 1, config.evaluate_every)
        assert (steps > max(config.warmup, config.update_after)).sum() >= 10


def test_wide_sac_is_nearest_to_arsac_in_parameters():
    from common.flows.networks import widths
    from common.rl.config import NETWORK_SIZES

    def parameters(inputs, size, outputs):
        layers = [inputs, *widths(size), outputs]
        return sum((a + 1) * b for a, b in zip(layers, layers[1:], strict=False))

    observations, actions = 17, 6
    flow = parameters(3 * actions, "2x256", 2 * actions)
    for base, nearest in (("1x128", "2x256"), ("2x256", "2x384")):
        wanted = parameters(observations, base, 2 * actions) + flow
        assert nearest == min(NETWORK_SIZES, key=lambda size: abs(parameters(observations, size, 2 * actions) - wanted))
    assert [cell.config.base for cell in catalog.cells("arsac", "sac_wide", "paper").values()] == ["2x384"]


def test_the_readme_names_every_figure_and_claim():
    text = (catalog.ROOT / "papers/arsac/README.md").read_text()
    assert [name for name in (*FIGURES, *(one for one in CLAIMS if one.startswith("own_"))) if f"`{name}`" not in text] == []
    assert [name for name in CLAIMS if f"`{name[:3]}`" not in text and not name.startswith("own_")] == []
    assert [name for name in catalog.experiment_names("arsac") if name.split("_")[-1] not in text] == []


def test_the_notebook_is_stored_without_outputs():
    notebook = json.loads((catalog.ROOT / "notebooks/arsac.ipynb").read_text())
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert code and all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)
