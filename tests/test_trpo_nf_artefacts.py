"""Figures, tables and claims of trpo_nf on made-up results: they are drawn from what experiments declare, and verdicts
follow what the results say."""

import functools
import importlib
import json

import numpy as np
import pandas as pd
import pytest

from common.lab import catalog, plots, records, sources
from common.lab.stats import Verdict

TOY = ("std", "radius_50", "radius_90", "radius_99", "radius_999", "trace_covariance", "det_covariance", "correlation",
       "smaller_mass", "component_distance", "kl_to_target", "kurtosis")  # fmt: skip
RL = ("return", "episode_length", "negative_curvature", "counted_share", "kl")


def value_of(cell, metric, step, rng, effect):
    """What a made-up run records; `effect` is how much better, wider, … the flow is."""
    c, flow = cell.config, cell.config.policy == "flow"
    if metric == "correlation":
        return (0.9 * (effect > 0) if flow else 0.0) + 0.005 * rng.standard_normal()
    if metric == "smaller_mass":
        return 0.4 if flow == (effect > 0) else 0.0
    if metric == "component_distance":
        return (0.1 if effect > 0 else 3.0) * np.exp(0.1 * rng.standard_normal())
    if metric == "counted_share":
        return 0.9 - 0.2 * effect * flow + 0.01 * rng.standard_normal()
    if metric in TOY:
        wide = np.exp(effect * flow) * (1 + 5 * (not getattr(c, "constant", True)) * (effect > 0))
        return 0.1 * wide * np.exp(0.05 * rng.standard_normal()) * (2 + 2 * effect * flow if metric == "radius_999" else 1)
    return 1000 * step * (1 + effect * flow) + 30 * rng.standard_normal()


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
    """experiment, scale, selection, effect -> Results."""

    tmp_path = tmp_path_factory.mktemp("made_up")

    @functools.cache
    def build(experiment, scale, selection, effect=0.5):
        chosen = catalog.select(catalog.cells("trpo_nf", experiment, scale), selection, experiment, scale).values()
        found = []
        for number, cell in enumerate(chosen):
            folder = tmp_path / f"{experiment}-{scale}-{effect}" / cell.name
            folder.mkdir(parents=True, exist_ok=True)
            rng, metrics, tables = np.random.default_rng(number), [], {name: [] for name in cell.tables}
            total = getattr(cell.config, "total_steps", None) or cell.config.iterations
            if (folder / "metrics.csv").exists():  # of another selection
                found.append(sources.Source(cell, "results", folder, {}, False, cell.members))
                continue
            for index, member in enumerate(cell.members):
                for metric in RL if hasattr(cell.config, "total_steps") else TOY:
                    for step in range(1, 13):
                        value = value_of(cell, metric, step / 12, rng, effect)
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


def arguments(kind, name, scale, made_up, **options):
    return {e: made_up(e, scale, chosen, **options) for e, chosen in catalog.artefacts("trpo_nf", kind)[name].items()}


@pytest.mark.parametrize("name", list(catalog.artefacts("trpo_nf", "figures")))
def test_every_figure_is_drawn_from_what_its_experiments_declare(name, made_up):
    import matplotlib.pyplot

    matplotlib.use("agg")
    function = getattr(importlib.import_module("papers.trpo_nf.figures"), name)
    inputs = arguments("figures", name, "smoke", made_up)
    with plots.style():
        figure = function(**inputs)
        plots.stamp(figure, list(inputs.values()), "smoke", function.__doc__)
    assert all(ax.has_data() for ax in figure.axes if ax.axison)
    matplotlib.pyplot.close(figure)


def test_the_hyperparameters_name_their_sources():
    frame = importlib.import_module("papers.trpo_nf.tables").table_trpo_nf_hyperparameters()
    assert set(frame["algorithm"]) == {"TRPO", "ACKTR", "PPO", "toys"}
    assert (frame["source"].str.len() > 0).all() and (frame["meaning"].str.len() > 0).all()


@pytest.mark.parametrize("scale", ["smoke", "quick"])
def test_every_claim_returns_a_verdict_and_below_its_budget_none(scale, made_up):
    module = importlib.import_module("papers.trpo_nf.claims")
    for name in catalog.artefacts("trpo_nf", "claims"):
        verdict = getattr(module, name)(**arguments("claims", name, scale, made_up))
        assert isinstance(verdict, Verdict), name
        toys = {"kl_ball", "entropy", "bandits"} & set(catalog.artefacts("trpo_nf", "claims")[name])
        assert verdict.status == "untested" or (toys and scale == "quick"), (name, verdict)


TRUE = {"c01_kl_ball_flow_is_wider": (0.5, -0.5), "c02_equal_entropy_flow_spreads": (0.5, -0.5),
        "c03_flow_density_decays_slower": (0.5, -0.5), "c04_flow_learns_correlations": (0.5, -0.5),
        "c05_mixtures_collapse_on_correlated_bandit": (0.5, -0.5), "c06_flow_covers_both_modes": (0.5, -0.5),
        "c09_trpo_flow_is_best": (0.5, -0.5), "c14_acktr_flow_gains_on_complex_tasks": (0.5, -0.5),
        "c16_flow_is_robust_to_the_radius": (0.5, -0.5), "c17_flow_gains_most_at_small_radii": (0.5, -0.5),
        "c18_flow_is_robust_to_its_size": (0.5, None), "c19_flow_gains_little_with_ppo": (0.0, 0.5),
        "own_wide_cloud_is_the_missing_constant": (0.5, -0.5), "own_step_count_flatters_the_flow": (0.5, -0.5),
        "own_determinant_at_equal_entropy": (0.5, -0.5), "c10_gain_is_largest_on_humanoids": (None, None),
        "c21_policy_and_optimiser_are_orthogonal": (0.5, None)}  # fmt: skip


@pytest.mark.parametrize("name", TRUE)
def test_verdicts_follow_what_the_results_say(name, made_up):
    module = importlib.import_module("papers.trpo_nf.claims")
    for effect, status in zip(TRUE[name], ("reproduced", "contradicted"), strict=True):
        if effect is not None:
            verdict = getattr(module, name)(**arguments("claims", name, "paper", made_up, effect=effect))
            assert verdict.status == status, str(verdict)


def test_the_draws_of_figure_6_are_the_same_for_both_policies_and_within_bounds():
    for experiment in ("sensitivity", "sensitivity_reacher", "sensitivity_humanoid"):
        cells = list(catalog.cells("trpo_nf", experiment, "paper").values())
        assert len({json.dumps(cell.members) for cell in cells}) == 1
        draws = [member["kl_radius"] for member in cells[0].members]
        assert len(draws) == 30 and 1e-3 <= min(draws) < 10**-2.5 < max(draws) <= 1e-2
        assert {member["seed"] for member in cells[0].members} == {0, 1, 2, 3, 4}
