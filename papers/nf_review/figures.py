"""Figure 1 of the review. Each figure reads the cells that its arguments name, and nothing else."""

import matplotlib.pyplot as plt
import numpy as np

from common.lab.report import plots
from common.lab.report.measures import first_member


def fig1_planar_radial(shapes):
    """A normal (top) and a uniform base (bottom) after K random flows: planar ones push along a direction, radial ones
    about a centre. Densities, bright where high, each on its own scale; K flows begin with those of smaller K; first
    seed. Drawn after the figure of Rezende and Mohamed that the review reprints, whose numbers are not known. Radial
    flows have parameters of their own, a centre, alpha and beta, where the review repeats those of planar ones."""
    families, bases, counts = (shapes.setting(key) for key in ("family", "base", "flows"))
    fig, axes = plt.subplots(2, 1 + 2 * len(counts), figsize=(9.6, 3.2))
    for row, base in zip(axes, bases, strict=True):
        _panel(row[0], _base(shapes, base), "base")
        places = [(family, count) for family in families for count in counts]
        for ax, (family, count) in zip(row[1:], places, strict=True):
            _panel(ax, _grid(shapes, family=family, base=base, flows=count), f"{family}, K = {count}")
        row[0].set_ylabel(base)
    for ax in axes[1]:
        ax.set_title("")
    return fig


def _grid(shapes, **where):
    """The density of the first seed's flows in one cell, a frame of rows y and columns x."""
    return first_member(shapes, "density", **where).pivot(index="y", columns="x", values="density")


def _base(shapes, base):
    """The base's own density on the grid of the flows'."""
    grid = _grid(shapes, **{key: shapes.setting(key)[0] for key in ("family", "flows")}, base=base)
    y, x = np.meshgrid(grid.index, grid.columns, indexing="ij")
    values = np.exp(-(x**2 + y**2) / 2) if base == "normal" else ((abs(x) <= 2) & (abs(y) <= 2)).astype(float)
    return grid * 0 + values


def _panel(ax, density, title):
    bright = np.quantile(density, 0.999)  # a ridge that is thinner than the grid would leave the rest dark
    ax.imshow(density, origin="lower", extent=(-4, 4, -4, 4), cmap="magma", vmin=0, vmax=bright)
    ax.set(xticks=[], yticks=[], title=title)
    ax.spines[:].set_visible(False)
    ax.title.set_fontsize(plots.STYLE["font.size"])
