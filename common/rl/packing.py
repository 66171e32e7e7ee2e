"""Modules and optimisers as flat dictionaries of arrays: what a checkpoint holds, without pickle."""

import numpy as np
import torch


def pack(modules: dict, optimisers: dict) -> dict[str, np.ndarray]:
    """{name: array} of every parameter and of Adam's state. `modules` and `optimisers` map names to objects."""
    arrays = {}
    for name, module in modules.items():
        for key, tensor in module.state_dict().items():
            arrays[f"{name}.{key}"] = tensor.detach().cpu().numpy().copy()
    for name, optimiser in optimisers.items():
        for i, state in optimiser.state_dict()["state"].items():
            for key, tensor in state.items():
                arrays[f"{name}.{i}.{key}"] = tensor.detach().cpu().numpy().copy()
    return arrays


def unpack(arrays: dict[str, np.ndarray], modules: dict, optimisers: dict) -> None:
    """The inverse of `pack`, in place. Raises KeyError or RuntimeError if names or shapes differ."""
    for name, module in modules.items():
        module.load_state_dict({key: torch.from_numpy(np.array(arrays[f"{name}.{key}"])) for key in module.state_dict()})
    for name, optimiser in optimisers.items():
        own = optimiser.state_dict()
        state: dict = {}
        for full, array in arrays.items():
            prefix, _, rest = full.partition(".")
            if prefix == name:
                i, _, key = rest.partition(".")
                state.setdefault(int(i), {})[key] = torch.from_numpy(np.array(array))
        optimiser.load_state_dict({"state": state, "param_groups": own["param_groups"]})
