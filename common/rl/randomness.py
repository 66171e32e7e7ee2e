"""Random numbers as functions of (member seed, stream, block): no generator state is ever saved.

A member's numbers do not depend on its fleet, on the device or on where a run was interrupted. They are drawn on the host
in blocks of some hundred entries, because a new generator costs more than a draw.
"""

from collections.abc import Callable, Sequence

import numpy as np

STREAMS = {"init": 0, "warmup": 1, "act": 2, "update": 3, "sample": 4, "reset": 5, "evaluate": 6}


def generator(seed: int, stream: str, block: int = 0) -> np.random.Generator:
    """The generator of one block of one of a member's streams."""
    return np.random.Generator(np.random.Philox(np.random.SeedSequence([seed, STREAMS[stream], block])))


def reset_seed(seed: int, stream: str, episode: int) -> int:
    """The seed that an environment's reset takes for a member's episode of that number: an integer below 2^31."""
    return int(np.random.SeedSequence([seed, STREAMS[stream], episode]).generate_state(1)[0] >> 1)


class Blocks:
    """Entries of a stream for every member. `draw(rng, size)` returns a dict of arrays, each with `size` entries along its
    first axis; `at(i)` returns entry i of each, stacked over members: {name: [members, ...]}."""

    def __init__(self, seeds: Sequence[int], stream: str, size: int, draw: Callable[..., dict]):
        self.seeds = seeds
        self.stream = stream
        self.size = size
        self.draw = draw
        self.block: int | None = None
        self.arrays: dict = {}

    def at(self, i: int) -> dict[str, np.ndarray]:
        block, entry = divmod(i, self.size)
        if block != self.block:
            drawn = [self.draw(generator(seed, self.stream, block), self.size) for seed in self.seeds]
            self.arrays = {name: np.stack([d[name] for d in drawn], axis=1) for name in drawn[0]}
            self.block = block
        return {name: array[entry] for name, array in self.arrays.items()}
