"""The flow families of the review obey the laws of every transform, in float64; their densities are zuko's and torch's."""

import math

import numpy as np
import pytest
import torch
import zuko

from common.flows import autoregressive, glow, spline, sylvester
from common.flows.autoregressive import GatedInverseAutoregressive, InverseAutoregressive, MaskedAutoregressive
from common.flows.coupling import AdditiveCoupling, Coupling, Diagonal
from common.flows.distributions import DiagonalGaussian, FlowDistribution
from common.flows.glow import MixLU, Permutation
from common.flows.residual import Planar
from common.flows.spline import AutoregressiveSpline, SplineCoupling
from common.flows.sylvester import HouseholderSylvester, OrthogonalSylvester
from common.flows.transforms import Compose, Inverse
from tests import laws
from tests.laws import *  # noqa: F403
from tests.laws import BATCH, CONTEXT, EVENT, MEMBERS, integral, points, rngs

HIDDEN = [12, 12]


def diagonal(event=EVENT):
    return Diagonal(0.3 * torch.randn(MEMBERS, 1, event), torch.randn(MEMBERS, 1, event))


def both(family, *arguments, **settings):
    """Two in turn, in both orders."""
    return Compose(*(family(rngs(), EVENT, HIDDEN, CONTEXT, reverse, *arguments, "tanh", **settings) for reverse in (0, 1)))


def couplings(family, activation="tanh", **settings):
    return [family(rngs(), EVENT, leading, HIDDEN, CONTEXT, activation, **settings) for leading in (True, False)]


# How to build each, smooth enough for a grid and for finite differences.
FAMILIES = {
    "additive coupling": lambda: AdditiveCoupling(rngs(), EVENT, True, HIDDEN, CONTEXT, "tanh"),
    "NICE": lambda: Compose(*couplings(AdditiveCoupling), diagonal()),
    "RealNVP": lambda: Compose(*couplings(Coupling)),
    "mix in factors": lambda: MixLU(rngs(), EVENT),
    "Glow": lambda: Compose(MixLU(rngs(), EVENT), couplings(Coupling)[0], MixLU(rngs(), EVENT), couplings(Coupling)[0]),
    "masked autoregressive": lambda: both(MaskedAutoregressive),
    "inverse autoregressive": lambda: both(InverseAutoregressive),
    "gated inverse autoregressive": lambda: both(GatedInverseAutoregressive),
    "orthogonal Sylvester": lambda: shaken(OrthogonalSylvester(rngs(), EVENT, 2)),
    "orthogonal Sylvester of one unit": lambda: shaken(OrthogonalSylvester(rngs(), EVENT, 1)),
    "Householder Sylvester": lambda: shaken(HouseholderSylvester(rngs(), EVENT, 2)),
    "Sylvester, the other way round": lambda: Inverse(shaken(HouseholderSylvester(rngs(), EVENT, 1))),
    "spline coupling": lambda: Compose(*couplings(SplineCoupling)),
    "autoregressive spline": lambda: both(AutoregressiveSpline),
}
SPLINES = ("spline coupling", "autoregressive spline")


def shaken(module, scale=0.5):
    """Parameters away from the special ones at the start."""
    for parameter in module.parameters():
        parameter.data += scale * torch.randn_like(parameter)
    return module


def test_gradients_reach_every_parameter(transform, request):
    """A single unit has nothing above its diagonals."""
    if "one unit" in request.node.name:
        del transform.outer, transform.inner
        transform.outer = transform.inner = torch.zeros(MEMBERS, 1, 1)
    laws.test_gradients_reach_every_parameter(transform)


def test_density_integrates_to_one(transform, request):
    """A spline's density has kinks at its knots and thin ridges: its sum over a grid converges slowly."""
    rough = any(name in request.node.name for name in SPLINES)
    mass = integral(transform, 401 if rough else 301)
    torch.testing.assert_close(mass, torch.ones(MEMBERS), rtol=0, atol=5e-3 if rough else 1e-6)


# ---- any dimension, any fleet, both precisions ----

ANY = {
    "additive": lambda rngs, event, context: AdditiveCoupling(rngs, event, True, [8], context),
    "coupling": lambda rngs, event, context: Coupling(rngs, event, False, [8], context),
    "spline": lambda rngs, event, context: SplineCoupling(rngs, event, False, [8], context),
    "maf": lambda rngs, event, context: MaskedAutoregressive(rngs, event, [9, 7], context),
    "maf, reversed": lambda rngs, event, context: MaskedAutoregressive(rngs, event, [9, 7], context, True),
    "iaf": lambda rngs, event, context: InverseAutoregressive(rngs, event, [9, 7], context),
    "iaf, gated": lambda rngs, event, context: GatedInverseAutoregressive(rngs, event, [9], context),
    "autoregressive spline": lambda rngs, event, context: AutoregressiveSpline(rngs, event, [9], context),
    "mix in factors": lambda rngs, event, context: MixLU(rngs, event),
    "permutation": lambda rngs, event, context: Permutation(rngs, event),
    "orthogonal": lambda rngs, event, context: OrthogonalSylvester(rngs, event, min(event, 3)),
    "householder": lambda rngs, event, context: HouseholderSylvester(rngs, event, 2),
}


@pytest.mark.parametrize("context", [0, CONTEXT])
@pytest.mark.parametrize("event", [1, 3, 6])
@pytest.mark.parametrize("name", ANY)
def test_the_laws_hold_in_other_dimensions(name, event, context):
    if event == 1 and name in ("additive", "coupling", "spline"):
        with pytest.raises(ValueError, match="two entries or more"):
            ANY[name](rngs(), event, context)
        return
    made = shaken(ANY[name](rngs(), event, context), 0.2)
    x, c = 2 * torch.randn(MEMBERS, 4, event), torch.randn(MEMBERS, 4, context)
    y, log_det = made(x, c)
    back, inverse = made.inverse(y, c)
    torch.testing.assert_close(back, x, rtol=0, atol=1e-10)
    torch.testing.assert_close(log_det + inverse, torch.zeros(MEMBERS, 4), rtol=0, atol=1e-10)
    full = torch.autograd.functional.jacobian(lambda x: made(x, c)[0], x)
    found = [[torch.linalg.slogdet(full[m, b, :, m, b])[1] for b in range(4)] for m in range(MEMBERS)]
    torch.testing.assert_close(log_det, torch.tensor(found), rtol=0, atol=1e-10)
    backwards = torch.autograd.functional.jacobian(lambda y: made.inverse(y, c)[0], y)
    found = [[torch.linalg.slogdet(backwards[m, b, :, m, b])[1] for b in range(4)] for m in range(MEMBERS)]
    torch.testing.assert_close(inverse, torch.tensor(found), rtol=0, atol=1e-9)


@pytest.mark.parametrize("name", ANY)
def test_a_member_is_the_flow_it_would_be_alone(name):
    x, context = torch.randn(MEMBERS, 5, 4), torch.randn(MEMBERS, 5, CONTEXT)
    together = ANY[name](rngs(), 4, CONTEXT)
    for m, rng in enumerate(rngs()):
        alone = ANY[name]([rng], 4, CONTEXT)
        for way in (type(alone).forward, type(alone).inverse):
            whole, part = way(together, x, context), way(alone, x[m : m + 1], context[m : m + 1])
            for a, b in zip(whole, part, strict=True):
                torch.testing.assert_close(a[m : m + 1], b, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", ANY)
def test_single_precision_inverts_to_its_digits(name):
    torch.set_default_dtype(torch.float32)
    x, context = torch.randn(MEMBERS, 50, 4), torch.randn(MEMBERS, 50, CONTEXT)
    made = ANY[name](rngs(), 4, CONTEXT)
    y, log_det = made(x, context)
    assert y.dtype == log_det.dtype == torch.float32
    torch.testing.assert_close(made.inverse(y, context)[0], x, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("size", [1e3, 1e8])
@pytest.mark.parametrize("name", ANY)
def test_values_far_out_come_back(name, size):
    """As far as each family's scales allow."""
    made = ANY[name](rngs(), 4, 0)
    x = min(size, {"coupling": 10.0, "iaf, gated": 10.0}.get(name, size)) * torch.randn(MEMBERS, 5, 4)
    y, log_det = made(x)
    back, inverse = made.inverse(y)
    assert y.isfinite().all() and log_det.isfinite().all() and back.isfinite().all()
    torch.testing.assert_close(back, x, rtol=1e-6, atol=1e-6)


# ---- autoregressive ----


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("context", [0, 3])
@pytest.mark.parametrize("event", [1, 2, 5])
def test_an_entry_reads_those_before_it_and_the_context(event, context, reverse):
    network = autoregressive.MaskedMLP(rngs(1), event, [24, 24], 2, context, reverse, "tanh")
    inputs = torch.randn(event + context)

    def outputs(v):
        return torch.stack(network(v[:event].view(1, 1, -1), v[event:].view(1, 1, -1)), -1).flatten(0, 1)

    reads = torch.autograd.functional.jacobian(outputs, inputs).abs() > 0  # [event, 2, event + context]
    place = torch.arange(event).flip(0) if reverse else torch.arange(event)
    earlier = (place[None, :] < place[:, None]).unsqueeze(1).expand(-1, 2, -1)
    assert (reads[..., :event] == earlier).all() and reads[..., event:].all()


def test_one_entry_alone_has_the_parameters_that_it_has_among_all():
    network = autoregressive.MaskedMLP(rngs(), 4, [9], 3, CONTEXT)
    x, context = torch.randn(MEMBERS, 5, 4), torch.randn(MEMBERS, 5, CONTEXT)
    whole = network(x, context)
    for entry in range(4):
        for a, b in zip(whole, network(x, context, entry=entry), strict=True):
            torch.testing.assert_close(a[..., entry], b, rtol=0, atol=1e-14)


def test_masked_densities_are_products_of_torchs_normals():
    """ln p(y) = sum_i ln N(y_i; m(y_<i), exp(s(y_<i))^2), eq. 12 of the review read as a density."""
    made, y = MaskedAutoregressive(rngs(), 4, HIDDEN), torch.randn(MEMBERS, 5, 4)
    log_scale, shift = made.network(y)
    log_scale = log_scale / (1 + log_scale.abs() / math.log(1000))
    expected = torch.distributions.Normal(shift, log_scale.exp()).log_prob(y).sum(-1)
    standard = DiagonalGaussian(torch.zeros_like(y), torch.zeros_like(y))
    torch.testing.assert_close(FlowDistribution(standard, made).log_prob(y), expected, rtol=0, atol=1e-10)


def test_log_scales_are_bounded_and_may_be_free():
    x = torch.linspace(-1e6, 1e6, 101)
    assert (autoregressive.softly_bounded(x, 2.0).abs() < 2).all()
    torch.testing.assert_close(autoregressive.softly_bounded(x, math.inf), x, rtol=0, atol=0)
    for family, forward_reads in ((MaskedAutoregressive, False), (InverseAutoregressive, True)):
        made = family(rngs(), EVENT, HIDDEN)
        made.network.layers[-1].bias.data.fill_(1e6)
        y, log_det = made(torch.randn(MEMBERS, BATCH, EVENT))
        assert (log_det <= EVENT * math.log(1000)).all() and y.isfinite().all(), forward_reads


def test_gates_keep_most_at_the_start_and_saturate_without_harm():
    made = GatedInverseAutoregressive(rngs(), EVENT, HIDDEN, gate=1.5)
    for parameter in made.parameters():
        parameter.data.zero_()
    x = torch.randn(MEMBERS, BATCH, EVENT)
    torch.testing.assert_close(made(x)[0], x / (1 + math.exp(-1.5)))
    made.network.layers[-1].bias.data[:, :EVENT] = -30.0  # nearly shut
    y, log_det = made(x)
    torch.testing.assert_close(log_det, torch.full_like(log_det, -28.5 * EVENT))
    torch.testing.assert_close(made.inverse(y)[0], x, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("context", [0, 3])
def test_autoregressive_densities_are_zukos(context):
    """zuko's masked flow is our inverse autoregressive one, from data to base: its weights, and the masks that it chose."""
    theirs = zuko.flows.MAF(4, context, transforms=3, hidden_features=(16, 16)).double()
    ours = []
    for transform in theirs.transform.transforms:
        linears = [layer for layer in transform.hyper if hasattr(layer, "mask")]
        reverse = transform.order[0] > 0
        made = InverseAutoregressive(rngs(1), 4, [16, 16], context, bool(reverse))
        for i, (layer, source) in enumerate(zip(made.network.layers, linears, strict=True)):
            weight, bias, mask = source.weight, source.bias, source.mask
            if i == len(linears) - 1:  # theirs: shift, scale of an entry side by side; ours: scales, then shifts
                rows = torch.cat([torch.arange(1, 8, 2), torch.arange(0, 8, 2)])
                weight, bias, mask = weight[rows], bias[rows], mask[rows]
            layer.weight.data[0], layer.bias.data[0] = weight.T, bias
            getattr(made.network, f"mask{i}").copy_(mask.T)
        ours.append(made)
    y, c = 2 * torch.randn(1, 200, 4), torch.randn(1, 200, context)
    zero = torch.zeros(1, 200, 4)
    found = FlowDistribution(DiagonalGaussian(zero, zero), Inverse(Compose(*ours)), c).log_prob(y)[0]
    expected = (theirs(c[0]) if context else theirs()).log_prob(y[0])
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-10)


# ---- couplings ----


def zuko_network(source, target, member, rows=None):
    """zuko's weights to one member of an MLP of ours."""
    ours = [layer for layer in target if hasattr(layer, "weight")]
    theirs = [layer for layer in source if hasattr(layer, "weight")]
    for i, (a, b) in enumerate(zip(ours, theirs, strict=True)):
        chosen = slice(None) if rows is None or i < len(ours) - 1 else rows
        a.weight.data[member], a.bias.data[member] = b.weight[chosen].T, b.bias[chosen]


def test_additive_couplings_are_zukos():
    kind = {"univariate": zuko.transforms.AdditiveTransform, "shapes": [()]}
    theirs = zuko.flows.NICE(4, transforms=2, hidden_features=(16, 16), **kind).double()
    ours = []
    for transform in theirs.transform.transforms:
        kept = transform.mask.nonzero().squeeze(-1).tolist()
        ours.append((kept, AdditiveCoupling(rngs(1), 4, True, [16, 16])))
        zuko_network(transform.hyper, ours[-1][1].network, 0)
    y = torch.randn(1, 200, 4)
    x, total = y, torch.zeros(1, 200)
    for kept, made in ours:  # theirs keeps every other entry: ours, its entries sorted so that the kept ones stand first
        order = torch.tensor(kept + [i for i in range(4) if i not in kept])
        moved, log_det = made(x[..., order])
        x, total = moved[..., order.argsort()], total + log_det
    expected = theirs().log_prob(y[0])
    standard = torch.distributions.Normal(0.0, 1.0)
    torch.testing.assert_close((standard.log_prob(x).sum(-1) + total)[0], expected, rtol=0, atol=1e-10)


def test_affine_couplings_are_zukos():
    """zuko bounds its log-scales softly; so small ones that the bound is known."""
    theirs = zuko.flows.RealNVP(4, transforms=2, hidden_features=(16, 16)).double()
    x, total = torch.randn(1, 200, 4), torch.zeros(1, 200)
    expected = theirs().log_prob(x[0])
    for transform in theirs.transform.transforms:
        kept = transform.mask.nonzero().squeeze(-1).tolist()
        order = torch.tensor(kept + [i for i in range(4) if i not in kept])
        made = BoundedScale(rngs(1), 4, True, [16, 16])
        for row, entries in enumerate((torch.arange(1, 4, 2), torch.arange(0, 4, 2))):  # ours: s, then t
            zuko_network(transform.hyper, made.network, row, entries)
        moved, log_det = made(x[..., order])
        x, total = moved[..., order.argsort()], total + log_det
    standard = torch.distributions.Normal(0.0, 1.0)
    torch.testing.assert_close((standard.log_prob(x).sum(-1) + total)[0], expected, rtol=0, atol=1e-10)


class BoundedScale(Coupling):
    def scale_and_shift(self, inputs):
        log_scale, shift = super().scale_and_shift(inputs)
        return autoregressive.softly_bounded(log_scale, math.log(1000)), shift


def test_couplings_that_add_keep_volumes():
    made = Compose(*couplings(AdditiveCoupling))
    x, context = points()
    assert (made(x, context)[1] == 0).all() and (made(x, context)[0] != x).any()


# ---- splines ----


def test_splines_are_zukos():
    """The same knots: inside, outside, and both ways."""
    widths, heights, derivatives = torch.randn(50, 8), torch.randn(50, 8), torch.randn(50, 7)
    theirs = zuko.transforms.MonotonicRQSTransform(widths, heights, derivatives, bound=5.0)
    x = torch.linspace(-6, 6, 50)
    y, log_det = spline.rational_quadratic(x, theirs.horizontal, theirs.vertical, theirs.derivatives)
    expected, slopes = theirs.call_and_ladj(x)
    torch.testing.assert_close(y, expected, rtol=0, atol=1e-10)
    torch.testing.assert_close(log_det, slopes, rtol=0, atol=1e-10)
    back, inverse = spline.rational_quadratic_inverse(x, theirs.horizontal, theirs.vertical, theirs.derivatives)
    torch.testing.assert_close(back, theirs.inv(x), rtol=0, atol=1e-10)
    torch.testing.assert_close(inverse, -theirs.call_and_ladj(back)[1], rtol=0, atol=1e-9)


@pytest.mark.parametrize("size", [0.0, 1.0, 100.0])
def test_splines_at_their_knots_and_ends(size):
    """Every knot leads to its height with its slope, whatever the free numbers; beyond the ends nothing moves."""
    places, heights, slopes = spline.knots(size * torch.randn(20, 3 * 6 - 1), 4.0)
    assert (places.diff(dim=-1) > 0).all() and (heights.diff(dim=-1) > 0).all() and (slopes > 0).all()
    assert (places[:, [0, -1]].abs() == 4).all() and (slopes[:, [0, -1]] == 1).all()
    for k in range(7):
        y, log_det = spline.rational_quadratic(places[:, k], places, heights, slopes)
        torch.testing.assert_close(y, heights[:, k], rtol=0, atol=1e-12)
        torch.testing.assert_close(log_det, slopes[:, k].log(), rtol=0, atol=1e-9)
        x, log_det = spline.rational_quadratic_inverse(heights[:, k], places, heights, slopes)
        torch.testing.assert_close(x, places[:, k], rtol=0, atol=1e-9)
        torch.testing.assert_close(log_det, -slopes[:, k].log(), rtol=0, atol=1e-6)
    for x in (-1e9, -4.0 - 1e-12, 4.0 + 1e-12, 1e9):
        for way in (spline.rational_quadratic, spline.rational_quadratic_inverse):
            y, log_det = way(torch.full((20,), x), places, heights, slopes)
            assert (y == x).all() and (log_det == 0).all()


def test_free_numbers_of_zero_are_the_identity():
    x = torch.linspace(-7, 7, 41)
    y, log_det = spline.rational_quadratic(x, *spline.knots(torch.zeros(41, 23), 5.0))
    torch.testing.assert_close(y, x, rtol=0, atol=1e-12)
    torch.testing.assert_close(log_det, torch.zeros(41), rtol=0, atol=1e-12)


@pytest.mark.parametrize("dtype, size, digits", [(torch.float32, 1.0, 1e-4), (torch.float64, 5.0, 1e-7)])
def test_splines_invert_between_knots(dtype, size, digits):
    places, heights, slopes = spline.knots(size * torch.randn(1, 23, dtype=dtype), 5.0)
    x = torch.linspace(-5, 5, 2001, dtype=dtype)
    y = spline.rational_quadratic(x, *(k.expand(2001, -1) for k in (places, heights, slopes)))[0]
    assert (y.diff() >= 0).all()
    back = spline.rational_quadratic_inverse(y, *(k.expand(2001, -1) for k in (places, heights, slopes)))[0]
    torch.testing.assert_close(back, x, rtol=0, atol=digits)


# ---- Sylvester ----


@pytest.mark.parametrize("made", [lambda: OrthogonalSylvester(rngs(), 6, 4), lambda: HouseholderSylvester(rngs(), 6, 3)])
def test_columns_are_orthonormal(made):
    q = shaken(made(), 2.0).columns()
    torch.testing.assert_close(q.mT @ q, torch.eye(q.shape[-1]).expand(MEMBERS, -1, -1), rtol=0, atol=1e-12)


def test_columns_do_not_jump_where_an_entry_changes_its_sign():
    made = OrthogonalSylvester(rngs(1), 3, 2)
    found = []
    for first in (-1e-9, 1e-9):
        made.free.data[0, 0, 0] = first
        found.append(made.columns())
    torch.testing.assert_close(*found, rtol=0, atol=1e-7)


def test_one_hidden_unit_is_a_planar_flow():
    """Two units of which the first does nothing: w along the second column, u anywhere in the plane of both."""
    made = HouseholderSylvester(rngs(), 2, 2)
    made.stretch.data[:, 0] = 0.0  # r_11 = 0
    made.outer.data[:, 0, 1], made.inner.data.zero_()[...] = torch.randn(MEMBERS), 0.0
    made.bias.data[:, 0] = 0.0
    (outer, inner, slope), q = made.triangles(), made.columns()
    w, u = q[:, :, 1] * inner[:, 1, 1:2], (q @ outer[:, :, 1:2]).squeeze(-1)
    planar = Planar(w, u, made.bias.data[:, 1])
    along = slope[:, 1].expm1().log()
    planar.u.data += ((along - (w * u).sum(-1)) / w.square().sum(-1)).view(-1, 1, 1) * w.unsqueeze(1)
    x = torch.randn(MEMBERS, BATCH, 2)
    for ours, theirs in zip(made(x), planar(x), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-12)


def test_sylvester_inverts_whatever_the_parameters():
    for shift in (-8.0, 8.0):
        made = shaken(OrthogonalSylvester(rngs(), 4, 4), 2.0)
        made.stretch.data += shift
        x = 3 * torch.randn(MEMBERS, 50, 4)
        y, log_det = made(x)
        back, inverse = made.inverse(y)
        assert log_det.isfinite().all() and inverse.isfinite().all()
        torch.testing.assert_close(made(back)[0], y, rtol=1e-9, atol=1e-6)


def test_more_columns_than_dimensions_do_not_exist():
    for units in (0, 4):
        with pytest.raises(ValueError, match="there are 1 to 3 orthonormal columns"):
            sylvester.OrthogonalSylvester(rngs(), 3, units)


# ---- Glow's linear map ----


def test_factors_start_as_the_orthogonal_matrix():
    free, made = glow.Mix(rngs(), 5), MixLU(rngs(), 5)
    lower, upper = made.factors()
    torch.testing.assert_close(made.order @ lower @ upper, free.weight.data, rtol=0, atol=1e-12)
    torch.testing.assert_close(made.log_scale.sum(-1), torch.zeros(MEMBERS), rtol=0, atol=1e-12)


def test_a_permutation_moves_entries_and_nothing_else():
    x = torch.randn(MEMBERS, BATCH, 6)
    made = Permutation(rngs(), 6)
    y, log_det = made(x)
    torch.testing.assert_close(y.sort(-1)[0], x.sort(-1)[0], rtol=0, atol=0)
    assert (log_det == 0).all() and (made.inverse(y)[0] == x).all()
    assert len({tuple(order) for order in made.order.tolist()}) == MEMBERS and made.order.dtype == torch.int64


def test_densities_of_samples_fill_a_histogram():
    """Samples of a flow of several families against its own density, by mass in quadrants of its first two entries."""
    flow = Compose(MixLU(rngs(), 3), *(SplineCoupling(rngs(), 3, lead, [8]) for lead in (True, False)),
                   MaskedAutoregressive(rngs(), 3, [8]), OrthogonalSylvester(rngs(), 3, 2))  # fmt: skip
    noise = torch.tensor(np.random.default_rng(0).standard_normal((MEMBERS, 100_000, 3)))
    zero = torch.zeros_like(noise)
    with torch.no_grad():
        y, log_prob = FlowDistribution(DiagonalGaussian(zero, zero), flow).rsample_and_log_prob(noise)
        box = (y.abs() < 1).all(-1)
        axis = torch.linspace(-1, 1, 61)[:-1] + 1 / 60
        grid = torch.cartesian_prod(axis, axis, axis).expand(MEMBERS, -1, -1)
        zero = torch.zeros_like(grid)
        mass = FlowDistribution(DiagonalGaussian(zero, zero), flow).log_prob(grid).exp().sum(-1) / 30**3
    torch.testing.assert_close(box.double().mean(-1), mass, rtol=0, atol=0.006)  # four standard errors


# ---- what one family has of another ----


@pytest.mark.parametrize("family", [InverseAutoregressive, MaskedAutoregressive])
def test_autoregressive_flows_contain_realnvp(family):
    """One whose hidden units all read the first half, and reach the second alone, is a coupling with those networks."""
    event, half, units = 4, 2, 6
    coupling = Coupling(rngs(), event, True, [units]).double()
    flow = family(rngs(), event, [2 * units], degrees=[half - 1] * 2 * units, limit=math.inf).double()
    inner, outer = [layer for layer in coupling.network if hasattr(layer, "weight")]
    own_inner, own_outer = flow.network.layers
    with torch.no_grad():
        for layer in (own_inner, own_outer):
            layer.weight.zero_()
            layer.bias.zero_()
        for k in range(2):  # the network of s, and that of t
            ours, theirs = slice(k * units, (k + 1) * units), slice(k, None, 2)
            moved = slice(k * event + half, (k + 1) * event)
            own_inner.weight[:, :half, ours] = inner.weight[theirs]
            own_inner.bias[:, ours] = inner.bias[theirs].squeeze(1)
            own_outer.weight[:, ours, moved] = outer.weight[theirs]
            own_outer.bias[:, moved] = outer.bias[theirs].squeeze(1)
    x = torch.randn(MEMBERS, BATCH, event).double()
    for one, other in ((flow(x), coupling(x)), (flow.inverse(x), coupling.inverse(x))):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-12)
