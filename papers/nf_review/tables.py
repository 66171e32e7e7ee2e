"""Tables of the review's flow families."""

import numpy as np
import pandas as pd

from common.lab.report import tabular
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
    "MNF-DDPG": ("mnf_ddpg", "mnf_ddpg_noise"),
    "DDPG, Bayes": ("bayes_ddpg",),
    "DDPG, NoisyNet": ("noisy_ddpg",),
    "DDPG, OU noise": ("ou_ddpg",),
    "cost of a layer": ("mnf_cost",),
    "latents, SAC": ("lsp", "lsp_gaussian", "lsp_long"),
    "second level": ("lsp_second",),
    "PPO": ("multigoal",),
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


def table_nf_review_hyperparameters():
    """Every setting as it is run at scale `paper`, with where it stands: works that the review cites, their code, peers, or
    our choice. The agents of n-Chain and of MountainCar share a column; where they differ, both values stand."""
    return tabular.hyperparameters("nf_review", COLUMNS)


def _cells(results, metric, names, family):
    values = [results.final(metric, 1, data=data, family=family) for data in names]
    return [f"{np.nanmean(x):.3f} ± {np.nanstd(x, ddof=1):.3f}" for x in values]
