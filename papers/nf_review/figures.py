"""Figure 1 of the review and figures of our own. Each figure reads the cells that its arguments name, and nothing else."""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.ticker import PercentFormatter

from common.lab.report import plots
from common.lab.report.measures import environments, first_member
from papers.nf_review.comparisons import area, gain, gaussian_kl, per_pair, vi_families
from papers.nf_review.drawing import (
    AGENTS,
    BANDITS,
    CLASSES,
    COUNTED,
    CRITICS,
    FAMILY,
    IMPLICIT,
    LEVELS,
    ON_ROBOTS,
    POSTERIORS,
    base_density,
    bright_panel,
    cell_density,
    contour_levels,
    goal_paths,
    on_grid,
    panel,
)


def fig1_planar_radial(shapes):
    """A normal (top) and a uniform base (bottom) after K random flows: planar ones push along a direction, radial ones
    about a centre. Densities, bright where high, each on its own scale; K flows begin with those of smaller K; first
    seed. Drawn after the figure of Rezende and Mohamed that the review reprints, whose numbers are not known. Radial
    flows have parameters of their own, a centre, alpha and beta, where the review repeats those of planar ones."""
    families, bases, counts = (shapes.setting(key) for key in ("family", "base", "flows"))
    fig, axes = plt.subplots(2, 1 + 2 * len(counts), figsize=(9.6, 3.2))
    for row, base in zip(axes, bases, strict=True):
        panel(row[0], base_density(shapes, base), "base")
        places = [(family, count) for family in families for count in counts]
        for ax, (family, count) in zip(row[1:], places, strict=True):
            panel(ax, cell_density(shapes, family=family, base=base, flows=count), f"{family}, K = {count}")
        row[0].set_ylabel(base)
    for ax in axes[1]:
        ax.set_title("")
    return fig


def figx_mnf_regression(mnf_regression):
    """y = x^3 with noise of deviation 3: the mean of a network's predictions and one and two deviations of them, without
    that noise, after a fit to twenty points (black; first seed) between -4 and 4 (dotted); dashed: x^3. Bayes by backprop
    has a factorised Gaussian posterior over weights; multiplicative flows multiply its rows, by masked couplings as in the
    paper of the method and its code, or by inverse autoregressive flows as the review says. Right: the bound on the evidence
    during training, cut below where it begins. Faint: seeds; line: their mean, with its 95 % interval where there are five
    seeds or more."""
    run = [posterior for posterior in POSTERIORS if posterior in mnf_regression.setting("posterior")]
    fig, axes = plt.subplots(1, len(run) + 1, figsize=(9.6, 2.9), width_ratios=[1] * len(run) + [1.1])
    for ax, posterior in zip(axes, run, strict=False):
        label, colour = POSTERIORS[posterior]
        rows = first_member(mnf_regression, "predictive", posterior=posterior)
        data = first_member(mnf_regression, "points", posterior=posterior)
        for times, alpha in ((2, 0.15), (1, 0.3)):
            low, high = (rows["mean"] + sign * times * rows["deviation"] for sign in (-1, 1))
            ax.fill_between(rows["x"], low, high, color=colour, alpha=alpha, linewidth=0)
        ax.plot(rows["x"], rows["mean"], color=colour)
        ax.plot(rows["x"], rows["x"] ** 3, color="black", linestyle="--", linewidth=0.8)
        ax.plot(data["x"], data["y"], "k.", markersize=3)
        for edge in (-4, 4):
            ax.axvline(edge, color="0.5", linestyle=":", linewidth=0.8)
        ax.set(title=label, ylim=(-230, 230), xlabel="x")
        ax.sharey(axes[0])
        plots.seeds_and_mean(axes[-1], mnf_regression.curve("bound", posterior=posterior), label, colour)
    axes[0].set_ylabel("y")
    ends = mnf_regression.curve("bound")
    low, high = ends["value"].quantile(0.4), ends["value"].max()
    axes[-1].set_ylim(low - 0.05 * (high - low), high + 0.05 * (high - low))
    plots.steps_axis(axes[-1], "bound on the evidence (nats)", "updates")
    plots.legend_below(fig)
    return fig


def figx_mnf_nchain(nchain_mnf, nchain_bayes, nchain_noisy, nchain_bootstrapped, nchain_dqn):
    """The n-chain. Left: the episode from which on a rollout without noise pays the best return, 10, a hundred times in a
    row; the median of the seeds (line) and every seed (dots), which stand at the top (dashed) if that did not happen in the
    episodes that there were. Right: return of these rollouts on the shortest and on the longest chain. Faint: seeds; line:
    their mean, with its 95 % interval where there are five seeds or more. One step of learning per episode; epsilon and
    NoisyNet explore anew at every step, the others by one draw per episode."""
    runs = dict(zip(AGENTS, (nchain_mnf, nchain_bayes, nchain_noisy, nchain_bootstrapped, nchain_dqn), strict=True))
    lengths = sorted({length for results in runs.values() for length in results.setting("length")})
    fig, axes = plt.subplots(1, 3, figsize=(9.6, 2.9), width_ratios=[1.3, 1, 1])
    ends = [results.budget for results in runs.values() if results.cells]
    for number, ((label, colour), results) in enumerate(zip(AGENTS.items(), runs.values(), strict=True)):
        if not results.cells:
            continue
        solved = results.curve("solved")
        medians = solved.groupby("length")["value"].median()
        beside = (number - 2) * 0.006 * (lengths[-1] - lengths[0] + 10)
        axes[0].plot(medians.index, medians, "o-", color=colour, label=label, markersize=3)
        axes[0].plot(solved["length"] + beside, solved["value"], ".", color=colour, alpha=0.4, markersize=3)
        for ax, length in zip(axes[1:], (lengths[0], lengths[-1]), strict=True):
            plots.seeds_and_mean(ax, results.curve("return", length=length), label, colour)
            plots.steps_axis(ax, f"N = {length}", "episodes")
            ax.set_ylim(-0.5, 10.5)
    axes[0].axhline(max(ends), color="0.5", linestyle="--", linewidth=0.8)
    axes[0].set(xlabel="states N", ylabel="episodes before it is solved", title="all lengths", yscale="symlog")
    axes[0].set_ylim(0, 1.3 * max(ends))
    axes[1].set_ylabel("return without noise")
    plots.legend_below(fig, ncols=5)
    return fig


def figx_mnf_mountaincar(mountaincar_mnf, mountaincar_bayes, mountaincar_noisy, mountaincar_bootstrapped, mountaincar_dqn):
    """MountainCar with 1000 steps an episode and -1 a step: return of rollouts without noise (left) and of the episodes of
    training (right), means since the last point. Faint: seeds; line: their mean, with its 95 % interval where there are five
    seeds or more."""
    runs = (mountaincar_mnf, mountaincar_bayes, mountaincar_noisy, mountaincar_bootstrapped, mountaincar_dqn)
    fig, axes = plots.grid(1, 2, width=4.4, height=2.8)
    for (label, colour), results in zip(AGENTS.items(), runs, strict=True):
        for ax, metric in zip(axes[0], ("return", "return_training"), strict=True):
            plots.seeds_and_mean(ax, results.curve(metric), label, colour)
    for ax, title in zip(axes[0], ("without noise", "in training"), strict=True):
        plots.steps_axis(ax, title, "episodes")
    axes[0, 0].set_ylabel("return")
    plots.legend_below(fig, ncols=5)
    return fig


def figx_minatar(minatar):
    """The five games of MinAtar, a substitute for the paper's thirteen of Atari, which take weeks: mean return of training
    episodes since the last point, the policies with their noise, as the paper measures them. Faint: seeds; line: their mean,
    with its 95 % interval where there are five seeds or more. None of the five stands in for Gravitar, on which the paper's
    gain was clearest."""
    games = minatar.setting("env")
    fig, axes = plots.panels(games, 3)
    for game in games:
        for (label, colour), agent in zip(AGENTS.items(), ("mnf", "bayes", "noisy", None, "dqn"), strict=True):
            if agent is not None:
                plots.seeds_and_mean(axes[game], minatar.curve("return", env=game, agent=agent), label, colour)
        plots.steps_axis(axes[game], game)
        axes[game].set_ylabel("return")
    plots.legend_below(fig, ncols=4)
    return fig


def figx_mnf_ddpg(mnf_ddpg, bayes_ddpg, noisy_ddpg, ou_ddpg, mnf_ddpg_noise, mnf_cost):
    """DDPG with multiplicative flows, Bayes by backprop or noisy layers in the critic, and with noise of an
    Ornstein-Uhlenbeck process on actions instead, or as well: mean return of evaluations without any noise (top), and how
    widely the states in the replay buffer are spread (bottom: mean ln distance to the third neighbour in a batch). Faint:
    seeds; line: their mean, with its 95 % interval where there are five seeds or more. Right: counted operations of one step
    of learning on a dense layer of n inputs and n units, n = 16 to 1024, a batch of 128, over the numbers that the layer
    learns: a cost linear in these is level."""
    runs = dict(zip(CRITICS, (mnf_ddpg, bayes_ddpg, noisy_ddpg, ou_ddpg, mnf_ddpg_noise), strict=True))
    envs = list(dict.fromkeys(env for results in runs.values() for env in environments(results)))
    fig, axes = plots.grid(2, len(envs) + 1, width=max(2.4, 7.2 / (len(envs) + 1)), height=1.9)
    for column, env in zip(axes.T, envs, strict=False):
        for ax, metric in zip(column, ("return", "coverage"), strict=True):
            for (label, colour), results in zip(CRITICS.items(), runs.values(), strict=True):
                plots.seeds_and_mean(ax, results.curve(metric, env=env), label, colour)
            plots.steps_axis(ax, env if metric == "return" else "", "environment steps" if metric == "coverage" else "")
    for ax, label in zip(axes[:, 0], ("return without noise", "spread of states"), strict=True):
        ax.set_ylabel(label)
    place = axes[0, -1].get_gridspec()[:, -1]
    for ax in axes[:, -1]:
        ax.remove()
    _costs(fig.add_subplot(place), mnf_cost)
    plots.legend_below(fig, ncols=5)
    return fig


def _costs(ax, mnf_cost):
    """Operations per parameter of layers of growing size, with a legend of its own."""
    for posterior, (label, colour, style) in COUNTED.items():
        if posterior in mnf_cost.setting("posterior"):
            rows = first_member(mnf_cost, "cost", posterior=posterior)
            share = rows["operations"] / rows["parameters"]
            ax.plot(rows["parameters"], share, style, color=colour, label=label, markersize=3, linewidth=1)
    ax.set(xscale="log", title="cost of a layer", xlabel="parameters", ylabel="operations per parameter")
    ax.set_ylim(0, 1.1 * ax.get_ylim()[1])
    ax.legend(fontsize=6, loc="lower right")
    for line in ax.lines:
        line.set_label("_")  # else they stood below the figure too


def figx_implicit_locomotion(locomotion_ppo, locomotion_trpo, locomotion_ddpg, locomotion_sql):
    """PPO with a flow (NFP) and with a Gaussian, TRPO, DDPG and soft Q-learning with its amortised sampler. Return of the
    training episodes of PPO and TRPO, which act at random, and of evaluations of DDPG and soft Q-learning without noise.
    Faint: seeds; line: their mean, with its 95 % interval where there are five seeds or more."""
    runs = {
        label: (results, where)
        for label, results, where in zip(
            ON_ROBOTS,
            (locomotion_ppo, locomotion_ppo, locomotion_trpo, locomotion_ddpg, locomotion_sql),
            ({"policy": "flow"}, {"policy": "gaussian"}, {}, {}, {}),
            strict=True,
        )
    }
    envs = list(dict.fromkeys(env for results, _ in runs.values() for env in environments(results)))
    fig, axes = plots.panels(envs, min(3, len(envs)))
    for env, ax in axes.items():
        for label, (results, where) in runs.items():
            if env in environments(results):
                plots.seeds_and_mean(ax, results.curve("return", env=env, **where), label, ON_ROBOTS[label])
        plots.steps_axis(ax)
    plots.outer_labels(fig, "return")
    plots.legend_below(fig, ncols=5)
    return fig


def figx_implicit_noise(locomotion_noise, locomotion_ppo="env=HalfCheetah-v4|Hopper-v4|Walker2d-v4"):
    """PPO with a flow (NFP) and with a Gaussian where every observation has noise, of a deviation given as a share of the
    observations' own. Return of the training episodes. Faint: seeds; line: their mean, with its 95 % interval where there
    are five seeds or more. Bottom: the mean of the whole curve against the noise, 0 being figx_implicit_locomotion's."""
    envs, sizes = environments(locomotion_noise), locomotion_noise.setting("observation_noise")
    fig, axes = plots.grid(len(sizes) + 1, len(envs), width=max(2.4, 6.6 / max(len(envs), 1)), height=1.6)
    for column, env in zip(axes.T, envs, strict=True):
        for policy in locomotion_noise.setting("policy"):
            label = IMPLICIT[policy]
            for ax, size in zip(column, sizes, strict=False):
                curve = locomotion_noise.curve("return", env=env, policy=policy, observation_noise=size)
                plots.seeds_and_mean(ax, curve, label, ON_ROBOTS[label])
                plots.steps_axis(ax, env if ax is column[0] else "", "environment steps" if ax is column[-2] else "")
            areas = [(size, area(locomotion_noise, env=env, policy=policy, observation_noise=size)) for size in sizes]
            if env in environments(locomotion_ppo):
                areas = [(0.0, area(locomotion_ppo, env=env, policy=policy)), *areas]
            for size, values in areas:
                column[-1].plot([size] * len(values), values, ".", color=ON_ROBOTS[label], markersize=4, alpha=0.5)
            means = [np.nanmean(values) for _, values in areas]
            column[-1].plot([size for size, _ in areas], means, color=ON_ROBOTS[label])
        column[-1].set_xlabel("noise")
    for ax, size in zip(axes[:, 0], sizes, strict=False):
        ax.set_ylabel(f"return, noise {size:g}")
    axes[-1, 0].set_ylabel("mean of the curve")
    plots.legend_below(fig)
    return fig


def figx_policy_by_algorithm(grid_trpo, grid_acktr, grid_ppo, grid_sac):
    """Which algorithm profits from which class of policies: final return less the Gaussian's, seed by seed, as a share of
    the size of the Gaussian's mean; the mean and its 95 % interval. Settings are those that serve the Gaussian; the classes
    have up to a tenth more parameters. Filled where the interval leaves out 0."""
    runs = {"TRPO": grid_trpo, "ACKTR": grid_acktr, "PPO": grid_ppo, "SAC": grid_sac}
    envs = list(dict.fromkeys(env for results in runs.values() for env in environments(results)))
    fig, axes = plots.grid(1, len(envs), width=max(2.6, 7.5 / max(len(envs), 1)), height=2.9)
    for ax, env in zip(axes[0], envs, strict=True):
        ax.axvline(0, color="0.6", linewidth=0.8)
        ends = []
        for row, results in enumerate(runs.values()):
            for place, (kind, (label, colour)) in enumerate(CLASSES.items()):
                if (found := gain(results, env, kind)) is None:
                    continue
                y = row + 0.22 * (place - 1)
                decided = found.low > 0 or found.high < 0
                ax.plot([found.low, found.high], [y, y], color=colour, linewidth=1.4)
                face = colour if decided else "white"
                ax.plot(found.effect, y, "o", color=colour, markerfacecolor=face, markersize=5, label=label)
                ends += [found.effect, found.low, found.high]
        ends = np.abs([end for end in ends if np.isfinite(end)])
        ax.set_xlim(*np.array([-1.08, 1.08]) * max(ends, default=1.0))
        ax.set_title(env)
        ax.set_yticks(range(len(runs)), list(runs))
        ax.invert_yaxis()
        ax.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes[0, len(envs) // 2].set_xlabel("final return against the Gaussian's")
    plots.legend_below(fig, ncols=3)
    return fig


def figx_lsp(lsp, lsp_gaussian):
    """Soft actor-critic with a latent-space policy, one level, and with a Gaussian: return of deterministic evaluations
    (top); and how far a latent that is computed back from the action in float32 lies from the one that was put in, the
    largest entry's error, median over states, cut at 100 and at 10^-7 (bottom); where tanh saturates nothing comes back.
    Faint: seeds; line: their mean, with its 95 % interval where there are five seeds or more."""
    envs = list(dict.fromkeys([*environments(lsp), *environments(lsp_gaussian)]))
    fig, axes = plots.grid(2, len(envs), width=max(2.4, 6 / max(len(envs), 1)), height=2.0)
    for column, env in zip(axes.T, envs, strict=True):
        for (label, colour), results in zip(LEVELS.items(), (lsp, lsp_gaussian), strict=False):
            plots.seeds_and_mean(column[0], results.curve("return", env=env), label, colour)
        errors = lsp.curve("latent_error", env=env)
        plots.seeds_and_mean(column[1], errors.assign(value=errors["value"].clip(1e-7, 1e2)), "latents", LEVELS["latents"])
        column[0].set_title(env)
        column[1].set(yscale="log", ylim=(5e-8, 2e2))
        for ax in column:
            plots.steps_axis(ax)
    plots.outer_labels(fig, "return")
    axes[1, 0].set_ylabel("error of the latent")
    plots.legend_below(fig)
    return fig


def figx_lsp_hierarchy(lsp, lsp_second, lsp_long):
    """Two levels of latents: the first is trained and frozen, and a second one is trained on top of it, from then on (dotted
    line); against one level alone that is trained for as long as both. Return of deterministic evaluations. Faint: seeds;
    line: their mean, with its 95 % interval where there are five seeds or more."""
    envs = list(dict.fromkeys([*environments(lsp_second), *environments(lsp_long)]))
    fig, axes = plots.grid(1, len(envs), width=max(3.1, 6.4 / max(len(envs), 1)), height=2.4)
    for ax, env in zip(axes[0], envs, strict=True):
        first, second = (results.curve("return", env=env) for results in (lsp, lsp_second))
        start = first["step"].max() if len(first) else 0
        plots.seeds_and_mean(ax, lsp_long.curve("return", env=env), "one level", LEVELS["Gaussian"])
        plots.seeds_and_mean(ax, first, "first level", LEVELS["latents"])
        plots.seeds_and_mean(ax, second.assign(step=second["step"] + start), "second level on top", LEVELS["second"])
        ax.axvline(start, color="0.5", linestyle=":", linewidth=0.8)
        plots.steps_axis(ax, env)
    axes[0, 0].set_ylabel("return")
    plots.legend_below(fig)
    return fig


def figx_implicit_multigoal(multigoal):
    """A point, four goals that are equally good (circles), and where trained policies go: paths of the first seed by PPO
    with a Gaussian (top) and with a flow (bottom), without and with a reward for entropy of that weight. Right: goals that
    at least a tenth of 200 rollouts reach, and the entropy of the distribution over goals that are reached (dashed: ln 4);
    every seed and their mean."""
    weights, kinds = multigoal.setting("path_entropy_weight"), {"gaussian": "Gaussian", "flow": "flow"}
    fig, axes = plt.subplots(2, len(weights) + 1, figsize=(2.1 * (len(weights) + 1) + 0.6, 4.6))
    for number, (row, (policy, label)) in enumerate(zip(axes, kinds.items(), strict=True)):
        colour = plots.PALETTE[number]
        for ax, weight in zip(row, weights, strict=False):
            goal_paths(ax, multigoal, colour, policy=policy, path_entropy_weight=weight)
            ax.set_title(f"{label}, weight {weight:g}")
        for ax, metric in zip(axes[:, -1], ("goals", "goal_entropy"), strict=True):
            numbers = [multigoal.final(metric, 1, policy=policy, path_entropy_weight=weight) for weight in weights]
            for place, values in enumerate(numbers):
                ax.plot(np.full(len(values), place + 0.12 * (2 * number - 1)), values, ".", color=colour, alpha=0.5)
            ax.plot(range(len(weights)), [np.nanmean(values) for values in numbers], color=colour, label=label)
            ax.set_xticks(range(len(weights)), [f"{weight:g}" for weight in weights])
    axes[0, -1].set(title="goals visited", ylim=(-0.2, 4.2))
    axes[1, -1].set(title="entropy over goals (nats)", ylim=(-0.1, 1.5), xlabel="weight of the entropy")
    axes[1, -1].axhline(np.log(4), color="0.5", linestyle="--", linewidth=0.8)
    plots.legend_below(fig)
    return fig


def figx_density(density_simple, density_modern):
    """Densities fitted to 10,000 points of four distributions in the plane (left); below each, mean ln q of points held out,
    over all seeds (left: ln p of the same). Every family had the same updates, batches and learning rate; planar, radial and
    Sylvester flows have 32 steps, the others 8, with networks of two layers of 32 units. Each row has one scale of
    brightness; first seed."""
    names = density_simple.setting("data")
    runs = [(results, family) for results in (density_simple, density_modern) for family in results.setting("family")]
    fig, axes = plt.subplots(
        len(names), 1 + len(runs), figsize=(0.82 * (1 + len(runs)), 0.95 * len(names) + 0.2), squeeze=False
    )
    for row, data in zip(axes, names, strict=True):
        where = {"data": data, "family": runs[0][1]}
        true = on_grid(first_member(runs[0][0], "density", **where), "target")
        limit = np.quantile(true, 0.99)
        bright_panel(row[0], true, limit, np.nanmean(runs[0][0].final("log_likelihood_possible", 1, **where)))
        row[0].set_ylabel(data, fontsize=7)
        for ax, (results, family) in zip(row[1:], runs, strict=True):
            where = {"data": data, "family": family}
            density = on_grid(first_member(results, "density", **where), "density")
            bright_panel(ax, density, limit, np.nanmean(results.final("log_likelihood", 1, **where)))
    for ax, title in zip(axes[0], ["data", *(FAMILY[family] for _, family in runs)], strict=True):
        ax.set_title(title, fontsize=7)
    return fig


def figx_vi(vi_gaussian, vi_planar, vi_flows):
    """Variational inference on the four energies of Rezende and Mohamed: the posterior (left) and what was fitted to it;
    below each, KL(q || p) in nats, mean over all seeds (the error of its samples is about 0.01). Radial and Sylvester flows
    have 32 steps, IAF and RealNVP 8, with networks of two layers of 32 units. Of a Gaussian the better of two fits counts,
    with annealing and without, for annealing leads it between two modes. Each row has one scale of brightness; first
    seed."""
    names, families = vi_gaussian.setting("energy"), vi_families(vi_planar, vi_flows)
    columns = ["posterior", "mean field", "Gaussian", *(FAMILY.get(name, name) for name, *_ in families)]
    fig, axes = plt.subplots(len(names), len(columns), figsize=(0.95 * len(columns), 1.08 * len(names) + 0.2), squeeze=False)
    for row, energy in zip(axes, names, strict=True):
        panels = []
        for correlated in (False, True):
            kl, ways = gaussian_kl(vi_gaussian, energy, correlated)
            where = {"energy": energy, "correlated": correlated, "annealing": ways[0]}
            panels.append((first_member(vi_gaussian, "density", **where), kl))
        for _, results, where in families:
            where = where | {"energy": energy}
            panels.append((first_member(results, "density", **where), results.final("kl", 1, **where)))
        true = on_grid(panels[0][0], "target")
        limit = np.quantile(true, 0.995)
        bright_panel(row[0], true, limit)
        row[0].set_ylabel(energy, fontsize=7)
        for ax, (rows, kl) in zip(row[1:], panels, strict=True):
            bright_panel(ax, on_grid(rows, "density"), limit, np.nanmean(kl))
    for ax, title in zip(axes[0], columns, strict=True):
        ax.set_title(title, fontsize=7)
    return fig


def fig2_review_bandits(bandits):
    """Bandits, as the review's Figure 2 (a) and (b): regions that hold 39, 86 and 99 % of the best policy's actions (black),
    that of most reward and entropy, and of the policies that were trained, a factorised Gaussian and a flow of couplings;
    first seed. (a) r = -a' S^-1 a with correlation 0.9, whose best policy is N(0, c S / 2), where the review says S;
    (b) two modes. Below, KL to the best policy in nats, mean over seeds. TRPO-NF's fig2_expressiveness has the same bandits,
    mixtures, and the policies of that paper."""
    kinds, toys = [kind for kind in BANDITS if kind in bandits.setting("family")], bandits.setting("energy")
    fig, axes = plots.grid(len(toys), len(kinds), width=2.6, height=2.5)
    for letter, toy, row in zip("ab", toys, axes, strict=False):
        for kind, ax in zip(kinds, row, strict=True):
            label, colour = BANDITS[kind]
            rows = first_member(bandits, "density", energy=toy, family=kind)
            for column, style in (("target", "black"), ("density", colour)):
                density = on_grid(rows, column)
                ax.contour(
                    density.columns, density.index, density, levels=contour_levels(density), colors=[style], linewidths=0.9
                )
            kl = np.nanmean(bandits.final("kl", 1, energy=toy, family=kind))
            ax.set(aspect="equal", title=f"({letter}) {toy}: {label}", xlabel=f"KL {kl:.2f}")
    return fig


def figx_chains(planar_chains, chains_beside):
    """Planar flows on pairs of bananas, turned at random: KL(q || p) per pair in nats after the fit, by the number of steps,
    in so many dimensions; every seed and the mean. Dashed: the mean field, which is about the same for each pair. Crosses:
    Sylvester flows, at the number of planar steps with as many parameters."""
    fig, ax = plt.subplots(figsize=(4.6, 3.2))
    for event, colour in zip(planar_chains.setting("event"), plots.PALETTE, strict=False):
        counts = planar_chains.setting("flows")
        found = {count: kl for count in counts if len(kl := per_pair(planar_chains, event, flows=count))}
        for count, kl in found.items():
            ax.plot(np.full(len(kl), count), kl, ".", color=colour, alpha=0.4, markersize=4)
        ax.plot(
            list(found), [np.nanmean(kl) for kl in found.values()], "o-", color=colour, label=f"D = {event}", markersize=3
        )
        field = per_pair(chains_beside, event, family="mean_field")
        ax.axhline(np.nanmean(field), color=colour, linestyle="--", linewidth=0.8)
        sylvester = per_pair(chains_beside, event, family="sylvester")
        weights = np.nanmean(chains_beside.final("parameters", 1, event=event, family="sylvester"))
        alike = (weights - 2 * event) / (2 * event + 1)  # each has an affine map of its own besides
        ax.plot(np.full(len(sylvester), alike), sylvester, "x", color=colour, markersize=5)
    ax.set(xscale="log", yscale="log", xlabel="planar steps K", ylabel="KL per pair (nats)")
    ax.set_xticks(planar_chains.setting("flows"), [str(count) for count in planar_chains.setting("flows")])
    low, high = ax.get_ylim()
    shown = [value for value in (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0) if low <= value <= high]
    ax.set_yticks(shown, [f"{value:g}" for value in shown])
    ax.minorticks_off()
    plots.legend_below(fig)
    return fig
