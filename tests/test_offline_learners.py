"""Laws of every learner from fixed data: a member of a fleet is the run that it would be alone, a run that was stopped and
started again is the run that was not, and a NaN stays with its member."""

import inspect

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from common.lab.run.journal import Journal
from common.rl import learner as contract
from common.rl import offline
from common.rl.datasets import Transitions, stacked
from common.rl.inputs import Run
from papers.cnf_offline import awac, cnf, flow, iql, lapo, plas, vae
from papers.cnf_offline.config import AWAC, CNF, IQL, LAPO, PLAS, VAE, Flow
from tests.offline_peers import flow_run, vae_run
from tests.test_learners import After, records_of

OBSERVATIONS, ACTIONS, ROWS = 11, 2, 300  # of Reacher
SHORT = {"env": "Reacher-v4", "total_steps": 50, "evaluate_every": 10, "batch_size": 16}
AGENT = SHORT | {"hidden": "2x32", "episode_steps": 6, "evaluation_episodes": 2}
CASES = {
    "cnf": (cnf, CNF(**AGENT)),
    "cnf_normal": (cnf, CNF(**AGENT, base="normal", clip=0.0)),
    "cnf_vae": (cnf, CNF(**AGENT, encoder="vae", clip=2.0)),
    "cnf_none": (cnf, CNF(**AGENT, encoder="none")),
    "awac": (awac, AWAC(**AGENT)),
    "cnf_latents": (cnf, CNF(**AGENT, space="latents")),
    "iql": (iql, IQL(**AGENT)),
    "plas": (plas, PLAS(**AGENT | {"hidden": "32-32"})),
    "lapo": (lapo, LAPO(**AGENT)),
    "vae": (vae, VAE(**SHORT, width=24)),
    "flow": (flow, Flow(**SHORT, layers=2, units="2x16")),
    "flow_search": (flow, Flow(**SHORT, layers=2, units="2x16", search=True)),
}
AGENTS = [name for name in CASES if not name.startswith(("vae", "flow"))]


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    """Made-up transitions, and encoders of them."""
    folder, rng = tmp_path_factory.mktemp("inputs"), np.random.default_rng(0)
    obs, following = rng.standard_normal((2, ROWS, OBSERVATIONS))
    ends = np.arange(1, ROWS + 1) % 20
    rows = stacked(
        obs, np.tanh(rng.standard_normal((ROWS, ACTIONS))), rng.standard_normal(ROWS), ends == 0, ends == 10, following
    )
    save_file({"rows": rows}, folder / "rows.safetensors")
    data = Transitions(torch.from_numpy(rows), OBSERVATIONS, ACTIONS)
    flows = [flow_run(folder, data, base, name=base) for base in ("uniform", "normal")]
    vaes = [vae_run(folder, data, normalised) for normalised in (False, True)]
    return {"data": [Run({"rows": folder / "rows.safetensors"}, {}, {})], "flow": flows, "vae": vaes}


class Build:
    """Makes a learner and keeps it; notes the sum of its critics' losses after every update. `poisoned`: its first member's
    parameters are NaN."""

    def __init__(self, make, poisoned=False):
        self.make, self.poisoned, self.losses = make, poisoned, []

    def __call__(self, *arguments):
        self.made = made = self.make(*arguments)
        if self.poisoned:
            module = next(getattr(made, name) for name in ("policy", "flow", "autoencoder") if hasattr(made, name))
            for parameter in module.parameters():
                parameter.data[0] = torch.nan
        if hasattr(made, "critic_loss"):
            original = made.critic_loss
            made.critic_loss = lambda *given: self.losses.append(original(*given)) or self.losses[-1]
        return made


def run(name, seeds, folder, inputs, poisoned=False, stopping=lambda: False):
    module, config = CASES[name]
    produced = {kind: [str(folder / f"{kind}-{seed}.safetensors") for seed in seeds] for kind in ("flow", "vae")}
    journal = Journal(folder, [str(seed) for seed in seeds], "digest", 1e9, stopping, produced)
    build = Build(module.Learner, poisoned)
    offline.run(build, config, list(seeds), journal, "cpu", inputs)
    return journal, build


def near(ours, theirs, tolerance):
    assert ours.keys() == theirs.keys()
    keys = list(theirs)
    np.testing.assert_allclose([ours[k] for k in keys], [theirs[k] for k in keys], tolerance, tolerance, err_msg=str(keys))


@pytest.fixture(scope="module")
def alone(tmp_path_factory, inputs):
    """name -> (journal, build) of seed 5 alone, made once."""
    made = {}

    def get(name):
        if name not in made:
            made[name] = run(name, [5], tmp_path_factory.mktemp("alone"), inputs)
        return made[name]

    return get


@pytest.mark.parametrize("name", CASES)
def test_a_member_in_a_fleet_is_the_run_it_would_be_alone(name, alone, inputs, tmp_path):
    """Critics' losses to 1e-5 over 50 updates, the same records, the same file; the other members are others."""
    (together, fleet), (single, one) = run(name, [4, 5, 6], tmp_path, inputs), alone(name)
    assert len(fleet.losses) == len(one.losses) == (50 if name in AGENTS else 0)
    for ours, theirs in zip(fleet.losses, one.losses, strict=True):
        torch.testing.assert_close(ours[1:2], theirs, rtol=1e-5, atol=1e-5)
    mine = records_of(together, 1)
    near(mine, records_of(single, 0), 1e-3)
    assert mine != records_of(together, 0)
    assert {step for step, _ in mine} == {10, 20, 30, 40, 50}
    if name in AGENTS:
        assert {"return", "return_mode"} <= {metric for _, metric in mine}
        assert (mine[50, "return"] == mine[50, "return_mode"]) == (name in ("plas", "lapo")), (
            "their policies have no samples"
        )
    for theirs in single.folder.glob("*.safetensors"):
        with_others = (tmp_path / theirs.name).read_bytes()
        assert len(with_others) == len(theirs.read_bytes())


@pytest.mark.parametrize("name", CASES)
def test_stopping_and_going_on_changes_nothing(name, alone, inputs, tmp_path):
    """Not one bit of the records, the learner and what it leaves."""
    whole, build = alone(name)
    with pytest.raises(SystemExit, match="stopped at step"):
        run(name, [5], tmp_path, inputs, stopping=After(33))
    resumed, again = run(name, [5], tmp_path, inputs)
    assert 0 < resumed.start_step < 50
    assert resumed.records == whole.records and resumed.tables == whole.tables
    expected, found = build.made.state_dict(), again.made.state_dict()
    assert expected.keys() == found.keys()
    assert all(np.array_equal(expected[key], found[key]) for key in expected)
    files = {path.name: path.read_bytes() for path in whole.folder.glob("*.safetensors")}
    assert files == {path.name: path.read_bytes() for path in tmp_path.glob("*.safetensors")}
    assert len(files) == (name not in AGENTS)


@pytest.mark.parametrize("name", CASES)
def test_a_nan_stays_with_its_member(name, alone, inputs, tmp_path):
    """It is counted once, records nothing more and leaves no file."""
    single, _ = alone(name)
    together, _ = run(name, [4, 5], tmp_path, inputs, poisoned=True)
    lost = records_of(together, 0)
    assert list(lost) == [(10, "diverged")]
    near(records_of(together, 1), records_of(single, 0), 1e-3)
    assert {path.name for path in tmp_path.glob("*.safetensors")} == {p.name for p in single.folder.glob("*.safetensors")}


@pytest.mark.parametrize("name", CASES)
def test_a_learner_has_what_its_loop_asks_for(name):
    """Every method of the protocol is there under its name, and takes the arguments in the same order."""
    learner = CASES[name][0].Learner
    protocols = [contract.OfflineLearner]
    asked = {key: value for p in protocols for key, value in inspect.getmembers(p, inspect.isfunction) if key[0] != "_"}
    if name in AGENTS:
        asked |= {key: getattr(contract.OffPolicyLearner, key) for key in ("act", "acting_draws", "inspect")}
    for method, function in asked.items():
        wanted, given = (inspect.signature(f).parameters for f in (function, getattr(learner, method)))
        assert list(given) == list(wanted), method
        assert [p.default for p in given.values()] == [p.default for p in wanted.values()], method
