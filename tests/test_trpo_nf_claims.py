"""TRPO-NF's claims on results that are true, false or undecided by construction."""

import dataclasses
import warnings

import numpy as np
import pandas as pd
import pytest

from common.lab.plan import catalog
from papers.trpo_nf import claims
from papers.trpo_nf.comparisons import dominates
from tests.synthetic import deviates, synthetic

CLAIMS = catalog.artefacts("trpo_nf", "claims")
EXPECTED = {"true": "reproduced", "false": "contradicted", "undecided": "inconclusive"}
SIMPLE = ("Hopper-v4", "Reacher-v4")
HARD = ("HalfCheetah-v4", "Ant-v4")


def gain(world, c):
    """What a policy class ends above the Gaussian with TRPO, in the Gaussian's return."""
    humanoid = "Humanoid" in c.env
    if world == "true":
        flow = 0.2 if c.env in SIMPLE else 1.0 if humanoid else 0.4
        return {"flow": flow, "gaussian": 0.0}.get(c.policy, 0.2 if c.env in HARD else 0.05)
    flow = -0.1 if c.env in SIMPLE else -0.6 if humanoid else -0.3
    return {"flow": flow, "gaussian": 0.0}.get(c.policy, -0.2)


def final_return(world, experiment, c, z):
    """The return that a run ends with. Reacher's are negative."""
    if world == "undecided":
        level = 1 + 0.5 * z
    elif experiment == "acktr_released_value":
        level = 0.2 if world == "true" else 1.0
    elif experiment in ("trpo_fisher", "trpo_large_radius", "trpo_mixture_scores"):
        level = 3.0 if world == "true" else 0.1
    elif experiment.startswith("acktr"):
        level = 1.5 + gain(world, c) if world == "true" else {"gaussian": 0.6, "flow": 0.05}[c.policy]
    elif experiment == "ppo":
        level = 1.5 if (world, c.policy) == ("false", "flow") else 1.0
    elif experiment.startswith("ablation"):
        # An embedding of 3 units ends lower than the default's 64 in every world: it is the paper's reference, l1 = 3.
        usual = (c.couplings, c.coupling_units) == (4, 3) and c.embedding_units in (3, 64)
        level = (1.0 if usual or world == "true" else 1.5) * (0.5 if c.embedding_units < 64 else 1.0)
    else:
        level = 1 + gain(world, c)
    size = 10 if c.env == "Reacher-v4" else 1000
    level += (0.02 if "Humanoid" in c.env else 0.01) * (-z if c.policy == "flow" else z)  # differences have a spread too
    return size * level - (2 * size if c.env == "Reacher-v4" else 0)


def toy(world, c, z):
    """What a toy measures."""
    flow, true = c.policy == "flow", world == "true"
    if world == "undecided":
        apart = np.exp(0.5 * z)
        covered = z > -1.3 if c.policy.startswith("gmm") else z > 0  # 18 of 20 starts, and half of them
        return {
            "std": (0.12 if flow else 0.1) * (1 + 0.3 * z), "first_kl": 0.5, "radius_50": 1.0,
            "radius_999": 3 * (1 + 0.3 * z), "radius_99": (0.3 if c.constant else 0.6) * apart, "trace_covariance": apart,
            "det_covariance": (1.1 if flow else 1.0) * apart, "correlation": (0.8 if flow else 0.0) + 0.05 * z,
            "smaller_mass": 0.4 * covered, "component_distance": (0.5 + 0.1 * z) * (apart if c.estimator == "score" else 1),
            "kl_to_target": apart,
        }  # fmt: skip
    wide = (np.exp(1.0) if true else np.exp(-1.0)) if flow else 1.0
    released = c.preset == "released"
    if c.estimator == "pathwise":
        collapsed = (0.3 if released else 0.1) if true else (1.0 if released else 3.0)
    else:  # the released density's doing, or not
        collapsed = (0.1 if released else 2.0) if true else (3.0 if released else 1.0)
    found = {
        "std": 0.1 * (2.0 if flow and true else 1.0), "first_kl": 0.5, "radius_50": 1.0, "radius_999": 3 * wide,
        "radius_99": 0.3 * (5 if true and not c.constant else 1), "trace_covariance": wide, "det_covariance": wide,
        "correlation": 0.9 * flow if true else 0.3, "smaller_mass": 0.4 * (flow == true), "component_distance": collapsed,
        "kl_to_target": 0.01 if flow == true else 0.5,
    }  # fmt: skip
    return {name: value * (1 + 0.01 * z) for name, value in found.items()}


def metrics(world):
    """What a run records in a world. Undecided, classes have the same spread, in opposite order of seeds."""

    def curves(experiment, cell, z, steps):
        c = cell.config
        z = -z if world == "undecided" and c.policy == "flow" else z
        if hasattr(c, "iterations"):
            return toy(world, c, z)
        stable = (c.policy == "gaussian") == (world == "true")
        loss = 0.3 + 0.2 * z if world == "undecided" else (0.05 if stable else 0.3) + 0.01 * z
        shape = np.interp(steps / steps[-1], [0, 0.5, 0.7, 1], [0, 1 + loss, 1, 1])
        given_up = {"true": 0.2, "false": 0.01, "undecided": 0.05}[world]
        return {
            "return": final_return(world, experiment, c, z) * shape,
            "negative_curvature": np.full(len(steps), given_up + (0.02 if world == "undecided" else 0.001) * z),
        }

    return curves


def trajectories(world):
    """Twenty episodes of an Ant: where it ends, and after how many steps."""

    def rows(experiment, cell, z):
        flow = cell.config.policy == "flow"
        roams = flow == (world == "true")
        ends, length = (np.linspace(-2, 6, 20), 1000) if roams else (np.linspace(0.1, 0.5, 20), 100)
        if world == "undecided":
            z = -z if flow else z
            ends, length = np.linspace(0, 1, 20) + z, 500 + 100 * z
        return [
            {"episode": number, "step": step, "x": x + 0.01 * z, "y": 0.0, "return": 1.0}
            for number, end in enumerate(ends) for step, x in ((0, 0.0), (length + z, end))
        ]  # fmt: skip

    return rows


@pytest.fixture(scope="module")
def made():
    """results(world, arguments): {experiment: Results} at scale paper, each made once."""
    done = {}

    def results(world, arguments):
        for one in arguments.items():
            if (world, *one) not in done:
                further = {"trajectories": trajectories(world)} if one[0] == "trpo_ant" else {}
                done[world, *one] = synthetic("trpo_nf", one[0], "paper", one[1], metrics(world), further)
        return {experiment: done[world, experiment, selection] for experiment, selection in arguments.items()}

    return results


@pytest.mark.parametrize("world", EXPECTED)
@pytest.mark.parametrize("name", CLAIMS)
def test_claim_is_decided_as_constructed(made, name, world):
    results = made(world, CLAIMS[name])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        verdict = getattr(claims, name)(**results)
    assert verdict.status == EXPECTED[world], str(verdict)
    assert np.isfinite(verdict.effect) and np.isfinite(verdict.p) and verdict.quantity


def test_the_papers_claims_are_all_there():
    numbers = [name[:4] for name in CLAIMS if not name.startswith("own_")]
    assert numbers == [f"c{number:02d}_" for number in range(1, 24)]


def test_a_diverged_seed_is_counted(made):
    name = "c11_mixtures_gain_on_hard_tasks"
    results = dict(made("true", CLAIMS[name]))
    frame = results["trpo"].frame
    lost = (frame["policy"] == "gmm2") & (frame["seed"] == 4)
    first = frame[lost].head(1).assign(metric="diverged")
    broken = dataclasses.replace(results["trpo"], given={"metrics": pd.concat([frame[~lost], first], ignore_index=True)})
    verdict = getattr(claims, name)(**results | {"trpo": broken})
    assert "HalfCheetah-v4 gmm2" in verdict.quantity and verdict.n == 4 and "1 of 10 seeds diverged" in verdict.note


# ---- dominance ----


def test_dominance_needs_quantiles_above_and_none_below():
    z = deviates(30)
    assert dominates(z + 1.5, z).status == "reproduced" and dominates(z + 1.5, z).effect > 0
    assert dominates(z - 1.5, z).status == "contradicted" and dominates(z - 1.5, z).effect < 0
    assert dominates(z, z).status == dominates(z + 0.2, z).status == "inconclusive"
    assert dominates(8 * z, z).status == "contradicted"  # above and below: the curves cross
    assert dominates(z[:2], z).status == "untested"


def test_dominance_ranks_diverged_runs_lowest():
    z = deviates(30)
    ours = np.where(np.arange(30) < 12, np.nan, z)
    verdict = dominates(ours, z)
    assert verdict.status == "contradicted" and "12 of 60 seeds diverged, ranked lowest" in verdict.note
    assert dominates(z, ours).status == "reproduced"


def test_dominance_is_wrong_in_five_of_a_hundred_cases_or_fewer():
    rng = np.random.default_rng(0)
    found = [dominates(*rng.standard_normal((2, 30))).status for _ in range(400)]
    assert 400 - found.count("inconclusive") <= 0.08 * 400


@pytest.mark.parametrize("share, status", [(0.06, "reproduced"), (0.04, "contradicted")])
def test_a_counter_flatters_from_a_twentieth_on(share, status):
    def metrics(experiment, cell, z, steps):
        return {"negative_curvature": np.full(len(steps), share + 0.001 * z)}

    selection = CLAIMS["own_step_count_flatters_the_flow"]["trpo_exact_radius"]
    runs = synthetic("trpo_nf", "trpo_exact_radius", "paper", selection, metrics)
    assert claims.own_step_count_flatters_the_flow(runs).status == status


def test_dominance_takes_three_runs_of_each():
    assert dominates([1.0, 2.0], [0.0, 0.5, 0.7]).reason == "n < 3"
    assert dominates([1.0, 2.0, 3.0], [0.0, 0.5, 0.7]).status == "inconclusive"


def test_the_determinant_is_compared_by_its_logarithm():
    def metrics(scale):
        return lambda experiment, cell, z, steps: {"det_covariance": np.full(len(steps), scale * np.exp(0.01 * z))}

    arguments = CLAIMS["own_determinant_at_equal_entropy"]
    entropy = synthetic("trpo_nf", "entropy", "paper", arguments["entropy"], metrics(8.0))
    gaussian = synthetic("trpo_nf", "entropy_gaussian", "paper", arguments["entropy_gaussian"], metrics(2.0))
    verdict = claims.own_determinant_at_equal_entropy(entropy, gaussian)
    assert verdict.status == "reproduced" and verdict.effect == pytest.approx(np.log(4), abs=1e-3)


def test_a_fall_is_relative_to_the_best_return():
    """The Gaussian loses a tenth of a thousand, mixtures half of ten: the loss is what was gained, not its size."""

    def metrics(experiment, cell, z, steps):
        best, loss = (10.0, 0.5) if cell.config.policy.startswith("gmm") else (1000.0, 0.1)
        values = np.full(len(steps), best * (1 - loss) + 0.001 * best * z)
        values[len(steps) // 2] = best
        return {"return": values}

    selection = CLAIMS["c12_mixtures_are_unstable_on_humanoids"]["trpo"]
    runs = synthetic("trpo_nf", "trpo", "paper", selection, metrics)
    verdict = claims.c12_mixtures_are_unstable_on_humanoids(runs)
    assert verdict.status == "reproduced" and verdict.effect == pytest.approx(0.4, abs=0.01)
