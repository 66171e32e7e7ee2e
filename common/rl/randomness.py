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


def normal(rng: np.random.Generator, *shape: int, names: Sequence[str] = ("noise",)) -> dict[str, np.ndarray]:
    """Standard normal numbers in float32, {name: [*shape]}, drawn in the order of `names`."""
    return {name: rng.standard_normal(shape, dtype=np.float32) for name in names}


def draws(seeds: Sequence[int], stream: str, block: int, draw: Callable[..., dict], axis: int = 0) -> dict[str, np.ndarray]:
    """Random numbers of one block, {name: array}, stacked over members along `axis`. `draw(rng)` gives those of a member."""
    drawn = [draw(generator(seed, stream, block)) for seed in seeds]
    return {name: np.stack([numbers[name] for numbers in drawn], axis) for name in drawn[0]}


class Blocks:
    """Entries of a stream for every member. `draw(rng, size)` returns a dict of arrays, each with `size` entries along its
    first axis; `at(i)` returns entry i of each, stacked over members: {name: [members, ...]}."""

    def __init__(self, seeds: Sequence[int], stream: str, size: int, draw: Callable[..., dict]):
        self.seeds, self.stream, self.size = seeds, stream, size
        self.draw = lambda rng: draw(rng, size)
        self.block: int | None = None
        self.arrays: dict = {}

    def at(self, i: int) -> dict[str, np.ndarray]:
        block, entry = divmod(i, self.size)
        if block != self.block:
            self.block, self.arrays = block, draws(self.seeds, self.stream, block, self.draw, axis=1)
        return {name: array[entry] for name, array in self.arrays.items()}
