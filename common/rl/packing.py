"""Attributes as flat dictionaries of arrays: what a checkpoint holds, without pickle."""

from collections.abc import Iterable
from operator import attrgetter
from typing import Any

import numpy as np
import torch


def pack(owner: Any, names: Iterable[str]) -> dict[str, np.ndarray]:
    """{name: array} of the owner's attributes `names`, which may have dots: modules and whatever else has a `state_dict` of
    tensors, optimisers, tensors, arrays, numbers."""
    arrays: dict[str, np.ndarray] = {}
    for name in names:
        value = attrgetter(name)(owner)
        tensors = {"": value}
        if isinstance(value, torch.optim.Optimizer):
            states = value.state_dict()["state"]
            tensors = {f".{i}.{key}": tensor for i, state in states.items() for key, tensor in state.items()}
        elif hasattr(value, "state_dict"):
            tensors = {f".{key}": tensor for key, tensor in value.state_dict().items()}
        arrays |= {name + key: torch.as_tensor(tensor).detach().cpu().numpy().copy() for key, tensor in tensors.items()}
    return arrays


def unpack(arrays: dict[str, np.ndarray], owner: Any, names: Iterable[str]) -> None:
    """The inverse of `pack`; other arrays are passed over. Raises KeyError or RuntimeError if names or shapes differ."""
    for name in names:
        value = attrgetter(name)(owner)
        tensors = {key: torch.from_numpy(array.copy()) for key, array in arrays.items() if key.startswith(name + ".")}
        tensors = {key.removeprefix(name + "."): tensor for key, tensor in tensors.items()}
        if isinstance(value, torch.optim.Optimizer):
            states: dict[int, dict] = {}
            for key, tensor in tensors.items():
                i, _, entry = key.partition(".")
                states.setdefault(int(i), {})[entry] = tensor
            value.load_state_dict(value.state_dict() | {"state": states})
        elif hasattr(value, "load_state_dict"):
            value.load_state_dict(tensors)
        elif isinstance(value, torch.Tensor):
            value.copy_(torch.from_numpy(arrays[name]))
        else:
            place, _, attribute = name.rpartition(".")
            stored = arrays[name].copy() if isinstance(value, np.ndarray) else arrays[name].item()
            setattr(attrgetter(place)(owner) if place else owner, attribute, stored)
