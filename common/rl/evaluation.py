"""Evaluation: deterministic episodes in environments of their own, seeded by (member seed, episode)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from .config import OffPolicy
from .learner import OffPolicyLearner
from .randomness import reset_seed
from .simulators import Environment


@dataclass(frozen=True)
class Episodes:
    """One member's evaluation. returns: undiscounted, [episodes]; lengths: [episodes]; traces: what the learner's `inspect`
    recorded, one {name: [steps, actions]} per episode. A non-finite action ends its episode with return NaN."""

    returns: np.ndarray
    lengths: np.ndarray
    traces: list

    def pooled(self) -> dict[str, np.ndarray]:
        """The traces of all episodes, one after the other: {name: [steps, actions]}."""
        return {name: np.concatenate([trace[name] for trace in self.traces]) for name in self.traces[0]}


class Evaluator:
    """Plays the same `config.evaluation_episodes` seeded episodes with every member's policy, all at once. `make()` makes an
    environment."""

    def __init__(self, make: Callable[[], Environment], config: OffPolicy, seeds: Sequence[int], device: str):
        self.device = device
        self.seeds = seeds
        self.envs = [[make() for _ in range(config.evaluation_episodes)] for _ in seeds]

    def play(self, learner: OffPolicyLearner, ablate: str | None = None) -> list[Episodes]:
        """One `Episodes` per member. ablate: one of the learner's `ablations`."""
        obs = np.stack([[env.reset(self._seed(m, e)) for e, env in enumerate(row)] for m, row in enumerate(self.envs)])
        returns, lengths = np.zeros(obs.shape[:2]), np.zeros(obs.shape[:2], dtype=int)
        running = np.ones(obs.shape[:2], dtype=bool)
        seen = []
        while running.any():
            state = torch.from_numpy(obs).to(self.device)
            chosen = learner.act(state, ablate=ablate).cpu().numpy()
            seen.append({name: x.cpu().numpy() for name, x in learner.inspect(state).items()})
            for m, e in np.argwhere(running):
                obs[m, e], reward, running[m, e] = self._step(self.envs[m][e], chosen[m, e], obs[m, e])
                returns[m, e] += reward
                lengths[m, e] += 1
        return [self._collect(seen, m, returns[m], lengths[m]) for m in range(len(self.envs))]

    def _seed(self, member, episode):
        return reset_seed(self.seeds[member], "evaluate", episode)

    @staticmethod
    def _step(env, action, obs):
        if not np.isfinite(action).all():
            return obs, np.nan, False
        obs, reward, terminated, truncated = env.step(action)
        return obs, reward, not (terminated or truncated)

    @staticmethod
    def _collect(seen, member, returns, lengths):
        traces = [
            {name: np.stack([step[name][member, e] for step in seen[:length]]) for name in seen[0]}
            for e, length in enumerate(lengths)
        ]
        return Episodes(returns, lengths, traces)
