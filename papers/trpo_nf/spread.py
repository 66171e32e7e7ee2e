"""How far a distribution in two dimensions reaches: from samples [members, n, 2], and by quadrature on a grid."""

import torch

QUANTILES = {"radius_50": 0.5, "radius_90": 0.9, "radius_99": 0.99, "radius_999": 0.999}
LIMIT, CELLS = 2.0, 201  # the grid of the quadrature
NOTHING = -1e4  # ln of a density that rounds to 0 in any precision


def measure(x):
    """{metric: [members]}: mean deviation of the two axes, quantiles of the distance from the mean, determinant and trace of
    the covariance, correlation, and kurtosis (3 for a Gaussian), mean of the two axes."""
    centred = x - x.mean(1, keepdim=True)
    covariance = centred.mT @ centred / (x.shape[1] - 1)
    variance = torch.diagonal(covariance, dim1=-2, dim2=-1)
    radius = centred.norm(dim=-1)
    radii = {name: torch.quantile(radius, q, dim=1) for name, q in QUANTILES.items()}
    return radii | {
        "std": variance.sqrt().mean(-1),
        "radius_largest": radius.amax(1),
        "det_covariance": torch.linalg.det(covariance),
        "trace_covariance": variance.sum(-1),
        "correlation": covariance[:, 0, 1] / variance.prod(-1).sqrt(),
        "kurtosis": (centred.pow(4).mean(1) / variance.square()).mean(-1),
    }


def modes(x, distance):
    """Shares of the samples nearer to -(d, d) and to (d, d), each within d of it; and the smaller of the two."""
    near = [((x - sign * distance).norm(dim=-1) < distance).double().mean(1) for sign in (-1, 1)]
    return {"mass_low": near[0], "mass_high": near[1], "smaller_mass": torch.minimum(*near)}


def component_distance(mean, log_std):
    """Mean distance between components, in mean deviations. mean, log_std: [members, components, 2]."""
    pairs = torch.cdist(mean, mean)
    count = mean.shape[1]
    return pairs.sum((1, 2)) / (count * (count - 1)) / log_std.exp().mean((1, 2))


def on_grid(distribution, members, device, limit=LIMIT, cells=CELLS):
    """(points [cells^2, 2], ln pi at them [members, cells^2]) on [-limit, limit]^2; `NOTHING` at the least."""
    axis = torch.linspace(-limit, limit, cells, device=device)
    points = torch.cartesian_prod(axis, axis)
    log_prob = distribution(len(points)).log_prob(points.expand(members, -1, -1))
    # Where a flow's preimage overflows, the density is 0, not NaN.
    return points, log_prob.nan_to_num(nan=NOTHING).clamp(min=NOTHING)


def kl_by_quadrature(distribution, log_target, members, device):
    """KL[pi || p*], [members], p* known up to a constant; the grid takes in all of p* that matters. NaN where it does not
    hold all of pi: over 1 % of its mass lies outside, or falls between the points."""
    points, log_prob = on_grid(distribution, members, device)
    area = (points[1, 1] - points[0, 1]).double() ** 2
    log_prob = log_prob.double()
    log_truth = log_target(points).double()
    log_truth = log_truth - torch.logsumexp(log_truth, 0) - area.log()
    mass = log_prob.exp().sum(-1) * area
    kl = (log_prob.exp() * (log_prob - log_truth)).sum(-1) * area
    return torch.where((mass - 1).abs() < 0.01, kl, torch.nan)
