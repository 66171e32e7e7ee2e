"""Action-value functions for fleets."""

import torch
from torch import nn

from ..flows.networks import MLP


class QFunctions(nn.Module):
    """`count` independent networks Q_j(s, a) per member (clipped double Q-learning takes two; Fujimoto et al. 2018).

    obs: [members, batch, observations], action: [members, batch, actions] -> [members, count, batch].
    """

    def __init__(self, rngs, observations, actions, hidden, count=2, init=None):
        super().__init__()
        self.count = count
        # The networks of all members stand in one stack of members * count rows, member by member.
        rows = [rng for rng in rngs for _ in range(count)]
        self.network = MLP(rows, [observations + actions, *hidden, 1], init=init)

    def forward(self, obs, action):
        x = torch.cat([obs, action], -1)
        members, batch, features = x.shape
        x = x.unsqueeze(1).expand(members, self.count, batch, features).reshape(-1, batch, features)
        return self.network(x).view(members, self.count, batch)
