"""Networks of layers whose weights have a posterior, and the random numbers that they ask for.

A layer is one of `mnf.py` or alike it: `draws`, `weight_draws` and `divergence_draws` of an rng return a member's random
numbers, `forward(x, noise)`, `weights(noise)` and `divergence(noise)` take them stacked over members.
"""

import torch
from torch import nn

from common.flows.networks import Linear
from papers.nf_review.mnf import GaussianLinear, MNFLinear


def dense(posterior, rngs, fan_in, fan_out, config):
    """A dense layer of that posterior: "mean_field", "masked" or "iaf"."""
    spread = {"log_std": config.log_std, "largest_std": config.largest_std}
    if posterior == "mean_field":
        return GaussianLinear(rngs, fan_in, fan_out, **spread)
    flow = {"length": config.flow_length, "width": config.flow_width, "gate": config.gate}
    return MNFLinear(rngs, fan_in, fan_out, flow=posterior, **spread, **flow)


class Network(nn.Module):
    """Dense layers with ReLU between them. Random numbers of layer i are named "i.name", those of its divergence
    "i.kl.name"."""

    def __init__(self, layers):
        super().__init__()
        self.layers = nn.ModuleList(layers)

    def draws(self, rng, *lead):
        """Of one call: {name: [*lead, ...]}, the last of `lead` being the batch."""
        return self._named("", lambda layer: layer.draws(rng, *lead))

    def weight_draws(self, rng, *lead):
        """Of weights: {name: [*lead, ...]}."""
        return self._named("", lambda layer: layer.weight_draws(rng, *lead))

    def divergence_draws(self, rng, *lead):
        """Of `divergence`: {name: [*lead, ...]}."""
        return self._named("kl.", lambda layer: layer.divergence_draws(rng, *lead))

    def _named(self, kind, draw):
        return {f"{i}.{kind}{name}": x for i, layer in enumerate(self.layers) for name, x in draw(layer).items()}

    def forward(self, x, draws=None):
        """x [members, batch, in] -> [members, batch, out]; without draws the weights are their means."""
        for i, layer in enumerate(self.layers):
            x = layer(x, None if draws is None else self._of(f"{i}.", draws))
            x = x if i == len(self.layers) - 1 else torch.relu(x)
        return x

    def weights(self, draws=None):
        """[(weights, biases)] of the layers."""
        return [layer.weights(None if draws is None else self._of(f"{i}.", draws)) for i, layer in enumerate(self.layers)]

    def divergence(self, draws):
        """KL(q || p), or its bound, of all layers, [members]."""
        return sum(layer.divergence(self._of(f"{i}.kl.", draws)) for i, layer in enumerate(self.layers))

    @staticmethod
    def _of(prefix, draws):
        return {name.removeprefix(prefix): x for name, x in draws.items() if name.startswith(prefix)}


class Sampled(nn.Module):
    """A layer W = mean + `spread(noise)`, of which one draw serves a whole batch. x: [members, batch, in].

    mean: [members, in + 1, out], the last row being the biases; it starts uniform within `bound`.
    """

    def __init__(self, rngs, fan_in, fan_out, bound):
        super().__init__()
        drawn = [torch.as_tensor(rng.uniform(-bound, bound, (fan_in + 1, fan_out))) for rng in rngs]
        self.mean = nn.Parameter(torch.stack(drawn).to(torch.get_default_dtype()))
        self.sizes = fan_in, fan_out

    def draws(self, rng, *lead):
        return self.weight_draws(rng, *lead[:-1])

    def divergence_draws(self, rng, *lead):
        return {}

    def divergence(self, noise):
        return self.mean.new_zeros(len(self.mean))

    def forward(self, x, noise=None):
        weight, bias = self.weights(noise)
        return torch.bmm(x, weight) + bias.unsqueeze(1)

    def weights(self, noise=None):
        both = self.mean if noise is None else self.mean + self.spread(noise)
        return both[:, :-1], both[:, -1]


class Plain(Linear):
    """A layer without noise."""

    def draws(self, rng, *lead):
        return {}

    weight_draws = divergence_draws = draws

    def forward(self, x, noise=None):
        return super().forward(x)

    def weights(self, noise=None):
        return self.weight, self.bias
