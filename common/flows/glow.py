"""The steps of Glow for vectors (Kingma & Dhariwal 2018): normalisation, a mix of the entries, a coupling.

The contract is that of `common.flows.transforms`; inputs are [members, batch, event].
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from .coupling import Diagonal, Halves
from .networks import MLP, Rngs, orthogonal, small_uniform
from .transforms import Compose


class ActNorm(Diagonal):
    """y = exp(s) x + t with free s and t, one vector each per member, set so that the first batch leaves with mean 0 and
    standard deviation 1 (`initialise`)."""

    def __init__(self, members: int, event: int):
        super().__init__(torch.zeros(members, 1, event), torch.zeros(members, 1, event))

    @torch.no_grad()
    def initialise(self, x: Tensor) -> None:
        """Set s and t from a batch, [members, batch, event]."""
        self.log_scale.copy_(-(x.std(1, keepdim=True) + 1e-6).log())
        self.shift.copy_(-x.mean(1, keepdim=True) * self.log_scale.exp())


class Mix(nn.Module):
    """y = x W, log_det = ln |det W|, with a free matrix W per member, orthogonal at the start.

    Safe range: W stays invertible only as far as training keeps it so; its determinant is not bounded away from 0.
    """

    def __init__(self, rngs: Rngs, event: int):
        super().__init__()
        weights = np.stack([orthogonal()(rng, event, event)[0] for rng in rngs])
        self.weight = nn.Parameter(torch.tensor(weights, dtype=torch.get_default_dtype()))

    def log_det(self, x: Tensor) -> Tensor:
        return torch.linalg.slogdet(self.weight)[1].unsqueeze(-1).expand(x.shape[:-1])

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return torch.bmm(x, self.weight), self.log_det(x)

    def inverse(self, y: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return torch.linalg.solve(self.weight, y, left=False), -self.log_det(y)


class MixLU(nn.Module):
    """y = x W, W = P L (U + diag(s)): a fixed permutation P, L lower triangular with ones on its diagonal, U above its own
    and s of a fixed sign, log_det = sum_i ln |s_i|. Orthogonal at the start, as `Mix` is.

    It is invertible whatever its parameters are, and its determinant costs event operations, not event^3.
    """

    order: Tensor
    sign: Tensor

    def __init__(self, rngs: Rngs, event: int):
        super().__init__()
        weights = np.stack([orthogonal()(rng, event, event)[0] for rng in rngs])
        order, lower, upper = torch.linalg.lu(torch.tensor(weights))
        diagonal = upper.diagonal(dim1=-2, dim2=-1)
        dtype = torch.get_default_dtype()
        self.register_buffer("order", order.to(dtype))
        self.register_buffer("sign", diagonal.sign().to(dtype))
        self.lower, self.upper = (nn.Parameter(x.to(dtype)) for x in (lower.tril(-1), upper.triu(1)))
        self.log_scale = nn.Parameter(diagonal.abs().log().to(dtype))

    def factors(self) -> tuple[Tensor, Tensor]:
        """L and U + diag(s), [members, event, event]."""
        ones = torch.eye(self.lower.shape[-1], dtype=self.lower.dtype, device=self.lower.device)
        return self.lower.tril(-1) + ones, self.upper.triu(1) + torch.diag_embed(self.sign * self.log_scale.exp())

    def log_det(self, x: Tensor) -> Tensor:
        return self.log_scale.sum(-1, keepdim=True).expand(x.shape[:-1])

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        lower, upper = self.factors()
        return torch.bmm(x, self.order @ lower @ upper), self.log_det(x)

    def inverse(self, y: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        lower, upper = self.factors()
        half = torch.linalg.solve_triangular(upper, y, upper=True, left=False)
        x = torch.linalg.solve_triangular(lower, half, upper=False, left=False, unitriangular=True)
        return torch.bmm(x, self.order.mT), -self.log_det(y)


class Permutation(nn.Module):
    """y is x with its entries in another, fixed order, drawn for every member; log_det = 0. What Glow replaces."""

    order: Tensor

    def __init__(self, rngs: Rngs, event: int):
        super().__init__()
        self.register_buffer("order", torch.tensor(np.stack([rng.permutation(event) for rng in rngs])))

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return torch.gather(x, -1, self.order.unsqueeze(1).expand_as(x)), x.new_zeros(x.shape[:-1])

    def inverse(self, y: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return torch.gather(y, -1, self.order.argsort(-1).unsqueeze(1).expand_as(y)), y.new_zeros(y.shape[:-1])


class BoundedCoupling(Halves):
    """A coupling whose log-scale is bounded: with (h, t) = network(x_a, c), one network for both,

        y_a = x_a,    y_b = x_b * exp(b tanh h) + t,    log_det = sum_j b_j tanh h_j.

    b is free, one number per transformed entry, 1 at the start; the network's last layer is 0 at the start, so that the
    coupling is the identity.
    """

    def __init__(
        self, rngs: Rngs, event: int, leading: bool, hidden: Sequence[int], context: int = 0, activation: str = "prelu"
    ):
        super().__init__(event, leading, context)
        moved = event - self.kept
        self.network = MLP(rngs, [self.kept + context, *hidden, 2 * moved], activation, last_init=small_uniform(0.0))
        self.bound = nn.Parameter(torch.ones(len(rngs), 1, moved))

    def scale_and_shift(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        height, shift = self.network(inputs).chunk(2, -1)
        return self.bound * torch.tanh(height), shift


@torch.no_grad()
def initialise(flow: Compose, x: Tensor, context: Tensor | None = None) -> None:
    """Set every `ActNorm` of a `Compose` from what a batch of data, [members, batch, event], is on reaching it."""
    for transform in flow.transforms:
        if isinstance(transform, ActNorm):
            transform.initialise(x)
        x = transform(x, context)[0]
