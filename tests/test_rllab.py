"""The rebuilt humanoids have the dimensions, rewards and ends of the originals, and can stand."""

import numpy as np
import pytest

from common.rl.rllab import Humanoid, register
from common.rl.simulators import Environment

FACTS = {"RllabSimpleHumanoid-v0": (102, 10, 0.01, 1), "RllabHumanoid-v0": (142, 21, 0.002, 4)}


def centre(env):
    """The robot's centre of mass: the mean of its bodies', by mass. The torso's own is another, and nods."""
    mass = env.model.body_mass[1:]
    whole = mass @ env.data.xipos[1:] / mass.sum()
    assert np.abs(whole - env.data.xipos[1]).max() > 1e-3
    return whole


@pytest.mark.parametrize("name", FACTS)
def test_dimensions_and_time_steps(name):
    env = Environment(name)
    observations, actions, step, repeat = FACTS[name]
    assert (env.observations, env.actions) == (observations, actions)
    inner = env.gym.unwrapped
    assert inner.model.opt.timestep == step and inner.repeat == repeat
    assert env.gym.spec.max_episode_steps == 1000
    limits = inner.model.actuator_ctrlrange[:, 1] * inner.model.actuator_gear[:, 0]
    if name == "RllabSimpleHumanoid-v0":
        assert sorted(limits) == [20] * 4 + [100] * 6
    else:
        assert (inner.model.actuator_ctrlrange[:, 1] == 0.4).all()
    assert 20 < inner.model.body_mass.sum() < 60
    register()


@pytest.mark.parametrize("name", FACTS)
def test_it_starts_on_its_feet_and_falls_when_left_alone(name):
    env = Environment(name)
    env.reset(0)
    inner = env.gym.unwrapped
    assert 0.8 < inner.data.qpos[2] < 2.0
    lowest = min(inner.data.geom_xpos[g][2] - inner.model.geom_size[g][0] for g in range(1, inner.model.ngeom))
    assert -0.05 < lowest < 0.15
    heights, ended, steps = [], False, 0
    while not ended and steps < 1000:
        obs, reward, ended, _ = env.step(np.zeros(env.actions, np.float32))
        heights.append(inner.data.qpos[2])
        steps += 1
        assert np.isfinite(obs).all() and abs(reward) < 10
    assert ended and 10 < steps < 1000 and heights[-1] < 0.8
    assert max(heights) < 1.6


@pytest.mark.parametrize("full", [False, True])
def test_the_reward_is_the_published_one(full):
    """In the air and on the floor, which pushes back."""
    env, rng, pushed = Humanoid(full), np.random.default_rng(0), 0
    env.reset(seed=1)
    for _ in range(150):
        before = centre(env)
        action = rng.uniform(-2, 2, env.action_space.shape)
        obs, reward, _, _, _ = env.step(action)
        velocity = (centre(env) - before) / (env.repeat * env.model.opt.timestep)
        forces = obs[env.model.nq + env.model.nv : -3]
        clipped = np.clip(action, -1, 1)
        costs = 0.0005 * (clipped**2).sum() + 0.5e-5 * (forces**2).sum() + 0.005 * (velocity[1:] ** 2).sum()
        np.testing.assert_allclose(reward, velocity[0] + 0.2 - costs, rtol=0, atol=1e-9)
        np.testing.assert_allclose(obs[-3:], centre(env))
        assert np.abs(forces).max() <= 1
        pushed += 0.5e-5 * (forces**2).sum() > 1e-6
    assert pushed > 10


def test_the_same_seed_is_the_same_episode():
    rewards = []
    for _ in range(2):
        env = Environment("RllabSimpleHumanoid-v0")
        env.reset(3)
        rewards.append([env.step(np.full(10, 0.3, np.float32))[1] for _ in range(20)])
    assert rewards[0] == rewards[1]
