"""Figures 1 to 5 of the paper and two of our own. Each reads the cells that its arguments name, and nothing else."""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.ticker import MaxNLocator

from common.lab.report import plots
from common.lab.report.measures import environments, first_member
from common.lab.results import records
from papers.arsac.schematic import draw_policy

# Points of a Savitzky-Golay window (cubic), or None for curves as measured. The authors' Figure 4 has 71 of 100 points.
SMOOTHING = None

SIZE_COLOURS = {"1x32": "#E69F00", "1x128": "#D55E00", "2x256": "#CC79A7", "1x256": "#0072B2"}
FIGURE_4 = {
    ("SAC", "1x32"): "#56B4E9",
    ("SAC", "1x128"): "#0072B2",
    ("ARSAC", "1x32"): SIZE_COLOURS["1x32"],
    ("ARSAC", "1x128"): SIZE_COLOURS["1x128"],
}
# One colour per policy in the two figures of our own.
POLICIES = {
    "ARSAC": "#D55E00",
    "ARSAC, Q(s, h, a)": "#E69F00",
    "SAC": "#0072B2",
    "SAC that sees 3 past actions": "#009E73",
    "SAC at ARSAC's size": "#CC79A7",
    "ARSAC, critics step twice": "#56B4E9",
}


def fig1_arsac_policy():
    """The autoregressive flow-based policy. The environment (purple) gives a state, from which a network gives the base
    distribution (blue). Its sample becomes the action through an affine transform (green), whose shift and scale
    depend on the past actions (orange)."""
    return draw_policy()


def fig2_flow_policy(arsac="env=Walker2d-v4, base=1x32"):
    """Base distribution (top) and affine transform (bottom) along the start of one evaluation episode: (a) the action
    dimension that the flow drives least, (b) the one it drives most. Left: mean and one standard deviation of the base;
    shift and scale of the transform; dots: the base's mean, transformed. Right: the same numbers as the released script
    plots them. It logs the transformed mean as the base's mean and transforms it once more.

    Dimensions are ordered by Var delta / Var(beta mu) over all evaluation episodes of the first seed.
    """
    seed, trace, order, shares = _episode(arsac)
    fig, axes = plt.subplots(2, 4, figsize=(9, 3.6), sharex=True)
    for column, (released, dim) in enumerate((r, d) for r in (False, True) for d in (order[0], order[-1])):
        letter = "ab"[column % 2]
        head = "as released" if released else "correct"
        axes[0, column].set_title(f"{head}\n({letter}) dimension {dim}\nVar δ / Var x = {shares[dim]:.2f}", fontsize=8)
        _trace_column(axes[:, column], trace[trace["dim"] == dim], released)
    axes[0, 0].set_ylabel("base, μ ± σ")
    axes[1, 0].set_ylabel("shift ± scale, δ ± β")
    for ax in axes[1]:
        ax.set_xlabel("step of the episode")
        ax.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    fig.suptitle(f"{environments(arsac)[0]}, base {arsac.setting('base')[0]}, seed {seed}", fontsize=9)
    return plots.finish(fig)


def fig3_logscale(arsac="env=HalfCheetah-v4", arsac_1x256="env=HalfCheetah-v4"):
    """What the flow does on HalfCheetah during training, one curve per size of the base network, from the same runs:
    means over steps and action dimensions of the evaluation episodes (1 in the paper; 10, at scale day 5, at quick 2),
    not smoothed. (a) ln β, the paper's Figure 3, which reads a fall as reliance on the flow. (b) ln β + ln σ: only their
    sum reaches the action. (c) The shift's share of the variance of x, which σ does not confound. (d) Share of the
    trained policy's return that is lost without the flow (β = 1, δ = 0: dots) and, where that was run, with β and δ at
    their means over time (crosses). Faint: seeds; line: their mean, with its 95 % interval where there are five seeds
    or more. Dotted, with its standard deviation: the authors' mean of 4 seeds on -v2, up to the end of our runs."""
    fig, axes = plots.grid(1, 4, 2.6, 2.4)
    labels = {"log_scale": "ln β", "log_scale_std": "ln β + ln σ", "shift_share": "Var δ / Var x"}
    runs = {base: (arsac, {"base": base}) for base in arsac.setting("base")}
    runs |= {"1x256": (arsac_1x256, {})} if arsac_1x256.cells else {}
    colours = [SIZE_COLOURS[base] for base in runs]
    for ax, (metric, label), letter in zip(axes[0], labels.items(), "abc", strict=False):
        plots.curves(ax, metric, runs, colours)
        if metric == "log_scale":
            for base in runs:
                _authors(ax, metric, "HalfCheetah-v4", "arsac", base, SIZE_COLOURS[base], arsac.steps, band=True)
        plots.steps_axis(ax, f"({letter}) {label}", left=0, right=arsac.steps)
    _losses(axes[0, 3], runs, colours)
    axes[0, 0].set_ylabel("mean over steps, dimensions")
    axes[0, 3].set_ylabel("share of return")
    return plots.finish(fig, ncols=5)


def _losses(ax, runs, colours):
    """Dots: share of each seed's final return that is lost without the flow; crosses: with the flow at its means."""
    for place, ((results, settings), colour) in enumerate(zip(runs.values(), colours, strict=True)):
        where = settings | {"env": "HalfCheetah-v4"}
        whole = results.final("return", 1, **where)
        for offset, metric, mark in ((-0.15, "return_without_flow", "o"), (0.15, "return_frozen_flow", "x")):
            if results.has(metric) and len(whole):
                loss = (whole - results.final(metric, 1, **where)) / np.abs(whole)
                ax.plot([place + offset] * len(loss), loss, mark, color=colour, markersize=4)
    ax.axhline(0, color="0.5", linewidth=0.8)
    ax.set_xticks(range(len(runs)), list(runs))
    ax.set(title="(d) return lost without the flow", xlim=(-0.6, len(runs) - 0.4))


def fig4_performance(sac, arsac="base=1x32|1x128"):
    """Return during training, mean over evaluation episodes, for two sizes of the policy's base network. Faint: seeds;
    line: their mean, with its 95 % interval where there are five seeds or more. Dashed: mean final return of SAC at its
    usual size, 2x256. Dotted: the authors' means of 4 seeds on -v2, which they smoothed, up to the end of our runs."""
    fig, axes = plots.panels(environments(arsac), 2)
    algorithms = {"SAC": sac, "ARSAC": arsac}
    runs = {f"{algorithm} {base}": (algorithms[algorithm], {"base": base}) for algorithm, base in FIGURE_4}
    for env, ax in axes.items():
        plots.curves(ax, "return", runs, FIGURE_4.values(), SMOOTHING, env=env)
        _dashed(ax, sac.final("return", env=env, base="2x256"), "SAC 2x256, final mean", "black")
        for (algorithm, base), colour in FIGURE_4.items():
            _authors(ax, "return", env, algorithm.lower(), base, colour, algorithms[algorithm].steps)
        plots.steps_axis(ax, env, left=0, right=sac.steps)
    return plots.finish(fig, "return", ncols=3)


def fig5_logscale_all(arsac):
    """Log-scale of the affine flow during training in every environment, one curve per size of the base network: mean
    of ln β over steps and action dimensions of the evaluation episodes, not smoothed. Faint: seeds; line: their mean,
    with its 95 % interval where there are five seeds or more. Dotted: the authors' means of 4 seeds on -v2, up to the
    end of our runs."""
    fig, axes = plots.panels(environments(arsac), 2)
    for env, ax in axes.items():
        _log_scales(ax, arsac, env)
    return plots.finish(fig, "mean log-scale, ln β")


def figx_arsac_controls(
    sac_history,
    sac_wide,
    arsac_history_critic,
    arsac_released_critics,
    arsac="env=HalfCheetah-v4, base=1x128|2x256",
    sac="env=HalfCheetah-v4, base=1x128|2x256",
):
    """Is ARSAC's gain on HalfCheetah capacity or memory? SAC whose policy sees the last 3 actions has the memory without
    the flow; SAC at ARSAC's size (2x256 against ARSAC 1x128, 5 % fewer parameters; 2x384 against ARSAC 2x256, 8 % more)
    has the capacity without the memory. ARSAC's published critics Q(s, a) do not see the history; Q(s, h, a) does.
    Their Adam steps twice per update in the authors' code, once elsewhere here. Faint: seeds; line: their mean, with its
    95 % interval where there are five seeds or more."""
    fig, axes = plots.panels(["base 1x128", "base 2x256"], 2, sharey="row")
    for base, ax in zip(("1x128", "2x256"), axes.values(), strict=True):
        runs = [(results, {"base": base}) for results in (arsac, arsac_history_critic, sac, sac_history)]
        runs += [(sac, {"base": "2x256"}), (arsac_released_critics, {})] if base == "1x128" else [(sac_wide, {})]
        plots.curves(ax, "return", dict(zip(POLICIES, runs, strict=False)), POLICIES.values(), SMOOTHING)
        plots.steps_axis(ax, f"HalfCheetah-v4, base {base}", left=0, right=sac.steps)
    return plots.finish(fig, "return", ncols=3)


def figx_arsac_pomdp(
    arsac_masked,
    arsac_delayed,
    sac_masked,
    sac_delayed,
    sac_history_masked,
    sac_history_delayed,
    arsac="env=HalfCheetah-v4|Hopper-v4|Walker2d-v4, base=1x128",
    sac="env=HalfCheetah-v4|Hopper-v4|Walker2d-v4, base=1x128",
):
    """Partial observability: return when velocities are hidden, and when observations come 2 or 5 steps late; base
    networks 1x128. Faint: seeds; line: their mean, with its 95 % interval where there are five seeds or more. Dashed:
    mean final return of the same policy under full observation."""
    labels = ("ARSAC", "SAC", "SAC that sees 3 past actions")
    hidden, late = (arsac_masked, sac_masked, sac_history_masked), (arsac_delayed, sac_delayed, sac_history_delayed)
    columns = {"velocities hidden": [(results, {}) for results in hidden]}
    for delay in arsac_delayed.setting("delay"):
        columns[f"{delay} steps late"] = [(results, {"delay": delay}) for results in late]
    titles = {f"{env}, {title}": (env, runs) for env in environments(arsac_masked) for title, runs in columns.items()}
    fig, axes = plots.panels(list(titles), len(columns), height=2.0, sharey="row")
    for title, (env, runs) in titles.items():
        named, colours = dict(zip(labels, runs, strict=True)), [POLICIES[label] for label in labels]
        plots.curves(axes[title], "return", named, colours, SMOOTHING, env=env)
        for label, results in (("ARSAC", arsac), ("SAC", sac)):
            _dashed(axes[title], results.final("return", env=env), f"{label}, all observed", POLICIES[label])
        plots.steps_axis(axes[title], title, left=0, right=arsac_masked.steps)
    return plots.finish(fig, "return", ncols=3)


def _log_scales(ax, arsac, env):
    sizes = arsac.setting("base")
    runs = {base: (arsac, {"base": base}) for base in sizes}
    plots.curves(ax, "log_scale", runs, [SIZE_COLOURS[base] for base in sizes], env=env)
    for base in sizes:
        _authors(ax, "log_scale", env, "arsac", base, SIZE_COLOURS[base], arsac.steps)
    plots.steps_axis(ax, env, left=0, right=arsac.steps)


def _authors(ax, metric, env, algorithm, base, colour, steps, band=False):
    """The authors' curve, thin and behind ours, up to `steps`, with its standard deviation if asked; nothing if fewer
    than two of its points lie there."""
    table = records.reported("arsac")
    table = table[(table["metric"] == metric) & (table["env"] == env.replace("-v4", "-v2"))]
    curve = table[(table["algorithm"] == algorithm) & (table["base"] == base) & (table["step"] <= steps)]
    if len(curve) > 1:
        ax.plot(curve["step"], curve["mean"], ":", color=colour, linewidth=0.9, zorder=1.5)
        ax.plot([], [], ":", color="0.4", linewidth=0.9, label="authors' plot")
        if band:
            low, high = curve["mean"] - curve["sd"], curve["mean"] + curve["sd"]
            ax.fill_between(curve["step"], low, high, color=colour, alpha=0.1, linewidth=0, zorder=1)


def _dashed(ax, values, label, colour):
    """A dashed line at the mean of the members that did not diverge."""
    finite = values[np.isfinite(values)]
    if len(finite):
        ax.axhline(finite.mean(), color=colour, linestyle="--", linewidth=1, label=label)


def _episode(arsac, steps=50):
    """The data of Figure 2: (seed, trace of its first 50 steps, dimensions from the least to the most flow-driven, the
    shift's share of the variance by dimension)."""
    trace, mine = first_member(arsac, "trace"), first_member(arsac, "dimensions").set_index("dim")
    driven = (mine["shift_share"] / mine["base_share"]).fillna(0.0).sort_values(kind="stable")
    return mine["seed"].iloc[0], trace[trace["step"] < steps], list(driven.index), mine["shift_share"]


def _trace_column(axes, rows, released):
    """Draws one dimension: the base above, the transform below."""
    top, bottom = axes
    steps, mean, deviation = (rows[name].to_numpy() for name in ("step", "base_mean", "base_std"))
    shift, scale = rows["shift"].to_numpy(), rows["scale"].to_numpy()
    if released:
        mean = scale * mean + shift
    for ax, centre, half, colour, label in (
        (top, mean, deviation, "#0072B2", "base: mean ± standard deviation"),
        (bottom, shift, scale, "#009E73", "transform: shift ± scale"),
    ):
        ax.plot(steps, centre, color=colour, label=label)
        ax.fill_between(steps, centre - half, centre + half, color=colour, alpha=0.2, linewidth=0)
    bottom.plot(steps, scale * mean + shift, "o", color="black", markersize=2, label="dots: scale · mean + shift")
