"""Learners whose updates are CUDA graphs, against the same learners without."""

from operator import attrgetter

import numpy as np
import pytest
import torch

from common.rl import graphs, sac
from common.rl.config import SAC
from common.rl.graphs import Captured, captured
from common.rl.learner import tensors
from common.rl.randomness import Blocks
from common.rl.replay import Batch
from papers.arsac import arsac
from papers.arsac.config import ARSAC
from papers.mcmc_po import hmc
from papers.mcmc_po.config import HMC
from tests.test_learners import CASES

OBSERVATIONS, ACTIONS = 5, 2
LEARNERS = {
    "sac": (sac.Learner, SAC(base="2x32", critic="2x32", batch_size=16), OBSERVATIONS),
    "arsac": (arsac.Learner, ARSAC(base="1x32", critic="2x32", batch_size=16), OBSERVATIONS + 3 * ACTIONS),
}
# The host counts their updates.
COUNTING = {"td3", "ddpg", "hmc", "langevin_noisy", "langevin_flow", "ou_ddpg", "noisy_ddpg", "bayes_ddpg", "mnf_ddpg"}
gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


class Eager:
    """A function that is never recorded, in the place of `Recorded` where there is no CUDA."""

    def __init__(self, function):
        self.function = function

    def __call__(self, *inputs):
        return self.function(*inputs)


def made(name, device, wrapped, seeds=(3, 4)):
    build, config, observations = LEARNERS[name]
    learner = build(config, list(seeds), observations, ACTIONS, device)
    return Captured(learner) if wrapped else learner


def inputs(name, learner, step, device, seeds=(3, 4)):
    return drawn(learner, LEARNERS[name][2], step, device, seeds)


def drawn(learner, size, step, device, seeds):
    """A batch of observations of that size, and the random numbers of an update."""
    generator = np.random.Generator(np.random.Philox(step))
    batch = learner.config.batch_size
    fields = [generator.standard_normal((len(seeds), batch, *shape), dtype=np.float32)
              for shape in ((size,), (ACTIONS,), (), (), (size,))]  # fmt: skip
    fields[1], fields[3] = np.tanh(fields[1]), (fields[3] > 1).astype(np.float32)
    draws = Blocks(seeds, "update", 8, learner.update_draws).at(step)
    return Batch(*(torch.from_numpy(x).to(device) for x in fields)), tensors(draws, device)


def trained(name, learner, device, steps, first=0):
    for step in range(first, first + steps):
        learner.update(*inputs(name, learner, step, device))
    return learner.state_dict()


def host_state(learner):
    """What a graph cannot change: numbers and arrays of the learner and its parts, and where its tensors stand."""
    owners = [learner, *(value for key, value in vars(learner).items() if key == "hamiltonian")]
    numbers = [np.asarray(value).tolist() for owner in owners for value in vars(owner).values()
               if isinstance(value, int | float | np.ndarray)]  # fmt: skip
    parts = [attrgetter(name)(learner) for name in learner.stored]
    modules = [
        tensor.data_ptr() for part in parts if isinstance(part, torch.nn.Module) for tensor in part.state_dict().values()
    ]
    moments = [tensor.data_ptr() for part in parts if isinstance(part, torch.optim.Optimizer)
               for state in part.state.values() for tensor in state.values()]  # fmt: skip
    return numbers, modules, moments


def close(ours, theirs, tolerance):
    assert ours.keys() == theirs.keys()
    for key in ours:
        np.testing.assert_allclose(ours[key], theirs[key], rtol=tolerance, atol=tolerance, err_msg=key)


@pytest.mark.parametrize("name", LEARNERS)
def test_the_wrapper_hands_everything_on(name, monkeypatch):
    monkeypatch.setattr(graphs, "Recorded", Eager)
    plain, wrapped = made(name, "cpu", False), made(name, "cpu", True)
    close(trained(name, wrapped, "cpu", 4), trained(name, plain, "cpu", 4), 0)
    obs = torch.randn(2, 3, LEARNERS[name][2])
    noise = {"noise": torch.randn(2, 3, ACTIONS)}
    assert torch.equal(wrapped.act(obs, noise), plain.act(obs, noise)) and torch.equal(wrapped.act(obs), plain.act(obs))
    assert wrapped.inspect(obs).keys() == plain.inspect(obs).keys() and wrapped.ablations == plain.ablations
    wrapped.load_state_dict(made(name, "cpu", False).state_dict())
    close(wrapped.state_dict(), made(name, "cpu", False).state_dict(), 0)


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.config.loop == "off_policy"])
def test_what_is_recorded_keeps_all_its_state_on_the_device(name):
    """Else a replay would compute with numbers of the recording. Where the host keeps some, nothing is recorded."""
    build, config = CASES[name].learner, CASES[name].config
    width = OBSERVATIONS + ACTIONS * config.history
    learner = build(config, [3, 4], width, ACTIONS)
    seen = []
    for step in range(9):
        learner.update(*drawn(learner, width, step, "cpu", (3, 4)))
        seen.append(host_state(learner))
    same = all(state == seen[1] for state in seen[1:])  # optimisers make their moments at the first update
    assert same == graphs.recordable(learner) == (name not in COUNTING)


def test_only_learners_on_a_gpu_are_recorded(monkeypatch):
    def built(module):
        return lambda config, seeds, observations, actions, device: module.Learner(config, seeds, observations, actions)

    chosen = {device: captured(built(sac))(SAC(), [0], 3, 2, device) for device in ("cpu", "cuda:0")}
    assert isinstance(chosen["cpu"], sac.Learner) and isinstance(chosen["cuda:0"], Captured)
    assert isinstance(captured(built(hmc))(HMC(), [0], 3, 2, "cuda"), hmc.Learner)


@gpu
@pytest.mark.parametrize("name", LEARNERS)
def test_recorded_updates_are_the_eager_ones(name):
    close(trained(name, made(name, "cuda", True), "cuda", 50), trained(name, made(name, "cuda", False), "cuda", 50), 1e-6)


@gpu
@pytest.mark.parametrize("name", LEARNERS)
def test_a_gpu_computes_what_a_cpu_does(name):
    """Ten updates: float32 sums in another order drift apart beyond that."""
    close(trained(name, made(name, "cuda", True), "cuda", 10), trained(name, made(name, "cpu", False), "cpu", 10), 2e-3)


@gpu
@pytest.mark.parametrize("name", LEARNERS)
def test_a_checkpoint_goes_on_where_it_was_made(name):
    straight = trained(name, made(name, "cuda", True), "cuda", 30)
    half = trained(name, made(name, "cuda", True), "cuda", 15)
    again = made(name, "cuda", True)
    again.load_state_dict(half)
    close(trained(name, again, "cuda", 15, first=15), straight, 1e-6)


@gpu
def test_a_member_that_is_nan_stays_alone():
    learner, plain = made("sac", "cuda", True), made("sac", "cuda", True)
    with torch.no_grad():
        next(learner.learner.policy.parameters())[1].fill_(torch.nan)
    broken, sound = trained("sac", learner, "cuda", 12), trained("sac", plain, "cuda", 12)
    key = next(key for key in sound if key.startswith("critics.") and key.endswith("weight"))
    rows = len(sound[key]) // 2
    np.testing.assert_allclose(broken[key][:rows], sound[key][:rows], rtol=1e-6)
    assert np.isnan(broken[key][rows:]).any()


@gpu
def test_recorded_actions_follow_the_policy():
    learner = made("sac", "cuda", True)
    obs = torch.randn(2, 1, OBSERVATIONS, device="cuda")
    for step in range(12):
        noise = {"noise": torch.randn(2, 1, ACTIONS, device="cuda")}
        assert torch.allclose(learner.act(obs, noise), learner.learner.act(obs, noise), atol=1e-6)
        learner.update(*inputs("sac", learner, step, "cuda"))
