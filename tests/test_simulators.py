"""Environments: seeded, observed as asked, and refused where an algorithm cannot act."""

import gymnasium
import numpy as np
import pytest

from common.errors import UserError
from common.rl import off_policy, on_policy, simulators
from common.rl.config import ENVIRONMENTS, SAC, TRPO
from common.rl.simulators import Environment, Simulators


def play(environment, seed, steps=20):
    rng = np.random.default_rng(seed)
    seen = [environment.reset(seed)]
    for _ in range(steps):
        obs, reward, terminated, truncated = environment.step(rng.uniform(-1, 1, environment.actions).astype(np.float32))
        seen.append(obs)
        if terminated or truncated:
            break
    return np.array(seen)


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_an_episode_is_a_function_of_its_seed_and_actions(name):
    first, second = Environment(name, "bounded"), Environment(name, "bounded")
    episode = play(first, 3)
    assert episode.dtype == np.float32 and episode.shape[1] == first.observations
    play(second, 5)  # an environment that has played before repeats the episode all the same
    np.testing.assert_array_equal(episode, play(second, 3))
    assert not np.array_equal(episode[0], play(first, 4)[0])


def test_masked_velocities_leave_the_positions():
    full, masked = play(Environment("HalfCheetah-v4"), 0), play(Environment("HalfCheetah-v4", observe="positions"), 0)
    assert masked.shape[1] == 8
    np.testing.assert_array_equal(full[:, :8], masked)


def test_delayed_observations_come_late():
    full, late = play(Environment("Hopper-v4"), 0), play(Environment("Hopper-v4", delay=2), 0)
    np.testing.assert_array_equal(late[2:], full[:-2])
    assert not late[:2].any()


@pytest.mark.parametrize("limit", [0, 4])
def test_an_episode_ends_at_its_time_limit_and_not_by_termination(limit):
    environment = Environment("Reacher-v4", episode_steps=limit)
    environment.reset(0)
    ends = [environment.step(np.zeros(2, np.float32))[2:] for _ in range(limit or 50)]
    assert ends[-1] == (False, True) and not any(map(any, ends[:-1]))


@pytest.mark.parametrize(("loop", "settings"), [(off_policy, SAC), (on_policy, TRPO)])
def test_both_loops_keep_the_time_limit_of_the_settings(loop, settings):
    environment = loop.environment(settings(env="HalfCheetah-v4", episode_steps=3))
    environment.reset(0)
    ends = [environment.step(np.zeros(6, np.float32))[3] for _ in range(3)]
    assert ends == [False, False, True]


def test_actions_are_rescaled_to_the_environments_bounds():
    environment = Environment("Pendulum-v1", "bounded")  # torques in [-2, 2]
    environment.reset(0)
    environment.step(np.array([1.0], dtype=np.float32))
    assert environment.gym.unwrapped.last_u == pytest.approx(2.0)


@pytest.mark.parametrize(("actions", "sent"), [("raw", 0.9), ("clipped", 0.36), ("bounded", 0.36)])
def test_only_raw_actions_reach_the_simulator_as_they_are(actions, sent):
    """Humanoid's controls lie in [-0.4, 0.4]; outside [-1, 1] "clipped" stops at the bounds, "bounded" need not."""
    environment, received = Environment("Humanoid-v4", actions), []
    step = environment.gym.unwrapped.step
    environment.gym.unwrapped.step = lambda action: received.append(action) or step(action)
    environment.reset(0)
    for size in (0.9, 7.0):
        environment.step(np.full(environment.actions, size, np.float32))
    np.testing.assert_allclose(received[0], sent, rtol=1e-6)
    assert received[1][0] == pytest.approx({"raw": 7.0, "clipped": 0.4, "bounded": 2.8}[actions])


@pytest.mark.parametrize(
    ("low", "high", "scaled"),
    [([-1, -1], [1, 1], False), ([-1, -1], [1, 2], True), ([-1, -1], [2, 2], True), ([-2, -1], [1, 1], True)],
)
def test_actions_are_scaled_unless_every_bound_is_one(monkeypatch, low, high, scaled):
    inner = gymnasium.make("Pendulum-v1")
    inner.unwrapped.action_space = inner.action_space = gymnasium.spaces.Box(np.float32(low), np.float32(high))
    monkeypatch.setattr(simulators, "make", lambda *_: inner)
    assert isinstance(Environment("any", "bounded").gym, gymnasium.wrappers.RescaleAction) == scaled


def test_a_remembering_environment_shows_the_observation_before():
    plain, remembering = (play(Environment("Hopper-v4", remember=remember), 0) for remember in (False, True))
    np.testing.assert_array_equal(remembering[:, :11], plain)
    np.testing.assert_array_equal(remembering[1:, 11:], plain[:-1])
    assert not remembering[0, 11:].any()


def test_what_cannot_be_served_is_refused_in_one_line(monkeypatch):
    with pytest.raises(UserError, match="unknown environment 'HalfCheeta-v4'"):
        Environment("HalfCheeta-v4")
    with pytest.raises(UserError, match="not a bounded vector"):
        Environment("CartPole-v1", "bounded")
    with pytest.raises(UserError, match="needs a MuJoCo environment"):
        Environment("Pendulum-v1", observe="positions")
    boundless = gymnasium.make("Pendulum-v1", disable_env_checker=True)
    boundless.action_space = gymnasium.spaces.Box(-np.inf, np.inf, (1,), np.float32)
    monkeypatch.setattr(simulators, "make", lambda *_: boundless)
    with pytest.raises(UserError, match="not a bounded vector"):
        Environment("anything", "bounded")


@pytest.mark.parametrize("length", [1, 3])
def test_past_actions_stand_behind_the_observation(length):
    """As they were sent, not as the simulator takes them; the oldest first; zeros before each episode's start."""
    environment = Environment("Pendulum-v1", "bounded", remember_actions=length)
    sent = np.random.default_rng(0).uniform(-1, 1, (7, 1)).astype(np.float32)
    for seed in (1, 2):
        seen = [environment.reset(seed), *(environment.step(action)[0] for action in sent)]
        padded = np.concatenate([np.zeros((length, 1), np.float32), sent])[:, 0]
        for step, obs in enumerate(seen):
            np.testing.assert_array_equal(obs[3:], padded[step : step + length])
    assert environment.observations == 3 + length
    np.testing.assert_array_equal(np.array(seen)[:, :3], played(Environment("Pendulum-v1", "bounded"), 2, sent))


def played(environment, seed, actions):
    return np.array([environment.reset(seed), *(environment.step(action)[0] for action in actions)])


def test_an_unfinished_episode_is_played_once_more_and_recognised():
    """From any member's reset of that episode; an observation that is not repeated is an error, wherever it stands."""

    def make():
        return Simulators(lambda: Environment("Hopper-v4"), [4, 5])

    first, again = make(), make()
    assert not np.array_equal(first.obs[0], first.obs[1])
    actions = np.random.default_rng(0).uniform(-1, 1, (6, 3)).astype(np.float32)
    seen, total = [first.next_episode(1)], 0.0
    for action in actions:
        obs, reward, _, _ = first.envs[1].step(action)
        seen, total = [*seen, obs], total + reward
    again.episode[1] = 1
    before = again.obs[0].copy()
    assert again.repeat_episode(1, actions, dict(enumerate(seen))) == total
    np.testing.assert_array_equal(again.obs, [before, seen[-1]])
    for t in (0, 3, 6):
        with pytest.raises(UserError, match="Hopper-v4: the simulator does not repeat the present episode of seed 5"):
            again.repeat_episode(1, actions, {t: seen[t] + 1})
