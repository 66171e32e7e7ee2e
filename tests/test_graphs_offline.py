"""Learners from fixed data whose updates are CUDA graphs, against the same learners without."""

import numpy as np
import pytest
import torch

from common.rl import graphs
from common.rl.datasets import checked
from common.rl.graphs import Captured, captured
from common.rl.learner import tensors
from common.rl.randomness import Blocks
from tests.test_graphs import Eager, close, gpu, host_state
from tests.test_offline_learners import ACTIONS, AGENTS, CASES, OBSERVATIONS, inputs  # noqa: F401  a fixture

SEEDS = (3, 4)


@pytest.fixture
def data(inputs):  # noqa: F811
    return checked(inputs["data"][0].tensors("rows")["rows"], OBSERVATIONS, ACTIONS, "data")


@pytest.fixture
def made(inputs, data):  # noqa: F811
    """(name, device, recorded) -> a new learner."""

    def make(name, device="cpu", recorded=False):
        module, config = CASES[name]
        learner = module.Learner(config, list(SEEDS), data, device, inputs)
        return Captured(learner) if recorded else learner

    return make


@pytest.fixture
def trained(data):
    """(learner, device, updates, the first's number) -> its state after them, on the batches and random numbers that the
    loop would draw."""

    def train(learner, device, steps, first=0):
        draws = Blocks(SEEDS, "update", 8, learner.update_draws)
        for step in range(first, first + steps):
            uniform = np.random.default_rng(step).random((len(SEEDS), learner.config.batch_size))
            index = torch.from_numpy((uniform * len(learner.order)).astype(np.int64))
            learner.update(data.take(learner.order[index], device), tensors(draws.at(step), device))
        return learner.state_dict()

    return train


@pytest.mark.parametrize("name", CASES)
def test_the_wrapper_hands_everything_on(name, made, trained, monkeypatch):
    monkeypatch.setattr(graphs, "Recorded", Eager)
    plain, wrapped = made(name), made(name, recorded=True)
    close(trained(wrapped, "cpu", 4), trained(plain, "cpu", 4), 0)
    assert wrapped.measure() == plain.measure()
    assert hasattr(wrapped, "act") == hasattr(plain, "act") == (name in AGENTS), "the loop asks whether it can be played"
    if name in AGENTS:
        obs = torch.randn(2, 3, OBSERVATIONS)
        assert torch.equal(wrapped.act(obs), plain.act(obs))


@pytest.mark.parametrize("name", CASES)
def test_what_is_recorded_keeps_all_its_state_on_the_device(name, made, trained):
    learner, seen = made(name), []
    for step in range(9):
        trained(learner, "cpu", 1, step)
        learner.measure()
        seen.append(host_state(learner))
    assert all(state == seen[1] for state in seen[1:]) and graphs.recordable(learner)


def test_the_loop_s_device_decides(made):
    for name, device, recorded in (("awac", "cuda:0", True), ("awac", "cpu", False), ("flow", "cuda", True)):
        build = captured(lambda *arguments, name=name: made(name))
        assert isinstance(build(CASES[name][1], SEEDS, None, device, {}), Captured) == recorded


@gpu
@pytest.mark.parametrize("name", CASES)
def test_recorded_updates_are_the_eager_ones(name, made, trained):
    ours, theirs = made(name, "cuda", True), made(name, "cuda")
    close(trained(ours, "cuda", 50), trained(theirs, "cuda", 50), 1e-6)
    for metric, value in theirs.measure().items():
        np.testing.assert_allclose(ours.measure()[metric], value, rtol=1e-5, atol=1e-6, err_msg=metric)


@gpu
@pytest.mark.parametrize("name", CASES)
def test_a_gpu_computes_what_a_cpu_does(name, made, trained):
    """Ten updates: float32 sums in another order drift apart beyond that."""
    close(trained(made(name, "cuda", True), "cuda", 10), trained(made(name), "cpu", 10), 2e-3)


@gpu
@pytest.mark.parametrize("name", CASES)
def test_a_checkpoint_goes_on_where_it_was_made(name, made, trained):
    straight = trained(made(name, "cuda", True), "cuda", 30)
    half, again = trained(made(name, "cuda", True), "cuda", 15), made(name, "cuda", True)
    again.load_state_dict(half)
    close(trained(again, "cuda", 15, first=15), straight, 1e-6)


@gpu
@pytest.mark.parametrize("name", AGENTS)
def test_recorded_actions_follow_the_policy(name, made, trained):
    learner = made(name, "cuda", True)
    for step in range(12):
        obs = torch.randn(2, 3, OBSERVATIONS, device="cuda")
        assert torch.allclose(learner.act(obs), learner.learner.act(obs), atol=1e-6)
        trained(learner, "cuda", 1, step)
