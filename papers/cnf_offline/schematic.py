"""The drawing of Figure 1: two ways to keep a latent policy near the data."""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.patches import Circle, FancyArrowPatch, FancyBboxPatch, Rectangle

LATENT, DATA, POLICY, LIMIT = "#56B4E9", "#009E73", "#D55E00", "black"
CENTRE, SIDE = (4.7, 2.6), 2.2  # of the latents a policy may choose; a normal latent's deviation is a quarter of it


def draw():
    """PLAS on the left, the conservative flow on the right."""
    fig, axes = plt.subplots(1, 2, figsize=(8, 2.6))
    heads = ("PLAS: variational autoencoder", "CNF: conservative normalizing flow")
    feet = (
        "normal latents without an end (1, 2, 3 deviations);\nthe policy is cut by hand to |z| ≤ 2",
        "uniform latents on a box;\nthe policy has it all",
    )
    for ax, head, foot in zip(axes, heads, feet, strict=True):
        ax.set(xlim=(0, 10), ylim=(-0.2, 4.7), aspect="equal")
        ax.axis("off")
        ax.set_title(head)
        ax.text(CENTRE[0], 0.0, foot, ha="center", va="bottom", fontsize=7)
        _around(ax)
    for deviations, shade in ((3, 0.12), (2, 0.22), (1, 0.35)):
        axes[0].add_patch(Circle(CENTRE, deviations * SIDE / 4, color=LATENT, alpha=shade, linewidth=0))
    axes[1].add_patch(_square(facecolor=LATENT, alpha=0.4, edgecolor="none"))
    for ax in axes:
        ax.add_patch(_square(fill=False, edgecolor=LIMIT, linewidth=1.5))
        ax.text(*CENTRE, "z", ha="center", va="center")
    return fig


def _around(ax):
    """Draws what both have: a policy over latents, data, and a pair of maps fitted to it."""
    box = {"boxstyle": "round,pad=0.05", "facecolor": POLICY, "edgecolor": POLICY, "alpha": 0.15}
    ax.add_patch(FancyBboxPatch((0.1, 1.9), 2.3, 1.4, **box))
    ax.text(1.25, 2.6, "latent policy\nπ(z | s)", ha="center", va="center", fontsize=7)
    _arrow(ax, (2.45, 2.6), (CENTRE[0] - SIDE / 2, 2.6), POLICY)
    rng = np.random.default_rng(0)
    angle = rng.uniform(0, np.pi, 60)
    x, y = 8.9 + 0.9 * np.cos(angle), 2.2 + 0.9 * np.sin(angle) + 0.06 * rng.standard_normal(60)
    ax.plot(x, y, ".", color=DATA, markersize=3)
    ax.text(8.9, 3.6, "actions\nof the data", ha="center", color=DATA, fontsize=7)
    for word, height, ends in (("encode", 3.05, (7.9, 6.7)), ("decode", 2.0, (6.7, 7.9))):
        _arrow(ax, (ends[0], height), (ends[1], height), "0.4")
        ax.text(7.3, height + 0.12, word, ha="center", fontsize=7, color="0.4")


def _square(**style):
    return Rectangle((CENTRE[0] - SIDE / 2, CENTRE[1] - SIDE / 2), SIDE, SIDE, **style)


def _arrow(ax, start, end, colour):
    ax.add_patch(FancyArrowPatch(start, end, arrowstyle="-|>", mutation_scale=9, color=colour, linewidth=1.2))
