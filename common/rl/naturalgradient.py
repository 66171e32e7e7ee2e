"""Second-order quantities of fleets: flat parameters, conjugate gradient, Fisher-vector products.

A member's parameters are one row of a matrix [members, parameters]; all quantities are computed for all members at once and
do not mix them.
"""

from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor

Product = Callable[[Tensor], Tensor]  # v [members, n] -> A v [members, n]


def flatten(tensors: Iterable[Tensor], members: int) -> Tensor:
    """[members, parameters] from tensors whose leading axis is a multiple of `members`, member by member."""
    return torch.cat([x.reshape(members, -1) for x in tensors], 1)


@torch.no_grad()
def assign(parameters: Iterable[Tensor], flat: Tensor) -> None:
    """Write rows [members, parameters] into the parameters, in place."""
    first = 0
    for parameter in parameters:
        width = parameter.numel() // len(flat)
        parameter.copy_(flat[:, first : first + width].reshape(parameter.shape))
        first += width


def gradient(loss: Tensor, parameters: Sequence[Tensor], members: int, **options) -> Tensor:
    """Gradients [members, parameters] of per-member losses [members]. A parameter that no loss reads has gradient 0.
    `options` go to `torch.autograd.grad`."""
    return flatten(torch.autograd.grad(loss.sum(), parameters, materialize_grads=True, **options), members)


def conjugate_gradient(
    product: Product, b: Tensor, iterations: int = 10, tolerance: float = 1e-10, truncate: bool = False
) -> tuple[Tensor, Tensor]:
    """(x with A x = b by conjugate gradient from 0 (Wright & Nocedal 1999, algorithm 5.2), whether a direction p with p'Ap <
    0 was met [members]). `product(v)` is A v; b, v and x are [members, n].

    A member stops once its squared residual is below `tolerance`. Converges only if A is positive definite. Where it is not,
    `truncate` stops before the first direction without positive curvature (Steihaug 1983, without its step to the boundary):
    x is then the best of the subspace so far, on which A is positive definite, or 0.
    """
    x, residual, direction = torch.zeros_like(b), b, b
    met = torch.zeros(len(b), dtype=torch.bool, device=b.device)
    square = (residual * residual).sum(-1, keepdim=True)
    for _ in range(iterations):
        image = product(direction)
        curvature = (direction * image).sum(-1, keepdim=True)
        running = square >= tolerance
        met |= (running & (curvature < 0)).squeeze(-1)
        if truncate:
            running &= (curvature > 0) & ~met.unsqueeze(-1)
        length = torch.where(running, square / curvature, 0.0)
        x = torch.where(running, x + length * direction, x)
        residual = torch.where(running, residual - length * image, residual)
        following = torch.where(running, (residual * residual).sum(-1, keepdim=True), square)
        direction = torch.where(running, residual + following / square * direction, direction)
        square = following
    return x, met


def hessian_product(loss: Tensor, parameters: Sequence[Tensor], members: int) -> Product:
    """v -> H v, H the Hessian of per-member losses [members]: the gradient, differentiated once more (Pearlmutter 1994)."""
    first = gradient(loss, parameters, members, create_graph=True)

    def product(v):
        return gradient((first * v).sum(-1), parameters, members, retain_graph=True)

    return product


def score_product(log_prob: Tensor, parameters: Sequence[Tensor], members: int) -> Product:
    """v -> F v with the empirical Fisher matrix of scores g_i = grad ln p_i:  F v = mean_i g_i (g_i . v), never negative.

    log_prob: [members, n]. With weights u, sum_i u_i g_i is linear in u: its derivative along v gives all g_i . v for one
    more backward pass.
    """
    weights = torch.ones_like(log_prob, requires_grad=True)
    weighted = gradient((weights * log_prob).sum(-1), parameters, members, create_graph=True)
    count = log_prob.shape[-1]

    def product(v):
        (along,) = torch.autograd.grad((weighted * v).sum(), weights, retain_graph=True)
        return gradient((along * log_prob).sum(-1) / count, parameters, members, retain_graph=True)

    return product
