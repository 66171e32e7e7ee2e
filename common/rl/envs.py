"""Environments: real simulators with seeded resets, actions in [-1, 1] and float32 observations."""

import warnings

import gymnasium
import numpy as np
from gymnasium import wrappers

from common.lab.errors import UserError


class Environment:
    """One gymnasium environment.

    `observe="positions"` hides every velocity; `delay` shows each observation that many steps late (zeros before the first).
    Raises `UserError` if the action space is not a bounded box, which these algorithms cannot serve.
    """

    def __init__(self, name, observe="full", delay=0):
        self.gym = make(name)
        space = self.gym.action_space
        if not isinstance(space, gymnasium.spaces.Box) or not space.is_bounded() or len(space.shape) != 1:
            raise UserError(f"{name}: action space {space} is not a bounded vector, the only kind these algorithms serve")
        if not (np.all(space.low == -1) and np.all(space.high == 1)):
            self.gym = wrappers.RescaleAction(self.gym, np.float32(-1), np.float32(1))
        if observe == "positions":
            self.gym = without_velocities(self.gym)
        if delay:
            self.gym = wrappers.DelayObservation(self.gym, delay)
        self.observations = self.gym.observation_space.shape[0]
        self.actions = space.shape[0]

    def reset(self, seed):
        """The first observation of the episode that `seed` determines, [observations]."""
        return self.gym.reset(seed=seed)[0].astype(np.float32)

    def step(self, action):
        """obs, reward, terminated, truncated after a float32 action in [-1, 1], [actions]."""
        obs, reward, terminated, truncated, _ = self.gym.step(action)
        return obs.astype(np.float32), float(reward), bool(terminated), bool(truncated)


def make(name):
    """The gymnasium environment without its checkers; a misspelt name is a UserError."""
    with warnings.catch_warnings():
        # The papers used -v2; -v4 is the nearest that still runs, and gymnasium would rather have -v5.
        warnings.filterwarnings("ignore", message=".*out of date.*", category=DeprecationWarning)
        try:
            return gymnasium.make(name, disable_env_checker=True)
        except gymnasium.error.Error as error:
            raise UserError(f"unknown environment {name!r}: {error}") from error


def without_velocities(env):
    """The environment with its joint velocities, the last `nv` entries of the observation, left out."""
    if not hasattr(env.unwrapped, "model"):
        raise UserError(f"{env.spec.id}: observe = 'positions' needs a MuJoCo environment")
    kept = env.observation_space.shape[0] - env.unwrapped.model.nv
    space = gymnasium.spaces.Box(-np.inf, np.inf, (kept,), env.observation_space.dtype)
    return wrappers.TransformObservation(env, lambda obs: obs[:kept], space)
