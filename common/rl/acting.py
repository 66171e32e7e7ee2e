"""Networks in NumPy, on copies of their weights: how a policy acts one step at a time.

A step of a fleet is a few products of some thousand numbers. Dispatch, not arithmetic, is then the cost, and NumPy's is a
third of torch's; on a GPU it also spares a transfer each way. Learning stays in torch.
"""

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..flows.networks import LayerNorm, Linear, PReLU, ReLU, Tanh
from .learner import tensors

Layer = Callable[[np.ndarray], np.ndarray]


def actor(policy: Any, draws: dict[str, np.ndarray]) -> Callable[[int, np.ndarray], np.ndarray]:
    """A function (step, obs [members, observations]) -> actions [members, actions], NumPy arrays, that takes row `step` of
    `draws` [members, steps, ...] and the weights of now: the policy's own `actor`, or its distribution in torch."""
    if hasattr(policy, "actor"):
        return policy.actor(draws)
    device = next(policy.parameters()).device
    drawn = tensors(draws, device)

    @torch.inference_mode()
    def act(step, obs):
        noise = policy.noise({name: x[:, step : step + 1] for name, x in drawn.items()})
        return policy(torch.from_numpy(obs)[:, None].to(device)).sample(noise)[:, 0].cpu().numpy()

    return act


def network(mlp: nn.Sequential) -> Layer:
    """A function of one input per row, [rows, 1, in] -> [rows, 1, out], equal to the `MLP` up to rounding."""
    return chain([layer(module) for module in mlp])


def chain(functions: Iterable[Layer]) -> Layer:
    """The functions one after the other, the first one first."""

    def apply(x):
        for function in functions:
            x = function(x)
        return x

    return apply


def layer(module: nn.Module) -> Layer:
    """One layer of an `MLP`."""
    if isinstance(module, Linear):
        return affine(array(module.weight), array(module.bias)[:, None])
    if isinstance(module, LayerNorm):
        return layer_norm(array(module.gain), array(module.bias), module.eps)
    if isinstance(module, PReLU):
        return prelu(array(module.slope))
    return {ReLU: relu, Tanh: np.tanh}[type(module)]  # type: ignore[return-value]


def array(tensor: Tensor) -> np.ndarray:
    """A float32 copy."""
    return tensor.detach().float().cpu().numpy().copy()


def affine(weight: np.ndarray, bias: np.ndarray) -> Layer:
    return lambda x: np.matmul(x, weight) + bias


def layer_norm(gain: np.ndarray, bias: np.ndarray, eps: float) -> Layer:
    share = np.float32(1 / gain.shape[-1])

    def apply(x):
        centred = x - np.add.reduce(x, -1, keepdims=True) * share
        variance = np.add.reduce(centred * centred, -1, keepdims=True) * share
        return centred / np.sqrt(variance + np.float32(eps)) * gain + bias

    return apply


def relu(x: np.ndarray) -> np.ndarray:
    return np.maximum(x, np.float32(0))


def prelu(slope: np.ndarray) -> Layer:
    return lambda x: np.maximum(x, 0) + slope * np.minimum(x, 0)


def coupling(module: Any) -> Layer:
    """A `Coupling` without context, forward: [rows, event] -> [rows, event].

    Nothing is cut out of x: the first layers of s and t stand side by side and have rows of zeros for what is not kept, the
    last layers columns of zeros for what is, where exp(0) x + 0 = x.
    """
    first, *middle, last = module.network
    members, event = len(first.weight) // 2, module.event
    kept, moved = (slice(0, module.kept), slice(module.kept, event)) if module.leading else (
        slice(event - module.kept, event), slice(0, event - module.kept))  # fmt: skip
    units, width = first.weight.shape[-1], last.weight.shape[1]
    enter = np.zeros((members, event, 2, units), np.float32)
    enter[:, kept] = array(first.weight).reshape(members, 2, module.kept, units).swapaxes(1, 2)
    leave, bias = np.zeros((2 * members, width, event), np.float32), np.zeros((2 * members, 1, event), np.float32)
    leave[:, :, moved], bias[:, 0, moved] = array(last.weight), array(last.bias)
    enter, start = enter.reshape(members, event, 2 * units), array(first.bias).reshape(members, 1, 2 * units)
    inside, out = chain([layer(inner) for inner in middle]), affine(leave, bias)

    def apply(x):
        h = (np.matmul(x[:, None], enter) + start).reshape(2 * members, 1, units)
        both = out(inside(h)).reshape(members, 2, event)
        return x * np.exp(both[:, 0]) + both[:, 1]

    return apply
