"""The point with four goals, where trained policies go on it, and PPO with the entropy along the samples."""

from unittest import mock

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.utils.env_checker import check_env

from common.rl import goals, multigoal
from common.rl.journal import MemoryJournal, Watched
from common.rl.learner import Rollout
from common.rl.randomness import draws, generator
from papers.nf_review import ppo_flow, ppo_locomotion
from papers.nf_review.config import PPOFlow, PPOLocomotion

SMALL = {"batch_steps": 64, "total_steps": 128, "record_every": 64, "minibatch": 32, "rollouts": 8}


def point(**settings):
    multigoal.register()
    return gymnasium.make("MultiGoal-v0", **settings)


@pytest.mark.filterwarnings("ignore:.*render.*")
def test_the_point_is_an_environment_as_gymnasium_wants_it():
    check_env(point(render_mode="rgb_array").unwrapped)


@pytest.mark.parametrize("goal, action", [(0, (1, 0)), (1, (-1, 0)), (2, (0, 1)), (3, (0, -1))])
def test_rewards_and_ends_are_those_stated(goal, action):
    env, action = point(), np.array(action, np.float32)
    assert env.action_space == gymnasium.spaces.Box(-1, 1, (2,))
    place = env.reset(seed=3)[0].astype(float)
    assert np.abs(place).max() < 0.5 and not np.array_equal(place, env.reset(seed=4)[0])
    place, over, steps = env.reset(seed=3)[0].astype(float), False, 0
    while not over:
        obs, reward, over, truncated, info = env.step(action)
        place, steps = place + action, steps + 1
        distance = np.hypot(*(place - multigoal.GOALS[goal]))
        assert reward == pytest.approx(-30 - distance**2 + 10 * (distance < 1), abs=1e-4) and not truncated
        np.testing.assert_allclose(obs, place, atol=1e-5)
    assert info["goal"] == goal and distance < 1 and steps in (4, 5)


def test_actions_are_clipped_and_time_ends_an_episode():
    env = point()
    start = env.reset(seed=0)[0]
    obs, reward, *_ = env.step(np.array([0.3, 9.0], np.float32))
    np.testing.assert_allclose(obs - start, [0.3, 1.0], atol=1e-6)
    nearest = min(np.sum((obs - goal) ** 2) for goal in multigoal.GOALS)
    assert reward == pytest.approx(-30 * 1.09 - nearest, abs=1e-3)
    ends = [env.step(np.zeros(2, np.float32))[2:4] for _ in range(29)]
    assert ends == [(False, False)] * 28 + [(False, True)]


def test_a_rendering_shows_goals_the_path_and_the_point():
    env = point(render_mode="rgb_array")
    env.reset(seed=0)
    for _ in range(2):
        env.step(np.array([1.0, 0.0], np.float32))
    image = env.render().astype(int)

    def at(x, y):
        side = multigoal.PIXELS - 1
        return image[round((7 - y) / 14 * side), round((x + 7) / 14 * side)]

    x, y = env.unwrapped.path[-1]
    red, blue = at(0.0, 5.0), at(x, y)
    assert red[0] > 200 and red[2] < 100 and blue[2] > 150 and blue[0] < 50
    assert at(x - 1, y).max() == 0 and at(-3.0, -3.0).min() > 100


def test_rollouts_count_the_goals_that_are_reached():
    class Learner:
        """Goes right, in the second member; left and right in turn in the first."""

        rollout = -1

        def acting_draws(self, rng):
            return {"x": rng.random(3)}

        def actor(self, draws):
            self.rollout += 1
            way = 1.0 if self.rollout % 2 else -1.0
            return lambda step, obs: np.array([[way, 0.0], [1.0, 0.0], [0.0, 0.0]], np.float32)

    multigoal.register()
    counts, paths = goals.follow(Learner(), PPOFlow(rollouts=8), [0, 1, 2])
    assert counts.tolist() == [[4, 4, 0, 0], [8, 0, 0, 0], [0, 0, 0, 0]]
    found = goals.summary(counts, 8)
    assert found["goals"] == [2, 1, 0] and found["reached"] == [1, 1, 0]
    np.testing.assert_allclose(found["goal_entropy"], [np.log(2), 0, 0])
    assert {row["rollout"] for row in paths[0]} == set(range(8))
    first = [row for row in paths[1] if row["rollout"] == 0]
    assert [row["step"] for row in first] == list(range(len(first))) and first[-1]["x"] > 4 > first[-2]["x"]


@pytest.mark.parametrize("policy", ["gaussian", "flow"])
def test_the_entropys_gradient_is_along_the_samples(policy, double):
    """The weight adds exactly w times the mean log-density of fresh actions, whose gradient for a Gaussian is -w per ln
    sigma: the sampled actions' own term would have none on average."""
    config = PPOFlow(policy=policy, path_entropy_weight=0.3, **SMALL)
    learner = ppo_flow.Learner(config, [0, 1], 2, 2)
    plain = ppo_flow.Learner(PPOFlow(policy=policy, **SMALL), [0, 1], 2, 2)
    drawn = [learner.update_draws(generator(seed, "update")) for seed in (0, 1)]
    learner.entropy_noise = torch.tensor(np.stack([d["entropy"] for d in drawn]), dtype=torch.float64)
    obs, action = torch.randn(2, 32, 2), torch.randn(2, 32, 2)
    rest = [torch.randn(2, 32) for _ in range(4)]
    extra = learner.loss(obs, action, *rest) - plain.loss(obs, action, *rest)
    noise = learner.entropy_noise.reshape(2, 32, 10, 2)
    expected = torch.stack([learner.policy(obs).rsample_and_log_prob(noise[:, :, i])[1] for i in range(10)]).mean((0, 2))
    torch.testing.assert_close(extra, 0.3 * expected)
    if policy == "gaussian":
        with_it, without = torch.autograd.grad(extra.sum(), [learner.policy.log_std, plain.policy.log_std])
        torch.testing.assert_close(with_it + without, torch.full_like(without, -0.3))  # `extra` has the one less the other


def test_a_run_that_goes_on_knows_who_had_diverged():
    """Else a member that diverged before an interruption would be followed to goals after it."""
    saved: list = []
    journal = MemoryJournal(2)
    journal.save, journal.resume = lambda *checkpoint: saved.append(checkpoint), lambda: saved[-1]
    watched = Watched(journal, 2)
    watched.diverged(0, 5)
    watched.save(7, {}, {"fleet": "the loop's own"})
    going_on = Watched(journal, 2)
    step, _, state = going_on.resume()
    assert step == 7 and state["fleet"] == "the loop's own" and going_on.alive.tolist() == [False, True]


def watching(actor, seen):
    """A policy's `actor` that keeps what its policy sees."""

    def get(drawn):
        act = actor(drawn)
        return lambda step, obs: seen.append(obs.copy()) or act(step, obs)

    return get


def test_policy_and_update_read_the_same_noise():
    """Of the deviation asked for, in units of the normaliser's, new in every step; without it nothing is drawn."""
    settings = {"env": "Reacher-v4", "policy": "gaussian", "batch_steps": 512, "minibatch": 128, "epochs": 1}
    seeds, rng = [3, 4], np.random.default_rng(0)
    states = rng.normal(5, [[[1.0]], [[4.0]]], (2, 513, 6)).astype(np.float32)  # the second member's differ more
    ended = np.zeros((2, 512), dtype=bool)
    seen, learnt = {}, {}
    for size in (0.0, 0.2):
        learner = ppo_locomotion.Learner(PPOLocomotion(**settings, observation_noise=size), seeds, 6, 2)
        learner.normaliser.update(torch.from_numpy(states))
        normalise = learner.normaliser.on_host()
        drawn = draws(seeds, "act", 0, learner.acting_draws)
        seen[size] = []
        learner.policy.actor = watching(learner.policy.actor, seen[size])
        actor = learner.actor(drawn)
        action = np.stack([actor(step, states[:, step]) for step in range(512)], 1)
        rollout = Rollout(states[:, :-1], action, ended * 1.0, states[:, 1:], ended, ended, ended * 0, np.zeros(2))
        with mock.patch.object(learner, "prepare", side_effect=learner.prepare) as prepare:
            learner.update(rollout, draws(seeds, "update", 0, learner.update_draws))
        learnt[size] = prepare.call_args[0][0]
        read = np.stack([normalise(learnt[size].obs[:, step]) for step in range(512)], 1)
        np.testing.assert_allclose(np.stack(seen[size], 1), read, atol=1e-5)  # what acted is what is learnt from
        assert ("sensor" in drawn) == (size > 0)
    assert np.array_equal(learnt[0.0].obs, states[:, :-1])
    noise = (learnt[0.2].obs - states[:, :-1]) / np.array([1.0, 4.0])[:, None, None]
    np.testing.assert_allclose(noise.std((1, 2)), 0.2, rtol=0.1)
    assert abs(np.corrcoef(noise[0, 1:, 0], noise[0, :-1, 0])[0, 1]) < 0.2
    np.testing.assert_allclose(learnt[0.2].obs[:, 1:], learnt[0.2].next_obs[:, :-1], rtol=1e-6)  # a state is read once
