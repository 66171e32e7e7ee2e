"""The figures of the paper, and three of ours. Each reads the cells that its arguments name, and nothing else."""

import matplotlib.pyplot as plt
import numpy as np

from common.lab.report import plots
from common.lab.report.measures import first_member
from papers.cnf_offline import schematic
from papers.cnf_offline.comparisons import cells, curve, final, named, reported, score

BLUE, ORANGE, GREEN, PINK, YELLOW, SKY, BLACK = plots.PALETTE
SCORE = "normalised score"
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


def fig4_d4rl_curves(behaviour, cnf):
    """Normalised score of the conservative agent during training, its actions sampled as published, on every data set that
    was run. Dotted: the paper's final score, on D4RL's data. Faint: seeds; line: their mean, with its 95 % interval where
    there are five seeds or more."""
    pairs = cells(cnf)
    names = [named(behaviour, *pair) for pair in pairs]
    fig, axes = plots.panels(names, 3)
    for pair, name in zip(pairs, names, strict=True):
        plots.seeds_and_mean(axes[name], curve(cnf, *pair), "CNF", ORANGE)
        printed = reported("cnf", *pair)
        axes[name].axhline(printed, color="0.4", linestyle=":", linewidth=1, label="the paper's, on D4RL's data")
        _updates(axes[name], name)
    return _finish(fig)


def fig5_uniform_normal(behaviour, cnf_normal, cnf="env=HalfCheetah-v4"):
    """The conservative agent with a uniform base against one with a normal base whose latents are not clipped. Top: score,
    actions sampled. Bottom: the median size of a latent entry of the policy's samples, which for the uniform base is at most
    1. Faint: seeds; line: their mean, with its 95 % interval where there are five seeds or more."""
    runs = {"uniform (CNF)": (cnf, ORANGE), "normal, unclipped": (cnf_normal, BLUE)}
    return _pairs(behaviour, runs, cells(cnf_normal), {"return": SCORE, "latent_size": "median |z|"})


def fig6_clipping(behaviour, cnf_clipped, cnf="env=Walker2d-v4|HalfCheetah-v4"):
    """Final score by the clip of latents of a normal base, and with the uniform base, which needs none. Dots: seeds; bar:
    their mean, over the last ten evaluations, without seeds that diverged."""
    pairs = cells(cnf_clipped)
    names = [named(behaviour, *pair) for pair in pairs]
    fig, axes = plots.panels(names, 3)
    for (env, quality), name in zip(pairs, names, strict=True):
        clips = sorted(cnf_clipped.setting("clip"))
        columns = {f"{clip:g}": final(cnf_clipped, env, quality, clip=clip) for clip in clips}
        _bars(axes[name], columns | {"uniform": final(cnf, env, quality)}, [BLUE] * len(clips) + [ORANGE])
        axes[name].set(title=name, xlabel="clip of the latents", ylabel=SCORE)
    return fig


def fig7_vae(behaviour, cnf_vae, plas="env=HalfCheetah-v4", cnf="env=HalfCheetah-v4"):
    """The encoder of actions: the conservative agent over its flow, over PLAS's autoencoder (CNF-VAE), and PLAS itself.
    Score, actions sampled, by the share of each method's own updates (PLAS has 500,000 of 100 rows). Faint: seeds; line:
    their mean, with its 95 % interval where there are five seeds or more."""
    runs = {"CNF": (cnf, ORANGE), "CNF-VAE": (cnf_vae, PINK), "PLAS": (plas, GREEN)}
    pairs = cells(cnf_vae)
    names = [named(behaviour, *pair) for pair in pairs]
    fig, axes = plots.panels(names, 3)
    for pair, name in zip(pairs, names, strict=True):
        for method, (results, colour) in runs.items():
            drawn = curve(results, *pair)
            plots.seeds_and_mean(axes[name], drawn.assign(step=drawn["step"] / drawn["step"].max()), method, colour)
        axes[name].set(title=name, xlabel="share of the updates", ylabel=SCORE)
    return plots.finish(fig)


def fig8_flow_training(behaviour, flows):
    """Pre-training of the encoders: nats per action, -ln p(a | s), of the data (line) and of the tenth that is held out
    (dashed), with a uniform and with a normal base. Levels compare within a panel alone: an action at a bound adds some ten
    nats. Faint: seeds; line: their mean, with its 95 % interval where there are five seeds or more."""
    pairs = cells(flows)
    names = [named(behaviour, *pair) for pair in pairs]
    fig, axes = plots.panels(names, 3)
    for (env, quality), name in zip(pairs, names, strict=True):
        for base, colour in COLOURS.items():
            for metric, style, what in (("nll", "-", "data"), ("nll_held_out", "--", "held out")):
                drawn = flows.curve(metric, env=env, quality=quality, base=base)
                plots.seeds_and_mean(axes[name], drawn, f"{base}, {what}", colour, style)
        _updates(axes[name], name)
    return _finish(fig, "nats per action")


def fig9_latent_training(behaviour, awac_latent, cnf="env=HalfCheetah-v4", awac="env=HalfCheetah-v4"):
    """Training through the encoder (CNF: the distance is one of actions) against the same loss, networks and settings on
    encoded actions, without gradients through the encoder, and AWAC on actions. Score, actions sampled. Faint: seeds; line:
    their mean, with its 95 % interval where there are five seeds or more."""
    runs = {"CNF, actions": (cnf, BLUE), "AWAC, latents": (awac_latent, ORANGE), "AWAC, actions": (awac, BLACK)}
    return _pairs(behaviour, runs, cells(awac_latent), {"return": SCORE})


def figx_no_flow(behaviour, cnf, no_flow, awac):
    """The control that the paper lacks: the conservative agent's loss and critics with a = tanh(u), no flow. Score, actions
    sampled, with AWAC, whose loss is a likelihood of a Gaussian without tanh, with settings of its own. Faint: seeds; line:
    their mean, with its 95 % interval where there are five seeds or more."""
    runs = {"CNF": (cnf, ORANGE), "no flow": (no_flow, BLACK), "AWAC": (awac, BLUE)}
    return _pairs(behaviour, runs, cells(no_flow), {"return": SCORE})


def figx_conservatism(behaviour, cnf, cnf_normal, awac, iql, plas, no_flow, likelihood):
    """How far trained agents are from their data, by what their critics promise too much. Across: the mean distance from a
    state and the policy's action to the nearest row of the data, over that of the data's own actions (1: as near as the
    data). Up: the critics' value of the policy in first states less the discounted return from there, over the latter's size
    (linear within 1, logarithmic beyond). Below: how unlikely the same actions are under the conservative flow, through
    which one of the agents acts, in nats per action, with those of the data (dashed). Dots: seeds."""
    methods = {
        "CNF": (cnf, ORANGE), "normal, unclipped": (cnf_normal, SKY), "no flow": (no_flow, BLACK), "AWAC": (awac, BLUE),
        "IQL": (iql, GREEN), "PLAS": (plas, PINK),
    }  # fmt: skip
    roles = dict(zip(("cnf", "cnf_normal", "no_flow", "awac", "iql", "plas"), methods.items(), strict=True))
    pairs = cells(cnf)
    names = [named(behaviour, *pair) for pair in pairs]
    below = {f"{named(behaviour, *pair)}: -ln p": pair for pair in cells(likelihood)}
    fig, axes = plots.panels([*names, *below], 3)
    for title, (env, quality) in below.items():
        ends = {role: likelihood.final(f"nll_{role}", 1, env=env, quality=quality) for role in (*roles, "data")}
        for place, (role, (method, (_, colour))) in enumerate(roles.items()):
            axes[title].plot([place] * len(ends[role]), ends[role], "o", color=colour, label=method, markersize=4)
        axes[title].axhline(ends["data"].mean(), color="0.4", linestyle="--", linewidth=0.8, label="the data's actions")
        axes[title].set(title=title.replace("-ln", "\N{MINUS SIGN}ln"), ylabel="nats per action", xticks=[])
    for (env, quality), name in zip(pairs, names, strict=True):
        ax = axes[name]
        for method, (results, colour) in methods.items():
            if (env, quality) not in cells(results):
                continue
            policy, data, promised, earned = (
                results.final(metric, 1, env=env, quality=quality)
                for metric in ("distance_policy", "distance_data", "q_start", "return_discounted")
            )
            ax.plot(policy / data, (promised - earned) / np.abs(earned), "o", color=colour, label=method, markersize=4)
        ax.axhline(0, color="0.4", linewidth=0.8)
        ax.axvline(1, color="0.4", linewidth=0.8)
        ax.set(title=name, xlabel="distance, over the data's", ylabel="overestimation, relative")
        ax.set_yscale("symlog", linthresh=1)
    return plots.finish(fig, ncols=4)


def figx_minari(minari_data, minari_cnf, minari_awac, minari_no_flow):
    """Anybody's data, by their id in Minari: mean return in the environment of this repository's version, actions sampled,
    of the conservative agent, of its loss without a flow, and of AWAC. Dotted: mean return of the data's own episodes, in
    the environment that they were made in. Faint: seeds; line: their mean, with its 95 % interval where there are five seeds
    or more."""
    methods = {"CNF": (minari_cnf, ORANGE), "no flow": (minari_no_flow, BLACK), "AWAC": (minari_awac, BLUE)}
    pairs = [(source.cell.config.env, source.cell.config.dataset) for source in minari_data.cells]
    names = [f"{dataset}, in {env}" for env, dataset in pairs]
    fig, axes = plots.panels(names, 2)
    for (env, dataset), name in zip(pairs, names, strict=True):
        where = {"env": env, "dataset": dataset}
        for method, (results, colour) in methods.items():
            plots.seeds_and_mean(axes[name], results.curve("return", **where), method, colour)
        own = minari_data.final("return", 1, **where).mean()
        axes[name].axhline(own, color="0.4", linestyle=":", linewidth=1, label="the data's episodes")
        _updates(axes[name], name)
    return _finish(fig, "return")


def figx_temperature(cnf_temperature):
    """The temperature λ from greed to cloning, on HalfCheetah's medium data: final score with sampled actions, and the mean
    distance of the policy's mode from the data's actions. Dots: seeds; line: their mean."""
    levels = sorted(cnf_temperature.setting("temperature"))
    fig, axes = plots.grid(1, 2)
    where = {"env": "HalfCheetah-v4", "quality": "medium"}
    for ax, metric, name in zip(axes[0], ("return", "l1_mode"), (SCORE, "mean |a − mode|"), strict=True):
        values = {level: cnf_temperature.final(metric, 10, **where, temperature=level) for level in levels}
        values = {level: score("HalfCheetah-v4", v) if metric == "return" else v for level, v in values.items()}
        for level, numbers in values.items():
            ax.plot([level] * len(numbers), numbers, "o", color=ORANGE, markersize=3, alpha=0.5)
        ax.plot(levels, [np.mean(values[level]) for level in levels], color=ORANGE)
        ax.set(xscale="log", xlabel="λ", ylabel=name)
        ax.set_xticks(levels, [f"{level:.3g}" for level in levels])
        ax.minorticks_off()
    return fig


def _pairs(behaviour, runs, pairs, metrics):
    """A row of panels for each metric, a column for each data set; runs: {label: (results, colour)}."""
    fig, axes = plots.grid(len(metrics), len(pairs), 2.6)
    for row, (metric, name) in zip(axes, metrics.items(), strict=True):
        for ax, pair in zip(row, pairs, strict=True):
            for method, (results, colour) in runs.items():
                if pair in cells(results):
                    drawn = (
                        curve(results, *pair) if metric == "return" else results.curve(metric, env=pair[0], quality=pair[1])
                    )
                    plots.seeds_and_mean(ax, drawn, method, colour)
            _updates(ax, named(behaviour, *pair))
            ax.set_ylabel(name)
    return plots.finish(fig)


def _updates(ax, name):
    plots.steps_axis(ax, name, "updates", left=0)


def _finish(fig, ylabel=SCORE):
    for ax in fig.axes:
        ax.set_ylabel(ylabel if ax.get_subplotspec().is_first_col() else "")
    return plots.finish(fig)


def _bars(ax, columns, colours):
    """The seeds of each column as dots, their mean as a bar."""
    for place, (values, colour) in enumerate(zip(columns.values(), colours, strict=True)):
        if len(values):
            ax.bar(place, np.nanmean(values), color=colour, alpha=0.35)
            ax.plot([place] * len(values), values, "o", color=colour, markersize=3)
    ax.set_xticks(range(len(columns)), list(columns))


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
