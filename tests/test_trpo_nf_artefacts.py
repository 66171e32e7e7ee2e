"""Figures and tables of trpo_nf on made-up results: they are drawn from what experiments declare. Budgets of its claims;
their verdicts are tested in test_trpo_nf_claims.py."""

import functools
import importlib
import json
import warnings

import matplotlib
import numpy as np
import pandas as pd
import pytest

from common.lab.plan import catalog
from common.lab.report import plots, stamping
from common.lab.report.verdicts import Verdict
from common.lab.results import records, sources
from common.rl.config import RAW_ENVIRONMENTS

matplotlib.use("agg")

TOY = ("std", "first_kl", "radius_50", "radius_90", "radius_99", "radius_999", "trace_covariance", "det_covariance",
       "correlation", "smaller_mass", "component_distance", "kl_to_target", "kurtosis")  # fmt: skip
FIGURES = {"fig1_kl_entropy": 8, "fig2_expressiveness": 10, "fig3_trpo_mujoco": 10, "fig4_trpo_humanoid": 3, "fig5_acktr": 8,
           "fig6_sensitivity": 4, "fig7_ablation": 12, "figx_gmm_density": 6, "figx_fisher": 4, "figx_constant": 2,
           "figx_timeouts": 3, "figx_width": 3, "figx_acktr_value": 6, "figx_ppo": 4,
           "figx_rllab_humanoid": 1, "figx_tolerance": 3, "figx_long": 2, "figx_large_radius": 4,
           "figx_acktr_released": 2}  # fmt: skip  # panels at paper
RL = ("return", "episode_length", "entropy", "negative_curvature", "counted_share", "kl")


def value_of(cell, metric, step, rng):
    """What a made-up run records."""
    flow = cell.config.policy == "flow"
    if metric == "counted_share":
        return 0.9 + 0.01 * rng.standard_normal()
    if metric in TOY:
        return 0.1 * (2 if flow else 1) * np.exp(0.05 * rng.standard_normal())
    return 1000 * step * (1 + 0.5 * flow) + 30 * rng.standard_normal()


def table_of(name, member, rng):
    if name == "samples":
        x = rng.standard_normal((40, 2)) / 10
        return pd.DataFrame({"kind": ["policy", "centre"] * 20, "x": x[:, 0], "y": x[:, 1]})
    if name == "density":
        x, y = (a.flatten() for a in np.meshgrid(np.linspace(-1, 1, 5), np.linspace(-1, 1, 5)))
        return pd.DataFrame({"x": x, "y": y, "log_prob": -(x**2) - y**2})
    steps = [0, 10, 20]
    frames = [pd.DataFrame({"episode": e, "step": steps, "x": [0, 0.5, 1.0 + e], "y": 0.0, "return": 1.0}) for e in range(2)]
    return pd.concat(frames)


@pytest.fixture(scope="module")
def made_up(tmp_path_factory):
    """experiment, scale, selection -> Results."""

    tmp_path = tmp_path_factory.mktemp("made_up")

    @functools.cache
    def build(experiment, scale, selection):
        chosen = catalog.select(catalog.cells("trpo_nf", experiment, scale), selection).values()
        found = []
        for number, cell in enumerate(chosen):
            folder = tmp_path / f"{experiment}-{scale}" / cell.name
            folder.mkdir(parents=True, exist_ok=True)
            rng, metrics, tables = np.random.default_rng(number), [], {name: [] for name in cell.tables}
            total = cell.config.total_steps
            if (folder / "metrics.csv").exists():  # of another selection
                found.append(sources.Source(cell, "results", folder, {}, False, cell.members))
                continue
            for index, member in enumerate(cell.members):
                for metric in TOY if hasattr(cell.config, "toy") else RL:
                    for step in range(1, 13):
                        value = value_of(cell, metric, step / 12, rng)
                        row = {"member": index, **member, "step": step * total // 12, "metric": metric, "value": value}
                        metrics.append(row)
                for name in tables:
                    tables[name].append(table_of(name, index, rng).assign(member=index, **member))
            pd.DataFrame(metrics).to_csv(folder / "metrics.csv", index=False)
            for name, parts in tables.items():
                pd.concat(parts).to_csv(folder / f"{name}.csv", index=False)
            found.append(sources.Source(cell, "results", folder, {}, False, cell.members))
        return records.Results(scale, found)

    return build


def arguments(kind, name, scale, made_up):
    return {e: made_up(e, scale, chosen) for e, chosen in catalog.artefacts("trpo_nf", kind)[name].items()}


@pytest.mark.parametrize("scale", ["smoke", "paper"])
@pytest.mark.parametrize("name", list(FIGURES))
def test_every_figure_is_drawn_from_what_its_experiments_declare(name, scale, made_up):
    """Without a warning, with no empty panel, one legend at most, and no text beyond the edge."""
    function = getattr(importlib.import_module("papers.trpo_nf.figures"), name)
    inputs = arguments("figures", name, scale, made_up)
    with plots.style(), warnings.catch_warnings():
        warnings.simplefilter("error")
        figure = function(**inputs)
        stamping.stamp(figure, list(inputs.values()), scale, function.__doc__)
        figure.canvas.draw()
    assert all(ax.has_data() for ax in figure.axes if ax.axison)
    if scale == "paper":
        assert len([ax for ax in figure.axes if ax.axison]) == FIGURES[name]
    for legend in figure.legends:
        entries = [text.get_text() for text in legend.get_texts()]
        assert len(entries) == len(set(entries)) >= 2
    assert len(figure.legends) <= 1
    for artist in [*figure.legends, *figure.texts, *(ax.title for ax in figure.axes)]:
        box = artist.get_window_extent()
        assert box.x0 >= 0 and box.x1 <= figure.bbox.width, artist
    matplotlib.pyplot.close(figure)


def test_the_figures_are_these():
    assert list(FIGURES) == list(catalog.artefacts("trpo_nf", "figures"))


def test_every_experiment_is_drawn_or_judged_and_every_task_belongs_to_one():
    read = [catalog.artefacts("trpo_nf", kind).values() for kind in ("figures", "claims")]
    drawn = {experiment for functions in read for arguments in functions for experiment in arguments}
    assert drawn == set(catalog.experiment_names("trpo_nf"))
    cells = [cell for one in drawn for cell in catalog.cells("trpo_nf", one, "paper").values()]
    assert set(RAW_ENVIRONMENTS) <= {getattr(cell.config, "env", None) for cell in cells}


def test_the_hyperparameters_name_their_sources():
    frame = importlib.import_module("papers.trpo_nf.tables").table_trpo_nf_hyperparameters()
    assert {"TRPO", "ACKTR", "PPO", "toys"} <= set(frame.columns)
    rows = frame.set_index("setting")
    assert rows.loc["kl_radius", ["TRPO", "ACKTR"]].to_numpy().tolist() == [["0.01, 0.001", ""], ["", "0.02, 0.002"]]
    assert (frame["source"].str.len() > 0).all() and (frame["meaning"].str.len() > 0).all()


@pytest.mark.parametrize("scale", ["smoke", "quick"])
def test_every_claim_returns_a_verdict_and_below_its_budget_none(scale, made_up):
    module = importlib.import_module("papers.trpo_nf.claims")
    for name in catalog.artefacts("trpo_nf", "claims"):
        verdict = getattr(module, name)(**arguments("claims", name, scale, made_up))
        assert isinstance(verdict, Verdict), name
        toys = {"kl_ball", "entropy", "bandits"} & set(catalog.artefacts("trpo_nf", "claims")[name])
        assert verdict.status == "untested" or (toys and scale == "quick"), (name, verdict)


def test_the_draws_of_figure_6_are_the_same_for_both_policies_and_within_bounds():
    for experiment in ("sensitivity", "sensitivity_reacher", "sensitivity_humanoid"):
        cells = list(catalog.cells("trpo_nf", experiment, "paper").values())
        assert len({json.dumps(cell.members) for cell in cells}) == 1
        draws = [member["kl_radius"] for member in cells[0].members]
        assert len(draws) == 30 and 1e-3 <= min(draws) < 10**-2.5 < max(draws) <= 1e-2
        assert {member["seed"] for member in cells[0].members} == {0, 1, 2, 3, 4}
