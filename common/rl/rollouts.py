"""The loop that rolls policies out into a data set.

`build(config, seeds, device, inputs)` makes a learner whose `parts(observations, actions)` lists what the data consist of:
`Transitions` that are there already, and policies, functions of obs [environments, observations] and noise [environments,
actions] that return actions [environments, actions], each with the number of rows that it gives. Of which episodes the data
describe themselves, `whole` says, or the learner's own. A run takes minutes and starts anew when it is killed.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from .datasets import Transitions, checked, stacked
from .inputs import Inputs
from .journal import Journal
from .randomness import generator, reset_seed
from .simulators import Environment

PARALLEL = 10  # environments that step side by side: a policy's products then cost little
QUANTILES = (0.0, 0.25, 0.5, 0.75, 1.0)


def run(
    build: Callable[..., Any], config: Any, seeds: Sequence[int], journal: Journal, device: str = "cpu",
    inputs: Inputs | None = None,
) -> None:  # fmt: skip
    """One data set per member: the file `rows`, and what it holds as metrics and as the table `returns`."""
    learner = build(config, seeds, device, inputs)
    envs = [Environment(config.env, "bounded", episode_steps=config.episode_steps) for _ in range(PARALLEL)]
    observations, actions = envs[0].observations, envs[0].actions
    facts = []
    for m, seed in enumerate(seeds):
        parts, first = [], 0
        for part in learner.parts(observations, actions):
            if isinstance(part, Transitions):
                parts.append(part.rows.numpy())
                continue
            policy, count = part
            parts.append(play(policy, envs, count, seed, first))
            first += count
        rows = np.concatenate(parts)
        data = checked(torch.from_numpy(rows), observations, actions, f"data of seed {seed}")
        journal.produce("rows", m, {"rows": rows})
        returns = [float(data.reward[part].sum()) for part in getattr(learner, "whole", whole)(data)]
        journal.table("returns", m, quantiles(returns))
        facts.append(described(data, returns))
    for name in facts[0]:
        journal.record(config.total_steps, name, [of_member[name] for of_member in facts])
    journal.end(learner)


def play(policy: Callable, envs: list[Environment], count: int, seed: int, first: int) -> np.ndarray:
    """`count` rows of a policy's episodes, each seeded by (seed, its number), the rows of an environment one after the
    other. first: number of the first episode. The last episode of an environment is cut, as `truncated`."""
    obs = np.stack([env.reset(reset_seed(seed, "reset", first + i)) for i, env in enumerate(envs)])
    episode, steps = first + len(envs), -(-count // len(envs))
    rng = generator(seed, "act", first)
    seen = []
    for step in range(steps):
        action = policy(obs, rng.standard_normal((len(envs), envs[0].actions), dtype=np.float32))
        following, ends = np.empty_like(obs), np.zeros((3, len(envs)))
        for i, env in enumerate(envs):
            following[i], *ends[:, i] = env.step(action[i])
        ends[2] = (ends[2] > 0) & (ends[1] == 0) | (step == steps - 1) & (ends[1] == 0)
        reward, terminated, truncated = ends
        seen.append(stacked(obs, action, reward, terminated, truncated, following))
        obs = following.copy()
        for number in np.flatnonzero(terminated + truncated):
            i = int(number)
            obs[i] = envs[i].reset(reset_seed(seed, "reset", episode))
            episode += 1
    rows = np.stack(seen, 1).reshape(-1, seen[0].shape[-1])[:count]
    place = envs[0].observations + envs[0].actions + 1
    rows[-1, place + 1] = 1 - rows[-1, place]  # the last episode is cut where the data end
    return rows


def described(data: Transitions, returns: list[float]) -> dict[str, float]:
    """Numbers of rows, whole episodes and terminations, the mean of these episodes' returns, the share of actions at a
    bound."""
    return {
        "rows": len(data),
        "episodes": len(returns),
        "return": float(np.mean(returns)),
        "terminations": float(data.terminated.sum()),
        "saturated": float((data.action.abs() > 0.99).float().mean()),
    }


def quantiles(returns: list[float]) -> list[dict]:
    """Quantiles of returns, as rows of a table."""
    return [{"quantile": q, "return": float(np.quantile(returns, q))} for q in QUANTILES]


def whole(data: Transitions) -> list[slice]:
    """The episodes that a termination or a time limit ended: without one, as long as the longest."""
    episodes = data.episodes()
    longest = max(rows.stop - rows.start for rows in episodes)
    ended = data.terminated.numpy() > 0
    return [rows for rows in episodes if ended[rows.stop - 1] or rows.stop - rows.start == longest]
