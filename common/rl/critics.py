"""Action-value functions for fleets."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ..flows.networks import MLP, Init, Rngs
from .replay import Batch


class QFunctions(nn.Module):
    """`count` independent networks Q_j(s, a) per member (clipped double Q-learning takes two; Fujimoto et al. 2018).

    obs: [members, batch, observations], action: [members, batch, actions] -> [members, count, batch].
    """

    def __init__(
        self, rngs: Rngs, observations: int, actions: int, hidden: Sequence[int], count: int = 2, init: Init | None = None
    ):
        super().__init__()
        self.count = count
        # The networks of all members stand in one stack of members * count rows, member by member.
        rows = [rng for rng in rngs for _ in range(count)]
        self.network = MLP(rows, [observations + actions, *hidden, 1], init=init)

    def forward(self, obs: Tensor, action: Tensor) -> Tensor:
        x = torch.cat([obs, action], -1)
        members, batch, features = x.shape
        x = x.unsqueeze(1).expand(members, self.count, batch, features).reshape(-1, batch, features)
        return self.network(x).view(members, self.count, batch)


def critic_loss(values: Tensor, batch: Batch, discount: float, following: Tensor) -> Tensor:
    """mean_batch sum_j (Q_j(s, a) - y)^2 with y = r + gamma (1 - terminated) V(s'), [members]. values: Q_j(s, a), [members,
    count, batch]; following: V(s'), [members, batch], a constant."""
    target = batch.reward + discount * (1 - batch.terminated) * following
    return (values - target.unsqueeze(1)).square().mean(-1).sum(-1)
