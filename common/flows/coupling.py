"""Couplings: one part of a vector is transformed by what the other part, which stays as it is, says.

The contract is that of `common.flows.transforms`.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from .networks import MLP, Init, LayerNorm, Rngs


class Halves(nn.Module):
    """What couplings share: y_a = x_a, y_b = x_b * exp(s) + t, log_det = sum_j s_j, with (s, t) = `parameters_at`(x_a, c).

    `leading`: the first ceil(event / 2) entries are kept; else the others are, so that two couplings in turn transform
    every entry. `context` is the width of c; 0: s and t do not read it.
    """

    def __init__(self, event: int, leading: bool, context: int):
        super().__init__()
        if event < 2:
            raise ValueError("a coupling needs two entries or more: of one, either nothing is kept or nothing is left")
        half = (event + 1) // 2
        self.event, self.leading, self.context = event, leading, context
        self.kept = half if leading else event - half

    def split(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(x_a, x_b): what is kept, and what is transformed."""
        if self.leading:
            return x[..., : self.kept], x[..., self.kept :]
        return x[..., self.event - self.kept :], x[..., : self.event - self.kept]

    def join(self, kept: Tensor, moved: Tensor) -> Tensor:
        """The inverse of `split`."""
        return torch.cat((kept, moved) if self.leading else (moved, kept), -1)

    def parameters_at(self, kept: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """s and t, each [members, batch, event - kept]."""
        return self.scale_and_shift(torch.cat([kept, context], -1) if self.context else kept)  # type: ignore[list-item]

    def scale_and_shift(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """s and t from what the networks see, [members, batch, kept + context]."""
        raise NotImplementedError

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        kept, moved = self.split(x)
        log_scale, shift = self.parameters_at(kept, context)
        return self.join(kept, moved * log_scale.exp() + shift), log_scale.sum(-1)

    def inverse(self, y: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        kept, moved = self.split(y)
        log_scale, shift = self.parameters_at(kept, context)
        return self.join(kept, (moved - shift) * (-log_scale).exp()), -log_scale.sum(-1)


class Coupling(Halves):
    """Affine coupling (Dinh et al. 2016; eq. 8 of Tang & Agrawal 2018). With x split into a kept half x_a and the rest x_b:

        y_a = x_a,    y_b = x_b * exp(s(x_a, c)) + t(x_a, c),    log_det = sum_j s_j(x_a, c).

    s and t are two networks of the same shape, not bounded.

    The two networks of a member stand in one stack of 2 * members rows, s before t, so that both are one product.

    Safe range: |s| < 88 in float32, beyond which exp overflows; nothing here keeps s inside.
    """

    def __init__(
        self, rngs: Rngs, event: int, leading: bool, hidden: Sequence[int], context: int = 0, activation: str = "relu",
        layer_norm: bool = False, init: Init | None = None, last_init: Init | None = None,
    ):  # fmt: skip
        super().__init__(event, leading, context)
        sizes = [self.kept + context, *hidden, event - self.kept]
        rows = [rng for rng in rngs for _ in range(2)]
        self.network = MLP(rows, sizes, activation, init, last_init, layer_norm)

    def scale_and_shift(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        members, batch, features = inputs.shape
        twice = inputs.unsqueeze(1).expand(members, 2, batch, features).reshape(-1, batch, features)
        return self.network(twice).view(members, 2, batch, -1).unbind(1)


class AdditiveCoupling(Halves):
    """Additive coupling (Dinh et al. 2014, NICE): y_a = x_a, y_b = x_b + t(x_a, c), log_det = 0. It keeps volumes: a flow of
    these needs a `Diagonal` to change any."""

    def __init__(
        self, rngs: Rngs, event: int, leading: bool, hidden: Sequence[int], context: int = 0, activation: str = "relu",
        last_init: Init | None = None,
    ):  # fmt: skip
        super().__init__(event, leading, context)
        self.network = MLP(rngs, [self.kept + context, *hidden, event - self.kept], activation, last_init=last_init)

    def shift_at(self, kept: Tensor, context: Tensor | None) -> Tensor:
        """t, [members, batch, event - kept]."""
        return self.network(torch.cat([kept, context], -1) if self.context else kept)  # type: ignore[list-item]

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        kept, moved = self.split(x)
        return self.join(kept, moved + self.shift_at(kept, context)), x.new_zeros(x.shape[:-1])

    def inverse(self, y: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        kept, moved = self.split(y)
        return self.join(kept, moved - self.shift_at(kept, context)), y.new_zeros(y.shape[:-1])


class Shift(nn.Module):
    """y = x + L(c), log_det = 0: how a flow is told of the state (eq. 9 of Tang & Agrawal 2018). `network` maps the context
    [members, batch, context] to [members, batch, event]."""

    def __init__(self, network: nn.Module):
        super().__init__()
        self.network = network

    def forward(self, x: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        return x + self.network(context), x.new_zeros(x.shape[:-1])

    def inverse(self, y: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        return y - self.network(context), y.new_zeros(y.shape[:-1])


def with_norm_eps(network: nn.Sequential, eps: float) -> nn.Sequential:
    """The network, with `eps` added to the variance in each of its layer normalisations. Where three units are normalised,
    as in the narrowest couplings, the usual 1e-5 is not small beside their variance."""
    for layer in network:
        if isinstance(layer, LayerNorm):
            layer.eps = eps
    return network


class Diagonal(nn.Module):
    """y = exp(s) * x + t with free s and t, one vector each per member; log_det = sum_j s_j. log_scale, shift: [members, 1,
    event], the values at the start."""

    def __init__(self, log_scale: Tensor, shift: Tensor):
        super().__init__()
        self.log_scale, self.shift = nn.Parameter(log_scale), nn.Parameter(shift)

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return x * self.log_scale.exp() + self.shift, self.log_scale.sum(-1).expand(x.shape[:-1])

    def inverse(self, y: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return (y - self.shift) * (-self.log_scale).exp(), -self.log_scale.sum(-1).expand(y.shape[:-1])
