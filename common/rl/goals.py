"""The on-policy loop on `MultiGoal-v0`, and where the trained policy goes.

`build(config, seeds, observations, actions, device)` makes an `OnPolicyLearner`, trained by `on_policy.run`. Then
`config.rollouts` episodes of the policy, which samples its actions, are followed from their seeded starts.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from . import multigoal, on_policy
from .journal import Journal, Watched
from .learner import OnPolicyLearner
from .randomness import draws, reset_seed

DRAWN = 20  # rollouts whose paths are kept
SHARE = 0.1  # of the rollouts, that make a goal one of the policy's


def run(build: Callable[..., Any], config: Any, seeds: Sequence[int], journal: Journal, device: str = "cpu") -> None:
    """Training as in `on_policy.run`. At its end "goals", how many of the four at least a tenth of the rollouts reach,
    "goal_entropy", of the distribution over the goals that are reached, in nats, "reached", the share of rollouts that reach
    any, and the table "paths"."""
    multigoal.register()
    made: list[Any] = []

    def kept(*arguments):
        made.append(build(*arguments))
        return made[-1]

    watched = Watched(journal, len(seeds))
    on_policy.run(kept, config, seeds, watched, device)  # type: ignore[arg-type]
    counts, paths = follow(made[-1], config, seeds)
    for metric, values in summary(counts, config.rollouts).items():
        journal.record(config.total_steps // config.batch_steps * config.batch_steps, metric, values, watched.alive)
    for m in np.flatnonzero(watched.alive):
        journal.table("paths", m, paths[m])


def follow(learner: OnPolicyLearner, config: Any, seeds: Sequence[int]) -> tuple[np.ndarray, list[list[dict]]]:
    """How often each member reaches each goal, [members, 4], and the rows of its first paths."""
    envs = [on_policy.environment(config) for _ in seeds]
    counts = np.zeros((len(seeds), len(multigoal.GOALS)), dtype=int)
    paths: list[list[dict]] = [[] for _ in seeds]
    for rollout in range(config.rollouts):
        actor = learner.actor(draws(seeds, "evaluate", rollout, learner.acting_draws))
        obs = np.stack([env.reset(reset_seed(seed, "evaluate", rollout)) for env, seed in zip(envs, seeds, strict=True)])
        going, step = np.ones(len(seeds), dtype=bool), 0
        while going.any():
            if rollout < DRAWN:
                for m in np.flatnonzero(going):
                    paths[m].append(_row(rollout, step, obs[m]))
            action = np.nan_to_num(actor(step, obs))
            step += 1
            for m in np.flatnonzero(going):
                obs[m], _, terminated, truncated = envs[m].step(action[m])
                if terminated:
                    counts[m, np.linalg.norm(obs[m] - multigoal.GOALS, axis=1).argmin()] += 1
                going[m] = not (terminated or truncated)
                if rollout < DRAWN and not going[m]:
                    paths[m].append(_row(rollout, step, obs[m]))
    return counts, paths


def _row(rollout, step, obs):
    return {"rollout": rollout, "step": step, "x": round(float(obs[0]), 3), "y": round(float(obs[1]), 3)}


def summary(counts: np.ndarray, rollouts: int) -> dict[str, list[float]]:
    """{metric: one number per member} of how often each goal was reached, [members, 4]."""
    share = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    entropy = -(share * np.log(np.where(share > 0, share, 1))).sum(1)
    return {
        "goals": (counts >= SHARE * rollouts).sum(1).tolist(),
        "goal_entropy": entropy.tolist(),
        "reached": (counts.sum(1) / rollouts).tolist(),
    }
