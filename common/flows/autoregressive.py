"""Autoregressive flows: entry i of an event moves as the entries before it say.

A masked network (Germain et al. 2015) of a vector v gives the parameters of all entries at once, those of entry i from
v_<i and the context. Where v is known, a flow takes one pass of the network; where v is what is sought it takes one pass per
entry, for the i-th pass settles the i-th entry:

                                    forward (a sample)          inverse (a density)
    MaskedAutoregressive            event passes                one
    InverseAutoregressive           one                         event passes
    GatedInverseAutoregressive      one                         event passes

The contract is that of `common.flows.transforms`; inputs are [members, batch, event].
"""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .networks import ACTIVATIONS, Init, Linear, Rngs

LIMIT = math.log(1000)  # of log-scales, unless told: an entry is scaled by 1/1000 to 1000


def softly_bounded(x: Tensor, limit: float) -> Tensor:
    """x / (1 + |x| / limit): x near 0, within +-limit everywhere; with limit = inf, x itself."""
    return x if math.isinf(limit) else x / (1 + x.abs() / limit)


class MaskedMLP(nn.Module):
    """A multilayer perceptron per member whose outputs for entry i read the entries before i, and the whole context.

    The order of entries is 0, 1, ..., or the other way round if `reverse`. A hidden unit of degree d reads the entries at
    places 0 to d, and is read by those at places above d; degree -1 reads the context alone. `degrees`: one per hidden unit,
    the same in every layer; None: spread evenly. `outputs`: numbers per entry. Biases of the last layer reach every entry.
    """

    def __init__(
        self, rngs: Rngs, event: int, hidden: Sequence[int], outputs: int, context: int = 0, reverse: bool = False,
        activation: str = "relu", last_init: Init | None = None, degrees: Sequence[int] | None = None,
    ):  # fmt: skip
        super().__init__()
        self.event, self.outputs, self.context = event, outputs, context
        sizes = [event + context, *hidden, outputs * event]
        inits = [*[None] * len(hidden), last_init]
        self.layers: Any = nn.ModuleList(
            Linear(rngs, *size, init) for size, init in zip(zip(sizes, sizes[1:], strict=False), inits, strict=True)
        )
        self.activations: Any = nn.ModuleList(ACTIVATIONS[activation](len(rngs)) for _ in hidden)
        place = torch.arange(event).flip(0) if reverse else torch.arange(event)
        self.order = place.argsort().tolist()  # entries, the first one first
        known = torch.cat([place, torch.full((context,), -1)])
        for i, width in enumerate(hidden):
            degree = torch.tensor(degrees) if degrees is not None else self.spread(event, context, width)
            self.register_buffer(f"mask{i}", (known[:, None] <= degree).to(torch.get_default_dtype()))
            known = degree
        told = (known[:, None] < place).repeat(1, outputs)
        self.register_buffer(f"mask{len(hidden)}", told.to(torch.get_default_dtype()))

    @staticmethod
    def spread(event: int, context: int, width: int) -> Tensor:
        """Degrees of `width` units in turn: 0 to event - 2, and -1 where there is a context to read."""
        lowest = -1 if context or event == 1 else 0
        return torch.arange(width) % (event - 1 - lowest) + lowest

    def weights(self) -> list[Tensor]:
        """The weights of the layers, masked, [members, in, out] each."""
        return [layer.weight * getattr(self, f"mask{i}") for i, layer in enumerate(self.layers)]

    def forward(
        self, x: Tensor, context: Tensor | None = None, weights: list[Tensor] | None = None, entry: int | None = None
    ) -> tuple[Tensor, ...]:
        """The parameters of all entries, `outputs` tensors [members, batch, event], or of one `entry` alone, [members,
        batch]. `weights`: those of `weights()`, if they are known already."""
        weights = self.weights() if weights is None else weights
        biases = [layer.bias.unsqueeze(1) for layer in self.layers]
        if entry is not None:
            weights, biases = ([*x[:-1], x[-1][..., entry :: self.event]] for x in (weights, biases))
        x = torch.cat([x, context], -1) if self.context else x  # type: ignore[list-item]
        for weight, bias, activation in zip(weights, biases, self.activations, strict=False):
            x = activation(torch.bmm(x, weight).add_(bias))
        x = torch.bmm(x, weights[-1]).add_(biases[-1])
        return x.unbind(-1) if entry is not None else x.chunk(self.outputs, -1)


class Autoregressive(nn.Module):
    """What autoregressive flows share: an elementwise map v -> w, `act`, whose parameters a masked network takes from v.

    `parallel`(v) = w takes one pass, `sequential`(w) = v one per entry. A subclass says what `act` and its inverse `undo`
    are, each (values, parameters) -> (values, log_det per entry), and which way is forward.
    """

    outputs = 2  # parameters per entry

    def __init__(
        self, rngs: Rngs, event: int, hidden: Sequence[int], context: int = 0, reverse: bool = False,
        activation: str = "relu", last_init: Init | None = None, degrees: Sequence[int] | None = None,
    ):  # fmt: skip
        super().__init__()
        self.network = MaskedMLP(
            rngs, event, hidden, self.outputs, context, reverse, activation, last_init, degrees
        )  # fmt: skip

    def act(self, v: Tensor, *parameters: Tensor) -> tuple[Tensor, Tensor]:
        """w and ln |dw/dv|, per entry."""
        raise NotImplementedError

    def undo(self, w: Tensor, *parameters: Tensor) -> tuple[Tensor, Tensor]:
        """v and ln |dv/dw|, per entry."""
        raise NotImplementedError

    def parallel(self, v: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        w, log_det = self.act(v, *self.network(v, context))
        return w, log_det.sum(-1)

    def sequential(self, w: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        weights = self.network.weights()
        settled: list[Tensor] = [torch.zeros_like(w[..., 0])] * w.shape[-1]  # what is not known yet is read by no one
        total = torch.zeros_like(w[..., 0])
        for entry in self.network.order:
            parameters = self.network(torch.stack(settled, -1), context, weights, entry)
            settled[entry], log_det = self.undo(w[..., entry], *parameters)
            total = total + log_det
        return torch.stack(settled, -1), total


class InverseAutoregressive(Autoregressive):
    """Inverse autoregressive flow (Kingma et al. 2016): with (s, m)_i from x_<i and the context,

        y_i = exp(s_i) x_i + m_i,    log_det = sum_i s_i.

    `limit` bounds s softly; inf: not at all. Sampling is one pass of the network, a density one per entry.
    Safe range: |s| < 88 in float32, beyond which exp overflows; the default limit stays below.
    """

    def __init__(
        self, rngs: Rngs, event: int, hidden: Sequence[int], context: int = 0, reverse: bool = False,
        activation: str = "relu", last_init: Init | None = None, degrees: Sequence[int] | None = None, limit: float = LIMIT,
    ):  # fmt: skip
        super().__init__(rngs, event, hidden, context, reverse, activation, last_init, degrees)
        self.limit = limit

    def act(self, v: Tensor, *parameters: Tensor) -> tuple[Tensor, Tensor]:
        log_scale, shift = softly_bounded(parameters[0], self.limit), parameters[1]
        return v * log_scale.exp() + shift, log_scale

    def undo(self, w: Tensor, *parameters: Tensor) -> tuple[Tensor, Tensor]:
        log_scale, shift = softly_bounded(parameters[0], self.limit), parameters[1]
        return (w - shift) * (-log_scale).exp(), -log_scale

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return self.parallel(x, context)

    def inverse(self, y: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return self.sequential(y, context)


class MaskedAutoregressive(InverseAutoregressive):
    """Masked autoregressive flow (Papamakarios et al. 2017; eqs 11-13 of the review): with (s, m)_i from y_<i and context,

        y_i = exp(s_i) x_i + m_i,    log_det = sum_i s_i.

    A density is one pass of the network, sampling one per entry. `limit` and safe range as those of the inverse flow.
    """

    def act(self, v: Tensor, *parameters: Tensor) -> tuple[Tensor, Tensor]:
        return super().undo(v, *parameters)

    def undo(self, w: Tensor, *parameters: Tensor) -> tuple[Tensor, Tensor]:
        return super().act(w, *parameters)

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return self.sequential(x, context)

    def inverse(self, y: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return self.parallel(y, context)


class GatedInverseAutoregressive(Autoregressive):
    """The numerically stable form of the inverse autoregressive flow (Kingma et al. 2016, eqs 13-14): with (g, m)_i from
    x_<i and the context and s = sigmoid(g + gate),

        y_i = s_i x_i + (1 - s_i) m_i,    log_det = sum_i ln s_i.

    `gate` > 0: at the start most of x is kept (theirs: 1 to 2). It shrinks every entry: 0 < s < 1.
    Safe range: g + gate > -10 in float32 (-30 in float64): of an entry that is shrunk by s the inverse brings back so many
    digits fewer, and later entries read what it brings back.
    """

    def __init__(
        self, rngs: Rngs, event: int, hidden: Sequence[int], context: int = 0, reverse: bool = False,
        activation: str = "relu", last_init: Init | None = None, degrees: Sequence[int] | None = None, gate: float = 1.5,
    ):  # fmt: skip
        super().__init__(rngs, event, hidden, context, reverse, activation, last_init, degrees)
        self.gate = gate

    def act(self, v: Tensor, *parameters: Tensor) -> tuple[Tensor, Tensor]:
        gate, shift = parameters[0] + self.gate, parameters[1]
        return torch.lerp(shift, v, torch.sigmoid(gate)), F.logsigmoid(gate)

    def undo(self, w: Tensor, *parameters: Tensor) -> tuple[Tensor, Tensor]:
        gate, shift = parameters[0] + self.gate, parameters[1]
        return shift + (w - shift) / torch.sigmoid(gate), -F.logsigmoid(gate)

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return self.parallel(x, context)

    def inverse(self, y: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return self.sequential(y, context)
