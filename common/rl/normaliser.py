"""Running normalisation of observations, one per member."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn


class Normaliser(nn.Module):
    """x -> clip((x - mean) / std, -limit, limit) with mean and std of all that was seen.

    Moments are merged batch by batch, in float64 (Chan et al. 1979): with counts n, m, means a, b and sums of squared
    deviations P, Q of two batches

        mean = a + (b - a) m / (n + m),    sum = P + Q + (b - a)^2 n m / (n + m).

    It starts from `prior` observations' worth of mean 0 and variance 1; std is at least `floor`. x: [members, batch,
    features].
    """

    count: Tensor
    mean: Tensor
    squares: Tensor

    def __init__(self, members: int, features: int, limit: float = 5.0, floor: float = 0.1, prior: float = 1e-2):
        super().__init__()
        self.limit, self.floor = limit, floor
        self.register_buffer("count", torch.full((members, 1, 1), prior, dtype=torch.float64))
        self.register_buffer("mean", torch.zeros(members, 1, features, dtype=torch.float64))
        self.register_buffer("squares", torch.full((members, 1, features), prior, dtype=torch.float64))

    @torch.no_grad()
    def update(self, x: Tensor) -> None:
        """Take in a batch of every member. x: [members, batch, features]."""
        x = x.double()
        mean, count = x.mean(1, keepdim=True), x.shape[1]
        squares = (x - mean).square().sum(1, keepdim=True)
        total = self.count + count
        gap = mean - self.mean
        # In place: buffers keep their identity, as checkpoints and graphs expect.
        self.squares.add_(squares + gap.square() * self.count * count / total)
        self.mean.add_(gap * count / total)
        self.count.copy_(total)

    def std(self) -> Tensor:
        """Standard deviations with their floor, [members, 1, features], float64."""
        return (self.squares / self.count).sqrt().clamp(min=self.floor)

    def forward(self, x: Tensor) -> Tensor:
        return ((x - self.mean.to(x.dtype)) * (1 / self.std()).to(x.dtype)).clamp(-self.limit, self.limit)

    def on_host(self) -> Callable[[np.ndarray], np.ndarray]:
        """The same function in NumPy on a copy of the moments, for one observation per member: [members, features]."""
        mean = self.mean.squeeze(1).float().cpu().numpy()
        scale = (1 / self.std()).squeeze(1).float().cpu().numpy()
        limit = self.limit
        return lambda x: ((x - mean) * scale).clip(-limit, limit)
