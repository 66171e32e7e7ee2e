"""Critics as functions of the action alone, with their gradient written out.

A chain asks for Q(s, a) and dQ/da at K + 1 actions of the same states. Here the states' part of the first layer is
computed once, and the gradient is three products and two masks instead of a recorded graph: with h_i = relu(z_i),

    z_1 = (s W_s + b_1) + a W_a,   z_i = h_i-1 W_i + b_i,   Q = h_n w + b
    dQ/da = (((w 1[h_n > 0]) W_n' 1[h_n-1 > 0]) ... 1[h_1 > 0]) W_a'

which is what autograd gives (`tests/test_slopes.py`), in three quarters of its time. To sort states by
their least critic and take its products alone saved 3 % of an update: not done.
"""

import torch

from common.flows.networks import Linear


class CriticsAt:
    """Q_j(s, .) of some `QFunctions` at fixed states; weights and states are constants.

    obs: [members, batch, observations]; count: critics taken per member, the first ones (default: all).
    """

    def __init__(self, critics, obs, count=None):
        members, batch, seen = obs.shape
        self.count, self.shape = count or critics.count, (members, batch)
        layers = [layer for layer in critics.network if isinstance(layer, Linear)]
        first, *self.inner, self.last = [self._rows(layer, critics.count) for layer in layers]
        weight, bias = first
        self.into = weight[:, seen:]
        self.at_obs = torch.bmm(self._each(obs), weight[:, :seen]).add_(bias)

    def _rows(self, layer, critics):
        """Weight [rows, in, out] and bias [rows, 1, out] of a layer, one row per member and critic, members leading."""
        weight, bias = layer.weight.detach(), layer.bias.detach().unsqueeze(1)
        if self.count == critics:
            return weight, bias
        members = self.shape[0]
        return tuple(x.view(members, critics, *x.shape[1:])[:, : self.count].flatten(0, 1) for x in (weight, bias))

    def _each(self, x):
        """x, [members, batch, features], once for every critic: [rows, batch, features]."""
        return x if self.count == 1 else x.repeat_interleave(self.count, 0)

    @torch.no_grad()
    def values(self, action):
        """Q_j(s, a), [members, count, batch], of an action [members, batch, actions]."""
        hidden = [torch.bmm(self._each(action), self.into).add_(self.at_obs).relu_()]
        for weight, bias in self.inner:
            hidden.append(torch.bmm(hidden[-1], weight).add_(bias).relu_())
        weight, bias = self.last
        values = torch.bmm(hidden[-1], weight).add_(bias)
        self.hidden = hidden
        members, batch = self.shape
        return values.view(members, self.count, batch)

    @torch.no_grad()
    def slope(self, shares):
        """sum_j shares_j dQ_j/da, [members, batch, actions], at the action `values` was last asked for.

        shares: [members, count, batch].
        """
        members, batch = self.shape
        matrices = [weight for weight, _ in self.inner[::-1]] + [self.into]
        back = self.last[0].transpose(1, 2)
        for weight, hidden in zip(matrices, reversed(self.hidden), strict=True):
            # The sign of a rectified number is the mask of its gradient; a fifth of the time of autograd's own.
            back = torch.bmm(hidden.sign_().mul_(back), weight.transpose(1, 2))
        self.hidden = None
        return (back.view(members, self.count, batch, -1) * shares.unsqueeze(-1)).sum(1)


def least_shares(values):
    """Shares of the critics in their minimum, [members, count, batch]: 1 for the least, equal ones among ties."""
    least = (values == values.amin(1, keepdim=True)).to(values.dtype)
    return least / least.sum(1, keepdim=True)


def first_order(value, slope, action):
    """value + slope * (action - the same constant): `value`, [members, batch], with gradient `slope` in the action."""
    return value + (slope * (action - action.detach())).sum(-1)
