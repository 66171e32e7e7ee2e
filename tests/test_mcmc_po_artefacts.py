"""MCMC-PO's claims on results that are true or false by construction; its figures, tables and experiments."""

import matplotlib.pyplot
import numpy as np
import pytest

from common.lab import catalog, plots
from common.lab.config import fields
from common.lab.stats import Verdict
from papers.mcmc_po import claims, config, evidence, figures, tables
from tests.synthetic import synthetic

matplotlib.use("agg")
CLAIMS = catalog.artefacts("mcmc_po", "claims")
FIGURES = catalog.artefacts("mcmc_po", "figures")
RETURNS = {
    "true": {"sac0.05": 3000, "sac0.2": 3200, "sac_auto": 3300, "sac_coupling": 3100, "hmc": 4000, "hmc_steps0": 3000,
             "hmc_steps1": 3500, "hmc_steps3": 3950, "hmc_steps10": 3980, "hmc_fixed": 3400, "hmc_gate": 3300,
             "hmc_width1x8": 3900, "hmc_width1x64": 3600, "hmc_width1x256": 3200, "td3": 3500, "langevin": 3600,
             "langevin_frozen": 3300},
    "false": {"sac0.05": 4000, "sac0.2": 4000, "sac_auto": 4000, "sac_coupling": 4000, "hmc": 3000, "hmc_steps0": 3000,
              "hmc_steps1": 3000, "hmc_steps3": 2000, "hmc_steps10": 4500, "hmc_fixed": 3900, "hmc_gate": 3900,
              "hmc_width1x8": 3000, "hmc_width1x64": 3600, "hmc_width1x256": 4200, "td3": 4500, "langevin": 3600,
              "langevin_frozen": 4200},
}  # fmt: skip


def final_return(world, experiment, c):
    key = {
        "sac": lambda: f"sac{c.temperature}",
        "hmc_steps": lambda: f"hmc_steps{c.leapfrog_steps}",
        "hmc_width": lambda: f"hmc_width{c.gate_units}",
    }
    return RETURNS[world][key.get(experiment, lambda: experiment)()]


def metrics(world):
    sign = 1 if world == "true" else -1

    def numbers(experiment, cell, z, steps):
        jitter = 0.01 * z
        if experiment.startswith("bandit"):
            gain = 0.5 if experiment == "bandit" else 0.5 - 0.4 * sign
            curves = {name: np.full(len(steps), 1 + jitter) for name in ("kl", "kl_base", "gap", "gap_base", "value",
                                                                        "distance", "beta")}  # fmt: skip
            return curves | {"bound_gain": np.full(len(steps), gain + jitter)}
        end = final_return(world, experiment, cell.config)
        found = {"return": end * (1 + jitter) * steps / steps[-1] ** 1.0}
        found["return"][-5:] = end * (1 + jitter)
        found["coverage"] = np.full(len(steps), 1 + 0.2 * sign * experiment.startswith("hmc") + jitter)
        if experiment.startswith(("hmc", "langevin")):
            within = 0.5 + (0.3 * sign if experiment == "hmc" else 0) + jitter
            found["distance_within"] = np.full(len(steps), within)
            found |= {name: np.full(len(steps), 1 + jitter) for name in ("distance", "beta", "bound_gain")}
            found["visited_value_gain"] = np.full(len(steps), sign * (5 + z))
            found["return_without_chain"] = end * (1 + jitter) * (1 - 0.3 * sign) + z
        return found

    return numbers


def further(world):
    sign = 1 if world == "true" else -1
    bad = 1.0 if world == "false" else 0.0

    def gap(experiment, cell, z):
        rows = [("chain", k, 100 + sign * 5 * k + z + 0.1 * k * z) for k in (0, 1, 3, 4, 5, 10)] + [("ascent", 200, 140 + z)]
        return [{"how": how, "size": size, "bound": bound} for how, size, bound in rows]

    def lengths(experiment, cell, z):
        return [{"steps": k, "gap": 2 - sign * 0.1 * k + 0.01 * z * (k + 1)} for k in (0, 1, 3, 4, 5, 10)]

    def laws(experiment, cell, z):
        names = ("jacobian_trained", "jacobian_random", "reversal_plain", "reversal_gated", "bound_identity")
        return [{"law": name, "value": 1e-14 * (2 + z) + bad * (1 + 0.01 * z)} for name in names]

    def kernels(experiment, cell, z):
        rows = []
        for kernel in ("corrected", "plain", "gated"):
            for i in range(7):
                start = 3 - sign * 0.3 * i + 0.01 * z
                kept = 0.005 + 0.001 * (1 + i) * z + (bad * 0.2 * i if kernel == "gated" else 0)
                rows += [{"start": s, "kernel": kernel, "iterations": i, "kl": kl} for s, kl in
                         (("policy", start), ("posterior", kept))]  # fmt: skip
        return rows

    def density(experiment, cell, z):
        grid = np.linspace(-3, 3, 8)
        return [{"u1": x, "u2": y, "log_mass": -x * x - y * y} for x in grid for y in grid]

    def trajectories(experiment, cell, z):
        return [{"kind": kind, "chain": i, "k": k, "u1": 0.1 * k, "u2": 0.1 * i, "energy": 0.01 * k + i}
                for kind in ("plain", "trained") for k in range(6) for i in range(3)]  # fmt: skip

    known = {"gap": gap, "lengths": lengths, "laws": laws, "kernels": kernels, "density": density}
    known["trajectories"] = trajectories
    return lambda cells: {name: known[name] for name in cells[0].tables}


def results(world, scale, arguments, seeds=5, metrics=metrics, further=further):
    """{experiment: Results}; without cells where the scale has none."""
    loaded = {}
    for experiment, selection in arguments.items():
        cells = catalog.select(catalog.cells("mcmc_po", experiment, scale), selection, experiment, scale)
        given = further(world)(list(cells.values())) if cells else ()
        loaded[experiment] = synthetic("mcmc_po", experiment, scale, selection, metrics(world), given, seeds)
    return loaded


def judge(name, world, scale="paper", seeds=5, **made):
    loaded = results(world, scale, CLAIMS[name], seeds, **made)
    for number, one in enumerate(loaded.values()):
        for source in one.cells:
            slow = 3.0 if world == "true" else 9.0
            seconds = 100 * (slow if number == 0 else 1)
            labels = [str(m["seed"]) for m in source.finished]
            source.record["parts"] = [{"labels": [one], "seconds": seconds * (1 + 0.01 * i)} for i, one in enumerate(labels)]
    return getattr(claims, name)(**loaded)


@pytest.mark.parametrize("name", CLAIMS)
def test_a_true_claim_is_reproduced_and_a_false_one_contradicted(name):
    assert judge(name, "true").status == "reproduced", judge(name, "true")
    assert judge(name, "false").status == "contradicted", judge(name, "false")


@pytest.mark.parametrize("name", [name for name in CLAIMS if name != "c14_chain_costs_its_gradients"])
def test_a_seed_that_diverged_before_its_first_evaluation_is_counted(name):
    """The middle one of five, of every run; no run's time is lost by it, which is all that c14 reads."""

    def lost_metrics(world):
        return lambda experiment, cell, z, steps: metrics(world)(experiment, cell, z, steps) if z else {"diverged": 1.0}

    def lost_rows(world):
        def named(cells):
            return {name: lambda *facts, make=make: make(*facts) if facts[-1] else [] for name, make in known(cells).items()}

        known = further(world)
        return named

    verdict = judge(name, "true", metrics=lost_metrics, further=lost_rows)
    assert verdict.n == 4 and "seeds diverged" in verdict.note, verdict


def test_small_runs_test_no_claim_on_returns_and_nothing_breaks_where_cells_are_missing():
    laws = {"c08_gated_leapfrog_keeps_volume", "own_distance_is_gain_and_energy_error"}
    for name in CLAIMS:
        for scale, seeds in (("smoke", 2), ("quick", 2)):
            verdict = judge(name, "true", scale, seeds)
            assert isinstance(verdict, Verdict) and verdict.status == "untested", (name, verdict)
    for name in laws:
        assert judge(name, "true", "quick", 3).status == "reproduced"


def test_there_are_as_many_claims_as_the_paper_makes():
    assert {name[:3] for name in CLAIMS if name.startswith("c")} == {f"c{i:02d}" for i in range(1, 15)}
    assert all(getattr(claims, name).__doc__ for name in CLAIMS)


@pytest.mark.parametrize("name", FIGURES)
@pytest.mark.parametrize("scale", ["smoke", "paper"])
def test_figures_draw(name, scale, tmp_path):
    loaded = results("true", scale, FIGURES[name], 2 if scale == "smoke" else 5)
    with plots.style():
        fig = getattr(figures, name)(**loaded)
        plots.stamp(fig, list(loaded.values()), scale, "A caption.")
        if scale == "paper":
            assert all(path.stat().st_size > 5_000 for path in plots.save(fig, tmp_path / name, scale))
    matplotlib.pyplot.close(fig)


def test_table_1_holds_the_papers_numbers_beside_ours():
    frame = tables.table1_mcmc_po(**results("true", "paper", catalog.artefacts("mcmc_po", "tables")["table1_mcmc_po"]))
    row = frame.set_index("method").loc["Hamiltonian policy, K = 5"]
    assert row["Hopper, paper"] == "4021.3 ± 172.2" and row["Hopper, ours"].startswith("4000.0 ± ")
    assert "(n = 5)" in row["Ant, ours"]
    smoke = tables.table1_mcmc_po(**results("true", "smoke", catalog.artefacts("mcmc_po", "tables")["table1_mcmc_po"], 2))
    assert (smoke["Ant, ours"] == "").all()


def test_hyperparameters_name_every_setting_and_no_other_papers_source():
    frame = tables.table_mcmc_po_hyperparameters()
    assert set(fields(config.HMC)) | set(fields(config.Langevin)) <= set(frame["setting"])
    assert set(frame["origin"]) == {"stated", "peer code", "our choice"}
    # "Table 1" of the shared settings is another paper's; this one's Table 1 states no setting.
    assert not frame["source"].str.startswith(("Table", "Appendix", "authors'")).any()
    stated = frame[frame["origin"] == "stated"].set_index("setting")["HMC"]
    assert stated["total_steps"] == "500,000" and stated["base"] == "2x256" and stated["leapfrog_steps"] == "5"


@pytest.mark.parametrize("scale", ["quick", "day", "paper"])
def test_every_curve_has_ten_points_made_by_the_policy(scale):
    for experiment in catalog.experiment_names("mcmc_po"):
        for cell in catalog.cells("mcmc_po", experiment, scale).values():
            c = cell.config
            assert (c.total_steps - getattr(c, "warmup", 0)) // c.evaluate_every >= 10, cell.key


@pytest.mark.parametrize("scale", ["smoke", "quick", "day", "paper"])
def test_the_policy_has_moved_before_the_first_evaluation(scale):
    """Else what is averaged over its iterations would be nothing."""
    for experiment in catalog.experiment_names("mcmc_po"):
        for cell in catalog.cells("mcmc_po", experiment, scale).values():
            c = cell.config
            assert c.evaluate_every - getattr(c, "update_after", 0) >= getattr(c, "policy_delay", 1), cell.key


def test_a_seed_without_rows_in_a_table_counts_as_diverged():
    one = results("true", "paper", {"hmc": "env=Hopper-v4, leapfrog_steps=5"})["hmc"]
    table = one.table("gap")
    one.__dict__["given"]["gap"] = table[table["seed"] != 3]
    found = evidence.of_table(one, "gap", "bound", {"how": "chain", "size": 5}, env="Hopper-v4")
    assert len(found) == 5 and np.isnan(found[3]) and np.isfinite(np.delete(found, 3)).all()
