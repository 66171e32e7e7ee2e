"""What the toys measure of samples and densities, against numbers worked by hand and NumPy."""

import numpy as np
import pytest
import torch

from common.flows.distributions import DiagonalGaussian
from papers.trpo_nf import spread


def test_measures_of_a_cloud_are_numpys():
    x = torch.randn(2, 400, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    x[1] = x[1] @ torch.tensor([[2.0, 1.0], [0.0, 0.5]], dtype=torch.float64) + 3
    found = spread.measure(x)
    for m, cloud in enumerate(x.numpy()):
        covariance, radius = np.cov(cloud.T), np.linalg.norm(cloud - cloud.mean(0), axis=1)
        expected = {
            "std": cloud.std(0, ddof=1).mean(),
            "radius_largest": radius.max(),
            "det_covariance": np.linalg.det(covariance),
            "trace_covariance": np.trace(covariance),
            "correlation": np.corrcoef(cloud.T)[0, 1],
            "kurtosis": (((cloud - cloud.mean(0)) ** 4).mean(0) / cloud.var(0, ddof=1) ** 2).mean(),
            "radius_99": np.quantile(radius, 0.99),
        }
        for name, value in expected.items():
            assert float(found[name][m]) == pytest.approx(value), name


def test_shares_of_modes_and_distances_of_components_by_hand():
    x = torch.tensor([[[-1.0, -1.0], [-0.9, -1.2], [1.0, 1.0], [0.0, 3.0]]])
    assert {name: float(share) for name, share in spread.modes(x, 1.0).items()} == {
        "mass_low": 0.5, "mass_high": 0.25, "smaller_mass": 0.25,
    }  # fmt: skip
    mean = torch.tensor([[[0.0, 0.0], [3.0, 4.0], [0.0, 0.0]]])  # distances 5, 5 and 0
    log_std = torch.log(torch.full((1, 3, 2), 2.0))
    assert float(spread.component_distance(mean, log_std)) == pytest.approx(10 / 3 / 2)


def test_the_divergence_on_a_grid_is_that_of_gaussians_and_none_where_the_grid_does_not_hold_them():
    def gaussian(scale):
        return lambda n: DiagonalGaussian(torch.zeros(1, n, 2), torch.full((1, n, 2), float(np.log(scale))))

    def target(points):
        return -points.square().sum(-1) / 2 / 0.25

    inside = spread.kl_by_quadrature(gaussian(0.3), target, 1, "cpu")
    ratio = (0.3 / 0.5) ** 2
    assert float(inside) == pytest.approx(ratio - 1 - np.log(ratio), abs=1e-3)
    assert torch.isnan(spread.kl_by_quadrature(gaussian(50.0), target, 1, "cpu")).all()
