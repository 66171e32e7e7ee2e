"""MCMC-PO's claims on results that are true, false or undecided by construction."""

import warnings

import numpy as np
import pytest

from common.lab.plan import catalog
from common.lab.report.measures import of_row
from common.lab.report.verdicts import Verdict
from papers.mcmc_po import claims, comparisons
from tests.synthetic import synthetic

CLAIMS = catalog.artefacts("mcmc_po", "claims")
EXPECTED = {"true": "reproduced", "false": "contradicted", "undecided": "inconclusive"}
LAWS = ("c08_gated_leapfrog_keeps_volume", "own_distance_is_gain_and_energy_error")
BY = {
    "sac": "temperature",
    "sac_coupling": "temperature",
    "hmc_steps": "leapfrog_steps",
    "hmc_width": "gate_units",
    "langevin": "kind",
}
RETURNS = {
    "true": {"sac 0.05": 3000, "sac 0.2": 3200, "sac_auto": 3300, "sac_coupling 0.05": 3100, "sac_coupling 0.2": 3200,
             "hmc": 4000, "hmc_steps 0": 3000, "hmc_steps 1": 3500, "hmc_steps 3": 3950, "hmc_steps 10": 3980,
             "hmc_fixed": 3400, "hmc_gate": 3300, "hmc_gate_state": 3950,
             "hmc_width 1x64": 3300, "hmc_width 1x256": 2400, "td3": 3500,
             "langevin noisy": 3600, "langevin flow": 3800, "langevin_frozen": 3300, "ddpg": 2500, "langevin_ddpg": 2600},
    "false": {"sac 0.05": 4000, "sac 0.2": 4000, "sac_auto": 4000, "sac_coupling 0.05": 4000, "sac_coupling 0.2": 4100,
              "hmc": 3000, "hmc_steps 0": 3000, "hmc_steps 1": 3000, "hmc_steps 3": 2000, "hmc_steps 10": 4500,
              "hmc_fixed": 3900, "hmc_gate": 3900, "hmc_gate_state": 2400,
              "hmc_width 1x64": 3600, "hmc_width 1x256": 4200, "td3": 4500,
              "langevin noisy": 3600, "langevin flow": 3400, "langevin_frozen": 4200, "ddpg": 2500, "langevin_ddpg": 1500},
}  # fmt: skip
# Spread of returns over seeds, as a share of them, where it is not 0.01.
SPREADS = {
    "true": {"hmc": 0.002, "hmc_fixed": 0.1, "hmc_width 1x64": 0.03, "hmc_width 1x256": 0.15},
    "false": {"hmc": 0.05, "hmc_fixed": 0.002, "hmc_width 1x64": 0.01, "hmc_width 1x256": 0.001},
}
GAINS = {"true": {0: 0.0, 1: 0.3, 3: 0.48, 4: 0.49, 5: 0.5, 10: 0.51},
         "false": {0: 0.5, 1: 0.4, 3: 0.2, 4: 0.1, 5: 0.1, 10: 1.0}}  # fmt: skip


def signed(experiment, z):
    """Deviates of a seed: methods that are compared have theirs in opposite order, so that differences have a spread."""
    return z if experiment in ("hmc", "langevin", "bandit", "langevin_ddpg") else -z


def curve(world, experiment, c, z, steps):
    """Return during training: up, back in the middle by a share of its range, and up again to the final return."""
    if world == "undecided":
        end, fall = 3000 * (1 + 0.3 * signed(experiment, z)), 0.3 + 0.1 * signed(experiment, z)
    else:
        key = f"{experiment} {getattr(c, BY[experiment])}" if experiment in BY else experiment
        end = RETURNS[world].get(key, 3500) * (1 + SPREADS[world].get(key, 0.01) * z)
        fall = (0.05 if (experiment == "hmc") == (world == "true") else 0.4) + 0.01 * signed(experiment, z)
    return end * np.interp(steps / steps[-1], [0, 0.5, 0.6, 0.95, 1], [0, 0.7, 0.7 - fall, 1, 1])


def toy(world, experiment, z, steps):
    if world == "undecided":
        gain = 0.5 + 0.2 * signed(experiment, z)
    else:
        gain = (0.5 if (experiment == "bandit") == (world == "true") else 0.1) + 0.01 * z
    names = ("kl", "kl_base", "gap", "gap_base", "value", "distance", "distance_within", "beta")
    return {name: np.full(len(steps), 1 + 0.01 * z) for name in names} | {"bound_gain": np.full(len(steps), gain)}


def metrics(world):
    """What a run records in a world."""

    def numbers(experiment, cell, z, steps):
        c, own = cell.config, signed(experiment, z)
        if experiment.startswith("bandit"):
            return toy(world, experiment, z, steps)
        moved, explores = world == "true", experiment.startswith(("hmc", "langevin"))
        if world == "undecided":
            near, error, coverage, gain, without = 0.5 + 0.2 * own, 1 + 0.3 * own, 1 + 0.2 * own, own, 300 * z
            bound = 0.4 + 0.2 * own
        else:
            best = (experiment == "hmc") == moved
            near, error = (0.8 if best else 0.3) + 0.02 * own, (0.3 if best else 1.2) + 0.02 * own
            coverage = 1 + (0.2 if moved else -0.2) * explores + 0.01 * own
            gain, without = (5 if moved else -5) + 0.5 * z, (-900 if moved else 900) + 10 * z
            bound = GAINS[world][c.leapfrog_steps] * (1 + 0.01 * own) if experiment.startswith("hmc") else 1.0
        flat = {"distance_within": near, "distance_rms": error, "coverage": coverage, "visited_value_gain": gain,
                "bound_gain": bound, "distance": 1 + 0.01 * z, "beta": 1 + 0.01 * z}  # fmt: skip
        found = {"return": curve(world, experiment, c, z, steps), "coverage": flat["coverage"]} | (flat if explores else {})
        if explores:
            found["return_without_chain"] = found["return"][-1] + without
        spread = {name: np.full(len(steps), value) for name, value in found.items() if np.ndim(value) == 0}
        return found | spread

    return numbers


def further(world):
    """Tables of a world, {name: function}: a function of the cells that write them."""
    sign, bad = {"true": (1, 0.0), "false": (-1, 1.0), "undecided": (0, 1.0)}[world]
    wide = world == "undecided"

    def gap(experiment, cell, z):
        rows = [("chain", k, 100 + sign * 5 * k + z + (5 if wide else 0.1) * k * z) for k in (0, 1, 3, 4, 5, 10)]
        return [{"how": how, "size": size, "bound": bound} for how, size, bound in [*rows, ("ascent", 200, 140 + z)]]

    def lengths(experiment, cell, z):
        return [{"steps": k, "gap": 2 - sign * 0.1 * k + (0.1 if wide else 0.01) * z * (k + 1)} for k in (0, 1, 3, 4, 5, 10)]

    def laws(experiment, cell, z):
        bounds = {"jacobian_trained": 1e-5, "jacobian_random": 1e-5, "reversal_plain": 1e-8, "reversal_gated": 1e-8,
                  "bound_identity": 1e-8}  # fmt: skip
        values = {name: 1e-14 * (2 + z) + bad * (1 + 0.01 * z) for name in bounds}
        return [{"law": name, "value": bound * (1 + z) if wide else values[name]} for name, bound in bounds.items()]

    def kernels(experiment, cell, z):
        rows = []
        for kernel in ("corrected", "plain", "gated"):
            for i in range(7):
                start = 3 - sign * 0.3 * i + (0.5 if wide else 0.01) * z
                rise = 0.05 * (1 + z) * i / 6 if wide else 0.2 * i * bad if kernel == "gated" else 0
                kept = 0.005 + 0.001 * (1 + i) * z + rise
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


def spent(world, config):
    """Seconds of a run: those of SAC, or of a chain that costs what the world says, for K = 5 so many times SAC's."""
    times = {"true": 4.0, "false": 9.0, "undecided": 6.0}[world]
    return 100 * (1 + (times - 1) * config.leapfrog_steps / 5 if hasattr(config, "leapfrog_steps") else 1)


def results(world, scale, arguments, seeds=5, metrics=metrics, further=further):
    """{experiment: Results}; without cells where the scale has none."""
    loaded, spread = {}, 0.3 if world == "undecided" else 0.01
    for experiment, selection in arguments.items():
        cells = catalog.select(catalog.cells("mcmc_po", experiment, scale), selection)
        given = further(world)(list(cells.values())) if cells else ()
        loaded[experiment] = synthetic("mcmc_po", experiment, scale, selection, metrics(world), given, seeds)
        for source in loaded[experiment].cells:
            labels = [str(member["seed"]) for member in source.finished]
            seconds = spent(world, source.cell.config)
            source.record["parts"] = [
                {"labels": [label], "seconds": seconds * (1 + spread * (i - len(labels) // 2))}
                for i, label in enumerate(labels)
            ]
    return loaded


def judge(name, world, scale="paper", seeds=5, **made):
    return getattr(claims, name)(**results(world, scale, CLAIMS[name], seeds, **made))


@pytest.mark.parametrize("world", EXPECTED)
@pytest.mark.parametrize("name", CLAIMS)
def test_claim_is_decided_as_constructed(name, world):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        verdict = judge(name, world)
    assert verdict.status == EXPECTED[world], str(verdict)
    assert np.isfinite(verdict.effect) and np.isfinite(verdict.p) and verdict.quantity


@pytest.mark.parametrize("name", [name for name in CLAIMS if name != "own_chain_costs_its_gradients"])
def test_a_seed_that_diverged_before_its_first_evaluation_is_counted(name):
    """The middle one of five, of every run; no run's time is lost by it, which is all that it reads."""

    def lost_metrics(world):
        return lambda experiment, cell, z, steps: metrics(world)(experiment, cell, z, steps) if z else {"diverged": 1.0}

    def lost_rows(world):
        def named(cells):
            return {name: lambda *facts, make=make: make(*facts) if facts[-1] else [] for name, make in known(cells).items()}

        known = further(world)
        return named

    verdict = judge(name, "true", metrics=lost_metrics, further=lost_rows)
    assert verdict.n == 4 and "seeds diverged" in verdict.note, verdict


def test_a_chain_that_undoes_its_own_harm_does_not_narrow_the_gap():
    """Trained without a chain the gap is 1.0; trained with one it is 2.0 before the chain, and 1.0 after it."""

    def harm(world):
        def lengths(experiment, cell, z):
            own = cell.config.leapfrog_steps == 5
            return [{"steps": k, "gap": (2 - 0.2 * k if own else 1.0) + 0.01 * (z if own else -z)} for k in (0, 1, 3, 5)]

        return lambda cells: further("true")(cells) | {"lengths": lengths}

    verdict = judge("c05_chain_narrows_the_gap_of_the_bandit", "true", further=harm)
    assert verdict.status == "inconclusive" and abs(verdict.effect) < 0.01
    assert "takes 1 off its own policy's gap" in verdict.note


def test_small_runs_test_no_claim_on_returns_and_nothing_breaks_where_cells_are_missing():
    for name in CLAIMS:
        for scale, seeds in (("smoke", 2), ("quick", 2)):
            verdict = judge(name, "true", scale, seeds)
            assert isinstance(verdict, Verdict) and verdict.status == "untested", (name, verdict)
    for name in LAWS:
        assert judge(name, "true", "quick", 3).status == "reproduced"


def test_there_are_as_many_claims_as_the_paper_makes():
    assert {name[:3] for name in CLAIMS if name.startswith("c")} == {f"c{i:02d}" for i in range(1, 18)} - {"c04"}
    assert all(getattr(claims, name).__doc__ for name in CLAIMS)


def test_seeds_that_share_a_worker_are_one_measurement_of_its_time():
    loaded = results("true", "paper", CLAIMS["own_chain_costs_its_gradients"])
    apart = claims.own_chain_costs_its_gradients(**loaded)
    for one in loaded.values():
        for source in one.cells:
            labels = [label for part in source.record["parts"] for label in part["labels"]]
            source.record["parts"] = [{"labels": labels, "seconds": sum(part["seconds"] for part in source.record["parts"])}]
    together = claims.own_chain_costs_its_gradients(**loaded)
    assert (apart.n, together.n) == (15, 3), "three environments"
    assert together.effect == pytest.approx(apart.effect, rel=1e-6)


def test_time_is_given_in_steps_per_core_second():
    verdict = judge("own_chain_costs_its_gradients", "true")
    assert "steps per core-second: HMC 1.25e+03, SAC 5e+03" in verdict.note


# ---- measures ----


def test_a_drawdown_is_the_deepest_fall_over_the_range():
    steps = np.arange(5)
    assert comparisons.drawdown(steps, np.array([0.0, 1, 2, 3, 4])) == 0
    assert comparisons.drawdown(steps, np.array([0.0, 4, 2, 5, 3.5])) == pytest.approx(2 / 5)
    assert comparisons.drawdown(steps, np.array([-10.0, -12, -5, -11, -2])) == pytest.approx(0.6)
    assert comparisons.drawdown(steps, np.full(5, 3.0)) == 0


def test_deviations_are_from_the_finite_seeds_median():
    found = comparisons.deviations(np.array([1.0, 2.0, np.nan, 6.0]))
    np.testing.assert_array_equal(found, [1, 0, np.nan, 4])
    assert not len(comparisons.deviations(np.array([]))) and np.isnan(comparisons.deviations(np.array([np.nan]))).all()


def test_a_seed_without_rows_in_a_table_counts_as_diverged():
    one = results("true", "paper", {"hmc": "env=Hopper-v4, leapfrog_steps=5"})["hmc"]
    table = one.table("gap")
    one.given["gap"] = table[table["seed"] != 3]
    found = of_row(one, "gap", "bound", {"how": "chain", "size": 5}, env="Hopper-v4")
    assert len(found) == 5 and np.isnan(found[3]) and np.isfinite(np.delete(found, 3)).all()


def test_where_langevin_is_not_worse_by_a_tenth_the_note_says_so():
    assert "no worse by 10 %: Hopper-v4 noisy reproduced" in judge("c13_langevin_improves_on_td3", "true").note


def test_the_share_of_the_gap_that_is_closed_is_told():
    """True world: bound 100 before, 125 after five steps, 140 by ascent, seed by seed."""
    assert "gap closed: Hopper-v4 62%" in judge("c05_chain_narrows_the_gap", "true").note
