"""Learners whose updates are CUDA graphs, against the same learners without."""

import numpy as np
import pytest
import torch

from common.rl import graphs, sac
from common.rl.config import SAC, TD3
from common.rl.graphs import Captured, captured
from common.rl.learner import tensors
from common.rl.randomness import Blocks
from common.rl.replay import Batch
from papers.arsac import arsac
from papers.arsac.config import ARSAC

OBSERVATIONS, ACTIONS = 5, 2
LEARNERS = {
    "sac": (sac.Learner, SAC(base="2x32", critic="2x32", batch_size=16), OBSERVATIONS),
    "arsac": (arsac.Learner, ARSAC(base="1x32", critic="2x32", batch_size=16), OBSERVATIONS + 3 * ACTIONS),
}
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
    generator = np.random.Generator(np.random.Philox(step))
    batch, size = learner.config.batch_size, LEARNERS[name][2]
    fields = [generator.standard_normal((len(seeds), batch, *shape), dtype=np.float32)
              for shape in ((size,), (ACTIONS,), (), (), (size,))]  # fmt: skip
    fields[1], fields[3] = np.tanh(fields[1]), (fields[3] > 1).astype(np.float32)
    draws = Blocks(seeds, "update", 8, learner.update_draws).at(step)
    return Batch(*(torch.from_numpy(x).to(device) for x in fields)), tensors(draws, device)


def trained(name, learner, device, steps, first=0):
    for step in range(first, first + steps):
        learner.update(*inputs(name, learner, step, device))
    return learner.state_dict()


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


def test_only_learners_on_a_gpu_that_take_one_path_are_recorded():
    made_on = {device: captured(lambda *_, **__: "a learner")(SAC(), [0], 3, 2, device) for device in ("cpu", "cuda:0")}
    assert made_on["cpu"] == "a learner" and isinstance(made_on["cuda:0"], Captured)
    assert captured(lambda *_, **__: "a learner")(TD3(), [0], 3, 2, "cuda") == "a learner"


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
