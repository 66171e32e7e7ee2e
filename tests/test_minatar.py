"""Games of MinAtar, agents that see images, and the loop that counts steps."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from common.lab.plan import catalog, packages
from common.rl import arcade, minatar
from common.rl.journal import MemoryJournal
from common.rl.learner import tensors
from common.rl.randomness import Blocks, generator
from papers.nf_review import minatar as agents
from papers.nf_review.config import ARCADE, MinAtar

pytest.importorskip("minatar", reason="the optional package MinAtar is not installed")
SMALL = {"total_steps": 60, "evaluate_every": 20, "warmup": 20, "batch_size": 16, "episode_steps": 15, "units": 16,
         "flow_width": 8, "filters": 4}  # fmt: skip


def learner(agent, seeds=(3, 4), env="MinAtar-Breakout", **settings):
    game = minatar.Game(env, 100)
    return agents.Learner(MinAtar(env=env, agent=agent, **SMALL | settings), seeds, game.observations, game.choices)


def states(count, env="MinAtar-Breakout"):
    """Packed observations of an episode of random actions, [count, observations]."""
    game, rng = minatar.Game(env, 1000), np.random.default_rng(0)
    seen = [game.reset(7)]
    while len(seen) < count:
        obs, _, over, _ = game.step(np.array([rng.integers(game.choices)]))
        seen.append(game.reset(len(seen)) if over else obs)
    return np.stack(seen)


def test_the_settings_name_the_games_that_there_are():
    assert set(ARCADE) == set(minatar.GAMES)


@pytest.mark.parametrize("channels", [4, 6, 7, 10])
def test_images_are_what_was_packed(channels):
    state = np.random.default_rng(0).random((minatar.SIDE, minatar.SIDE, channels)) < 0.3
    words = minatar.packed(state)
    assert words.dtype == np.float32 and words.shape == (-(-channels * 100 // 24),)
    images = minatar.unpacked(torch.from_numpy(np.stack([words, 0 * words])))
    assert np.array_equal(images[0].numpy(), np.moveaxis(state, -1, 0)) and not images[1].any()


@pytest.mark.parametrize("env", ARCADE)
def test_a_seed_determines_an_episode_whatever_was_played_before(env):
    game = minatar.Game(env, 40)

    def played(actions):
        seen, rewards = [game.reset(11)], []
        for action in actions:
            obs, reward, terminated, truncated = game.step(np.array([action], np.float32))
            seen.append(obs)
            rewards.append(reward)
            if terminated or truncated:
                break
        return np.stack(seen), rewards, (terminated, truncated)

    actions = np.random.default_rng(1).integers(game.choices, size=60)
    first = played(actions)
    game.reset(12)
    for _ in range(3):
        game.step(np.array([game.choices - 1], np.float32))  # the next episode must not begin with this action
    again = played(actions)
    assert np.array_equal(first[0], again[0]) and first[1:] == again[1:]
    assert len(first[0]) <= 41 and sum(first[2]) == 1, "an episode ends once, at the time limit at the latest"


def test_a_time_limit_is_no_termination():
    game = minatar.Game("MinAtar-Freeway", 5)
    game.reset(0)
    assert [game.step(np.array([0.0]))[2:] for _ in range(5)] == [(False, False)] * 4 + [(False, True)]


def test_the_convolution_is_that_of_every_member_s_own_filters():
    made, obs = learner("dqn"), torch.from_numpy(states(6)).expand(2, -1, -1)
    layer = made.network.layers[0]
    out = layer(obs)
    for m in range(2):
        filters = layer.weight[m].T.reshape(-1, 4, 3, 3)
        expected = F.conv2d(minatar.unpacked(obs[m]), filters, layer.bias[m]).flatten(1)
        torch.testing.assert_close(out[m], expected)
    assert (layer.weight.abs() <= 1 / 6).all() and not torch.allclose(layer.weight[0], layer.weight[1])


@pytest.mark.parametrize("agent", ["mnf", "bayes", "noisy", "dqn"])
def test_actions_are_those_of_the_network(agent):
    """In NumPy, with one draw of an agent's noise; without it, those of the means."""
    made = learner(agent, flow="masked")
    for m in range(2):
        made.begin(m, made.episode_draws(np.random.default_rng(m), 4))
    obs = states(8)
    for pair in (obs[0:2], obs[4:6]):
        with torch.no_grad():
            expected = made.network(torch.from_numpy(pair)[:, None])[:, 0].numpy()
            means = agents.dqn.in_numpy(made.network.weights())
        np.testing.assert_allclose(made.values(pair, means)[:, 0], expected, rtol=1e-4, atol=1e-5)
        assert np.array_equal(made.greedy(pair), expected.argmax(-1))
    drawn = made.network.weights(made.noise_at(np.zeros(2, dtype=int)))
    assert (agent == "dqn") == all(torch.equal(a[0], b[0]) for a, b in zip(drawn, made.network.weights(), strict=True))
    assert torch.equal(drawn[0][0], made.network.layers[0].weight), "the convolution has no noise"


def test_epsilon_falls_with_the_steps_and_of_dqn_alone():
    made = learner("dqn", epsilon_steps=100)
    np.testing.assert_allclose(made.epsilon(np.array([0, 50, 100, 10**6])), [1, 0.55, 0.1, 0.1])
    assert not learner("noisy").epsilon(np.array([0, 50])).any() and not learner("mnf").epsilon(np.array([0, 50])).any()


class Noted:
    """A learner that notes what the loop asks of it."""

    stored = ()

    def __init__(self, choices):
        self.choices, self.begun, self.acted, self.updates, self.copies = choices, [], [], [], 0

    def update_draws(self, rng, size):
        return {"number": rng.random((size, 1))}

    def episode_draws(self, rng, steps):
        return {"uniform": rng.random(steps)}

    def begin(self, member, draws):
        self.begun.append((member, draws["uniform"].tolist()))

    def act(self, obs, age, step):
        self.acted.append((int(age[0]), int(step[0])))
        return np.zeros(len(obs), dtype=int)

    def update(self, batch, draws):
        self.updates.append((len(self.acted), batch, draws))

    def copy_target(self):
        self.copies += 1

    def state_dict(self):
        return {}


def test_the_order_of_steps_updates_noise_and_records():
    config = MinAtar(**SMALL | {"env": "MinAtar-Breakout", "update_every": 4, "target_every": 25})
    journal, made = MemoryJournal(2), []

    def build(config, seeds, observations, actions, device):
        made.append(Noted(actions))
        return made[0]

    arcade.run(build, config, [3, 4], journal)
    [noted] = made
    assert noted.acted == [((step - 1) % 4, step) for step in range(21, 61)], "random actions until then"
    blocks = [(m, generator(seed, "act", block).random(4).tolist()) for block in range(15) for m, seed in ((0, 3), (1, 4))]
    assert noted.begun == blocks, "new noise every four steps, of the member's own"
    assert [count for count, *_ in noted.updates] == list(range(0, 41, 4)) and noted.copies == 2
    drawn = Blocks([3, 4], "update", arcade.BLOCK, noted.update_draws)
    assert torch.equal(noted.updates[0][2]["number"], tensors(drawn.at(5), "cpu")["number"])
    points = {(step, metric) for _, step, metric, _ in journal.records}
    assert {metric for _, metric in points} == {"return"} and {step for step, _ in points} <= {20, 40, 60}


def test_a_point_is_the_mean_of_the_episodes_that_ended_since_the_last():
    config = MinAtar(**SMALL | {"env": "MinAtar-Breakout"})
    fleet, journal = arcade.Collector(config, [3, 4], "cpu"), MemoryJournal(2)
    fleet.trained[:] = [[6, 3], [0, 0]]
    fleet.report(20, journal)
    assert [(m, step, metric, float(value)) for m, step, metric, value in journal.records] == [(0, 20, "return", 2.0)]
    assert not fleet.trained.any()


def test_without_the_package_a_cell_says_what_it_needs(monkeypatch):
    cell = next(iter(catalog.cells("nf_review", "minatar", "quick").values()))
    assert packages.lacking(cell) is None
    monkeypatch.setattr(packages, "_is_installed", lambda package: package != "minatar")
    assert packages.lacking(cell) == "needs the games of MinAtar, which are not installed (pip install minatar)"
