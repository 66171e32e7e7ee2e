"""Parts of the figures: panels, clouds of samples, contours, the chosen KL radius."""

import numpy as np

from common.lab.report import plots
from common.lab.report.measures import environments
from papers.trpo_nf.classes import COLOURS, LABELS
from papers.trpo_nf.comparisons import measured


def mean_line(ax, curve, colour):
    """Draws the members' mean alone, thin and dotted."""
    if len(curve):
        wide = curve.pivot(index="step", columns=["cell", "member"], values="value").dropna()
        ax.plot(wide.index, wide.mean(axis=1), ":", color=colour, linewidth=1)


def classes(ax, results, env, title):
    """Draws the returns of every policy class of an experiment in one environment: seeds and mean."""
    for policy in results.setting("policy"):
        plots.seeds_and_mean(ax, results.curve("return", env=env, policy=policy), LABELS[policy], COLOURS[policy])
    plots.steps_axis(ax, title, left=0)


def returns(results, ncols):
    """A figure of returns: the policy classes of an experiment, one panel per environment."""
    fig, axes = plots.panels(environments(results), ncols)
    for env, ax in axes.items():
        classes(ax, results, env, env)
    return plots.finish(fig, "return")


def variants(ax, curves, policy):
    """Draws two curves of one policy class, {name: curve}, the first solid, the second dashed."""
    end = max((curve["step"].max() for curve in curves.values() if len(curve)), default=None)
    for linestyle, (name, curve) in zip(("-", "--"), curves.items(), strict=True):
        plots.seeds_and_mean(ax, curve, f"{LABELS[policy]}, {name}", COLOURS[policy], linestyle=linestyle, end=end)


def compared(variant, arms):
    """A figure of returns, one panel per environment of `variant`; arms: {policy class: {name: results}}, the first of a
    class solid, the second dashed."""
    fig, axes = plots.panels(environments(variant), 3)
    for env, ax in axes.items():
        for policy, results in arms.items():
            curves = {name: runs.curve("return", env=env, policy=policy) for name, runs in results.items()}
            variants(ax, curves, policy)
        plots.steps_axis(ax, env, left=0)
    return plots.finish(fig, "return")


def chosen_radius(choice, env, policy):
    """The KL radius with the higher mean final return over the seeds that choose; 0.01 where they were not run or where
    both diverged."""
    if env not in environments(choice):
        return 0.01
    means = {}
    for radius in choice.setting("kl_radius"):
        finals = choice.final("return", env=env, policy=policy, kl_radius=radius)
        means[radius] = np.mean(finals) if len(finals) and np.isfinite(finals).all() else -np.inf
    return max(means, key=means.get) if max(means.values()) > -np.inf else 0.01


def cloud(ax, rows, colour):
    """Samples of a policy, over those that form the centre of a KL ball."""
    centre, own = rows[rows["kind"] == "centre"], rows[rows["kind"] == "policy"]
    ax.plot(centre["x"], centre["y"], ".", color="0.6", markersize=2, zorder=3)
    ax.plot(own["x"], own["y"], ".", color=colour, markersize=2, alpha=0.6)


def paths(ax, results, policy):
    """Paths of a trained policy's episodes from the origin."""
    if policy not in results.setting("policy"):
        return plots.not_run(ax)
    ax.plot(0, 0, "k+")
    for _, path in results.table("trajectories", policy=policy).groupby(["member", "episode"]):
        ax.plot(path["x"], path["y"], color=COLOURS[policy], linewidth=0.5, alpha=0.6)


def contours(ax, rows):
    """Draws filled contours of a log-density."""
    grid = rows.pivot(index="y", columns="x", values="log_prob")
    ax.contourf(grid.columns, grid.index, np.clip(grid.to_numpy(), -20, 6), levels=np.arange(-20, 7, 2), cmap="viridis")


def first_outside(results, name, **where):
    """A further table's rows of the first member that did not start inside the KL ball, of the one cell that `where` leaves;
    of the first member where none did, or where the run does not tell."""
    rows, first = results.table(name, **where), measured(results, "first_kl", **where)
    members = list(rows["member"].unique())
    outside = [member for member in members if first.get(member, 0) > 0.01]
    return rows[rows["member"] == (outside or members)[0]]


def bandit_target(ax, settings):
    """Contours of the best policy's density at 1, 2 and 3 standard deviations on a bandit of these `Toys` settings."""
    temperature, correlation, distance, width = (
        getattr(settings, name) for name in ("temperature", "correlation", "distance", "width")
    )
    axis = np.linspace(-1.2, 1.2, 121)
    x, y = np.meshgrid(axis, axis)
    if settings.toy == "correlated":
        cost = (x**2 + y**2 - 2 * correlation * x * y) / (1 - correlation**2)
    else:
        cost = np.minimum(*[((x - s * distance) ** 2 + (y - s * distance) ** 2) / width for s in (-1, 1)])
    ax.contour(x, y, -cost / temperature, levels=[-4.5, -2.0, -0.5], colors="black", linewidths=0.6, linestyles="solid")


def same_limits(axes):
    """Shows the same part of the plane in every panel."""
    low = [min(ax.get_xlim()[0] for ax in axes), min(ax.get_ylim()[0] for ax in axes)]
    high = [max(ax.get_xlim()[1] for ax in axes), max(ax.get_ylim()[1] for ax in axes)]
    for ax in axes:
        ax.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]))


def radii(ax, kinds, references):
    """Radii of half and of 99.9 % of the samples relative to the mean of a reference, a dot per member; logarithmic."""
    marks = {"radius_50": ("half of the samples", "#0072B2", -0.15), "radius_999": ("99.9 %", "#D55E00", 0.15)}
    for metric, (label, colour, offset) in marks.items():
        for place, ((_, results, where), (reference, there)) in enumerate(zip(kinds, references, strict=True)):
            ratio = results.final(metric, 1, **where) / np.nanmean(reference.final(metric, 1, **there))
            for i, (x, value) in enumerate(zip(place + offset + np.linspace(-0.1, 0.1, len(ratio)), ratio, strict=True)):
                ax.plot(x, value, "o", color=colour, markersize=2.5, label=label if place == i == 0 else None)
    ax.set_yscale("log")
    plots.trim(ax, high=100.0)
    ax.axhline(1, color="0.5", linewidth=0.8)
    ax.set_xticks(range(len(kinds)), [name for name, _, _ in kinds], rotation=35, ha="right", fontsize=6.5)
