"""Evaluation: deterministic episodes in environments of their own, seeded by (member seed, episode)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from .config import OffPolicy
from .learner import OffPolicyLearner, tensors
from .randomness import generator, reset_seed
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
        obs = np.stack([
            [env.reset(reset_seed(seed, "evaluate", episode)) for episode, env in enumerate(envs)]
            for seed, envs in zip(self.seeds, self.envs, strict=True)
        ])  # fmt: skip
        returns, lengths = np.zeros(obs.shape[:2]), np.zeros(obs.shape[:2], dtype=int)
        running = np.ones(obs.shape[:2], dtype=bool)
        seen: list[dict] = []
        while running.any():
            state = torch.from_numpy(obs).to(self.device)
            chosen = learner.act(state, ablate=ablate).cpu().numpy()
            seen.append({name: x.cpu().numpy() for name, x in learner.inspect(state).items()})
            for m, e in np.argwhere(running):
                obs[m, e], reward, running[m, e] = self._step(self.envs[m][e], chosen[m, e], obs[m, e])
                returns[m, e] += reward
                lengths[m, e] += 1

        def trace(m, e):
            return {name: np.stack([step[name][m, e] for step in seen[: lengths[m, e]]]) for name in seen[0]}

        members, episodes = map(range, returns.shape)
        return [Episodes(returns[m], lengths[m], [trace(m, e) for e in episodes]) for m in members]

    @staticmethod
    def _step(env, action, obs):
        if not np.isfinite(action).all():
            return obs, np.nan, False
        obs, reward, terminated, truncated = env.step(action)
        return obs, reward, not (terminated or truncated)


class Stochastic:
    """A learner whose actions in evaluations are samples, of random numbers that are functions of (member seed, `block`)."""

    def __init__(self, learner: Any, seeds: Sequence[int], block: int):
        self.learner, self.rngs = learner, [generator(seed, "evaluate", block) for seed in seeds]
        self.inspect = learner.inspect

    def act(self, obs: torch.Tensor, draws: None = None, ablate: str | None = None) -> torch.Tensor:
        """Actions [members, batch, actions]."""
        drawn = [self.learner.acting_draws(rng, obs.shape[1]) for rng in self.rngs]
        stacked = {name: np.stack([numbers[name] for numbers in drawn]) for name in drawn[0]}
        return self.learner.act(obs, tensors(stacked, obs.device))
