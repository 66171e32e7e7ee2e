"""Tables of the review: flow families, policies by algorithms, settings."""

import numpy as np
import pandas as pd

from common.lab.report import tabular
from common.lab.report.measures import environments
from papers.nf_review.comparisons import LAST, chosen, gain, gaussian_kl, vi_families
from papers.nf_review.drawing import CLASSES, FAMILY

# {column of the table of hyperparameters: experiments of one algorithm}
COLUMNS = {
    "figure 1": ("shapes",),
    "entropy bound": ("entropy_bound",),
    "density": ("density_simple", "density_modern"),
    "costs": ("costs",),
    "regression": ("mnf_regression",),
    "MNF-DQN": ("nchain_mnf", "mountaincar_mnf"),
    "Bayes by backprop": ("nchain_bayes", "mountaincar_bayes"),
    "NoisyNet": ("nchain_noisy", "mountaincar_noisy"),
    "bootstrapped": ("nchain_bootstrapped", "mountaincar_bootstrapped"),
    "DQN": ("nchain_dqn", "nchain_dqn_timeouts", "mountaincar_dqn"),
    "MinAtar": ("minatar",),
    "MNF-DDPG": ("mnf_ddpg", "mnf_ddpg_noise"),
    "DDPG, Bayes": ("bayes_ddpg",),
    "DDPG, NoisyNet": ("noisy_ddpg",),
    "DDPG, OU noise": ("ou_ddpg",),
    "cost of a layer": ("mnf_cost",),
    "latents, SAC": ("lsp", "lsp_gaussian", "lsp_long"),
    "second level": ("lsp_second",),
    "PPO": ("multigoal",),
    "PPO, robots": ("locomotion_ppo", "locomotion_noise"),
    "TRPO": ("locomotion_trpo",),
    "DDPG": ("locomotion_ddpg",),
    "soft Q": ("locomotion_sql",),
    "grid, TRPO": ("grid_trpo",),
    "grid, ACKTR": ("grid_acktr",),
    "grid, PPO": ("grid_ppo",),
    "grid, SAC": ("grid_sac",),
    "variational": ("vi_gaussian", "vi_planar", "vi_flows"),
    "figure 2": ("bandits",),
    "bananas": ("planar_chains", "chains_beside"),
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


def table_flow_families(costs):
    """What the families of Section 2.3 cost, by dimension: the way that is fast; numbers that all 8 steps learn; operations
    that follow one another, each on a whole batch, for a sample with its density and for the density of a point that is
    given (8 steps and the affine transform after them; networks of two layers of 32 units). Counted, not timed: a machine
    that works on a batch at once takes as long. Planar, radial and Sylvester flows find densities by bisection."""
    events, rows = costs.setting("event"), []
    for family in costs.setting("family"):
        counts = {
            metric: [np.nanmean(costs.final(metric, 1, family=family, event=event)) for event in events]
            for metric in ("parameters", "sample_operations", "density_operations")
        }
        sample, density = counts["sample_operations"][-1], counts["density_operations"][-1]
        fast = "both" if max(sample, density) < 2 * min(sample, density) else "samples" if sample < density else "densities"
        rows.append([FAMILY[family], fast, *(" / ".join(f"{value:.0f}" for value in values) for values in counts.values())])
    dimensions = f"D = {' / '.join(map(str, events))}"
    names = [f"{name}, {dimensions}" for name in ("parameters", "operations of a sample", "of a density")]
    return pd.DataFrame(rows, columns=["family", "fast", *names], dtype=object)


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


def table_policy_by_algorithm(grid_trpo, grid_acktr, grid_ppo, grid_sac):
    """Final return by algorithm and class of policies: the Gaussian's mean, and what another class has more, seed by seed,
    in per cent of it, with the 95 % interval. Settings are those that serve the Gaussian."""
    runs, rows = {"TRPO": grid_trpo, "ACKTR": grid_acktr, "PPO": grid_ppo, "SAC": grid_sac}, []
    envs = list(dict.fromkeys(env for results in runs.values() for env in environments(results)))
    for algorithm, results in runs.items():
        means = [results.final("return", LAST, env=env, policy="gaussian") for env in envs]
        rows.append([algorithm, "Gaussian", *(f"{np.nanmean(x):.0f}" if len(x) else "" for x in means)])
        for kind, (label, _) in CLASSES.items():
            found = [gain(results, env, kind) for env in envs]
            rows.append([algorithm, label, *(_percent(verdict) if verdict else "" for verdict in found)])
    return pd.DataFrame(rows, columns=["algorithm", "policy", *envs], dtype=object)


def _percent(verdict):
    interval = "" if np.isnan(verdict.low) else f" [{100 * verdict.low:+.0f}, {100 * verdict.high:+.0f}]"
    return f"{100 * verdict.effect:+.0f} %{interval}"


def table_nf_review_hyperparameters():
    """Every setting as it is run at scale `paper`, with where it stands: works that the review cites, their code, peers, or
    our choice. The agents of n-Chain and of MountainCar share a column; where they differ, both values stand."""
    return tabular.hyperparameters("nf_review", COLUMNS)


def _cells(results, metric, names, family):
    values = [results.final(metric, 1, data=data, family=family) for data in names]
    return [_plus_minus(x) for x in values]


def _plus_minus(values):
    return f"{np.nanmean(values):.3f} ± {np.nanstd(values, ddof=1):.3f}"
