"""The off-policy loop: it owns environments, replay, evaluation and divergence; the learner owns the mathematics, the
journal the files.

`build(config, seeds, observations, actions, device)` makes the learner. Killed anywhere and started again a run continues
from the journal's last checkpoint and ends with the same records.
"""

import numpy as np
import torch

from ..lab.errors import UserError
from .evaluation import Evaluator
from .randomness import Blocks, reset_seed
from .replay import Replay, shifted
from .simulators import Environment

BLOCK = 256


def run(build, config, seeds, journal, device="cpu"):
    """`total_steps` environment steps, each followed by one update from step `update_after` + 1 on.

    Random actions for `warmup` steps, evaluations every `evaluate_every` steps and at the end. A time limit ends an episode
    without `terminated`, so that its value is bootstrapped.
    """
    fleet = Fleet(config, seeds, device)
    learner = build(config, seeds, fleet.observations, fleet.actions, device)
    evaluator = Evaluator(config, seeds, device)
    streams = Streams(config, seeds, learner, device)
    start = fleet.resume(learner, journal)
    for step in range(start + 1, config.total_steps + 1):
        fleet.step(step, learner, streams, journal)
        if not fleet.alive.any():
            break
        if step > config.update_after:
            learner.update(fleet.replay.sample(streams.uniform(step)), streams.update(step))
        if step % config.evaluate_every == 0 or step == config.total_steps:
            record_evaluation(learner, evaluator.play(learner), fleet.alive, step, journal)
        if journal.due(step, config.total_steps):
            fleet.save(step, learner, journal)
    record_end(learner, evaluator, fleet.alive, config.total_steps, journal)
    journal.end(learner, fleet.replay)


class Streams:
    """The random numbers of an off-policy run, by environment step."""

    def __init__(self, config, seeds, learner, device):
        self.device = device
        actions, batch = learner.actions, config.batch_size
        warmup = Blocks(seeds, "warmup", BLOCK, lambda rng, n: {"action": rng.uniform(-1, 1, (n, actions))})
        sample = Blocks(seeds, "sample", BLOCK, lambda rng, n: {"uniform": rng.random((n, batch))})
        self.warmup = lambda step: warmup.at(step)["action"].astype(np.float32)
        self.uniform = lambda step: sample.at(step)["uniform"]
        self._acting = Blocks(seeds, "act", BLOCK, learner.acting_draws)
        self._update = Blocks(seeds, "update", BLOCK, learner.update_draws)

    def acting(self, step):
        """The learner's acting draws, with a batch axis of one: [members, 1, ...]."""
        return {name: self._tensor(draw).unsqueeze(1) for name, draw in self._acting.at(step).items()}

    def update(self, step):
        return {name: self._tensor(draw) for name, draw in self._update.at(step).items()}

    def _tensor(self, array):
        return torch.from_numpy(array).to(self.device)


class Fleet:
    """The members' training environments, their replay and where each of them stands."""

    def __init__(self, config, seeds, device):
        self.config, self.seeds, self.device = config, seeds, device
        self.envs = [Environment(config.env, config.observe, config.delay) for _ in seeds]
        self.observations, self.actions = self.envs[0].observations, self.envs[0].actions
        capacity = min(config.buffer_size, config.total_steps)
        self.replay = Replay(len(seeds), self.observations, self.actions, capacity, config.history, device)
        self.alive = np.ones(len(seeds), dtype=bool)
        self.episode = np.zeros(len(seeds), dtype=int)
        self.age = np.zeros(len(seeds), dtype=int)  # steps taken in the episode
        self.obs = np.stack([self._reset(m) for m in range(len(seeds))])
        self.history = torch.zeros(len(seeds), 1, config.history * self.actions, device=device)

    def _reset(self, member):
        return self.envs[member].reset(reset_seed(self.seeds[member], "reset", self.episode[member]))

    def step(self, step, learner, streams, journal):
        """One environment step of every living member; a non-finite action ends its member's run."""
        if step <= self.config.warmup:
            action = torch.from_numpy(streams.warmup(step)).unsqueeze(1).to(self.device)
        else:
            obs = torch.from_numpy(self.obs).unsqueeze(1).to(self.device)
            action = learner.act(obs, self.history, streams.acting(step))
        self.history = shifted(self.history, action)
        chosen = action.squeeze(1).cpu().numpy()
        for m in np.flatnonzero(self.alive):
            if np.isfinite(chosen[m]).all():
                self._step_member(m, chosen[m], journal)
            else:
                self.alive[m] = False
                journal.diverged(m, step)

    def _step_member(self, m, action, journal):
        obs, reward, terminated, truncated = self.envs[m].step(action)
        transition = np.concatenate([self.obs[m], action, [reward, terminated, self.age[m]]]).astype(np.float32)
        ended = terminated or truncated
        journal.append(m, self.replay.add(m, transition, obs, self.age[m], ended))
        self.obs[m], self.age[m] = obs, self.age[m] + 1
        if ended:
            self.episode[m] += 1
            self.age[m] = 0
            self.obs[m] = self._reset(m)
            self.history[m] = 0

    def save(self, step, learner, journal):
        """A checkpoint: the learner, and how far each member's log of transitions reaches."""
        journal.save(step, learner.state_dict(), {"alive": self.alive.tolist(), "episode": self.episode.tolist()})

    def resume(self, learner, journal):
        """Go back to the last checkpoint, if there is one. Returns its step, else 0."""
        found = journal.resume()
        if found is None:
            return 0
        step, arrays, state = found
        learner.load_state_dict(arrays)
        self.alive[:], self.episode[:] = state["alive"], state["episode"]
        for m in range(len(self.seeds)):
            self._replay_member(m, journal.log(m, self.replay.width))
        return step

    def _replay_member(self, m, rows):
        """Refill the replay from the log, and bring the simulator back by playing the episode's actions once more from its
        seeded reset: restoring a simulator's state is not exact for every environment."""
        ends = np.flatnonzero(rows[:, -1] < 0)
        episode = rows[ends[-1] + 1 if len(ends) else 0 :]
        self.obs[m], self.age[m] = self._reset(m), len(episode)
        first, last = self.observations, self.observations + self.actions
        for row in episode:
            if not np.array_equal(row[:first], self.obs[m]):
                raise UserError(
                    f"{self.config.env}: the simulator does not repeat the episode in the log of seed {self.seeds[m]}; "
                    "was it written on another machine or by other packages? Remove the run's folder and start again"
                )
            self.obs[m] = self.envs[m].step(row[first:last])[0]
        recent = episode[len(episode) - min(len(episode), self.config.history) :, first:last].reshape(-1)
        self.history[m] = 0
        if len(recent):
            self.history[m, 0, -len(recent) :] = torch.from_numpy(recent).to(self.device)
        self.replay.restore(m, rows, self.obs[m] if len(episode) else None)


def record_evaluation(learner, results, alive, step, journal):
    """Returns, lengths and what the learner makes of the traces, for the living members."""
    journal.record(step, "return", [float(r.returns.mean()) for r in results], alive)
    journal.record(step, "return_one_episode", [float(r.returns[0]) for r in results], alive)
    journal.record(step, "episode_length", [float(r.lengths.mean()) for r in results], alive)
    pooled = [r.pooled() for r in results]
    trace = {name: [p[name] for p in pooled] for name in pooled[0]}
    for metric, values in learner.summarise(trace).items():
        journal.record(step, metric, values, alive)


def record_end(learner, evaluator, alive, step, journal):
    """What only the trained policy can tell: returns with a part of it taken out, and the learner's tables."""
    for ablation in learner.ablations:
        results = evaluator.play(learner, ablate=ablation)
        journal.record(step, f"return_{ablation}", [float(r.returns.mean()) for r in results], alive)
    episodes = [r.traces for r in evaluator.play(learner)]
    for table, rows in learner.tables(episodes).items():
        for m in np.flatnonzero(alive):
            journal.table(table, m, rows[m])
