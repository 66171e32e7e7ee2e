"""Environments: real simulators with seeded resets and float32 observations."""

import importlib
import warnings

import gymnasium
import numpy as np
from gymnasium import wrappers

from ..lab.errors import UserError


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


# Environments that gymnasium does not register itself: where they come from, and how to get that.
HOMES = {
    "RllabSimpleHumanoid-v0": "common.rl.rllab",
    "RllabHumanoid-v0": "common.rl.rllab",
    "AntBulletEnv-v0": "pybullet_envs_gymnasium",
    "HumanoidBulletEnv-v0": "pybullet_envs_gymnasium",
    "HumanoidFlagrunBulletEnv-v0": "pybullet_envs_gymnasium",
    "HumanoidFlagrunHarderBulletEnv-v0": "pybullet_envs_gymnasium",
}

# Its thrown cube leaves contacts behind that a reset does not clear: every episode gets a simulator of its own. Even then
# Bullet may sum the cube's contacts in another order, and an episode differ in the last digits: a resumed run that cannot
# repeat the present episode says so.
MADE_ANEW = ("HumanoidFlagrunHarderBulletEnv-v0",)


class RawEnvironment:
    """One gymnasium environment; observations are float32. A policy of unbounded actions sends them as they come: MuJoCo
    clamps the forces, while a cost of control is taken of what was sent.

    `rescale`: actions in [-1, 1] are scaled to the simulator's bounds, and clipped there. `remember`: an observation is the
    present one and the one before, zeros at the start.

    Raises `UserError` if the action space is not a vector, or if the package of the environment is missing.
    """

    def __init__(self, name, rescale=False, remember=False):
        self.name, self.gym = name, make_anywhere(name)
        space = self.gym.action_space
        if not isinstance(space, gymnasium.spaces.Box) or len(space.shape) != 1:
            raise UserError(f"{name}: action space {space} is not a vector, the only kind these algorithms serve")
        if rescale and not space.is_bounded():
            raise UserError(f"{name}: rescale needs bounds of the action space, which are {space}")
        self.space, self.rescale, self.remember = space, rescale, remember
        self.observations = self.gym.observation_space.shape[0] * (2 if remember else 1)
        self.actions = space.shape[0]
        if HOMES.get(name, "").startswith("pybullet") and name not in MADE_ANEW:
            # Bullet reads the robot's file at the first reset and goes back to a saved state at the others, which differs in
            # the last digits: after one reset in advance every episode is determined by its seed.
            self.gym.reset(seed=0)

    def reset(self, seed):
        """The first observation of the episode that `seed` determines, [observations]."""
        if self.name in MADE_ANEW:
            self.gym.close()
            self.gym = make_anywhere(self.name)
        obs = self.gym.reset(seed=seed)[0].astype(np.float32)
        return self._seen(obs, np.zeros_like(obs))

    def step(self, action):
        """obs, reward, terminated, truncated after a float32 action [actions]."""
        if self.rescale:
            low, high = self.space.low, self.space.high
            action = np.clip(low + (action + 1) / 2 * (high - low), low, high)
        obs, reward, terminated, truncated, _ = self.gym.step(action)
        seen = self._seen(obs.astype(np.float32), self.before)
        return seen, float(reward), bool(terminated), bool(truncated)

    def _seen(self, obs, before):
        """What the policy observes; `obs` is kept for the next step."""
        self.before = obs
        return np.concatenate([obs, before]) if self.remember else obs

    def centre_of_mass(self):
        """Horizontal position (x, y) of the robot's centre of mass, or None where the simulator is not MuJoCo."""
        data = getattr(self.gym.unwrapped, "data", None)
        return None if data is None else (float(data.subtree_com[0][0]), float(data.subtree_com[0][1]))


def make_anywhere(name):
    """The environment of that name, from gymnasium or from its home."""
    home = HOMES.get(name)
    if home is None:
        return make(name)
    try:
        module = importlib.import_module(home)
    except ImportError as error:
        raise UserError(f"{name}: needs the package {home.partition('.')[0]!r}, which is not installed ({error})") from error
    if home.startswith("common."):  # other packages register their environments when they are imported
        module.register()
    return make(name)
