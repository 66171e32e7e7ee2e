"""Figures of our own: the paper has none. Each reads the cells that its arguments name, and nothing else."""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.ticker import MaxNLocator

from common.lab import plots
from papers.mcmc_po.evidence import environments, final

BLUE, ORANGE, GREEN, PINK, YELLOW, SKY, BLACK = plots.PALETTE
METHODS = {
    "Hamiltonian, K = 5": ORANGE,
    "Hamiltonian, K = 4": YELLOW,
    "SAC, α = 0.05": BLUE,
    "SAC, α = 0.2": SKY,
    "SAC, α tuned": GREEN,
    "SAC with couplings": PINK,
}
GATES = {"gated": ORANGE, "plain": BLUE, "implicit": GREEN}
WIDTHS = {"1x8": SKY, "1x16": ORANGE, "1x64": GREEN, "1x256": BLACK}
KERNELS = {"corrected": BLUE, "plain": GREEN, "gated": ORANGE}


def figx_mcmc_curves(hmc, sac, sac_auto, sac_coupling):
    """The curves behind Table 1: return during training of the Hamiltonian policy and of soft actor-critic at three
    temperatures and with a coupling flow. Faint: seeds; line: their mean, with its 95 % interval from three seeds on."""
    names = environments(hmc)
    fig, axes = _panels(1, len(names))
    for ax, env in zip(axes[0], names, strict=True):
        runs = (
            hmc.curve("return", env=env, leapfrog_steps=5),
            hmc.curve("return", env=env, leapfrog_steps=4),
            sac.curve("return", env=env, temperature=0.05),
            sac.curve("return", env=env, temperature=0.2),
            sac_auto.curve("return", env=env),
            sac_coupling.curve("return", env=env),
        )
        for (label, colour), curve in zip(METHODS.items(), runs, strict=True):
            plots.seeds_and_mean(ax, curve, label, colour)
        _finish(ax, env)
    axes[0, 0].set_ylabel("return")
    plots.legend_below(fig, ncols=3)
    return fig


def figx_amortization_gap(bandit, hmc_steps, hmc="env=Hopper-v4"):
    """What a chain adds. Bandit with a known posterior, a policy trained with each K: (a) KL to the posterior of the chain's
    end and of its start, (b) what the bound of eq. 17 lacks to τ ln Z. Hopper: (c) gain of the bound on states of the
    replay buffer by the length of one trained chain (K = 5); dashed: by 200 steps of gradient ascent on a Gaussian of each
    state, without a chain; (d) gain in training by the K it was trained with. Dots: seeds; line: their mean."""
    fig, axes = _panels(1, 4, 2.3)
    lengths = sorted(bandit.setting("leapfrog_steps"))
    for ax, metric, name in ((axes[0, 0], "kl", "KL to the posterior, nats"), (axes[0, 1], "gap", "τ ln Z − bound")):
        for suffix, label, colour in (("", "after the chain", ORANGE), ("_base", "before it", BLUE)):
            _levels(ax, {k: final(bandit, metric + suffix, leapfrog_steps=k) for k in lengths}, label, colour)
        _by_length(ax, name, lengths)
        ax.set_ylim(bottom=0)
    _trained_chain(axes[0, 2], hmc)
    trained = {
        k: final(one, "bound_gain", leapfrog_steps=k) for one in (hmc_steps, hmc) for k in one.setting("leapfrog_steps")
    }
    _levels(axes[0, 3], dict(sorted(trained.items())), "in training, by K", BLACK)
    _by_length(axes[0, 3], "gain of the bound, Hopper", sorted(trained))
    for letter, ax in zip("abcd", axes[0], strict=True):
        ax.set_title(f"({letter})", loc="left")
    plots.legend_below(fig)
    return fig


def figx_pid(bandit_pid, hmc_fixed, hmc="env=Hopper-v4|HalfCheetah-v4, leapfrog_steps=5"):
    """Control of the multiplier β. Left: the distance D between the policy and its last snapshot; dashed: the threshold.
    Middle: β. Right: return, or mean Q on the bandit. Orange: PID; others: β fixed. Means over the iterations since the
    last evaluation. Faint: seeds; line: their mean, with its 95 % interval from three seeds on."""
    names = environments(hmc)
    fig, axes = _panels(1 + len(names), 3)
    fixed = dict(zip(hmc_fixed.setting("beta"), (SKY, BLUE, BLACK), strict=False))
    for row, name in zip(axes, ("bandit", *names), strict=True):
        last = "value" if name == "bandit" else "return"
        for ax, metric in zip(row, ("distance", "beta", last), strict=True):
            if name == "bandit":
                plots.seeds_and_mean(ax, bandit_pid.curve(metric, pid=True), "PID", ORANGE)
                plots.seeds_and_mean(ax, bandit_pid.curve(metric, pid=False), "β = 0.2", BLUE)
            else:
                plots.seeds_and_mean(ax, hmc.curve(metric, env=name), "PID", ORANGE)
                for beta, colour in fixed.items():
                    plots.seeds_and_mean(ax, hmc_fixed.curve(metric, env=name, beta=beta), f"β = {beta:g}", colour)
            _finish(ax, name, "iterations" if name == "bandit" else "environment steps")
            ax.set_ylabel({"distance": "D, nats", "beta": "β", "value": "E Q", "return": "return"}[metric])
        row[0].set_yscale("symlog", linthresh=1)
        per_dimension = (bandit_pid if name == "bandit" else hmc).setting("threshold")[0]
        actions = {"bandit": 2, "Hopper-v4": 3, "HalfCheetah-v4": 6, "Ant-v4": 8}[name]
        row[0].axhline(per_dimension * actions, color="0.4", linestyle="--", linewidth=1, label="threshold")
    plots.legend_below(fig)
    return fig


def figx_gate(
    bandit_gate,
    bandit_width,
    hmc_gate,
    hmc_width,
    bandit="leapfrog_steps=5",
    hmc="env=Hopper-v4|HalfCheetah-v4, leapfrog_steps=5",
):
    """The gate of Section 4.2. Top: gated, explicit gradient alone (plain leapfrog), implicit gradient alone. Bottom: gates
    of 8 to 256 units. Left: what the bound lacks to τ ln Z on the bandit, lower is better; others: return. Faint: seeds;
    line: their mean, with its 95 % interval from three seeds on."""
    names = environments(hmc)
    fig, axes = _panels(2, 1 + len(names))
    rows = (("gate", GATES, "gated", bandit_gate, hmc_gate), ("gate_units", WIDTHS, "1x16", bandit_width, hmc_width))
    for row, (key, colours, usual, toy, runs) in zip(axes, rows, strict=True):
        for value, colour in colours.items():
            here = bandit.curve("gap") if value == usual else toy.curve("gap", **{key: value})
            plots.seeds_and_mean(row[0], here, value, colour)
            for ax, env in zip(row[1:], names, strict=True):
                curve = hmc.curve("return", env=env) if value == usual else runs.curve("return", env=env, **{key: value})
                plots.seeds_and_mean(ax, curve, value, colour)
                _finish(ax, env)
        row[0].set_ylabel("τ ln Z − bound")
        row[0].set_yscale("log")
        _finish(row[0], "bandit", "iterations")
    axes[0, 1].set_ylabel("return")
    axes[1, 1].set_ylabel("return")
    plots.legend_below(fig, ncols=7)
    return fig


def figx_leapfrog(bandit="leapfrog_steps=5"):
    """Chains on a posterior that is known (shaded: ln of its mass; first context, first seed), before tanh. (a) Plain
    leapfrog with a small step: energy is nearly kept, and the path follows a contour in phase space. (b) The trained chain,
    gated, 5 steps. (c) Change of energy along both. (d) KL to the posterior after repeated chains, started from the policy
    (full) and from the posterior itself (dashed), which only the Metropolis-corrected kernel leaves as it is."""
    fig, axes = _panels(1, 4, 2.5)
    seed = bandit.table("density")["seed"].iloc[0]
    density, paths = (table[table["seed"] == seed] for table in (bandit.table("density"), bandit.table("trajectories")))
    kinds = {"plain": BLUE, "trained": ORANGE}
    for ax, kind, letter in zip(axes[0], kinds, "ab", strict=False):
        grid = density.pivot(index="u2", columns="u1", values="log_mass")
        ax.contourf(grid.columns, grid.index, grid, levels=12, cmap="Greys", alpha=0.7)
        for _, path in paths[paths["kind"] == kind].groupby("chain"):
            ax.plot(path["u1"], path["u2"], color=kinds[kind], linewidth=1, marker=".", markersize=2)
            ax.plot(path["u1"].iloc[-1], path["u2"].iloc[-1], "o", color="black", markersize=3)
        ax.set(xlim=(-3.5, 3.5), ylim=(-3.5, 3.5), xlabel="u₁", ylabel="u₂")
        ax.grid(False)
        ax.set_title(f"({letter}) {kind}", loc="left")
    for kind, colour in kinds.items():
        for _, path in paths[paths["kind"] == kind].groupby("chain"):
            axes[0, 2].plot(path["k"], path["energy"] - path["energy"].iloc[0], color=colour, linewidth=0.8)
    axes[0, 2].set(xlabel="step k", ylabel="H(k) − H(0)")
    axes[0, 2].set_title("(c)", loc="left")
    _kernels(axes[0, 3], bandit.table("kernels"))
    axes[0, 3].set_title("(d)", loc="left")
    plots.legend_below(fig)
    return fig


def figx_langevin(td3, langevin, langevin_frozen):
    """Deterministic policies: TD3, and TD3 with actions moved by the noisy Langevin chain (eq. 7) or the Langevin flow
    (eq. 9, signs corrected), β controlled or fixed at 0.2; the flow also with step sizes and networks as they start. Return
    during training. Faint: seeds; line: their mean, with its 95 % interval from three seeds on."""
    names = environments(td3)
    fig, axes = _panels(1, len(names))
    for ax, env in zip(axes[0], names, strict=True):
        plots.seeds_and_mean(ax, td3.curve("return", env=env), "TD3", BLACK)
        for kind, colour in (("noisy", BLUE), ("flow", ORANGE)):
            for pid, style in ((True, "-"), (False, "--")):
                label = f"{kind}, {'PID' if pid else 'β fixed'}"
                curve = langevin.curve("return", env=env, kind=kind, pid=pid)
                plots.seeds_and_mean(ax, curve, label, colour, linestyle=style)
        plots.seeds_and_mean(ax, langevin_frozen.curve("return", env=env), "flow, frozen, PID", GREEN)
        _finish(ax, env)
    axes[0, 0].set_ylabel("return")
    plots.legend_below(fig, ncols=3)
    return fig


def _panels(rows, columns, width=3.1):
    fig, axes = plt.subplots(rows, columns, figsize=(width * max(columns, 1), 2.2 * rows + 0.3), squeeze=False)
    return fig, axes


def _finish(ax, title, label="environment steps"):
    ax.set_title(title)
    plots.steps_axis(ax, label)


def _levels(ax, values, label, colour):
    """One dot a seed and level, and a line through the means. values: {level: [seeds]}."""
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
    """Gain of the bound over no chain, by the length at which the chain of K = 5 is applied."""
    table = hmc.table("gap")
    table = table[table["leapfrog_steps"] == 5]
    chains = table[table["how"] == "chain"].pivot(index="seed", columns="size", values="bound")
    ascent = table[table["how"] == "ascent"].set_index("seed")["bound"]
    _levels(ax, {k: (chains[k] - chains[0]).to_numpy() for k in chains}, "after the chain", ORANGE)
    ax.axhline((ascent - chains[0]).mean(), color=GREEN, linestyle="--", linewidth=1, label="gradient ascent a state")
    _by_length(ax, "gain of the bound, Hopper", list(chains))


def _kernels(ax, table):
    """Mean over seeds of the KL by the number of chains, full from the policy, dashed from the posterior."""
    for name, colour in KERNELS.items():
        for start, style in (("policy", "-"), ("posterior", "--")):
            rows = table[(table["kernel"] == name) & (table["start"] == start)]
            mean = rows.groupby("iterations")["kl"].mean()
            ax.plot(mean.index, mean, color=colour, linestyle=style, label=name if start == "policy" else None)
    ax.set(xlabel="chains", ylabel="KL to the posterior, nats")
    ax.set_yscale("symlog", linthresh=0.1)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
