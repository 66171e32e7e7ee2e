"""The on-policy loop: it owns environments, records and divergence; the learner owns the mathematics, the journal the files.

`build(config, seeds, observations, actions, device)` makes an `OnPolicyLearner`. One iteration is `batch_steps` steps of
every member, in lockstep, and one update. Killed anywhere and started again a run continues from the journal's last
checkpoint, which stands between two iterations, and ends with the same records.
"""

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .config import OnPolicy
from .journal import Journal
from .learner import Arrays, OnPolicyLearner, Rollout
from .randomness import draws, reset_seed
from .simulators import Environment, Simulators

RECENT = 40  # episodes over which a return is averaged


def run(build: Callable[..., Any], config: OnPolicy, seeds: Sequence[int], journal: Journal, device: str = "cpu") -> None:
    """`total_steps` environment steps of every member, all of them counted, less those that do not fill a batch.

    Recorded every `record_every` steps and at the end: "return" and "episode_length", means over the last 40 training
    episodes, and the means of what `learner.update` returned since.
    """
    fleet = RolloutCollector(config, seeds)
    learner = build(config, seeds, fleet.observations, fleet.actions, device)
    report, start = Report(), 0
    size, iterations = config.batch_steps, config.total_steps // config.batch_steps
    if checkpoint := journal.resume():
        step, arrays, state = checkpoint
        learner.load_state_dict(arrays)
        fleet.restore(state["fleet"], arrays)
        report.values, start = state["report"], step // size
    for iteration in range(start, iterations):
        actor = learner.actor(draws(seeds, "act", iteration, learner.acting_draws))
        rollout = fleet.roll(actor, iteration * size, journal)
        if not fleet.alive.any():
            break
        report.add(learner.update(rollout, draws(seeds, "update", iteration, learner.update_draws)))
        step = (iteration + 1) * size
        if step // config.record_every > (step - size) // config.record_every or iteration == iterations - 1:
            fleet.record(step, journal)
            report.write(step, journal, fleet.alive)
        if journal.due(step, iterations * size):
            state = {"fleet": fleet.state(), "report": report.values}
            journal.save(step, learner.state_dict() | fleet.arrays(), state)
    if config.trajectories:
        record_trajectories(learner, config, seeds, fleet.alive, journal)
    journal.end(learner)


def environment(config: OnPolicy) -> Environment:
    """An environment as the settings describe it."""
    actions = "clipped" if config.rescale else "raw"
    return Environment(config.env, actions, config.remember, episode_steps=config.episode_steps)


class Report:
    """Means over iterations of what updates return; a value that is not finite does not count."""

    def __init__(self) -> None:
        self.values: dict[str, list] = {}  # metric -> [iterations since the last record][members]

    def add(self, metrics: dict[str, Any]) -> None:
        for name, values in metrics.items():
            self.values.setdefault(name, []).append(np.asarray(values, np.float64).tolist())

    def write(self, step: int, journal: Journal, alive: np.ndarray) -> None:
        for name, rows in self.values.items():
            values = np.array(rows)
            finite = np.isfinite(values)
            count = finite.sum(0)
            total = sum(np.where(finite, values, 0.0))  # in the order of time
            journal.record(step, name, list(total / np.maximum(count, 1)), alive & (count > 0))
        self.values = {}


class RolloutCollector(Simulators):
    """The members' training environments, and the returns of their latest episodes."""

    def __init__(self, config: OnPolicy, seeds: Sequence[int]):
        super().__init__(lambda: environment(config), seeds)
        self.config = config
        self.total = np.zeros(len(seeds))  # return of the present episode
        self.played: list = [[] for _ in seeds]  # actions of the present episode
        self.returns: list = [deque(maxlen=RECENT) for _ in seeds]
        self.lengths: list = [deque(maxlen=RECENT) for _ in seeds]

    def roll(self, actor: Callable[[int, np.ndarray], np.ndarray], before: int, journal: Journal) -> Rollout:
        """One iteration's `Rollout`. `actor(t, obs)` acts at its step t; `before` steps were taken earlier. A non-finite
        action, reward or observation ends its member's run."""
        shape = (len(self.seeds), self.config.batch_steps)
        out = Rollout(
            np.zeros((*shape, self.observations), np.float32), np.zeros((*shape, self.actions), np.float32),
            np.zeros(shape, np.float32), np.zeros((*shape, self.observations), np.float32),
            np.zeros(shape, bool), np.zeros(shape, bool), np.zeros(shape, int), np.zeros(len(self.seeds)),
        )  # fmt: skip
        for t in range(shape[1]):
            action = actor(t, self.obs)
            out.obs[:, t], out.action[:, t] = self.obs, action
            if not np.isfinite(action).all():
                self.lose(np.flatnonzero(self.alive & ~np.isfinite(action).all(1)), before + t + 1, journal)
            for m in np.flatnonzero(self.alive):
                self._step(m, t, action[m], out)
            # An action may be finite and its cost, a square, not; or the simulator may come apart.
            if not (np.isfinite(out.reward[:, t]).all() and np.isfinite(self.obs).all()):
                sound = np.isfinite(out.reward[:, t]) & np.isfinite(self.obs).all(1)
                self.lose(np.flatnonzero(self.alive & ~sound), before + t + 1, journal)
                out.reward[~sound, t], out.next_obs[~sound, t], self.obs[~sound] = 0.0, 0.0, 0.0
        return out

    def _step(self, m, t, action, out):
        obs, reward, terminated, truncated = self.envs[m].step(action)
        out.reward[m, t], out.next_obs[m, t], out.age[m, t] = reward, obs, len(self.played[m])
        self.total[m] += reward
        self.played[m].append(action)
        if terminated or truncated:
            out.terminated[m, t], out.truncated[m, t] = terminated, truncated
            out.completed[m] += len(self.played[m])
            self.returns[m].append(float(self.total[m]))
            self.lengths[m].append(len(self.played[m]))
            self.total[m], self.played[m] = 0.0, []
            obs = self.next_episode(m)
        self.obs[m] = obs

    def record(self, step: int, journal: Journal) -> None:
        known = self.alive & np.array([len(r) > 0 for r in self.returns])
        for metric, recent in (("return", self.returns), ("episode_length", self.lengths)):
            journal.record(step, metric, [float(np.mean(r)) if r else np.nan for r in recent], known)

    def state(self) -> dict:
        """What a checkpoint holds besides arrays."""
        return {
            "alive": self.alive.tolist(),
            "episode": self.episode.tolist(),
            "returns": [list(r) for r in self.returns],
            "lengths": [list(r) for r in self.lengths],
        }

    def arrays(self) -> Arrays:
        """Present observations and the present episodes' actions."""
        played = {f"fleet.played.{m}": np.array(p, np.float32).reshape(-1, self.actions) for m, p in enumerate(self.played)}
        return {"fleet.obs": self.obs.copy(), **played}

    def restore(self, state: dict, arrays: Arrays) -> None:
        """Go back to a checkpoint, and play the present episodes once more."""
        self.alive[:], self.episode[:] = state["alive"], state["episode"]
        for m in range(len(self.seeds)):
            self.returns[m].extend(state["returns"][m])
            self.lengths[m].extend(state["lengths"][m])
            self.played[m] = list(arrays[f"fleet.played.{m}"])
            stored = {len(self.played[m]): arrays["fleet.obs"][m]} if self.alive[m] else {}
            self.total[m] = self.repeat_episode(m, self.played[m], stored)


def record_trajectories(
    learner: OnPolicyLearner, config: OnPolicy, seeds: Sequence[int], alive: np.ndarray, journal: Journal
) -> None:
    """Table "trajectories": where the robot's centre of mass goes in `config.trajectories` episodes of the trained policy,
    which samples its actions; a row every 10 steps and at the end, with the return of the episode so far. Nothing where the
    simulator does not tell the centre of mass. An episode is followed for `batch_steps` steps at most."""
    env: Any = environment(config)
    env.reset(0)
    if env.centre_of_mass() is None:
        return
    for episode in range(config.trajectories):
        drawn = draws(seeds, "evaluate", episode, learner.acting_draws)
        for m in np.flatnonzero(alive).tolist():
            actor, obs = learner.actor(drawn), np.zeros((len(seeds), env.observations), np.float32)  # the others see zeros
            obs[m] = env.reset(reset_seed(seeds[m], "evaluate", episode))
            rows, total, step, ended = [], 0.0, 0, False
            while not ended and step < config.batch_steps:
                if step % 10 == 0:
                    rows.append((step, *env.centre_of_mass(), total))
                action = actor(step, obs)[m]
                if not np.isfinite(action).all():
                    break
                obs[m], reward, terminated, truncated = env.step(action)
                total, step, ended = total + reward, step + 1, terminated or truncated
            rows.append((step, *env.centre_of_mass(), total))
            table = [{"episode": episode, "step": s, "x": x, "y": y, "return": r} for s, x, y, r in rows]
            journal.table("trajectories", m, table)
