"""The loop that makes data: off-policy training which keeps the policy, and what was seen so far, at a level of return.

It trains as `off_policy.run` does. Its evaluations sample actions, as the data sets' policies will, and tell the learner the
returns; the learner keeps the policy that it thinks fit for the name `medium`. At the end three files are left per member:
`medium` and `expert`, weights of policies, and `replay`, all transitions up to the step of `medium`.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .datasets import stacked
from .evaluation import Evaluator, Stochastic
from .journal import Journal
from .learner import tensors
from .off_policy import Streams, TransitionCollector, environment
from .replay import Replay


def run(build: Callable[..., Any], config: Any, seeds: Sequence[int], journal: Journal, device: str = "cpu") -> None:
    """`total_steps` environment steps, each followed by one update from step `update_after` + 1 on."""
    fleet = TransitionCollector(config, seeds, device)
    learner = build(config, seeds, fleet.observations, fleet.actions, device)
    evaluator = Evaluator(lambda: environment(config), config, seeds, device)
    streams = Streams(fleet, learner)
    start = fleet.resume(learner, journal)
    for step in range(start + 1, config.total_steps + 1):
        fleet.step(step, learner, streams, journal)
        if not fleet.alive.any():
            return
        if step > config.update_after:
            learner.update(fleet.replay.sample(streams.sample(step)["uniform"]), tensors(streams.update(step), device))
        if step % config.evaluate_every == 0 or step == config.total_steps:
            returns = [float(e.returns.mean()) for e in evaluator.play(Stochastic(learner, seeds, step))]  # type: ignore
            journal.record(step, "return", returns, fleet.alive)
            learner.consider(step, returns)
        if journal.due(step, config.total_steps):
            fleet.save(step, learner, journal)
    journal.record(config.total_steps, "return_medium", learner.medium_return, fleet.alive)
    journal.record(config.total_steps, "step_medium", learner.medium_step, fleet.alive)
    for m in np.flatnonzero(fleet.alive):
        leave(learner, fleet.replay, int(m), journal)
    journal.end(learner, fleet.replay)


def leave(learner: Any, replay: Replay, member: int, journal: Journal) -> None:
    """The files of one member."""
    for name, policy in (("medium", learner.medium), ("expert", learner.policy)):
        weights = policy.state_dict().items()
        journal.produce(name, member, {key: tensor[member].cpu().numpy() for key, tensor in weights})
    journal.produce("replay", member, {"rows": transitions(replay, member, int(learner.medium_step[member]))})


def transitions(replay: Replay, member: int, count: int) -> np.ndarray:
    """The first `count` transitions of a member as rows of `datasets`; nothing of them was overwritten."""
    first, last = replay.observations, replay.observations + replay.actions
    row = replay.row_of[member, :count]
    now, after = replay.rows[member, row], replay.rows[member, row + 1]
    terminated = now[:, -2]
    truncated = (after[:, -1] < 0) & (terminated == 0)
    truncated[-1] &= replay.head[member] > row[-1] + 1  # the newest observation has no action yet: the episode goes on
    return stacked(now[:, :first], now[:, first:last], now[:, last], terminated, truncated, after[:, :first])
