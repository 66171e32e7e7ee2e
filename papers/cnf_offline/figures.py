"""Figures 1 to 3 of the paper: the schematic and the two moons. Each reads the cells that its arguments name, and nothing
else."""

import matplotlib.pyplot as plt
import numpy as np

from common.lab.report import plots
from common.lab.report.measures import first_member
from papers.cnf_offline import schematic

COLOURS = {"normal": "#0072B2", "uniform": "#D55E00"}
HOW = {  # how latents were chosen: {base: [(name, label, line style)]}
    "normal": [("scaled", "normal: a · N(0, I)", "-")],
    "uniform": [("pushed", "uniform: tanh(a · N(0, I))", "-"), ("scaled", "uniform: a · U(−1, 1), a ≤ 1", ":")],
}


def fig1_cnf_schematic():
    """Two ways to keep a policy near the actions of the data. Both train a pair of maps between actions and latents on
    the data, then a policy over latents. PLAS's latents are normal, and its policy is limited by hand to a part of them;
    the conservative flow's are uniform on a box, and its policy ends in a tanh, so that it reaches the whole box and no
    more."""
    return schematic.draw()


def fig2_moons(moons):
    """A flow with a normal base (a, b) and one with a uniform base (c, d), trained on the two moons of Section 3.1. Left: ln
    density, -6 and below in the darkest shade; right: samples (dots) over the data (grey); first seed. Nats: -ln p of a
    held-out point, of that seed; no density can have fewer than the entropy of the data, -0.38."""
    fig, axes = plt.subplots(1, 4, figsize=(9, 2.7))
    levels = np.linspace(-6, 2, 25)
    for base, pair, letters in zip(COLOURS, axes.reshape(2, 2), ("ab", "cd"), strict=True):
        density = first_member(moons, "density", base=base)
        grid = density.pivot(index="y", columns="x", values="log_prob").clip(lower=-6)
        drawn = pair[0].contourf(grid.columns, grid.index, grid, levels=levels, extend="both", cmap="viridis")
        bar = fig.colorbar(drawn, ax=pair[0], shrink=0.7, ticks=[-6, -4, -2, 0, 2])
        bar.ax.tick_params(labelsize=7)
        samples = first_member(moons, "samples", base=base)
        _cloud(pair[1], samples[samples["how"] == "data"], "0.75")
        _cloud(pair[1], _drawn(samples, "scaled", 1.0), COLOURS[base])
        level = moons.final("nll_held_out", 1, base=base)[0]
        pair[0].set_title(f"({letters[0]}) {base}, density")
        pair[1].set_title(f"({letters[1]}) samples, {level:.2f} nats".replace("-", "\N{MINUS SIGN}"))
    for ax in axes:
        _square(ax)
    return fig


def fig3_moons_amplitude(moons):
    """Actions of latents that a policy could choose. Top: samples over the data (grey), of the normal base's flow at
    latents a · N(0, I), and of the uniform base's over its whole box and at latents tanh(a · N(0, I)) of a policy; first
    seed. Bottom: share of points farther from the data than 99.9 % of held-out points are: (left) by the amplitude a;
    (right) of latents with one entry at the ends beyond which the base has the mass d. Faint: seeds; line: their mean.
    Equal a are not quite equal spreads: before its tanh the uniform base is logistic, of deviation 0.91."""
    panels = {
        "normal, a = 1": ("normal", "scaled", 1.0),
        "normal, a = 2": ("normal", "scaled", 2.0),
        "normal, a = 4": ("normal", "scaled", 4.0),
        "uniform, whole box": ("uniform", "scaled", 1.0),
        "uniform, tanh, a = 2": ("uniform", "pushed", 2.0),
        "uniform, tanh, a = 4": ("uniform", "pushed", 4.0),
    }
    top = [title for title in panels for _ in range(2)]
    fig, axes = plt.subplot_mosaic([top, ["a"] * 6 + ["d"] * 6], figsize=(9.6, 4.2))
    for title, (base, how, amplitude) in panels.items():
        samples = first_member(moons, "samples", base=base)
        _cloud(axes[title], samples[samples["how"] == "data"], "0.75")
        _cloud(axes[title], _drawn(samples, how, amplitude), COLOURS[base])
        axes[title].set_title(title, fontsize=8)
        _square(axes[title])
    reach = moons.table("reach")
    for base, ways in HOW.items():
        here = reach[reach["base"] == base]
        for how, label, style in ways:
            _shares(axes["a"], here[here["how"] == how], label, "black" if style == ":" else COLOURS[base], style)
        _shares(axes["d"], here[here["how"] == "edge"], None, COLOURS[base], "-")
    axes["a"].set(xscale="log", xlabel="amplitude a", ylabel="share of far points", ylim=(0, 1))
    axes["a"].set_xticks([0.25, 0.5, 1, 2, 4, 6], ["0.25", "0.5", "1", "2", "4", "6"])
    axes["d"].set(xscale="log", xlabel="mass d beyond the ends", ylabel="share of far points", ylim=(0, 1))
    axes["d"].invert_xaxis()
    for name in "ad":
        axes[name].minorticks_off()
    return plots.finish(fig)


def _drawn(samples, how, amplitude):
    return samples[(samples["how"] == how) & (samples["amplitude"] == amplitude)]


def _cloud(ax, rows, colour):
    ax.plot(rows["x"], rows["y"], ".", color=colour, markersize=1.5, rasterized=True)


def _square(ax):
    ax.set(xlim=(-1, 1), ylim=(-1, 1), aspect="equal", xticks=[-1, 0, 1], yticks=[-1, 0, 1])


def _shares(ax, rows, label, colour, style):
    """Draws every seed's share of far points by the size of the latents, and their mean."""
    wide = rows.pivot(index="size", columns="seed", values="far")
    ax.plot(wide.index, wide, style, color=colour, linewidth=0.7, alpha=0.35)
    ax.plot(wide.index, wide.mean(axis=1), style, color=colour, label=label, marker="o", markersize=3)
