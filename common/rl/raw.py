"""Environments that take a policy's action as it is, in the simulator's own units: nothing is rescaled or squashed."""

import gymnasium
import numpy as np

from common.lab.errors import UserError
from common.rl.envs import make

RLLAB = ("RllabSimpleHumanoid-v0", "RllabHumanoid-v0")
BULLET = (
    "AntBulletEnv-v0", "HumanoidBulletEnv-v0", "HumanoidFlagrunBulletEnv-v0", "HumanoidFlagrunHarderBulletEnv-v0",
)  # fmt: skip

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
        if name in BULLET and name not in MADE_ANEW:
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
    """The environment of that name, wherever it comes from: gymnasium, this repository, or the Bullet port."""
    if name in RLLAB:
        from common.rl import rllab

        rllab.register()
    if name in BULLET:
        try:
            import pybullet_envs_gymnasium  # noqa: F401 (registers its environments)
        except ImportError as error:
            raise UserError(
                f"{name}: needs the package 'pybullet-envs-gymnasium', which is not installed ({error})"
            ) from error
    return make(name)
