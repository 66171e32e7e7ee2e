"""Figures of our own: the paper has none. Each reads the cells that its arguments name, and nothing else."""

import numpy as np
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from common.lab.report import plots
from common.lab.report.measures import environments, first_member
from papers.mcmc_po.comparisons import final

BLUE, ORANGE, GREEN, PINK, YELLOW, SKY, BLACK = plots.PALETTE
GATES = {"gated": ORANGE, "plain": BLUE, "implicit": GREEN}
SIZES = {"1x8": SKY, "1x16": ORANGE, "2x16": PINK, "1x32": YELLOW, "1x64": GREEN, "1x256": BLACK}
SPREAD = "spread of states"
ACTIONS = {"bandit": 2, "Hopper-v4": 3, "HalfCheetah-v4": 6, "Ant-v4": 8}  # dimensions
KERNELS = {"corrected": BLUE, "plain": GREEN, "gated": ORANGE}


def figx_mcmc_curves(hmc, sac, sac_auto, sac_coupling):
    """The curves behind Table 1, of the Hamiltonian policy and of soft actor-critic, as far as they were run: at three
    temperatures and with a coupling flow. Left: return during training. Right: how widely the states in the replay buffer
    are spread, the mean ln distance to the third neighbour in a batch of them. Faint: seeds; line: their mean, with its
    95 % interval where there are five seeds or more."""
    runs = {
        "Hamiltonian, K = 5": (hmc, {"leapfrog_steps": 5}),
        "Hamiltonian, K = 4": (hmc, {"leapfrog_steps": 4}),
        "SAC, α = 0.05": (sac, {"temperature": 0.05}),
        "SAC, α = 0.2": (sac, {"temperature": 0.2}),
        "SAC, α tuned": (sac_auto, {}),
        "SAC, couplings, α = 0.05": (sac_coupling, {"temperature": 0.05}),
        "SAC, couplings, α = 0.2": (sac_coupling, {"temperature": 0.2}),
    }
    names, colours = environments(hmc), (ORANGE, YELLOW, BLUE, SKY, GREEN, PINK, BLACK)
    fig, axes = plots.grid(len(names), 2)
    for row, env in zip(axes, names, strict=True):
        for ax, metric, label in zip(row, ("return", "coverage"), ("return", SPREAD), strict=True):
            plots.curves(ax, metric, runs, colours, env=env)
            plots.steps_axis(ax, env)
            ax.set_ylabel(label)
    return plots.finish(fig)


def figx_amortization_gap(bandit, hmc_steps="env=HalfCheetah-v4", hmc="env=HalfCheetah-v4"):
    """The gain of a chain over an amortised policy, on a bandit with a known posterior and on HalfCheetah. Bandit, a policy
    trained with each K: (a) KL to the posterior of the chain's end and of its start, (b) the gap between the bound of
    eq. 17 and τ ln Z; dotted: a policy trained without a chain, which is better than the start of one trained with it.
    HalfCheetah: (c) gain of the bound on states of the replay buffer, those of the last batch of training, by the length
    of one trained chain (K = 5); dashed: by 200 steps of gradient ascent on a Gaussian per state, without a chain; (d)
    gain in training, by the K of the training. Dots: seeds; line: their mean."""
    fig, axes = plots.grid(1, 4, 2.3)
    lengths = sorted(bandit.setting("leapfrog_steps"))
    for ax, metric, name in ((axes[0, 0], "kl", "KL to the posterior, nats"), (axes[0, 1], "gap", "τ ln Z − bound")):
        for suffix, label, colour in (("", "after the chain", ORANGE), ("_base", "before it", BLUE)):
            _levels(ax, {k: final(bandit, metric + suffix, leapfrog_steps=k) for k in lengths}, label, colour)
        if 0 in lengths:
            alone = final(bandit, metric, leapfrog_steps=0).mean()
            ax.axhline(alone, color="0.4", linestyle=":", linewidth=1, label="trained without a chain")
        _by_length(ax, name, lengths)
        ax.set_ylim(bottom=0)
    _trained_chain(axes[0, 2], hmc)
    trained = {
        k: final(runs, "bound_gain", leapfrog_steps=k) for runs in (hmc_steps, hmc) for k in runs.setting("leapfrog_steps")
    }
    if trained:
        _levels(axes[0, 3], dict(sorted(trained.items())), "in training, by K", BLACK)
        _by_length(axes[0, 3], "gain of the bound, HalfCheetah", sorted(trained))
    if not trained:
        plots.not_run(axes[0, 3])
    for letter, ax in zip("abcd", axes[0], strict=True):
        ax.set_title(f"({letter})", loc="left")
    return plots.finish(fig)


def figx_pid(bandit_pid, hmc_fixed, hmc="env=Hopper-v4|HalfCheetah-v4, leapfrog_steps=5"):
    """Control of the multiplier β. From left to right: the distance D between the policy and its last snapshot over the
    threshold, dashed: 1; share of iterations in which D lies within half of the
    threshold; β; return, or mean Q on the bandit. Means over the iterations since the last evaluation. Faint: seeds;
    line: their mean, with its 95 %
    interval where there are five seeds or more."""
    metrics = {"distance": "D / threshold", "distance_within": "share near threshold", "beta": "β", "return": "return"}
    fixed = {f"β = {beta:g}": (hmc_fixed, {"beta": beta}) for beta in hmc_fixed.setting("beta")}
    toy = {"PID": (bandit_pid, {"pid": True}), "β = 0.2": (bandit_pid, {"pid": False})}
    colours = {"PID": ORANGE, **dict(zip(fixed, (SKY, BLUE, BLACK), strict=False)), "β = 0.2": BLUE}
    fig, axes = plots.grid(1 + len(environments(hmc)), 4, 2.4)
    for row, name in zip(axes, ("bandit", *environments(hmc)), strict=True):
        runs, where = (toy, {}) if name == "bandit" else ({"PID": (hmc, {}), **fixed}, {"env": name})
        for ax, (metric, label) in zip(row, metrics.items(), strict=True):
            if name == "bandit" and metric == "return":
                metric, label = "value", "E Q"
            unit = ACTIONS[name] * max(runs["PID"][0].setting("threshold"), default=1.0) if metric == "distance" else 1.0
            for control, (results, settings) in runs.items():
                curve = results.curve(metric, **where, **settings)
                plots.seeds_and_mean(ax, curve.assign(value=curve["value"] / unit), control, colours[control])
            plots.steps_axis(ax, name, "iterations" if name == "bandit" else "environment steps")
            ax.set_ylabel(label)
        _around_one(row[0])
        row[1].set_ylim(-0.05, 1.05)
    return plots.finish(fig, ncols=5)


def figx_gate(
    bandit_gate,
    bandit_width,
    hmc_gate,
    hmc_width,
    bandit="leapfrog_steps=5",
    hmc="env=Hopper-v4|HalfCheetah-v4, leapfrog_steps=5",
):
    """The gate of Section 4.2. Top: gated, explicit gradient alone (plain leapfrog), implicit gradient alone. Bottom:
    gates of one hidden layer of 8 to 256 units, and of two of 16. Gap between the bound and τ ln Z on the bandit, lower is
    better: dots: seeds; bar: their mean. Where robots were run: return, faint: seeds; line: their mean, with its 95 %
    interval where there are five seeds or more."""
    names = environments(hmc)
    fig, axes = plots.grid(2, 1 + len(names), max(3.1, 6.2 / (1 + len(names))))
    rows = (("gate", GATES, "gated", bandit_gate, hmc_gate), ("gate_units", SIZES, "1x16", bandit_width, hmc_width))
    for row, (key, colours, usual, toy, runs) in zip(axes, rows, strict=True):
        for place, (value, colour) in enumerate(colours.items()):
            gap = final(bandit, "gap") if value == usual else final(toy, "gap", **{key: value})
            _levels(row[0], {place: gap}, value, colour)
            row[0].plot(place, np.nanmean(gap) if len(gap) else np.nan, "_", color=colour, markersize=14)
            for ax, env in zip(row[1:], names, strict=True):
                curve = hmc.curve("return", env=env) if value == usual else runs.curve("return", env=env, **{key: value})
                plots.seeds_and_mean(ax, curve, value, colour)
                plots.steps_axis(ax, env)
        row[0].set(title="bandit", ylabel="τ ln Z − bound", xlabel=key.replace("_", " "), ylim=(0, None))
        row[0].set_xticks(range(len(colours)), colours)
        for ax in row[1:2]:
            ax.set_ylabel("return")
        if len(row) > 1:
            plots.legend_right(row, key.replace("_", " "))
    return fig


def figx_leapfrog(bandit="leapfrog_steps=5"):
    """Chains on a posterior that is known (shaded: ln of its mass; first context, first seed), before tanh. (a) Plain
    leapfrog with a small step: energy is nearly kept, and the path follows a contour in phase space. (b) The trained
    chain, gated, 5 steps. (c) Change of energy along both, a path's length in units of its own (30 steps and 5). (d) KL
    to the posterior after repeated chains, started from the policy (full) and from the posterior itself (dashed), which
    only the Metropolis-corrected kernel leaves invariant; dotted: what the estimate finds of the posterior itself, its
    floor."""
    fig, axes = plots.grid(1, 4, 2.5)
    density, paths = (first_member(bandit, name) for name in ("density", "trajectories"))
    kinds = {"plain": KERNELS["plain"], "trained": KERNELS["gated"]}
    for ax, kind, letter in zip(axes[0], kinds, "ab", strict=False):
        grid = density.pivot(index="u2", columns="u1", values="log_mass")
        ax.contourf(grid.columns, grid.index, grid, levels=12, cmap="Greys", alpha=0.7)
        for _, path in paths[paths["kind"] == kind].groupby("chain"):
            ax.plot(path["u1"], path["u2"], color=kinds[kind], linewidth=1, marker=".", markersize=2)
            ax.plot(path["u1"].iloc[-1], path["u2"].iloc[-1], "o", color="black", markersize=3)
        ax.set(xlim=(-1.6, 1.6), ylim=(-1.6, 1.6), xlabel="u₁", ylabel="u₂")
        ax.grid(False)
        ax.set_title(f"({letter}) {kind}", loc="left")
    for kind, colour in kinds.items():
        for _, path in paths[paths["kind"] == kind].groupby("chain"):
            axes[0, 2].plot(
                path["k"] / path["k"].max(), path["energy"] - path["energy"].iloc[0], color=colour, linewidth=0.8
            )
    axes[0, 2].set(xlabel="step k over the last", ylabel="H(k) − H(0)")
    axes[0, 2].set_title("(c)", loc="left")
    _kernels(axes[0, 3], bandit.table("kernels"))
    axes[0, 3].set_title("(d)", loc="left")
    return plots.finish(fig)


def figx_langevin(td3, langevin, langevin_frozen, ddpg, langevin_ddpg):
    """Deterministic policies: TD3 and DDPG, plain and with actions moved by the noisy Langevin chain or the Langevin
    flow. Equations 7 and 9, signs corrected; β controlled or, dashed, fixed at 0.2; on TD3 the flow also with untrained
    step sizes and networks. Left: return on TD3. Middle: return on DDPG. Right: spread of the states in TD3's replay
    buffer, as in figx_mcmc_curves. Faint: seeds; line: their mean, with its 95 %
    interval where there are five seeds or more."""
    names = environments(td3)
    fig, axes = plots.grid(len(names), 3)
    columns = (("TD3", "return", td3, langevin), ("DDPG", "return", ddpg, langevin_ddpg), ("TD3", "coverage", td3, langevin))
    for row, env in zip(axes, names, strict=True):
        for ax, (algorithm, metric, plain, moved) in zip(row, columns, strict=True):
            plots.seeds_and_mean(ax, plain.curve(metric, env=env), "without a chain", BLACK)
            for kind, colour in (("noisy", BLUE), ("flow", ORANGE)):
                for pid, style in ((True, "-"), (False, "--")):
                    label = f"{kind}, {'PID' if pid else 'β fixed'}"
                    curve = moved.curve(metric, env=env, kind=kind, pid=pid)
                    plots.seeds_and_mean(ax, curve, label, colour, linestyle=style)
            if moved is langevin:
                plots.seeds_and_mean(ax, langevin_frozen.curve(metric, env=env), "flow, frozen, PID", GREEN)
            plots.steps_axis(ax, f"{algorithm}, {env}")
            ax.set_ylabel("return" if metric == "return" else SPREAD)
    return plots.finish(fig, ncols=3)


def figx_sweeps(
    hmc_threshold,
    hmc_snapshot,
    hmc_pessimism,
    hmc_target,
    hmc_alternation,
    hmc_cadence,
    hmc_gate_state,
    hmc_width="env=HalfCheetah-v4, gate_units=2x16|1x32",
    hmc="env=HalfCheetah-v4, leapfrog_steps=5",
):
    """Settings that the paper leaves open, one at a time, on HalfCheetah: return during training of the Hamiltonian
    policy, K = 5. Orange: the value used everywhere else. Faint: seeds; line: their mean, with its 95 % interval where
    there are five seeds or more."""
    panels = {
        "threshold": ("threshold on D, nats per action dimension", hmc_threshold),
        "snapshot_every": ("policy steps between snapshots", hmc_snapshot),
        "pessimism": ("Q of the chain: which of two critics", hmc_pessimism),
        "target": ("target of the critics", hmc_target),
        "alternation": ("chain for the step on h", hmc_alternation),
        "gate_units": ("gate, layers x units", hmc_width),
        "pid_every": ("beta moves at every", hmc_cadence),
        "gate_state": ("gate sees the state", hmc_gate_state),
    }
    fig, axes = plots.grid(2, 4)
    for ax, (key, (title, runs)) in zip(axes.flat, panels.items(), strict=True):
        usual = hmc.setting(key)[0]
        others = dict(zip(runs.setting(key), (BLUE, GREEN, BLACK), strict=False))
        levels = [usual, *others]
        for value in levels if isinstance(usual, (str, bool)) else sorted(levels):
            curve = hmc.curve("return") if value == usual else runs.curve("return", **{key: value})
            label = {True: "yes", False: "no"}[value] if isinstance(usual, bool) else _text(value)
            plots.seeds_and_mean(ax, curve, label, ORANGE if value == usual else others[value])
        plots.steps_axis(ax)
        # The panels' levels differ: each has a legend of its own, in one line above it.
        ax.legend(title=title, loc="lower left", bbox_to_anchor=(0, 1), ncols=4, borderaxespad=0, alignment="left",
                  handlelength=1.2, columnspacing=0.8)  # fmt: skip
    axes[0, 0].set_ylabel("return")
    axes[1, 0].set_ylabel("return")
    return fig


def _text(value):
    return value if isinstance(value, str) else f"{value:g}"


def _log(ax):
    """A logarithmic vertical axis with plain numbers."""
    ax.set_yscale("log")
    ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ax.yaxis.set_minor_formatter(NullFormatter())


def _around_one(ax):
    """A logarithmic vertical axis on which 1 is marked."""
    _log(ax)
    ax.axhline(1, color="0.4", linestyle="--", linewidth=1, label="threshold")


def _levels(ax, values, label, colour):
    """Draws one dot per seed and level, and a line through the means. values: {level: [seeds]}."""
    means = {}
    for level, seeds in values.items():
        seeds = seeds[np.isfinite(seeds)]
        ax.plot([level] * len(seeds), seeds, ".", color=colour, alpha=0.5, markersize=3)
        if len(seeds):
            means[level] = seeds.mean()
    ax.plot(list(means), list(means.values()), color=colour, label=label)


def _by_length(ax, name, lengths):
    ax.set_ylabel(name)
    ax.set_xlabel("leapfrog steps K")
    ax.set_xticks(lengths)


def _trained_chain(ax, hmc):
    """Draws the gain of the bound over no chain, by the number of steps for which the chain of K = 5 is applied."""
    if 5 not in hmc.setting("leapfrog_steps"):
        return plots.not_run(ax)
    table = hmc.table("gap", leapfrog_steps=5)
    chains = table[table["how"] == "chain"].pivot(index="seed", columns="size", values="bound")
    ascent = table[table["how"] == "ascent"].set_index("seed")["bound"]
    _levels(ax, {k: (chains[k] - chains[0]).to_numpy() for k in chains}, "after the chain", ORANGE)
    ax.axhline((ascent - chains[0]).mean(), color=GREEN, linestyle="--", linewidth=1, label="gradient ascent per state")
    _by_length(ax, "gain of the bound, HalfCheetah", list(chains))


def _kernels(ax, table):
    """Draws the KL by the number of chains, mean over seeds: full from the policy, dashed from the posterior."""
    for name, colour in KERNELS.items():
        for start, style in (("policy", "-"), ("posterior", "--")):
            rows = table[(table["kernel"] == name) & (table["start"] == start)]
            mean = rows.groupby("iterations")["kl"].mean()
            ax.plot(mean.index, mean, color=colour, linestyle=style, label=name if start == "policy" else None)
    floor = table[(table["start"] == "posterior") & (table["iterations"] == 0)]["kl"].mean()
    ax.axhline(floor, color="0.4", linestyle=":", linewidth=1)
    ax.set(xlabel="chains", ylabel="KL to the posterior, nats")
    _log(ax)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
