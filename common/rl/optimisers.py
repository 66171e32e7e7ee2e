"""Gradient steps on fleets."""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn


def give_gradients(parameters: Iterable[nn.Parameter], gradients: Iterable[Tensor]) -> None:
    """Hand an optimiser the gradients of its parameters, in these parameters' layout.

    On a CPU a fused optimiser walks through a gradient's memory in the parameter's order, whatever the gradient's strides.
    An expanded gradient, such as that of a sum, ends early, and what lies behind it would be taken for numbers. On a GPU
    other strides are an error.
    """
    for parameter, gradient in zip(parameters, gradients, strict=True):
        if gradient.stride() != parameter.stride():
            gradient = torch.empty_like(parameter).copy_(gradient)
        parameter.grad = gradient


def descend(optimiser: torch.optim.Optimizer, parameters: Iterable[nn.Parameter], loss: Tensor) -> None:
    """One step of `optimiser` on the sum of the members' losses, [members]. Their gradients do not mix, so that a NaN stays
    with its member; only the gradients of `parameters` are computed."""
    parameters = list(parameters)
    # Asking for these gradients alone leaves the critics' weight gradients out of the policy's backward pass.
    give_gradients(parameters, torch.autograd.grad(loss.sum(), parameters))
    optimiser.step()


@torch.no_grad()
def follow(targets: nn.Module, online: nn.Module, rate: float) -> None:
    """Move a target network towards the online one, theta' <- (1 - rate) theta' + rate theta: an exponential moving average.

    Without gradient recording: else the targets would carry a graph that grows with every update.
    """
    torch._foreach_lerp_(list(targets.parameters()), list(online.parameters()), rate)


def clipped(gradients: Sequence[Tensor], squares: Tensor, limit: float) -> list[Tensor]:
    """Gradients scaled down so that no member's whole exceeds `limit` in length. squares: [members], the squared lengths.
    The leading axis of a gradient is a multiple of the members, member by member."""
    scale = (limit / (squares.sqrt() + 1e-6)).clamp(max=1.0).unsqueeze(-1)
    return [(gradient.reshape(len(scale), -1) * scale).reshape(gradient.shape) for gradient in gradients]
