"""Environments: real simulators with seeded resets and float32 observations, and a fleet's training environments."""

import warnings
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import gymnasium
import numpy as np
from gymnasium import wrappers

from ..errors import UserError
from .journal import Journal
from .randomness import reset_seed

# Its thrown cube leaves contacts behind that a reset does not clear: every episode gets a simulator of its own. Even then
# Bullet may sum the cube's contacts in another order, and an episode differ in the last digits: a resumed run that cannot
# repeat the present episode says so.
MADE_ANEW = ("HumanoidFlagrunHarderBulletEnv-v0",)


class Environment:
    """One gymnasium environment.

    name: of gymnasium, of `rllab.py` or of the package pybullet-envs-gymnasium.
    actions: "raw", in the simulator's units as they come (MuJoCo clamps the forces, while a cost of control is taken of what
    was sent); "bounded", in [-1, 1], scaled to the simulator's bounds; "clipped", scaled so and clipped at the bounds.
    remember: an observation is the present one and the one before, zeros at the start.
    remember_actions: this many past actions follow an observation, the oldest first, zeros before the episode's start.
    observe: "positions" hides every velocity. delay: each observation is shown that many steps late, zeros before the first.
    episode_steps: the time limit; 0: the environment's own.

    Raises `UserError` if the name is unknown, its package missing, or its action space not of that kind.
    """

    def __init__(
        self,
        name: str,
        actions: str = "raw",
        remember: bool = False,
        remember_actions: int = 0,
        observe: str = "full",
        delay: int = 0,
        episode_steps: int = 0,
    ):
        self.name, self.remember, self.episode_steps = name, remember, episode_steps
        self.gym: Any = make(name, episode_steps)
        self.space: Any = self.gym.action_space
        space: Any = self.space
        vector = isinstance(space, gymnasium.spaces.Box) and len(space.shape) == 1
        if not vector or actions != "raw" and not space.is_bounded():
            kind = "vector" if actions == "raw" else "bounded vector"
            raise UserError(f"{name}: action space {space} is not a {kind}, the only kind these algorithms serve")
        self.clipped = actions == "clipped"
        if actions == "bounded" and not (np.all(space.low == -1) and np.all(space.high == 1)):
            self.gym = wrappers.RescaleAction(self.gym, np.float32(-1), np.float32(1))
        if observe == "positions":
            self.gym = without_velocities(self.gym)
        if delay:
            self.gym = wrappers.DelayObservation(self.gym, delay)
        self.actions = space.shape[0]
        self.memory = remember_actions * self.actions
        self.observations = self.gym.observation_space.shape[0] * (2 if remember else 1) + self.memory
        if "BulletEnv" in name and name not in MADE_ANEW:
            # Bullet reads the robot's file at the first reset and goes back to a saved state at the others, which differs in
            # the last digits: after one reset in advance every episode is determined by its seed.
            self.gym.reset(seed=0)

    def reset(self, seed: int) -> np.ndarray:
        """The first observation of the episode that `seed` determines, [observations]."""
        if self.name in MADE_ANEW:
            self.gym.close()
            self.gym = make(self.name, self.episode_steps)
        obs = self.gym.reset(seed=seed)[0].astype(np.float32)
        return self._observed(obs, np.zeros_like(obs), np.zeros(self.memory, np.float32))

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool]:
        """obs, reward, terminated, truncated after a float32 action [actions]."""
        recent = np.concatenate([self.recent, action])[-self.memory :] if self.memory else self.recent
        if self.clipped:
            low, high = self.space.low, self.space.high
            action = np.clip(low + (action + 1) / 2 * (high - low), low, high)
        obs, reward, terminated, truncated, _ = self.gym.step(action)
        seen = self._observed(obs.astype(np.float32), self.before, recent)
        return seen, float(reward), bool(terminated), bool(truncated)

    def _observed(self, obs, before, recent):
        """The policy's observation. What the next one needs is kept: `obs` and the recent actions, [memory]."""
        self.before, self.recent = obs, recent
        return np.concatenate([obs, *([before] if self.remember else []), recent])

    def centre_of_mass(self) -> tuple[float, float] | None:
        """Horizontal position (x, y) of the robot's centre of mass, or None where the simulator is not MuJoCo."""
        data = getattr(self.gym.unwrapped, "data", None)
        return None if data is None else (float(data.subtree_com[0][0]), float(data.subtree_com[0][1]))


def make(name: str, episode_steps: int = 0) -> gymnasium.Env:
    """The gymnasium environment without its checkers, with its own time limit unless `episode_steps` states another. Raises
    `UserError` if the name is unknown or its package missing."""
    if name.startswith("Rllab"):
        from . import rllab

        rllab.register()
    elif "BulletEnv" in name:
        try:
            import pybullet_envs_gymnasium  # noqa: F401 - importing it registers its environments
        except ImportError as error:
            raise UserError(
                f"{name}: needs the package pybullet_envs_gymnasium, which is not installed ({error})"
            ) from error
    with warnings.catch_warnings():
        # The papers used -v2; -v4 is the nearest that still runs, and gymnasium would rather have -v5.
        warnings.filterwarnings("ignore", message=".*out of date.*", category=DeprecationWarning)
        try:
            return gymnasium.make(name, episode_steps or None, disable_env_checker=True)
        except gymnasium.error.Error as error:
            raise UserError(f"unknown environment {name!r}: {error}") from error


def without_velocities(env: Any) -> gymnasium.Env:
    """The environment with its joint velocities, the last `nv` entries of the observation, left out."""
    if not hasattr(env.unwrapped, "model"):
        raise UserError(f"{env.spec.id}: observe = 'positions' needs a MuJoCo environment")
    kept = env.observation_space.shape[0] - env.unwrapped.model.nv
    space = gymnasium.spaces.Box(-np.inf, np.inf, (kept,), env.observation_space.dtype)
    return wrappers.TransformObservation(env, lambda obs: obs[:kept], space)


class Simulators:
    """The members' training environments and where each of them stands: whether its run goes on (`alive`), the number of its
    present episode, and its observation [members, observations]. `make()` makes one environment."""

    def __init__(self, make: Callable[[], Environment], seeds: Sequence[int]):
        self.seeds, self.envs = seeds, [make() for _ in seeds]
        self.observations, self.actions = self.envs[0].observations, self.envs[0].actions
        self.alive = np.ones(len(seeds), dtype=bool)
        self.episode = np.zeros(len(seeds), dtype=int)
        self.obs = np.stack([self.reset(m) for m in range(len(seeds))])

    def reset(self, member: int) -> np.ndarray:
        """The first observation of a member's present episode."""
        return self.envs[member].reset(reset_seed(self.seeds[member], "reset", self.episode[member]))

    def next_episode(self, member: int) -> np.ndarray:
        """The first observation of a member's next episode."""
        self.episode[member] += 1
        return self.reset(member)

    def lose(self, members: Iterable[int], step: int, journal: Journal) -> None:
        """These members have diverged: their runs end at this step."""
        for m in members:
            self.alive[m] = False
            journal.diverged(m, step)

    def repeat_episode(self, member: int, actions: Sequence[np.ndarray], stored: dict[int, np.ndarray]) -> float:
        """Bring a member's simulator to where its present episode stood, by playing the episode's actions once more from
        its seeded reset: restoring a simulator's state is not exact for every environment. Returns the sum of rewards.

        stored: {steps taken: the observation then}. Raises `UserError` where one is not repeated.
        """
        obs, total = self.reset(member), 0.0
        for t in range(len(actions) + 1):
            if t in stored and not np.array_equal(stored[t], obs):
                raise UserError(
                    f"{self.envs[member].name}: the simulator does not repeat the present episode of seed "
                    f"{self.seeds[member]}; was it stored on another machine or by other packages? Remove the run's folder "
                    "and start again"
                )
            if t < len(actions):
                obs, reward, _, _ = self.envs[member].step(actions[t])
                total += reward
        self.obs[member] = obs
        return total
