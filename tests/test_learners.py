"""Laws of every learner: a member of a fleet is the run that it would be alone, a run that was stopped and started again is
the run that was not, and a NaN stays with its member."""

import inspect
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest
import torch

from common.lab.run.journal import Journal
from common.rl import arcade, ddpg, episodes, goals, iterations, off_policy, on_policy, ppo, sac, sac_auto, staged, td3, trpo
from common.rl import config as shared
from common.rl import learner as contract
from common.rl.randomness import STREAMS, generator
from papers.arsac import arsac, sac_memory
from papers.arsac.config import ARSAC, SACMemory
from papers.cnf_offline import toys as moons
from papers.cnf_offline.config import Toys as Moons
from papers.mcmc_po import config as mcmc
from papers.mcmc_po import hmc, langevin, sac_coupling
from papers.mcmc_po import toys as bandit
from papers.nf_review import (
    bayes_ddpg,
    bayes_dqn,
    bootstrapped_dqn,
    dqn,
    lsp,
    lsp_second,
    minatar,
    mnf_ddpg,
    mnf_dqn,
    mnf_regression,
    noisy_ddpg,
    noisy_dqn,
    ou_ddpg,
    ppo_flow,
    variational,
)
from papers.nf_review import config as review
from papers.trpo_nf import acktr, ppo_nf, toys, trpo_nf
from papers.trpo_nf import config as nf

WARMUP, STEPS = 20, 50
OFF = {"env": "Hopper-v4", "base": "1x32", "critic": "1x32", "total_steps": STEPS, "warmup": WARMUP, "update_after": WARMUP,
       "batch_size": 16, "evaluate_every": 25, "evaluation_episodes": 1}  # fmt: skip
ON = {"env": "Reacher-v4", "value_hidden": "1x32", "batch_steps": 60, "total_steps": 240, "record_every": 60}
TRUST = ON | {"minibatch": 16, "epochs": 2}
GAUSSIAN, FLOW = {"hidden": "1x32"}, {"policy": "flow", "embedding_units": 16}
CHAIN = {"pid": True, "snapshot_every": 7}
NORMALISED = {"base": "2x32", "critic": "2x32"}
MOONS = {"layers": 2, "units": "2x16", "points": 400, "batch_size": 64, "samples": 200}


@dataclass(frozen=True)
class Case:
    """A learner and settings of a run of less than a second. `tolerance`: of what a member records beside others,
    whose sums are rounded in another order; `diverges`: the step at which a policy of NaN ends its run."""

    learner: Any
    config: Any
    stop: int  # questions whether to stop that are answered by no
    tolerance: float
    diverges: int
    steps: int = 1  # of the environment, per step of a record
    inputs: Any = None  # a function of the seeds


def off(module, config, **settings):
    return Case(module.Learner, config(**OFF | settings), 36, 1e-2, WARMUP + 1)


def on(module, config, tolerance=5e-3, stop=2, **settings):
    return Case(module.Learner, config(**settings), stop, tolerance, 1)


def chain(module, config, **settings):
    values = {"length": 5, "total_steps": 8, "evaluate_every": 2, "solved_streak": 2, "batch_size": 16}
    return Case(module.Learner, config(**values | settings), 40, 1e-2, 1, 13)


def game(learner):
    values = {"env": "MinAtar-Breakout", "total_steps": 60, "evaluate_every": 20, "warmup": 20, "batch_size": 16,
              "episode_steps": 15, "units": 16, "flow_width": 8, "filters": 4}  # fmt: skip
    return Case(learner, review.MinAtar(**values), 40, 1e-2, 21)


class FirstLevel:
    """A first level of the same seed, as a run that was trained would leave it."""

    def __init__(self, seed):
        self.settings = {"seed": seed, "base": "1x32", "couplings": 2}

    def tensors(self, name):
        settings = review.LSP(**OFF)
        learner = lsp.Learner(settings, [self.settings["seed"]], 11, 3)
        return {key: torch.from_numpy(x) for key, x in learner.files()[name][0].items()}


def first_levels(seeds):
    return {"first": [FirstLevel(seed) for seed in seeds]}


LOOPS = {
    "off_policy": off_policy,
    "staged": staged,
    "on_policy": on_policy,
    "iterations": iterations,
    "episodes": episodes,
    "arcade": arcade,
    "goals": goals,
}
CASES = {
    "sac": off(sac, shared.SAC),
    "sac_auto": off(sac_auto, shared.SACAuto),
    "td3": off(td3, shared.TD3),
    "ddpg": off(ddpg, shared.DDPG),
    "arsac": off(arsac, ARSAC, flow="1x32"),
    "sac_coupling": off(sac_coupling, mcmc.SACCoupling),
    "hmc": off(hmc, mcmc.HMC, leapfrog_steps=2, **CHAIN),
    "langevin_noisy": off(langevin, mcmc.Langevin, kind="noisy", chain_steps=2, **CHAIN),
    "langevin_flow": off(langevin, mcmc.Langevin, kind="flow", chain_steps=2, **CHAIN),
    "sac_memory": off(sac_memory, SACMemory, critic_history=True),
    "sac_coverage": off(sac, shared.SAC, coverage=True),
    "trpo": on(trpo, shared.TRPO, 2e-3, **TRUST | GAUSSIAN),
    "trpo_gmm2": on(trpo_nf, nf.TRPONF, stop=1, **TRUST | GAUSSIAN | {"policy": "gmm2", "total_steps": 180}),
    "trpo_flow": on(trpo_nf, nf.TRPONF, **TRUST | FLOW),
    "ppo": on(ppo, shared.PPO, 2e-3, **TRUST | GAUSSIAN),
    "ppo_flow": on(ppo_nf, nf.PPONF, **TRUST | FLOW),
    "acktr": on(acktr, nf.ACKTR, **ON | GAUSSIAN, policy="gaussian", value_updates=3),
    "acktr_flow": on(acktr, nf.ACKTR, **ON | FLOW, value_updates=3),
    "toy_ball": Case(toys.Learner, nf.Toys(toy="kl_ball", iterations=40, samples=32, origin_samples=50), 22, 1e-3, 2),
    "toy_bandit": Case(toys.Learner, nf.Toys(toy="bimodal", policy="gmm2", iterations=40, samples=64), 22, 1e-3, 2),
    "chain_bandit": Case(
        bandit.Learner,
        mcmc.Toys(total_steps=24, evaluate_every=8, batch_size=16, samples=50, contexts=2, prior="snapshot", **CHAIN),
        13,
        2e-2,
        8,
    ),
    "dqn": chain(dqn, review.DQN),
    "noisy_dqn": chain(noisy_dqn, review.NoisyDQN),
    "bootstrapped_dqn": chain(bootstrapped_dqn, review.BootstrappedDQN),
    "bayes_dqn": chain(bayes_dqn, review.BayesDQN),
    "mnf_dqn": chain(mnf_dqn, review.MNFDQN),
    "ou_ddpg": off(ou_ddpg, review.OUDDPG, **NORMALISED),
    "noisy_ddpg": off(noisy_ddpg, review.NoisyDDPG, **NORMALISED),
    "bayes_ddpg": off(bayes_ddpg, review.BayesDDPG, **NORMALISED),
    "mnf_ddpg": off(mnf_ddpg, review.MNFDDPG, **NORMALISED),
    "lsp": off(lsp, review.LSP),
    "lsp_gaussian": off(lsp, review.LSP, policy="gaussian"),
    "lsp_second": replace(off(lsp_second, review.LSPSecond), inputs=first_levels),
    "mnf_dqn_car": chain(mnf_dqn, review.MNFDQN, env="MountainCar-v0", episode_steps=13, update_every=3),
    "multigoal_flow": on(
        ppo_flow, review.PPOFlow, **TRUST | {"env": "MultiGoal-v0", "path_entropy_weight": 0.1, "rollouts": 3}
    ),
    "mnf_regression": Case(
        mnf_regression.Learner,
        review.MNFRegression(total_steps=24, evaluate_every=8, samples=2, evaluation_samples=10, units=20, flow_width=8),
        13,
        2e-2,
        8,
    ),
    "variational": Case(
        variational.Learner,
        review.Variational(
            family="planar",
            energy="bananas",
            event=4,
            flows=3,
            total_steps=24,
            evaluate_every=8,
            batch_size=16,
            evaluation_samples=50,
        ),
        13,
        2e-2,
        8,
    ),
    **({"minatar_mnf": game(minatar.MNF), "minatar_dqn": game(minatar.Greedy)} if find_spec("minatar") else {}),
    "moons": Case(moons.Learner, Moons(**MOONS, base="normal", total_steps=24, evaluate_every=8), 13, 1e-2, 8),
}

CHAINED = {"return", "return_without_chain", "beta", "distance_within"}
RECORDED = {"td3": {"saturated"}, "ddpg": {"saturated"}, "mnf_ddpg": {"saturated", "coverage"}, "sac_auto": {"temperature"},
            "hmc": CHAINED | {"return_sampled"},
            "langevin_noisy": CHAINED, "langevin_flow": CHAINED, "sac_coverage": {"coverage"}}  # fmt: skip


@dataclass
class Build:
    """Makes a learner, keeps it and notes its critics' losses. `poisoned`: its first member's policy is NaN."""

    make: Any
    poisoned: bool = False
    losses: list = field(default_factory=list)
    made: Any = None

    def __call__(self, *arguments):
        self.made = made = self.make(*arguments)
        if self.poisoned:
            policy = next(getattr(made, name) for name in ("policy", "base", "flow", "network") if hasattr(made, name))
            next(policy.parameters()).data[0] = torch.nan
        if hasattr(made, "critic_loss"):
            original = made.critic_loss
            made.critic_loss = lambda *inputs: self.losses.append(original(*inputs)) or self.losses[-1]
        return made


class After:
    """Whether to stop: no, so many times, and then yes."""

    def __init__(self, questions):
        self.left = questions

    def __call__(self):
        self.left -= 1
        return self.left < 0


def run(name, seeds, folder, poisoned=False, stopping=lambda: False):
    """Trains a case's members; returns (journal, build)."""
    case = CASES[name]
    journal = Journal(folder, [str(seed) for seed in seeds], "digest", 1e9, stopping)
    build = Build(case.learner, poisoned)
    inputs = {"inputs": case.inputs(seeds)} if case.inputs else {}
    LOOPS[case.config.loop].run(build, case.config, list(seeds), journal, **inputs)
    return journal, build


def records_of(journal, member):
    """{(step, metric): value} of one member."""
    return {(step, metric): float(value) for m, step, metric, value in journal.records if m == member}


def same(ours, theirs, tolerance):
    assert ours.keys() == theirs.keys()
    keys = list(theirs)
    np.testing.assert_allclose([ours[k] for k in keys], [theirs[k] for k in keys], tolerance, tolerance, err_msg=str(keys))


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """name -> (journal, build) of seed 5 alone, made once."""
    made = {}

    def get(name):
        if name not in made:
            made[name] = run(name, [5], tmp_path_factory.mktemp("alone"))
        return made[name]

    return get


@pytest.mark.parametrize("name", CASES)
def test_a_member_in_a_fleet_is_the_run_it_would_be_alone(name, alone, tmp_path):
    """The same random transitions; critics' losses to 1e-5 over 30 updates; the same records."""
    (together, fleet), (single, one) = run(name, [4, 5, 6], tmp_path), alone(name)
    assert (
        len(fleet.losses)
        == len(one.losses)
        == (STEPS - WARMUP if CASES[name].config.loop in ("off_policy", "staged") else 0)
    )
    for ours, theirs in zip(fleet.losses, one.losses, strict=True):
        torch.testing.assert_close(ours[1:2], theirs, rtol=1e-5, atol=1e-5)
    if one.losses:
        rows = [np.concatenate(journal.pending[m])[: WARMUP + 1] for journal, m in ((together, 1), (single, 0))]
        assert np.array_equal(*rows) and len(rows[0]) == WARMUP + 1
    mine = records_of(together, 1)
    same(mine, records_of(single, 0), CASES[name].tolerance)
    assert ("coverage" in {metric for _, metric in mine}) == getattr(CASES[name].config, "coverage", False)
    if CASES[name].config.loop in ("episodes", "arcade"):  # returns are few numbers, which may be equal by chance
        ours, theirs = (dict(build.made.network.named_parameters()) for build in (fleet, one))
        for key, x in theirs.items():
            torch.testing.assert_close(ours[key][len(x) : 2 * len(x)], x, rtol=1e-4, atol=1e-4)
        assert any(not torch.allclose(x[0], x[1]) for x in ours.values())
        return
    assert mine != records_of(together, 0) and RECORDED.get(name, set()) <= {metric for _, metric in mine}


@pytest.mark.parametrize("name", CASES)
def test_stopping_and_going_on_changes_nothing(name, alone, tmp_path):
    """Not one bit of the records, the tables and the learner."""
    (whole, build), stop = alone(name), CASES[name].stop
    with pytest.raises(SystemExit, match="stopped at step") as told:
        run(name, [5], tmp_path, stopping=After(stop))
    resumed, again = run(name, [5], tmp_path)
    last = CASES[name].steps * max(step for _, step, *_ in whole.records)
    assert 0 < resumed.start_step < last and str(resumed.start_step) in str(told.value)
    assert resumed.records == whole.records and resumed.tables == whole.tables
    expected, found = build.made.state_dict(), again.made.state_dict()
    assert expected.keys() == found.keys()
    assert all(np.array_equal(expected[key], found[key], equal_nan=True) for key in expected)


@pytest.mark.parametrize("name", CASES)
def test_a_nan_stays_with_its_member(name, alone, tmp_path):
    case, (single, _) = CASES[name], alone(name)
    together, _ = run(name, [4, 5], tmp_path, poisoned=True)
    lost = records_of(together, 0)
    # It is counted once, and records nothing more.
    assert [key for key in lost if key[1] == "diverged"] == [max(lost)] == [(case.diverges, "diverged")]
    same(records_of(together, 1), records_of(single, 0), case.tolerance)


PROTOCOLS = {
    "off_policy": contract.OffPolicyLearner,
    "staged": contract.StagedLearner,
    "on_policy": contract.OnPolicyLearner,
    "iterations": contract.IterativeLearner,
    "episodes": contract.EpisodicLearner,
    "arcade": contract.EpisodicLearner,
    "goals": contract.OnPolicyLearner,
}


@pytest.mark.parametrize("name", CASES)
def test_a_learner_has_what_its_loop_asks_for(name):
    """Every method of the protocol is there under its name, and takes the arguments in the same order."""
    protocol, learner = PROTOCOLS[CASES[name].config.loop], CASES[name].learner
    for method in (key for key, value in inspect.getmembers(protocol, inspect.isfunction) if not key.startswith("_")):
        asked, given = (inspect.signature(getattr(cls, method)).parameters for cls in (protocol, learner))
        assert list(given) == list(asked), method
        assert [p.default for p in given.values()] == [p.default for p in asked.values()], method
    assert isinstance(getattr(learner, "ablations", ()), tuple)


def test_the_streams_of_random_numbers_keep_their_numbers():
    """Published results are functions of them."""
    names = ("init", "warmup", "act", "update", "sample", "reset", "evaluate")
    assert {name: number for number, name in enumerate(names)} == STREAMS
    assert generator(4, "evaluate", 2).integers(1 << 30) == 303_675_706
