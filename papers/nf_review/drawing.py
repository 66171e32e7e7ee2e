"""Parts of the figures: names and colours, densities on grids, paths among goals."""

import matplotlib.pyplot as plt
import numpy as np

from common.lab.report import plots
from common.lab.report.measures import first_member

POSTERIORS = {
    "mean_field": ("Bayes by backprop", plots.PALETTE[0]),
    "masked": ("multiplicative, masked", plots.PALETTE[1]),
    "iaf": ("multiplicative, IAF", plots.PALETTE[2]),
}

AGENTS = {
    "MNF-DQN": plots.PALETTE[1],
    "Bayes by backprop": plots.PALETTE[0],
    "NoisyDQN": plots.PALETTE[2],
    "bootstrapped heads": plots.PALETTE[3],
    "DQN, epsilon": plots.PALETTE[6],
}
CRITICS = {
    "MNF-DDPG": plots.PALETTE[1],
    "Bayes by backprop": plots.PALETTE[0],
    "NoisyNet": plots.PALETTE[2],
    "DDPG, OU noise": plots.PALETTE[6],
    "MNF-DDPG, OU noise": plots.PALETTE[4],
}
COUNTED = {
    "masked": ("MNF, masked", plots.PALETTE[1], "o-"),
    "iaf": ("MNF, IAF", plots.PALETTE[3], "x--"),
    "mean_field": ("Bayes by backprop", plots.PALETTE[0], "o-"),
    "plain": ("no posterior", plots.PALETTE[6], "o-"),
}
FAMILY = {
    "mean_field": "mean field", "planar": "planar", "radial": "radial", "sylvester": "Sylvester",
    "householder": "Householder", "nice": "NICE", "realnvp": "RealNVP", "permuted": "permuted", "glow": "Glow",
    "glow_lu": "Glow, LU", "maf": "MAF", "iaf": "IAF", "iaf_gated": "IAF, gated", "spline": "spline",
    "spline_ar": "AR spline",
}  # fmt: skip
LEVELS = {"latents": plots.PALETTE[1], "Gaussian": plots.PALETTE[0], "second": plots.PALETTE[2]}
ON_ROBOTS = {
    "PPO, flow": plots.PALETTE[1],
    "PPO, Gaussian": plots.PALETTE[0],
    "TRPO": plots.PALETTE[2],
    "DDPG": plots.PALETTE[3],
    "soft Q": plots.PALETTE[6],
}
IMPLICIT = {"flow": "PPO, flow", "gaussian": "PPO, Gaussian"}
CLASSES = {
    "mixture": ("mixture of 2", plots.PALETTE[2]),
    "coupling": ("coupling flow", plots.PALETTE[1]),
    "spline": ("spline flow", plots.PALETTE[3]),
}
BANDITS = {"mean_field": ("Gaussian", plots.PALETTE[2]), "realnvp": ("flow", plots.PALETTE[0])}


def goal_paths(ax, results, colour, **where):
    """The first member's paths among the goals."""
    for x, y in ((5, 0), (-5, 0), (0, 5), (0, -5)):
        ax.add_patch(plt.Circle((x, y), 1, color="0.8", linewidth=0))
    for _, rows in first_member(results, "paths", **where).groupby("rollout"):
        ax.plot(rows["x"], rows["y"], color=colour, alpha=0.5, linewidth=0.8)
        ax.plot(rows["x"].iloc[-1], rows["y"].iloc[-1], ".", color=colour, markersize=3)
    ax.set(xlim=(-7, 7), ylim=(-7, 7), aspect="equal", xticks=[-5, 0, 5], yticks=[-5, 0, 5])


def cell_density(shapes, **where):
    """The density of the first seed's flows in one cell, a frame of rows y and columns x."""
    return first_member(shapes, "density", **where).pivot(index="y", columns="x", values="density")


def base_density(shapes, base):
    """The base's own density on the grid of the flows'."""
    found = cell_density(shapes, **{key: shapes.setting(key)[0] for key in ("family", "flows")}, base=base)
    y, x = np.meshgrid(found.index, found.columns, indexing="ij")
    values = np.exp(-(x**2 + y**2) / 2) if base == "normal" else ((abs(x) <= 2) & (abs(y) <= 2)).astype(float)
    return found * 0 + values


def panel(ax, density, title):
    """A density on a scale of its own."""
    bright = np.quantile(density, 0.999)  # a ridge that is thinner than the grid would leave the rest dark
    ax.imshow(density, origin="lower", extent=(-4, 4, -4, 4), cmap="magma", vmin=0, vmax=bright)
    ax.set(xticks=[], yticks=[], title=title)
    ax.spines[:].set_visible(False)
    ax.title.set_fontsize(plots.STYLE["font.size"])


def contour_levels(density):
    """Densities above which a bivariate normal's mass within one, two and three deviations lies, of a density on a grid."""
    values = np.sort(density.to_numpy().ravel())[::-1]
    mass = np.cumsum(values) / values.sum()
    places = [np.searchsorted(mass, 1 - np.exp(-(deviations**2) / 2)) for deviations in (3, 2, 1)]
    levels = values[np.minimum(places, len(values) - 1)]
    return np.maximum.accumulate(levels + np.arange(3) * 1e-12)


def on_grid(rows, column):
    """A column of a table of a grid, as a frame of rows y and columns x."""
    return rows.pivot(index="y", columns="x", values=column)


def bright_panel(ax, density, limit, number=None):
    """A density on one scale with others, and a number, if there is one, below it."""
    ax.imshow(density, origin="lower", extent=(-4, 4, -4, 4), cmap="magma", vmin=0, vmax=limit)
    ax.set(xticks=[], yticks=[])
    ax.set_xlabel("" if number is None else f"{number:.2f}", fontsize=6.5, labelpad=1)
    ax.spines[:].set_visible(False)
