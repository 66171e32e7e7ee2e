"""Multiplicative normalizing flows: layers whose weights have a posterior richer than a factorised Gaussian (Section 3.2).

Louizos & Welling 2017, as Touati et al. 2018 use them. A multiplier z, one entry per row of the weights, is a flow of a
Gaussian, z = f_q(z_0), z_0 ~ N(mu_0, diag s_0^2), and scales the means:

    q(W | z) = prod_ij N(W_ij; z_i mu_ij, sigma_ij^2)                                            dense; z [inputs]
    q(W | z) = prod_kij N(W_kij; z_k mu_kij, sigma_kij^2)                                        convolution; z [filters]

q(W) is a mixture over z. Its divergence from the prior N(0, I) is bounded with an auxiliary density r(z | W),

    KL(q(W) || p(W)) <= E_q(W, z) [KL(q(W | z) || p(W)) + ln q(z) - ln r(z | W)],
    ln q(z)     = ln N(z_0; mu_0, diag s_0^2) - ln |det df_q/dz_0|
    ln r(z | W) = ln N(f_r(z); m, diag v) + ln |det df_r/dz|,
    m_i = b1_i mean_j tanh(c'W)_j,   -ln v_i = b2_i mean_j tanh(c'W)_j.

The review calls the flows inverse autoregressive; the paper and its code have masked couplings with a gate (`masked`). Both
are here. All is for fleets: the first axis of every tensor counts members.

Details that matter. In learning every row of a batch has a z of its own, and activations are drawn instead of weights (local
reparameterisation: mean (x z) mu + mu_b, variance x^2 sigma^2 + sigma_b^2); the released code adds the bias's deviation to
that variance. To act, weights are drawn. Without noise z is f_q(mu_0) with every mask at 1/2, which is no bijection, and
W is z mu. Biases are Gaussian without a multiplier.
"""

import math

import torch
from torch import nn
from torch.nn import functional as F

from common.flows.networks import Linear

LOG_TAU = math.log(2 * math.pi)


def scaled_normal(fan_in, fan_out):
    """The deviation sqrt(4 / (fan_in + fan_out)) that means and networks start with (authors' code)."""
    return math.sqrt(4 / (fan_in + fan_out))


def normal_init(rng, fan_in, fan_out):
    """Of `networks.Linear`: weights with that deviation, biases 0 (authors' code)."""
    return scaled_normal(fan_in, fan_out) * rng.standard_normal((fan_in, fan_out)), rng.standard_normal(fan_out) * 0


class GatedCoupling(nn.Module):
    """What a mask m leaves out moves, as the rest says (Touati et al. 2018; Louizos & Welling 2017, eqs 9-10):

        h = tanh(a(m x)),  y = m x + (1 - m) (s x + (1 - s) b(h)),  s = sigmoid(c(h)),  log_det = sum_i (1 - m_i) ln s_i.

    The context is m, [members, batch, event], zeros and ones. `gate`: bias of c at the start.
    """

    def __init__(self, rngs, event, width, gate=0.0):
        super().__init__()
        self.enter = Linear(rngs, event, width, normal_init)
        self.leave = Linear(rngs, width, 2 * event, normal_init)
        self.leave.bias.data[:, event:] += gate

    def parameters_at(self, kept):
        """b(h) and c(h)."""
        return self.leave(torch.tanh(self.enter(kept))).chunk(2, -1)

    def forward(self, x, context):
        shift, gate = self.parameters_at(context * x)
        share = torch.sigmoid(gate)
        moved = share * x + (1 - share) * shift
        return context * x + (1 - context) * moved, ((1 - context) * F.logsigmoid(gate)).sum(-1)

    def inverse(self, y, context):
        shift, gate = self.parameters_at(context * y)
        share = torch.sigmoid(gate)
        moved = (y - (1 - share) * shift) / share
        return context * y + (1 - context) * moved, -((1 - context) * F.logsigmoid(gate)).sum(-1)


class GatedAutoregressive(nn.Module):
    """Inverse autoregressive flow with a gate (Kingma et al. 2016, eqs 13-14):

        y_i = s_i x_i + (1 - s_i) m_i,  s = sigmoid(c(x_<i)),  m = b(x_<i),  log_det = sum_i ln s_i,

    from one masked hidden layer; `reverse` turns the order of the entries round. The inverse takes one pass per entry. The
    context is not read.
    """

    def __init__(self, rngs, event, width, gate=0.0, reverse=False):
        super().__init__()
        self.enter = Linear(rngs, event, width, normal_init)
        self.leave = Linear(rngs, width, 2 * event, normal_init)
        self.leave.bias.data[:, event:] += gate
        place = torch.arange(event).flip(0) if reverse else torch.arange(event)
        last = torch.arange(width) * max(event - 1, 1) // width  # the last entry that a hidden unit sees
        self.register_buffer("seen", (place[:, None] <= last).to(self.enter.weight))
        self.register_buffer("told", (last[:, None] < place).to(self.enter.weight).repeat(1, 2))
        self.event = event

    def parameters_at(self, x):
        """m and c, of which entry i reads the entries before it."""
        hidden = torch.tanh(torch.bmm(x, self.enter.weight * self.seen) + self.enter.bias.unsqueeze(1))
        return (torch.bmm(hidden, self.leave.weight * self.told) + self.leave.bias.unsqueeze(1)).chunk(2, -1)

    def forward(self, x, context=None):
        shift, gate = self.parameters_at(x)
        share = torch.sigmoid(gate)
        return share * x + (1 - share) * shift, F.logsigmoid(gate).sum(-1)

    def inverse(self, y, context=None):
        x = torch.zeros_like(y)
        for _ in range(self.event):  # each pass settles one entry more
            shift, gate = self.parameters_at(x)
            share = torch.sigmoid(gate)
            x = (y - (1 - share) * shift) / share
        return x, -F.logsigmoid(gate).sum(-1)


class Flow(nn.Module):
    """`length` gated flows in turn, of kind "masked" or "iaf". masks: [members, batch, length, event]; None: 1/2."""

    def __init__(self, rngs, event, kind, length, width, gate=0.0):
        super().__init__()
        if kind == "masked":
            flows = [GatedCoupling(rngs, event, width, gate) for _ in range(length)]
        else:
            flows = [GatedAutoregressive(rngs, event, width, gate, reverse=bool(k % 2)) for k in range(length)]
        self.flows = nn.ModuleList(flows)

    def forward(self, x, masks=None):
        total = x.new_zeros(x.shape[:-1])
        for k, flow in enumerate(self.flows):
            x, log_det = flow(x, torch.full_like(x, 0.5) if masks is None else masks[..., k, :])
            total = total + log_det
        return x, total


def gaussian_divergence(mean, variance):
    """KL(N(mean, variance) || N(0, 1)), elementwise."""
    return (variance + mean.square() - 1 - variance.log()) / 2


def masks(rng, *shape):
    """Bernoulli(1/2) numbers in float32."""
    return (rng.random(shape, dtype="float32") < 0.5).astype("float32")


def normals(rng, *shape):
    return rng.standard_normal(shape, dtype="float32")


class GaussianWeights(nn.Module):
    """A factorised posterior over weights, N(mu_ij, sigma_ij^2), and biases, N(mu_b, sigma_b^2); the prior is N(0, 1).

    Weights are kept as [members, rows, columns]. `log_std`: ln sigma at the start, of weights; ln sigma_b^2 starts at
    `bias_log_var`; sigma is clamped at `largest_std`, the released code's 1/2.
    """

    def __init__(self, rngs, rows, columns, biases, fan_in, log_std, largest_std=0.5, bias_log_var=-9.0):
        super().__init__()
        members = len(rngs)
        scale = scaled_normal(fan_in, rows * columns // fan_in)
        drawn = [torch.as_tensor(scale * rng.standard_normal((rows, columns))) for rng in rngs]
        self.mean = nn.Parameter(torch.stack(drawn).to(torch.get_default_dtype()))
        self.log_std = nn.Parameter(torch.full((members, rows, columns), log_std))
        self.bias_mean = nn.Parameter(torch.zeros(members, biases))
        self.bias_log_var = nn.Parameter(torch.full((members, biases), bias_log_var))
        self.rows, self.columns, self.biases, self.largest_std = rows, columns, biases, largest_std

    def variance(self):
        """sigma^2, [members, rows, columns]."""
        return self.log_std.exp().clamp(max=self.largest_std).square()

    def weight_draws(self, rng, *lead):
        """Random numbers of weights: {name: [*lead, ...]}."""
        return {"weight": normals(rng, *lead, self.rows, self.columns), "bias": normals(rng, *lead, self.biases)}

    def weights(self, noise=None):
        """Weights [members, rows, columns] and biases [members, biases]: a draw, or without noise their means."""
        if noise is None:
            return self.mean, self.bias_mean
        bias = self.bias_mean + (self.bias_log_var / 2).exp() * noise["bias"]
        return self.mean + self.variance().sqrt() * noise["weight"], bias

    def divergence_draws(self, rng, *lead):
        """Random numbers of `divergence`: {name: [*lead, ...]}."""
        return {}

    def divergence(self, noise):
        """KL(q || p), [members]."""
        return self.bias_divergence() + gaussian_divergence(self.mean, self.variance()).sum((-2, -1))

    def bias_divergence(self):
        return gaussian_divergence(self.bias_mean, self.bias_log_var.exp()).sum(-1)


class Dense:
    """What dense layers do with their posterior. x: [members, batch, inputs]."""

    def draws(self, rng, *lead):
        """Random numbers of one call of the layer: {name: [*lead, ...]}, the last entry of `lead` being the batch."""
        return {"out": normals(rng, *lead, self.columns)}

    def forward(self, x, noise=None):
        if noise is None:
            weight, bias = self.weights()
            return torch.bmm(x, weight) + bias.unsqueeze(1)
        return self.drawn(x, self.scaled(x, noise), noise)

    def scaled(self, x, noise):
        """The inputs as the mean weights see them."""
        return x

    def drawn(self, x, scaled, noise):
        """Activations of the mean weights' product with `scaled` and of their variances' with x^2."""
        mean = torch.bmm(scaled, self.mean) + self.bias_mean.unsqueeze(1)
        variance = torch.bmm(x.square(), self.variance()) + self.bias_log_var.exp().unsqueeze(1)
        return mean + variance.sqrt() * noise["out"]


class GaussianLinear(Dense, GaussianWeights):
    """A dense layer with a factorised Gaussian posterior (Bayes by backprop; Blundell et al. 2015), by local
    reparameterisation."""

    def __init__(self, rngs, fan_in, fan_out, log_std=-3.0, largest_std=0.5):
        super().__init__(rngs, fan_in, fan_out, fan_out, fan_in, log_std, largest_std)


class Multiplied(GaussianWeights):
    """Weights whose rows a flow's z multiplies.

    flow: "masked" or "iaf"; length, width: flows in turn of q, and of r, and their hidden units; gate: bias of their gates
    at the start.
    """

    def __init__(
        self, rngs, rows, columns, biases, fan_in, log_std=-9.0, largest_std=0.5, flow="masked", length=1, width=16,
        gate=0.0, z_variance=0.1,
    ):  # fmt: skip
        super().__init__(rngs, rows, columns, biases, fan_in, log_std, largest_std)

        def vector(deviation):
            drawn = [torch.as_tensor(deviation * rng.standard_normal(rows)) for rng in rngs]
            return nn.Parameter(torch.stack(drawn).to(torch.get_default_dtype()))

        self.z_mean = vector(math.sqrt(4 / rows))
        self.z_log_var = nn.Parameter(torch.full((len(rngs), rows), math.log(z_variance)))
        self.q_flow = Flow(rngs, rows, flow, length, width, gate)
        self.r_flow = Flow(rngs, rows, flow, length, width, gate)
        self.c, self.b1, self.b2 = (vector(math.sqrt(4 / rows)) for _ in range(3))
        self.length = length

    def multiplier_draws(self, rng, *lead):
        return {"z": normals(rng, *lead, self.rows), "mask": masks(rng, *lead, self.length, self.rows)}

    def multiplier(self, noise=None):
        """z [members, batch, rows] and ln q(z) [members, batch]; without noise f_q(mu_0), [members, 1, rows], and None."""
        mean, log_var = self.z_mean.unsqueeze(1), self.z_log_var.unsqueeze(1)
        if noise is None:
            return self.q_flow(mean)[0], None
        z, log_det = self.q_flow(mean + (log_var / 2).exp() * noise["z"], noise["mask"])
        return z, -(noise["z"].square() + log_var + LOG_TAU).sum(-1) / 2 - log_det

    def weight_draws(self, rng, *lead):
        return super().weight_draws(rng, *lead) | self.multiplier_draws(rng, *lead, 1)

    def weights(self, noise=None):
        means = self.multiplier(noise)[0].transpose(1, 2) * self.mean
        if noise is None:
            return means, self.bias_mean
        weight, bias = super().weights(noise)
        return means + weight - self.mean, bias

    def divergence_draws(self, rng, *lead):
        drawn = self.multiplier_draws(rng, *lead, 1)
        return drawn | {"seen": normals(rng, *lead, 1, self.columns), "back": masks(rng, *lead, 1, self.length, self.rows)}

    def divergence(self, noise):
        """The bound on KL(q || p) at one z and W, [members]."""
        z, log_q = self.multiplier(noise)
        given_z = gaussian_divergence(z.transpose(1, 2) * self.mean, self.variance()).sum((-2, -1))
        # tanh(c'W) for one W: its entries are independent given z, for each has a column of its own.
        c = self.c.unsqueeze(1)
        mean, variance = torch.bmm(c * z, self.mean), torch.bmm(c.square(), self.variance())
        seen = torch.tanh(mean + variance.sqrt() * noise["seen"]).mean(-1, keepdim=True)
        log_r = self.auxiliary(z, seen, noise["back"])
        return self.bias_divergence() + given_z + (log_q - log_r).squeeze(1)

    def auxiliary(self, z, seen, back):
        """ln r(z | W), [members, batch]; seen: mean_j tanh(c'W)_j, [members, batch, 1]; back: masks of f_r."""
        moved, log_det = self.r_flow(z, back)
        mean, log_var = self.b1.unsqueeze(1) * seen, -self.b2.unsqueeze(1) * seen
        return log_det - ((moved - mean).square() / log_var.exp() + log_var + LOG_TAU).sum(-1) / 2


class MNFLinear(Dense, Multiplied):
    """A dense layer, z one entry per input."""

    def __init__(self, rngs, fan_in, fan_out, **settings):
        super().__init__(rngs, fan_in, fan_out, fan_out, fan_in, **settings)

    def draws(self, rng, *lead):
        return super().draws(rng, *lead) | self.multiplier_draws(rng, *lead)

    def scaled(self, x, noise):
        return x * self.multiplier(noise)[0]


class MNFConv(Multiplied):
    """A convolution, z one entry per filter. x: [members, batch, channels, height, width]."""

    def __init__(self, rngs, channels, filters, kernel, stride=1, padding=0, **settings):
        taken = channels * kernel**2
        super().__init__(rngs, filters, taken, filters, taken, **settings)
        self.shape, self.stride, self.padding = (channels, kernel, kernel), stride, padding

    def draws(self, rng, *lead, size):
        """size: (height, width) of the output."""
        return {"out": normals(rng, *lead, self.rows, *size)} | self.multiplier_draws(rng, *lead)

    def forward(self, x, noise=None):
        if noise is None:
            weight, bias = self.weights()
            return self._convolve(x, weight) + bias[:, None, :, None, None]
        z = self.multiplier(noise)[0][..., None, None]
        mean = z * self._convolve(x, self.mean) + self.bias_mean[:, None, :, None, None]
        variance = self._convolve(x.square(), self.variance()) + self.bias_log_var.exp()[:, None, :, None, None]
        return mean + variance.sqrt() * noise["out"]

    def _convolve(self, x, weight):
        """Every member's images with its own filters, as one grouped convolution."""
        members, batch = x.shape[:2]
        groups = x.transpose(0, 1).reshape(batch, -1, *x.shape[3:])
        filters = weight.reshape(members * self.rows, *self.shape)
        out = F.conv2d(groups, filters, stride=self.stride, padding=self.padding, groups=members)
        return out.reshape(batch, members, self.rows, *out.shape[2:]).transpose(0, 1)
