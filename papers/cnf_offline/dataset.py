"""The data sets of locomotion, made as D4RL's were.

    medium          roll-outs of the policy stopped at medium level, its actions sampled
    expert          roll-outs of the policy at the end of training
    medium-expert   half of each
    medium-replay   all that the medium policy's training had seen: no roll-outs

A policy is the squashed Gaussian of `behaviour`, tanh(mu(s) + sigma(s) n).
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from common.errors import UserError
from common.rl import acting
from common.rl.datasets import checked
from common.rl.inputs import Inputs


class Learner:
    """What a data set consists of; it learns nothing."""

    def __init__(self, config, seeds: Sequence[int], device: str, inputs: Inputs):
        self.config, [self.behaviour] = config, inputs["behaviour"]

    def parts(self, observations: int, actions: int) -> Iterator[Any]:
        """Transitions, or (policy, number of rows)."""
        quality, count = self.config.quality, self.config.total_steps
        if quality == "medium-replay":
            rows = self.behaviour.tensors("replay")["rows"]
            yield checked(rows[:count], observations, actions, "the replay of the behaviour policy")
            return
        levels = quality.split("-")
        for level in levels:
            yield self.policy(level, observations), count // len(levels)

    def policy(self, level, observations):
        """A function (obs [batch, observations], noise [batch, actions]) -> actions, in NumPy."""
        arrays = {name: tensor.numpy() for name, tensor in self.behaviour.tensors(level).items()}
        names = sorted({name.rpartition(".")[0] for name in arrays}, key=lambda name: int(name.rpartition(".")[2]))
        if arrays[f"{names[0]}.weight"].shape[0] != observations:
            raise UserError(f"{level}: the policy observes {len(arrays[f'{names[0]}.weight'])} numbers, {self.config.env} "
                            f"has {observations}")  # fmt: skip
        layers = [acting.affine(arrays[f"{name}.weight"], arrays[f"{name}.bias"]) for name in names]
        low, high = self.config.log_std_low, self.config.log_std_high

        def act(obs, noise):
            x = obs
            for layer in layers[:-1]:
                x = acting.relu(layer(x))
            mean, log_std = np.split(layers[-1](x), 2, -1)
            return np.tanh(mean + np.exp(log_std.clip(low, high)) * noise)

        return act
