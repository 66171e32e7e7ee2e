"""Off-policy and offline learners on a GPU: an update, and the choice of actions, as one CUDA graph each.

An update of a fleet is some hundred small kernels. Launched one by one they take longer to launch than to run; recorded once
as a graph and replayed they do not. What is computed is the same: the graph holds the kernels of the learner's own `update`.
"""

from dataclasses import fields
from operator import attrgetter
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .learner import Draws
from .replay import Batch

EAGER = 5  # updates before the recording, in which optimisers make their moments and libraries choose their kernels


class Recorded:
    """A function of tensors as a CUDA graph: inputs are copied to where they stood at the recording, outputs overwritten at
    each call. The first `EAGER` calls run as they are; they count as calls."""

    def __init__(self, function: Any):
        self.function, self.calls = function, 0
        self.graph: torch.cuda.CUDAGraph | None = None
        self.inputs: list[Tensor] = []
        self.output: Any = None

    def __call__(self, *inputs: Tensor) -> Any:
        self.calls += 1
        if self.calls <= EAGER:
            return self._aside(inputs)
        if self.graph is None:
            self.inputs = [x.clone() for x in inputs]
            self.graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(self.graph):
                self.output = self.function(*self.inputs)
        torch._foreach_copy_(self.inputs, list(inputs))
        self.graph.replay()
        return self.output

    def _aside(self, inputs):
        """The function on a stream of its own, as recordings ask of the calls before them."""
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            output = self.function(*inputs)
        torch.cuda.current_stream().wait_stream(stream)
        return output


class Captured:
    """An `OffPolicyLearner` or `OfflineLearner` on a GPU whose `update`, `act` and `inspect` are graphs. Everything else is
    the learner's own. Its update must take the same path every time (`recordable`). What `act` and `inspect` return is
    overwritten by their next call."""

    def __init__(self, learner: Any):
        self.learner = learner
        if hasattr(learner, "act"):  # a model of the data has none, which a loop asks
            self.act = self._act
        self._forget()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.learner, name)

    def _forget(self):
        self.graphs: dict[str, Recorded] = {}

    def _recorded(self, name, function):
        return self.graphs.setdefault(name, Recorded(function))

    def update(self, batch: Batch, draws: Draws) -> None:
        names, count = list(draws), len(fields(Batch))

        def step(*inputs):
            self.learner.update(Batch(*inputs[:count]), dict(zip(names, inputs[count:], strict=True)))

        self._recorded("update", step)(*(getattr(batch, field.name) for field in fields(Batch)), *draws.values())

    def _act(self, obs: Tensor, draws: Draws | None = None, ablate: str | None = None) -> Tensor:
        if ablate is not None:
            return self.learner.act(obs, draws, ablate)
        names = list(draws or ())

        def choose(seen, *drawn):
            return self.learner.act(seen, dict(zip(names, drawn, strict=True)) if names else None)

        return self._recorded(f"act {[*obs.shape, *names]}", choose)(obs, *(draws or {}).values())

    def inspect(self, obs: Tensor) -> Draws:
        return self._recorded(f"inspect {[*obs.shape]}", self.learner.inspect)(obs)

    def load_state_dict(self, arrays: dict) -> None:
        """As the learner's; what was recorded is forgotten, for the optimisers' moments stand elsewhere now."""
        self._forget()
        self.learner.load_state_dict(arrays)


def recordable(learner: Any) -> bool:
    """Whether a graph holds all that an update does. It does not where the host keeps a part of the state, such as TD3's
    count of updates: a replay leaves it as it was at the recording, and takes the branch that it decided then. Whatever
    training changes is `stored`, else no run could be resumed, so that this is where it shows."""
    state = [attrgetter(name)(learner) for name in learner.stored]
    return not any(isinstance(value, int | float | np.ndarray) for value in state)


def captured(build: Any) -> Any:
    """The maker of a learner, whose learners are `Captured` where they are on a GPU and can be."""

    def make(*arguments):
        learner = build(*arguments)  # loops differ in what they hand over; the one text among it is the device
        on_gpu = any(isinstance(argument, str) and argument.startswith("cuda") for argument in arguments)
        return Captured(learner) if on_gpu and recordable(learner) else learner

    return make
