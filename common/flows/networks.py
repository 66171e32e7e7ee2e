"""Networks for fleets: every parameter carries a leading member axis.

A network of `members` independent copies is one batched computation: weights are `[members, in, out]`, inputs
`[members, batch, in]`. Member m draws its initial weights from its own generator `rngs[m]`, in the order of the layers,
so that it starts from the same weights alone and in any fleet.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.random import Generator
from torch import Tensor, nn

# An initialiser: a function of (rng, fan_in, fan_out) that returns a weight [in, out] and a bias [out].
Init = Callable[[Generator, int, int], tuple[np.ndarray, np.ndarray]]
Rngs = Sequence[Generator]  # one per member


def xavier_uniform(gain: float = 1.0, heads: int = 1) -> Init:
    """U(-b, b) with b = gain sqrt(6 / (fan_in + fan_out)), bias 0 (Glorot & Bengio, 2010). With `heads` > 1 the layer
    stands for that many layers side by side, each with its own, smaller, fan_out."""

    def draw(rng, fan_in, fan_out):
        bound = gain * math.sqrt(6 / (fan_in + fan_out // heads))
        return rng.uniform(-bound, bound, (fan_in, fan_out)), np.zeros(fan_out)

    return draw


def orthogonal(gain: float = 1.0) -> Init:
    """A (semi-)orthogonal matrix times `gain`, bias 0 (Saxe et al., 2014)."""

    def draw(rng, fan_in, fan_out):
        q, r = np.linalg.qr(rng.standard_normal((max(fan_in, fan_out), min(fan_in, fan_out))))
        q = q * np.sign(np.diag(r))  # makes the distribution uniform over rotations
        return gain * np.ascontiguousarray(q if fan_in >= fan_out else q.T), np.zeros(fan_out)

    return draw


def torch_default() -> Init:
    """U(-b, b) with b = 1 / sqrt(fan_in), for the weight and the bias: what `torch.nn.Linear` does."""

    def draw(rng, fan_in, fan_out):
        bound = 1 / math.sqrt(fan_in)
        return rng.uniform(-bound, bound, (fan_in, fan_out)), rng.uniform(-bound, bound, fan_out)

    return draw


def small_uniform(bound: float = 3e-3) -> Init:
    """U(-bound, bound), bias 0: a last layer whose output starts near zero."""

    def draw(rng, fan_in, fan_out):
        return rng.uniform(-bound, bound, (fan_in, fan_out)), np.zeros(fan_out)

    return draw


def normc(norm: float = 1.0) -> Init:
    """Columns of normal numbers scaled to length `norm`, bias 0: every unit starts with weights of that length."""

    def draw(rng, fan_in, fan_out):
        weight = rng.standard_normal((fan_in, fan_out))
        return norm * weight / np.linalg.norm(weight, axis=0), np.zeros(fan_out)

    return draw


class Linear(nn.Module):
    """y[m] = x[m] W[m] + b[m]. x: [members, batch, in]; y: [members, batch, out]."""

    def __init__(self, rngs: Rngs, fan_in: int, fan_out: int, init: Init | None = None):
        super().__init__()
        weights, biases = zip(*((init or torch_default())(rng, fan_in, fan_out) for rng in rngs), strict=True)
        self.weight = nn.Parameter(torch.tensor(np.stack(weights), dtype=torch.get_default_dtype()))
        self.bias = nn.Parameter(torch.tensor(np.stack(biases), dtype=torch.get_default_dtype()))

    def forward(self, x: Tensor) -> Tensor:
        # In place: the product is not needed for its own gradient, and a fresh result costs as much as the addition.
        return torch.bmm(x, self.weight).add_(self.bias.unsqueeze(1))


class LayerNorm(nn.Module):
    """Layer normalisation over the last axis with a gain and a bias per member (Ba et al., 2016)."""

    def __init__(self, members: int, features: int, eps: float = 1e-5):
        super().__init__()
        self.gain = nn.Parameter(torch.ones(members, 1, features))
        self.bias = nn.Parameter(torch.zeros(members, 1, features))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        centred = x - x.mean(-1, keepdim=True)
        return centred * torch.rsqrt(centred.square().mean(-1, keepdim=True) + self.eps) * self.gain + self.bias


class PReLU(nn.Module):
    """max(0, x) + a min(0, x) with one slope `a` per member, 0.25 at the start (He et al., 2015)."""

    def __init__(self, members: int):
        super().__init__()
        self.slope = nn.Parameter(torch.full((members, 1, 1), 0.25))

    def forward(self, x: Tensor) -> Tensor:
        # torch's kernel takes a slope per entry of the second axis; two clamps and their gradients take twice as long.
        return torch.prelu(x.unsqueeze(0), self.slope.flatten()).squeeze(0)


class ReLU(nn.Module):
    """max(0, x), in place: its input is always the fresh output of a layer."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu_(x)


class Tanh(nn.Module):
    """tanh(x), in place: its input is always the fresh output of a layer."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh_(x)


ACTIVATIONS = {"relu": lambda members: ReLU(), "tanh": lambda members: Tanh(), "prelu": PReLU}


class MLP(nn.Sequential):
    """A multilayer perceptron per member. `sizes` lists the widths from input to output; the activation follows every
    layer but the last. `last_init` (default: `init`) draws the last layer. x: [members, batch, sizes[0]]."""

    def __init__(
        self,
        rngs: Rngs,
        sizes: Sequence[int],
        activation: str = "relu",
        init: Init | None = None,
        last_init: Init | None = None,
        layer_norm: bool = False,
    ):
        layers: list[nn.Module] = []
        for i, (fan_in, fan_out) in enumerate(zip(sizes, sizes[1:], strict=False)):
            last = i == len(sizes) - 2
            layers.append(Linear(rngs, fan_in, fan_out, (last_init or init) if last else init))
            if not last:
                layers += [LayerNorm(len(rngs), fan_out)] if layer_norm else []
                layers.append(ACTIVATIONS[activation](len(rngs)))
        super().__init__(*layers)


def widths(text: str) -> list[int]:
    """Hidden layers as the papers write them: "2x256" -> [256, 256]."""
    layers, units = text.split("x")
    return [int(units)] * int(layers)
