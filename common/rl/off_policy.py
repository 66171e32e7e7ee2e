"""The off-policy loop: it owns environments, replay, evaluation and divergence; the learner owns the mathematics, the
journal the files.

`build(config, seeds, observations, actions, device)` makes an `OffPolicyLearner`. Killed anywhere and started again a run
continues from the journal's last checkpoint and ends with the same records.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from .config import OffPolicy
from .coverage import coverage
from .evaluation import Episodes, Evaluator
from .journal import Journal
from .learner import OffPolicyLearner, tensors
from .randomness import Blocks
from .replay import Replay
from .simulators import Environment, Simulators

BLOCK = 256


def run(build: Callable[..., Any], config: OffPolicy, seeds: Sequence[int], journal: Journal, device: str = "cpu") -> None:
    """`total_steps` environment steps, each followed by one update from step `update_after` + 1 on.

    Random actions for `warmup` steps, evaluations every `evaluate_every` steps and at the end. A time limit ends an episode
    without `terminated`, so that its value is bootstrapped.
    """
    fleet = TransitionCollector(config, seeds, device)
    learner = build(config, seeds, fleet.observations, fleet.actions, device)
    evaluator = Evaluator(lambda: environment(config), config, seeds, device)
    streams = Streams(fleet, learner)
    start, batch = fleet.resume(learner, journal), None
    for step in range(start + 1, config.total_steps + 1):
        fleet.step(step, learner, streams, journal)
        if not fleet.alive.any():
            break
        if step > config.update_after:
            batch = fleet.replay.sample(streams.sample(step)["uniform"])
            learner.update(batch, tensors(streams.update(step), device))
        if step % config.evaluate_every == 0 or step == config.total_steps:
            record_evaluation(learner, evaluator.play(learner), fleet.alive, step, journal)
            if config.coverage and batch is not None:
                journal.record(step, "coverage", coverage(batch.obs), fleet.alive)
        if journal.due(step, config.total_steps):
            fleet.save(step, learner, journal)
    record_end(learner, evaluator, fleet.alive, config.total_steps, journal)
    journal.end(learner, fleet.replay)


def environment(config: OffPolicy) -> Environment:
    """An environment as the settings describe it; actions lie in [-1, 1]."""
    return Environment(
        config.env,
        "bounded",
        remember_actions=config.history,
        observe=config.observe,
        delay=config.delay,
        episode_steps=config.episode_steps,
    )


class Streams:
    """The random numbers of an off-policy run: functions of the environment step that return {name: [members, ...]}."""

    def __init__(self, fleet: Any, learner: OffPolicyLearner):
        def stream(name, draw):
            return Blocks(fleet.seeds, name, BLOCK, draw).at

        actions, batch = fleet.actions, fleet.config.batch_size
        self.warmup = stream("warmup", lambda rng, n: {"action": rng.uniform(-1, 1, (n, actions)).astype(np.float32)})
        self.sample = stream("sample", lambda rng, n: {"uniform": rng.random((n, batch))})
        self.acting = stream("act", learner.acting_draws)
        self.update = stream("update", learner.update_draws)


class TransitionCollector(Simulators):
    """The members' training environments, and the replay that they fill."""

    def __init__(self, config: OffPolicy, seeds: Sequence[int], device: str):
        super().__init__(lambda: environment(config), seeds)
        self.config, self.device = config, device
        capacity = min(config.buffer_size, config.total_steps)
        self.replay = Replay(len(seeds), self.observations, self.actions, capacity, device)
        self.age = np.zeros(len(seeds), dtype=int)  # steps taken in the episode

    def step(self, step: int, learner: OffPolicyLearner, streams: Streams, journal: Journal) -> None:
        """One environment step of every living member; a non-finite action ends its member's run."""
        if step <= self.config.warmup:
            chosen = streams.warmup(step)["action"]
        else:
            obs = torch.from_numpy(self.obs).unsqueeze(1).to(self.device)
            draws = tensors({name: draw[:, None] for name, draw in streams.acting(step).items()}, self.device)
            chosen = learner.act(obs, draws).squeeze(1).cpu().numpy()
        sound = np.isfinite(chosen).all(1)
        self.lose(np.flatnonzero(self.alive & ~sound), step, journal)
        for m in np.flatnonzero(self.alive):
            self._step_member(m, chosen[m], journal)

    def _step_member(self, m, action, journal):
        obs, reward, terminated, truncated = self.envs[m].step(action)
        transition = np.concatenate([self.obs[m], action, [reward, terminated, self.age[m]]]).astype(np.float32)
        ended = terminated or truncated
        journal.append(m, self.replay.add(m, transition, obs, self.age[m], ended))
        self.age[m] += 1
        if ended:
            obs = self.next_episode(m)
            self.age[m] = 0
        self.obs[m] = obs

    def save(self, step: int, learner: OffPolicyLearner, journal: Journal) -> None:
        """A checkpoint: the learner, and how far each member's log of transitions reaches."""
        journal.save(step, learner.state_dict(), {"alive": self.alive.tolist(), "episode": self.episode.tolist()})

    def resume(self, learner: OffPolicyLearner, journal: Journal) -> int:
        """Go back to the last checkpoint, if there is one. Returns its step, else 0."""
        checkpoint = journal.resume()
        if checkpoint is None:
            return 0
        step, arrays, state = checkpoint
        learner.load_state_dict(arrays)
        self.alive[:], self.episode[:] = state["alive"], state["episode"]
        for m in range(len(self.seeds)):
            self._restore_member(m, journal.log(m, self.replay.width))
        return step

    def _restore_member(self, m, rows):
        """Refill the replay buffer from the log, and play the present episode once more."""
        ends = np.flatnonzero(rows[:, -1] < 0)
        episode = rows[ends[-1] + 1 if len(ends) else 0 :]
        obs, actions = episode[:, : self.observations], episode[:, self.observations : self.observations + self.actions]
        self.repeat_episode(m, actions, dict(enumerate(obs)))
        self.age[m] = len(episode)
        self.replay.restore(m, rows, self.obs[m] if len(episode) else None)


def record_evaluation(
    learner: OffPolicyLearner, results: list[Episodes], alive: np.ndarray, step: int, journal: Journal
) -> None:
    """Returns, lengths and what the learner makes of the traces, for the living members."""
    pooled = [r.pooled() for r in results]
    own = learner.summarise({name: [traces[name] for traces in pooled] for name in pooled[0]})
    returns = {"return": [r.returns.mean() for r in results], "return_one_episode": [r.returns[0] for r in results]}
    for metric, values in (returns | {"episode_length": [r.lengths.mean() for r in results]} | own).items():
        journal.record(step, metric, values, alive)


def record_end(learner: OffPolicyLearner, evaluator: Evaluator, alive: np.ndarray, step: int, journal: Journal) -> None:
    """What only the trained policy can tell: returns with a part of it taken out, and the learner's tables."""
    for ablation in learner.ablations:
        results = evaluator.play(learner, ablate=ablation)
        journal.record(step, f"return_{ablation}", [float(r.returns.mean()) for r in results], alive)
    episodes = [r.traces for r in evaluator.play(learner)]
    for table, rows in learner.tables(episodes).items():
        for m in np.flatnonzero(alive):
            journal.table(table, m, rows[m])
