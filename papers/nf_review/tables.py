"""Tables of the review's flow families."""

import numpy as np
import pandas as pd

from common.lab.report import tabular
from papers.nf_review.comparisons import chosen, gaussian_kl, vi_families
from papers.nf_review.figures import FAMILY

# {column of the table of hyperparameters: experiments of one algorithm}
COLUMNS = {
    "figure 1": ("shapes",),
    "density": ("density_simple", "density_modern"),
    "regression": ("mnf_regression",),
    "MNF-DQN": ("nchain_mnf", "mountaincar_mnf"),
    "Bayes by backprop": ("nchain_bayes", "mountaincar_bayes"),
    "NoisyNet": ("nchain_noisy", "mountaincar_noisy"),
    "bootstrapped": ("nchain_bootstrapped", "mountaincar_bootstrapped"),
    "DQN": ("nchain_dqn", "mountaincar_dqn"),
    "PPO": ("multigoal",),
    "variational": ("vi_gaussian", "vi_planar", "vi_flows"),
    "figure 2": ("bandits",),
    "bananas": ("planar_chains", "chains_beside"),
    "costs": ("costs",),
}


def table_density(density_simple, density_modern):
    """Mean ln q of points held out, in nats: mean ± standard deviation over the seeds; below, what the data's own density
    and the best Gaussian reach. All families had the same updates, batches and learning rate, as in figx_density."""
    names, rows = density_simple.setting("data"), []
    for results in (density_simple, density_modern):
        for family in results.setting("family"):
            count = np.nanmean(results.final("parameters", 1, data=names[0], family=family))
            rows.append([FAMILY[family], f"{count:.0f}", *_cells(results, "log_likelihood", names, family)])
    first = density_simple.setting("family")[0]
    for label, metric in (("the data's own density", "possible"), ("best Gaussian", "gaussian")):
        rows.append([label, "", *_cells(density_simple, f"log_likelihood_{metric}", names, first)])
    return pd.DataFrame(rows, columns=["family", "parameters", *names], dtype=object)


def table_vi(vi_gaussian, vi_planar, vi_flows):
    """KL(q || p) of the fits of figx_vi, in nats: mean ± standard deviation over the seeds; and the total variance of q as a
    share of the posterior's, mean over energies. Of a Gaussian the better of two fits counts, with annealing and without."""
    names, rows = vi_gaussian.setting("energy"), []
    for label, correlated in (("mean field", False), ("Gaussian", True)):
        kept = [gaussian_kl(vi_gaussian, energy, correlated) for energy in names]
        shares = [chosen(vi_gaussian, "variance_share", energy, correlated) for energy in names]
        rows.append([label, *(_plus_minus(kl) for kl, _ in kept), f"{np.nanmean(shares):.2f}"])
    for name, results, where in vi_families(vi_planar, vi_flows):
        kl = [results.final("kl", 1, energy=energy, **where) for energy in names]
        shares = [results.final("variance_share", 1, energy=energy, **where) for energy in names]
        rows.append([FAMILY.get(name, name), *map(_plus_minus, kl), f"{np.nanmean(shares):.2f}"])
    return pd.DataFrame(rows, columns=["family", *names, "variance"], dtype=object)


CHEAP = 1.5  # times the operations one way than the other, at which the other is cheaper


def table_flow_families(costs):
    """What one step of every family costs, in 2 / 8 / 32 dimensions: kernels that follow one another, of a sample with its
    density and of the density of a given point, and calls of networks among them (two layers of 32 units). Then the
    parameters of a step, with its share of the affine transform at the end. Counted, and so the same on every machine;
    `python -m benchmarks flows` times. Planar, radial and Sylvester flows stand as they are written: turned round, as
    density estimation takes them, samples and densities change places."""
    events, rows = sorted(costs.setting("event")), []
    for family in costs.setting("family"):
        found = {
            metric: [np.nanmean(costs.final(metric, 1, family=family, event=event)) for event in events]
            for metric in ("sample_operations", "density_operations", "sample_passes", "density_passes", "parameters")
        }
        ratio = found["density_operations"][-1] / found["sample_operations"][-1]
        cheap = "samples" if ratio > CHEAP else "densities" if ratio < 1 / CHEAP else "both"
        steps = costs.setting("flows")[0]
        found["parameters"] = [count / steps for count in found["parameters"]]
        rows.append([FAMILY[family], cheap, *(" / ".join(f"{value:.0f}" for value in values) for values in found.values())])
    columns = ["family", "cheap", "sample", "density", "networks, sample", "networks, density", "parameters"]
    return pd.DataFrame(rows, columns=columns, dtype=object)


def table_nf_review_hyperparameters():
    """Every setting as it is run at scale `paper`, with where it stands: works that the review cites, their code, peers, or
    our choice. The agents of n-Chain and of MountainCar share a column; where they differ, both values stand."""
    return tabular.hyperparameters("nf_review", COLUMNS)


def _cells(results, metric, names, family):
    values = [results.final(metric, 1, data=data, family=family) for data in names]
    return [_plus_minus(x) for x in values]


def _plus_minus(values):
    return f"{np.nanmean(values):.3f} ± {np.nanstd(values, ddof=1):.3f}"
