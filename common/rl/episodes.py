"""The loop of value functions over a few actions: whole episodes are counted, and each has random numbers of its own.

`build(config, seeds, observations, actions, device)` makes an `EpisodicLearner`. Members take their steps together and begin
their episodes when the last one ended; one whose episodes are done waits for the others. Killed anywhere and started again a
run continues from the journal's last checkpoint and ends with the same records.
"""

from collections.abc import Callable, Sequence
from typing import Any

import gymnasium
import numpy as np
from gymnasium import wrappers

from . import nchain
from .config import Episodic
from .journal import Journal
from .learner import EpisodicLearner, tensors
from .randomness import Blocks, generator, reset_seed
from .replay import Replay
from .simulators import Simulators, make

BLOCK = 64


def run(build: Callable[..., Any], config: Episodic, seeds: Sequence[int], journal: Journal, device: str = "cpu") -> None:
    """`total_steps` episodes of every member. After every `test_every`-th a rollout without noise; every `evaluate_every`
    episodes the means since the last are recorded."""
    fleet = Collector(config, seeds, device)
    learner = build(config, seeds, fleet.observations, fleet.choices, device)
    sample = Blocks(seeds, "sample", BLOCK, lambda rng, n: {"uniform": rng.random((n, config.batch_size))})
    numbers = Blocks(seeds, "update", BLOCK, learner.update_draws)
    every = config.update_every or fleet.horizon
    step = fleet.resume(learner, journal)
    while fleet.running().any():
        step += 1
        ended = fleet.step(step, learner, journal)
        if step % every == 0 and step >= config.batch_size:
            update = step // every
            learner.update(fleet.replay.sample(sample.at(update)["uniform"]), tensors(numbers.at(update), device))
        if step % config.target_every == 0:
            learner.copy_target()
        fleet.test(ended, learner)
        fleet.record(ended, journal)
        if journal.due(step, config.total_steps * fleet.horizon):
            fleet.save(step, learner, journal)
    journal.record(config.total_steps, "solved", fleet.solved.tolist(), fleet.alive)
    journal.end(learner, fleet.replay)


class Discrete:
    """One environment with a few actions as the settings describe it. `observations`: width; `choices`: number of actions;
    an action is stored as one number. Observations of MountainCar are scaled to [-1, 1]."""

    actions = 1

    def __init__(self, config: Episodic):
        if config.env == "NChain-v0":
            nchain.register()
            self.gym: Any = gymnasium.make(config.env, length=config.length, disable_env_checker=True)
            self.horizon = config.length + nchain.EXTRA_STEPS
        else:
            self.gym = wrappers.RescaleObservation(make(config.env, config.episode_steps), np.float32(-1), np.float32(1))
            self.horizon = config.episode_steps
        self.name, self.choices = config.env, int(self.gym.action_space.n)
        self.observations = self.gym.observation_space.shape[0]

    def reset(self, seed: int) -> np.ndarray:
        """The first observation of the episode that `seed` determines, [observations]."""
        return self.gym.reset(seed=seed)[0].astype(np.float32)

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool]:
        """obs, reward, terminated, truncated after an action [1]."""
        obs, reward, terminated, truncated, _ = self.gym.step(int(action[0]))
        return obs.astype(np.float32), float(reward), bool(terminated), bool(truncated)


class Collector(Simulators):
    """The members' training environments, their replay, and what is recorded of them."""

    kept = ("age", "returns", "tested", "trained", "streak", "solved")  # arrays of a checkpoint, beside the learner's

    def __init__(self, config: Episodic, seeds: Sequence[int], device: str):
        super().__init__(lambda: self.environment(config), seeds)
        self.config, self.device, members = config, device, len(seeds)
        env: Any = self.envs[0]
        self.choices, self.horizon = env.choices, env.horizon
        capacity = min(config.buffer_size, config.total_steps * self.horizon)
        self.replay = Replay(members, self.observations, 1, capacity, device)
        self.tests = [self.environment(config) for _ in seeds]
        self.age = np.zeros(members, dtype=int)  # steps taken in the episode
        self.returns = np.zeros(members)  # of the episode so far
        self.tested, self.trained = np.zeros((members, 2)), np.zeros((members, 2))  # sums of returns and their number
        self.streak = np.zeros(members, dtype=int)  # rollouts in a row that were the best
        self.solved = np.full(members, config.total_steps)  # the episode at which the first long streak began
        self.begun = np.full(members, -1)  # the episode whose random numbers the learner has

    @staticmethod
    def environment(config: Episodic) -> Any:
        """What meets all that `Simulators` asks of an `Environment`."""
        return Discrete(config)

    def running(self) -> np.ndarray:
        """Members with episodes to come, [members]."""
        return self.alive & (self.episode < self.config.total_steps)

    def begin(self, learner: EpisodicLearner) -> None:
        """Hand the learner the random numbers of the episodes that have begun."""
        for m in np.flatnonzero(self.running() & (self.begun != self.episode)):
            rng = generator(self.seeds[int(m)], "act", int(self.episode[m]))
            learner.begin(int(m), learner.episode_draws(rng, self.horizon))
            self.begun[m] = self.episode[m]

    def step(self, step: int, learner: EpisodicLearner, journal: Journal) -> np.ndarray:
        """One environment step of every running member. Returns the members whose episode ended, [count]."""
        self.begin(learner)
        chosen, running = learner.act(self.obs, self.age, self.episode), self.running()
        self.lose(np.flatnonzero(running & (chosen < 0)), step, journal)
        return np.array([m for m in np.flatnonzero(self.running()) if self._step_member(m, chosen[m], journal)], dtype=int)

    def _step_member(self, m, action, journal):
        obs, reward, terminated, truncated = self.envs[m].step(np.array([action], np.float32))
        ended = terminated or truncated
        last = terminated or (truncated and self.config.timeouts == "terminal")
        transition = np.concatenate([self.obs[m], [action, reward, last, self.age[m]]]).astype(np.float32)
        journal.append(m, self.replay.add(m, transition, obs, self.age[m], ended))
        self.age[m] += 1
        self.returns[m] += reward
        if ended:
            self.trained[m] += self.returns[m], 1
            obs, self.age[m], self.returns[m] = self.next_episode(m), 0, 0.0
        self.obs[m] = obs
        return ended

    def test(self, ended: np.ndarray, learner: EpisodicLearner) -> None:
        """A rollout without noise of the members whose episode ended, if it is time for one."""
        chosen = [m for m in ended if self.episode[m] % self.config.test_every == 0]
        if not chosen:
            return
        obs, returns, going = self.obs.copy(), np.zeros(len(self.seeds)), set(chosen)
        for m in chosen:
            obs[m] = self.tests[m].reset(reset_seed(self.seeds[m], "evaluate", int(self.episode[m])))
        while going:
            actions = learner.greedy(obs)
            for m in sorted(going):
                if actions[m] < 0:
                    returns[m], over = np.nan, True
                else:
                    obs[m], reward, terminated, truncated = self.tests[m].step(np.array([actions[m]], np.float32))
                    returns[m] += reward
                    over = terminated or truncated
                if over:
                    going.discard(m)
        for m in chosen:
            self._note(m, returns[m])

    def _note(self, m, value):
        """Take a rollout's return into the means, and into the count of the best ones in a row."""
        self.tested[m] += value, 1
        self.streak[m] = self.streak[m] + 1 if value >= self.config.optimum - 1e-3 else 0
        if self.streak[m] == self.config.solved_streak and self.solved[m] == self.config.total_steps:
            self.solved[m] = self.episode[m] - (self.config.solved_streak - 1) * self.config.test_every

    def record(self, ended: np.ndarray, journal: Journal) -> None:
        """Means over the episodes since the last record, of the members for which it is time for one."""
        members = [m for m in ended if self.episode[m] % self.config.evaluate_every == 0]
        for m in members:
            only = np.arange(len(self.seeds)) == m
            for metric, sums in (("return", self.tested), ("return_training", self.trained)):
                value = sums[m, 0] / max(sums[m, 1], 1)
                journal.record(int(self.episode[m]), metric, np.where(only, value, 0.0).tolist(), only & self.alive)
            self.tested[m] = self.trained[m] = 0

    def save(self, step: int, learner: EpisodicLearner, journal: Journal) -> None:
        """A checkpoint: the learner, what is counted here, and how far each member's log of transitions reaches."""
        arrays = learner.state_dict() | {f"loop.{name}": getattr(self, name) for name in self.kept}
        journal.save(step, arrays, {"alive": self.alive.tolist(), "episode": self.episode.tolist()})

    def resume(self, learner: EpisodicLearner, journal: Journal) -> int:
        """Go back to the last checkpoint, if there is one. Returns its step, else 0."""
        checkpoint = journal.resume()
        if checkpoint is None:
            return 0
        step, arrays, state = checkpoint
        learner.load_state_dict({name: array for name, array in arrays.items() if not name.startswith("loop.")})
        self.alive[:], self.episode[:] = state["alive"], state["episode"]
        for name in self.kept:
            setattr(self, name, arrays[f"loop.{name}"].copy())
        for m in range(len(self.seeds)):
            self._restore_member(m, journal.log(m, self.replay.width))
        return step

    def _restore_member(self, m, rows):
        """Refill the replay buffer from the log, and play the present episode once more."""
        ends = np.flatnonzero(rows[:, -1] < 0)
        episode = rows[ends[-1] + 1 if len(ends) else 0 :]
        obs, actions = episode[:, : self.observations], episode[:, self.observations : self.observations + 1]
        self.repeat_episode(m, actions, dict(enumerate(obs)))
        self.replay.restore(m, rows, self.obs[m] if len(episode) else None)
