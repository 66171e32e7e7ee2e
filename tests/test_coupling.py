"""Couplings, shifts and mixtures obey the laws of every transform and distribution, in float64."""

import math

import numpy as np
import pytest
import torch
from scipy import stats

from common.flows.coupling import Coupling, Diagonal, Shift, with_norm_eps
from common.flows.distributions import DiagonalGaussian, FlowDistribution
from common.flows.mixtures import GaussianMixture
from common.flows.networks import MLP, LayerNorm, normc, small_uniform
from common.flows.transforms import Compose
from tests.laws import *  # noqa: F403
from tests.laws import CONTEXT, EVENT, MEMBERS, points, rngs


def coupling(leading, context=0, layer_norm=False):
    # Hidden units that are not dead, and scales of an order at which a grid still resolves the density.
    return Coupling(rngs(), EVENT, leading, [16, 16], context, "tanh", layer_norm, last_init=normc(0.3))


def flow():
    embedding = Shift(MLP(rngs(), [CONTEXT, 16, EVENT]))
    return Compose(coupling(True), embedding, coupling(False), coupling(True), coupling(False))


FAMILIES = {
    "coupling, first half kept": lambda: coupling(True),
    "coupling, second half kept": lambda: coupling(False),
    "coupling with context": lambda: coupling(True, CONTEXT),
    "coupling with layer normalisation": lambda: coupling(True, layer_norm=True),
    "shift": lambda: Shift(MLP(rngs(), [CONTEXT, 16, EVENT])),
    "diagonal": lambda: Diagonal(torch.randn(MEMBERS, 1, EVENT) / 2, torch.randn(MEMBERS, 1, EVENT)),
    "the flow policy's": flow,
}


@pytest.mark.parametrize("event, kept", [(2, (1, 1)), (3, (2, 1)), (6, (3, 3)), (17, (9, 8))])
def test_two_couplings_in_turn_transform_every_entry(event, kept):
    both = [Coupling(rngs(), event, leading, [4], last_init=normc(1.0)) for leading in (True, False)]
    assert tuple(one.kept for one in both) == kept
    x = torch.randn(MEMBERS, 7, event)
    for one in both:
        unchanged = (one(x)[0] == x).all(0).all(0)
        assert unchanged.sum() == one.kept and unchanged[0] == one.leading
    y = both[1](both[0](x)[0])[0]
    assert (y != x).all()
    torch.testing.assert_close(both[0].inverse(both[1].inverse(y)[0])[0], x)


def test_a_coupling_of_one_entry_is_refused():
    with pytest.raises(ValueError, match="two entries"):
        Coupling(rngs(), 1, True, [3])


def test_a_coupling_with_a_small_last_layer_is_nearly_the_identity():
    one = Coupling(rngs(), 4, True, [3, 3], layer_norm=True, last_init=small_uniform())
    x = torch.randn(MEMBERS, 9, 4)
    y, log_det = one(x)
    assert (y - x).abs().max() < 0.1 and log_det.abs().max() < 0.1 and not torch.equal(x, y)


def test_scale_and_shift_are_networks_of_their_own():
    one = coupling(True)
    s, t = one.parameters_at(torch.randn(MEMBERS, 5, 1))
    gradient = torch.autograd.grad(s.sum(), one.network[0].weight)[0].view(MEMBERS, 2, -1)
    assert gradient[:, 0].abs().sum() > 0 and not gradient[:, 1].any()
    assert not torch.equal(s, t)


def test_a_member_of_a_stack_is_the_coupling_alone():
    stack = coupling(True)
    alone = Coupling(rngs()[1:2], EVENT, True, [16, 16], 0, "tanh", last_init=normc(0.3))
    x = torch.randn(MEMBERS, 5, EVENT)
    torch.testing.assert_close(stack(x)[0][1:2], alone(x[1:2])[0])


def test_norm_eps_is_set_in_every_layer():
    network = with_norm_eps(MLP(rngs(), [2, 3, 3, 1], layer_norm=True), 1e-12)
    found = [layer.eps for layer in network if isinstance(layer, LayerNorm)]
    assert found == [1e-12, 1e-12]
    narrow = torch.randn(MEMBERS, 50, 3) * 1e-4
    normalised = [layer for layer in network if isinstance(layer, LayerNorm)][0](narrow)
    torch.testing.assert_close(normalised.square().mean(-1), torch.ones(MEMBERS, 50), rtol=0.1, atol=0)


def test_normc_columns_have_the_length_they_claim():
    weight, bias = normc(0.01)(np.random.default_rng(0), 30, 20)
    np.testing.assert_allclose(np.linalg.norm(weight, axis=0), 0.01)
    assert not bias.any()


def mixture(components=3):
    return GaussianMixture(torch.randn(MEMBERS, 5, components, EVENT), torch.randn(MEMBERS, 5, components, EVENT) / 2)


def test_a_mixture_is_torchs():
    ours = mixture()
    parts = torch.distributions.Independent(torch.distributions.Normal(ours.mean, ours.log_std.exp()), 1)
    weights = torch.distributions.Categorical(logits=torch.zeros(MEMBERS, 5, 3))
    theirs = torch.distributions.MixtureSameFamily(weights, parts)
    x = torch.randn(MEMBERS, 5, EVENT)
    torch.testing.assert_close(ours.log_prob(x), theirs.log_prob(x))


def test_a_mixture_of_one_is_a_gaussian_and_integrates_to_one():
    one = mixture(1)
    plain = DiagonalGaussian(one.mean[..., 0, :], one.log_std[..., 0, :])
    x = torch.randn(MEMBERS, 5, EVENT)
    torch.testing.assert_close(one.log_prob(x), plain.log_prob(x))
    torch.testing.assert_close(one.mode(), plain.mean)
    grid = torch.linspace(-15, 15, 401)
    cells = torch.cartesian_prod(grid, grid)
    three = mixture()
    wide = GaussianMixture(three.mean[:, :1], three.log_std[:, :1].clamp(min=-1))
    total = wide.log_prob(cells.expand(MEMBERS, -1, -1)).exp().sum(-1) * (grid[1] - grid[0]) ** 2
    torch.testing.assert_close(total, torch.ones(MEMBERS), rtol=0, atol=2e-3)


def test_a_mixtures_samples_follow_its_density():
    mean, log_std = torch.tensor([[-2.0], [1.0]]), torch.tensor([[-0.5], [0.2]])
    ours = GaussianMixture(mean.expand(4000, 2, 1), log_std.expand(4000, 2, 1))
    x, log_prob = ours.rsample_and_log_prob()
    torch.testing.assert_close(log_prob, ours.log_prob(x))

    def cdf(value):
        return np.mean([stats.norm.cdf(value, m, math.exp(s)) for m, s in ((-2.0, -0.5), (1.0, 0.2))], axis=0)

    assert stats.kstest(x[:, 0].numpy(), cdf).pvalue > 1e-3
    apart = GaussianMixture(torch.tensor([[[0.0, 0.0], [9.0, 9.0]]]), torch.tensor([[[0.0, 0.0], [-1.0, -1.0]]]))
    assert apart.mode().tolist() == [[9.0, 9.0]]


def test_a_mixtures_gradients_reach_every_component():
    mean = torch.randn(1, 64, 3, EVENT, requires_grad=True)
    log_std = torch.zeros(1, 1, 3, EVENT, requires_grad=True)
    x, log_prob = GaussianMixture(mean, log_std).rsample_and_log_prob()
    gradients = torch.autograd.grad(x.square().sum() + log_prob.sum(), [mean, log_std])
    assert all(g.abs().sum((0, 1, 3)).min() > 0 for g in gradients)


def test_sampled_flow_density_is_normalised_by_its_base():
    base = DiagonalGaussian(torch.zeros(MEMBERS, 5, EVENT), torch.zeros(MEMBERS, 5, EVENT))
    _, context = points()
    x, log_prob = FlowDistribution(base, flow(), context).rsample_and_log_prob(torch.zeros(MEMBERS, 5, EVENT))
    u, log_det = flow().inverse(x, context)
    torch.testing.assert_close(log_prob, -EVENT / 2 * math.log(2 * math.pi) + log_det)
    torch.testing.assert_close(u, torch.zeros_like(u), rtol=0, atol=1e-12)
