"""Layers with multiplicative flows: their flows by the law test, the bound on KL against Monte Carlo, local
reparameterisation against drawn weights, gradients, and fleets."""

import math

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from common.flows.transforms import Compose
from papers.nf_review import mnf, mnf_regression
from papers.nf_review.config import MNFRegression
from tests.laws import *  # noqa: F403 - all of them are tests
from tests.laws import BATCH, EVENT, MEMBERS, rngs

MASK = torch.tensor([1.0, 0.0])


class Masked(torch.nn.Module):
    """A gated coupling that keeps the first entry, or the second."""

    def __init__(self, first):
        super().__init__()
        self.flow, self.first = mnf.GatedCoupling(rngs(), EVENT, 6, 2.0), first

    def mask(self, x):
        return (MASK if self.first else 1 - MASK).to(x).expand_as(x)

    def forward(self, x, context=None):
        return self.flow(x, self.mask(x))

    def inverse(self, y, context=None):
        return self.flow.inverse(y, self.mask(y))


FAMILIES = {
    "masked": lambda: Compose(Masked(True), Masked(False)),
    "iaf": lambda: Compose(*(mnf.GatedAutoregressive(rngs(), EVENT, 6, 2.0, reverse=r) for r in (False, True))),
}


def spread(module, scale=0.3):
    """Every parameter moved at random, so that none is at a special value."""
    for p in module.parameters():
        p.data += scale * torch.randn_like(p)
    return module


def numbers(drawn):
    """A draw stacked over members, in float64."""
    return {name: torch.as_tensor(np.stack([d[name] for d in drawn]), dtype=torch.float64) for name in drawn[0]}


def layer(kind, flow="masked", members=1, length=2):
    made = rngs(members)
    if kind == "dense":
        return spread(mnf.MNFLinear(made, 3, 2, log_std=-1.5, flow=flow, length=length, width=4))
    return spread(mnf.MNFConv(made, 2, 3, 2, log_std=-1.5, flow=flow, length=length, width=4))


@pytest.mark.parametrize("event, width", [(1, 4), (7, 3), (5, 16)])
@pytest.mark.parametrize("reverse", [False, True])
def test_an_autoregressive_entry_reads_those_before_it_alone(event, width, reverse):
    flow = spread(mnf.GatedAutoregressive(rngs(1), event, width, reverse=reverse))
    x = torch.randn(1, 1, event)
    full = torch.autograd.functional.jacobian(lambda x: flow(x)[0], x)[0, 0, :, 0, 0]
    full = full.flip(0, 1) if reverse else full
    assert torch.equal(full.triu(1), torch.zeros_like(full)) and (full.diagonal() > 0).all()
    if event > 1:
        assert (full.tril(-1).abs().sum(0)[:1] > 0).all() and full[-1, :-1].abs().max() > 0, "and it reads them"
    torch.testing.assert_close(flow.inverse(flow(x)[0])[0], x)


@pytest.mark.parametrize("flow", ["masked", "iaf"])
@pytest.mark.parametrize("kind", ["dense", "conv"])
def test_the_bound_on_kl_is_that_of_drawn_weights(kind, flow):
    """ln q(W | z) + ln q(z) - ln r(z | W) - ln p(W) of weights that are drawn, by densities of torch and by loops; the mean
    of both over many draws, to four standard errors."""
    one, draws = layer(kind, flow), 20_000
    rng = np.random.default_rng(1)
    with torch.no_grad():
        ours = _mean_of_bound(one, rng, draws)
        theirs = _of_drawn_weights(one, rng, draws)
    error = math.hypot(ours.std() / math.sqrt(draws), theirs.std() / math.sqrt(draws))
    assert abs(ours.mean() - theirs.mean()) < 4 * error
    assert 4 * error < 0.15 and ours.mean() > 1, "sharp enough to notice a term that is missing"


def _mean_of_bound(one, rng, draws):
    values = []
    for _ in range(draws // 1000):
        noise = numbers([one.divergence_draws(rng, 1000)])
        # A batch of draws: the layer's own code, with draws in place of members.
        wide = {name: x[0] for name, x in noise.items()}
        values.append(_widened(one, 1000).divergence(wide))
    return torch.cat(values)


def _widened(one, members):
    """The layer of one member, `members` times."""
    made = rngs(members)
    if isinstance(one, mnf.MNFConv):
        many = mnf.MNFConv(made, 2, 3, 2, flow=_kind(one), length=2, width=4)
    else:
        many = mnf.MNFLinear(made, 3, 2, flow=_kind(one), length=2, width=4)
    for mine, other in zip(many.parameters(), one.parameters(), strict=True):
        mine.data = other.data.expand(members, *other.shape[1:]).contiguous()
    return many


def _kind(one):
    return "masked" if isinstance(one.q_flow.flows[0], mnf.GatedCoupling) else "iaf"


def _of_drawn_weights(one, rng, draws):
    normal = torch.distributions.Normal
    z0 = torch.as_tensor(rng.standard_normal((1, draws, one.rows)))
    forth, back = (torch.as_tensor((rng.random((2, 1, draws, one.rows)) < 0.5) * 1.0) for _ in range(2))
    base = normal(one.z_mean[:, None], (one.z_log_var / 2).exp()[:, None])
    start = one.z_mean[:, None] + (one.z_log_var / 2).exp()[:, None] * z0
    log_q, z = base.log_prob(start).sum(-1), start
    for flow, mask in zip(one.q_flow.flows, forth, strict=True):
        z, log_det = flow(z, mask)
        log_q = log_q - log_det
    std = one.log_std.exp().clamp(max=0.5)[0]
    posterior = normal(z[0, :, :, None] * one.mean[0], std)
    weight = posterior.mean + std * torch.as_tensor(rng.standard_normal(posterior.mean.shape))
    total = (posterior.log_prob(weight) - normal(0.0, 1.0).log_prob(weight)).sum((-2, -1)) + log_q[0]
    seen = torch.tanh(torch.einsum("i,nij->nj", one.c[0], weight))  # c'W
    mean = torch.stack([(b * seen).mean(-1) for b in one.b1[0]], -1)
    precision = torch.stack([(b * seen).mean(-1) for b in one.b2[0]], -1).exp()
    moved, log_r = z, 0.0
    for flow, mask in zip(one.r_flow.flows, back, strict=True):
        moved, log_det = flow(moved, mask)
        log_r = log_r + log_det
    log_r = log_r[0] + normal(mean, precision**-0.5).log_prob(moved[0]).sum(-1)
    bias = normal(one.bias_mean, (one.bias_log_var / 2).exp())
    biases = torch.distributions.kl_divergence(bias, normal(torch.zeros(1), torch.ones(1))).sum()
    return total - log_r + biases


@pytest.mark.parametrize("kind", ["dense", "conv"])
def test_activations_have_the_moments_of_drawn_weights(kind):
    """Mean and variance of what a layer returns, with noise on activations and with drawn weights."""
    one, draws = layer(kind), 40_000
    one.bias_log_var.data += 8.0  # wide enough to show in the variance
    rng = np.random.default_rng(2)
    x = torch.randn(1, 1, 3) if kind == "dense" else torch.randn(1, 1, 2, 2, 2)
    rows = x.expand(1, draws, *x.shape[2:])
    with torch.no_grad():
        size = {} if kind == "dense" else {"size": (1, 1)}
        ours = one(rows, numbers([one.draws(rng, draws, **size)])).reshape(draws, -1)
        many, noise = _widened(one, draws), one.weight_draws(rng, draws)
        weight, bias = many.weights({name: torch.as_tensor(x, dtype=torch.float64) for name, x in noise.items()})
        flat = x.reshape(-1)
        weight = weight if kind == "dense" else weight.transpose(1, 2)  # [draws, inputs, outputs]
        theirs = torch.einsum("i,nio->no", flat, weight) + bias
    error = theirs.std(0) / math.sqrt(draws)
    assert ((ours.mean(0) - theirs.mean(0)).abs() < 6 * error).all()
    np.testing.assert_allclose(ours.var(0), theirs.var(0), rtol=0.05)


def test_without_noise_the_layers_multiply_by_the_means_multiplier():
    """z is the flow of mu_0 with masks of 1/2."""
    dense, conv = layer("dense", members=2), layer("conv", members=2)
    for one, x in ((dense, torch.randn(2, 4, 3)), (conv, torch.randn(2, 4, 2, 5, 4))):
        z = one.z_mean[:, None]
        for flow in one.q_flow.flows:
            shift, gate = flow.parameters_at(0.5 * z)
            z = 0.5 * z + 0.5 * (torch.sigmoid(gate) * z + (1 - torch.sigmoid(gate)) * shift)
        mean = z.transpose(1, 2) * one.mean
        for m in range(2):
            if one is dense:
                expected = x[m] @ mean[m] + one.bias_mean[m]
            else:
                expected = F.conv2d(x[m], mean[m].reshape(3, 2, 2, 2), one.bias_mean[m])
            torch.testing.assert_close(one(x)[m], expected)


def test_with_a_multiplier_of_one_it_is_bayes_by_backprop():
    one = layer("dense")
    field = mnf.GaussianLinear(rngs(1), 3, 2)
    for name in ("mean", "log_std", "bias_mean", "bias_log_var"):
        getattr(field, name).data = getattr(one, name).data.clone()
    one.multiplier = lambda noise=None: (torch.ones(1, 1, 3), torch.zeros(1, 1))
    one.auxiliary = lambda *given: torch.zeros(1, 1)
    x, noise = torch.randn(1, 6, 3), numbers([one.draws(np.random.default_rng(0), 6)])
    torch.testing.assert_close(one(x, noise), field(x, noise))
    kl = numbers([one.divergence_draws(np.random.default_rng(0))])
    torch.testing.assert_close(one.divergence(kl), field.divergence({}))
    normal = torch.distributions.Normal
    expected = sum(
        torch.distributions.kl_divergence(normal(mean, std), normal(0.0, 1.0)).sum()
        for mean, std in ((field.mean, field.log_std.exp()), (field.bias_mean, (field.bias_log_var / 2).exp()))
    )
    torch.testing.assert_close(field.divergence({})[0], expected)


@pytest.mark.parametrize("flow", ["masked", "iaf"])
@pytest.mark.parametrize("kind", ["dense", "conv"])
def test_gradients_reach_every_parameter(kind, flow):
    one, rng = layer(kind, flow), np.random.default_rng(0)
    x = torch.randn(1, 6, 3) if kind == "dense" else torch.randn(1, 6, 2, 4, 4)
    size = {} if kind == "dense" else {"size": (3, 3)}
    out = one(x, numbers([one.draws(rng, 6, **size)])).square().sum()
    (out + one.divergence(numbers([one.divergence_draws(rng)])).sum()).backward()
    assert [name for name, p in one.named_parameters() if not p.grad.abs().sum() > 0] == []


@pytest.mark.parametrize("kind", ["dense", "conv"])
def test_a_member_of_a_fleet_is_the_layer_alone(kind):
    def built(seeds):
        made = [np.random.default_rng(seed) for seed in seeds]
        if kind == "dense":
            return mnf.MNFLinear(made, 3, 2, length=2, width=4)
        return mnf.MNFConv(made, 2, 3, 2, length=2, width=4)

    fleet, alone = built([3, 4, 5]), built([4])
    size = {} if kind == "dense" else {"size": (3, 3)}
    noise = numbers([fleet.draws(np.random.default_rng(seed), 6, **size) for seed in (3, 4, 5)])
    kl = numbers([fleet.divergence_draws(np.random.default_rng(seed)) for seed in (3, 4, 5)])
    drawn = numbers([fleet.weight_draws(np.random.default_rng(seed)) for seed in (3, 4, 5)])
    x = torch.randn(3, 6, 3) if kind == "dense" else torch.randn(3, 6, 2, 4, 4)

    def mine(tensors):
        return {name: t[1:2] for name, t in tensors.items()}

    torch.testing.assert_close(fleet(x, noise)[1:2], alone(x[1:2], mine(noise)))
    torch.testing.assert_close(fleet(x)[1:2], alone(x[1:2]))
    torch.testing.assert_close(fleet.divergence(kl)[1:2], alone.divergence(mine(kl)))
    for both in zip(fleet.weights(drawn), alone.weights(mine(drawn)), strict=True):
        torch.testing.assert_close(both[0][1:2], both[1])


def test_layers_start_as_the_released_ones():
    made = [np.random.default_rng(seed) for seed in range(400)]
    one = mnf.MNFLinear(made, 4, 12, gate=2.0)
    assert abs(one.mean.std() / math.sqrt(4 / 16) - 1) < 0.03 and abs(one.z_mean.std() / math.sqrt(4 / 4) - 1) < 0.06
    assert (one.log_std == -9).all() and (one.bias_log_var == -9).all()
    assert torch.allclose(one.z_log_var.exp(), torch.tensor(0.1))
    gates = one.q_flow.flows[0].leave.bias
    assert (gates[:, :4] == 0).all() and (gates[:, 4:] == 2).all()
    one.log_std.data += 12
    assert (one.variance() == 0.25).all(), "clamped at a half"
    assert MEMBERS and BATCH


def test_the_auxiliary_density_is_a_gaussian_behind_its_flow():
    """Mean b1 and ln of the precision b2 times what the weights show, which is large here."""
    one = layer("dense")
    z, seen, back = torch.randn(1, 1, 3), torch.full((1, 1, 1), 0.9), torch.tensor([1.0, 0, 1, 0, 1, 1]).reshape(1, 1, 2, 3)
    moved, log_det = one.r_flow(z, back)
    density = torch.distributions.Normal(0.9 * one.b1, (-0.45 * one.b2).exp())
    torch.testing.assert_close(one.auxiliary(z, seen, back)[0], (density.log_prob(moved[:, 0]).sum(-1) + log_det[:, 0]))


@pytest.mark.parametrize("posterior", ["mean_field", "masked"])
def test_the_bound_of_the_regression_is_what_it_says(posterior):
    """sum_n mean ln N(y_n; f(x_n), 3^2) - KL, in the units of y, and a network of one hidden layer on scaled numbers."""
    settings = MNFRegression(posterior=posterior, units=7, flow_width=4, samples=3)
    learner = mnf_regression.Learner(settings, [0, 1])
    learner.data = learner.data.double()
    drawn = numbers([learner.update_draws(np.random.default_rng(m), 1) for m in (0, 1)])
    drawn = {name: x[:, 0] for name, x in drawn.items()}
    x, y = learner.data.unbind(1)
    assert x.abs().max() <= 4 and (y - x**3).abs().max() < 15
    rows = (x / (4 / 3**0.5)).repeat_interleave(3, 1).unsqueeze(-1)
    outputs = (64 / 7**0.5) * learner.network(rows, drawn).reshape(2, 20, 3)
    fitted = torch.distributions.Normal(outputs, 3.0).log_prob(y.unsqueeze(-1)).mean(-1).sum(-1)
    expected = fitted - learner.network.divergence(drawn)
    torch.testing.assert_close(learner.evidence(drawn), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("posterior", ["mean_field", "masked"])
def test_what_the_regression_records_is_what_it_says(posterior):
    """The bound of the data, the predictive density of points held out, over draws that are functions of the seed."""
    torch.set_default_dtype(torch.float32)
    settings = MNFRegression(posterior=posterior, units=7, flow_width=4, evaluation_samples=6)
    learner = mnf_regression.Learner(settings, [0, 1])
    found = {name: torch.tensor(values) for name, values in learner.measure().items()}
    with torch.no_grad():
        fitted = learner.log_densities(learner.data, learner.evaluation_draws(1, 20 * 6)).mean(-1).sum(-1)
        each = learner.log_densities(learner.held_out, learner.evaluation_draws(0, 200 * 6)).numpy()
        held_out = (np.logaddexp.reduce(each, -1) - np.log(6)).mean(-1)
        assert (learner.divergence(6) > 0).all()
        torch.testing.assert_close(found["bound"], fitted - learner.divergence(6), rtol=1e-5, atol=1e-3)
    torch.testing.assert_close(found["divergence"], learner.divergence(6), rtol=1e-5, atol=1e-3)
    np.testing.assert_allclose(found["log_likelihood"], held_out, rtol=1e-4)
