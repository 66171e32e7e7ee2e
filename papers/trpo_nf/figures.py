"""Figures 1 to 7 of the paper and eight of our own. Each reads the cells that its arguments name, and nothing else."""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.lines import Line2D

from common.lab.report import plots
from common.lab.report.measures import environments, first_member
from papers.trpo_nf import drawing
from papers.trpo_nf.classes import COLOURS, LABELS


def fig1_kl_entropy(
    kl_ball="coupling_units=3",
    kl_ball_gaussian="policy=gaussian",
    entropy="constant=true",
    entropy_gaussian="policy=gaussian",
):
    """(a) Log-density and (b) samples of a Gaussian and of flows on the boundary of the ball KL = 0.01 about 1000 samples
    of N(0, 0.01 I) (grey); contours every 2 nats, the same in all panels. "Without constant" leaves -ln 2 pi out of the
    flow's log-density, as released: its ball is that of KL = 1.848. (c) Samples, less their mean, of Gaussians and
    flows of the same entropy, which does not depend on the place. One random start of each kind, outside its ball if any
    was (else the first); the couplings are single ones, of networks with 3 units (preset equations)."""
    fig, axes = plt.subplots(3, 3, figsize=(7.5, 7.5))
    kinds = {
        "Gaussian": (kl_ball_gaussian, {}, COLOURS["gaussian"]),
        "flow": (kl_ball, {"constant": True}, COLOURS["flow"]),
        "flow without constant": (kl_ball, {"constant": False}, "#CC79A7"),
    }
    for (title, (results, where, colour)), column in zip(kinds.items(), axes[:2].T, strict=True):
        drawing.contours(column[0], drawing.first_outside(results, "density", **where))
        drawing.cloud(column[1], drawing.first_outside(results, "samples", **where), colour)
        for letter, ax in zip("ab", column, strict=True):
            ax.set_title(f"({letter}) {title}")
            ax.set(xlim=(-0.5, 0.5), ylim=(-0.5, 0.5), aspect="equal")
    for level, ax in zip((-1.0, -4.0), axes[2], strict=False):
        limit = 4 * 0.1468 * np.exp((level + 1) / 2)
        for results, colour in ((entropy, COLOURS["flow"]), (entropy_gaussian, COLOURS["gaussian"])):
            rows = first_member(results, "samples", entropy=level)
            drawing.cloud(ax, rows.assign(x=rows["x"] - rows["x"].mean(), y=rows["y"] - rows["y"].mean()), colour)
        ax.set_title(f"(c) entropy {level:g}")
        ax.set(xlim=(-limit, limit), ylim=(-limit, limit), aspect="equal")
    axes[2, 2].axis("off")
    axes[2, 2].legend(
        [Line2D([], [], marker="o", linestyle="", color=COLOURS[policy]) for policy in ("gaussian", "flow")],
        ["Gaussian", "flow"],
        loc="center left",
    )
    return fig


def fig2_expressiveness(bandits="preset=equations, estimator=pathwise", trpo_ant="policy=gaussian|flow"):
    """Trained policies. (a) Bandit whose best policy is a Gaussian of correlation 0.9, and (b) bandit of two modes:
    samples of trained policies over the contours of the best one; one random start. (c) Ant: paths of the robot's centre
    of mass from the origin in episodes of the trained policies of all seeds (preset equations)."""
    policies = ["gaussian", "gmm2", "gmm5", "flow"]
    fig, axes = plt.subplots(2, 5, figsize=(11, 4.6))
    for letter, toy, row in zip("ab", ("correlated", "bimodal"), axes, strict=True):
        for policy, ax in zip(policies, row[:4], strict=True):
            settings = next(source.cell.config for source in bandits.cells if source.cell.config.toy == toy)
            drawing.bandit_target(ax, settings)
            drawing.cloud(ax, first_member(bandits, "samples", toy=toy, policy=policy), COLOURS[policy])
            ax.set_title(f"({letter}) {LABELS[policy]}")
            ax.set(xlim=(-1.2, 1.2), ylim=(-1.2, 1.2), aspect="equal")
    for policy, ax in zip(("gaussian", "flow"), axes[:, 4], strict=True):
        drawing.paths(ax, trpo_ant, policy)
        ax.set(title=f"(c) Ant, {LABELS[policy]}", xlabel="x (m)", ylabel="y (m)")
    drawing.same_limits(axes[:, 4])
    return fig


def fig3_trpo_mujoco(trpo, trpo_small, trpo_ant, trpo_choice, trpo_released):
    """TRPO with four policy classes: mean return of the last 40 training episodes. Solid: KL radius 0.01, or 0.001
    where two further seeds that were run at both chose it for a class and task; dotted: the other one, where it was
    run. Faint: seeds; line: their mean, with its 95 % interval where there are five seeds or more. Panels named
    "released", where those were run, show the released policies and rules, the others those of the equations.
    RllabSimpleHumanoid is rebuilt with a body of our own, and stands in for rllab's. Every environment step is
    counted."""
    tasks, released = [*environments(trpo), *environments(trpo_ant)], environments(trpo_released)
    fig, axes = plots.panels([*tasks, *(f"{env}, released" for env in released)], 3)
    for env in tasks:
        main = trpo_ant if env in environments(trpo_ant) else trpo
        for policy in main.setting("policy"):
            curves = {0.01: main.curve("return", env=env, policy=policy)}
            if env in environments(trpo_small):
                curves[0.001] = trpo_small.curve("return", env=env, policy=policy)
            best = drawing.chosen_radius(trpo_choice, env, policy) if len(curves) > 1 else 0.01
            for radius, curve in curves.items():
                if radius == best:
                    plots.seeds_and_mean(axes[env], curve, LABELS[policy], COLOURS[policy])
                else:
                    drawing.mean_line(axes[env], curve, COLOURS[policy])
        plots.steps_axis(axes[env], env, left=0)
    for env in released:
        drawing.classes(axes[f"{env}, released"], trpo_released, env, f"{env}, released")
    return plots.finish(fig, "return")


def fig4_trpo_humanoid(trpo_humanoids):
    """TRPO on humanoids of the Bullet port of Roboschool, which stands in for Roboschool: mean return of the last 40
    training episodes, one curve per seed; preset equations, KL radius 0.01."""
    fig, axes = plots.panels(environments(trpo_humanoids), 3)
    for env, ax in axes.items():
        for policy in trpo_humanoids.setting("policy"):
            curve = trpo_humanoids.curve("return", env=env, policy=policy)
            for i, (_, rows) in enumerate(curve.groupby("member")):
                label = LABELS[policy] if i == 0 else None
                ax.plot(rows["step"], rows["value"], color=COLOURS[policy], label=label)
        plots.steps_axis(ax, env, left=0)
    return plots.finish(fig, "return")


def fig5_acktr(acktr, acktr_roboschool):
    """ACKTR with the Gaussian and the flow: mean return of the last 40 training episodes, at both targets for the KL:
    0.002 solid, as in the authors' code, 0.02 dotted. Faint: seeds; line: their mean, with its 95 % interval where
    there are five seeds or more. (R): the Bullet port stands in for Roboschool. Preset equations; V does not see the
    action, unlike the released one (figx_acktr_value). (The paper's caption and text name opposite colours.)"""
    runs = {env: acktr for env in environments(acktr)}
    runs |= {env: acktr_roboschool for env in environments(acktr_roboschool)}
    fig, axes = plots.panels(list(runs), 4)
    for env, ax in axes.items():
        for policy in runs[env].setting("policy"):
            where = {"env": env, "policy": policy}
            plots.seeds_and_mean(ax, runs[env].curve("return", kl_radius=0.002, **where), LABELS[policy], COLOURS[policy])
            drawing.mean_line(ax, runs[env].curve("return", kl_radius=0.02, **where), COLOURS[policy])
        plots.steps_axis(ax, f"{env} (R)" if "Bullet" in env else env, left=0)
    return plots.finish(fig, "return")


def fig6_sensitivity(sensitivity, sensitivity_reacher, sensitivity_humanoid):
    """Sensitivity to the KL radius: quantiles of the final return over 30 draws of log10 radius in [-3, -2] and of one
    of five seeds, the same draws for both policies. A run that diverged counts as the lowest. Preset equations;
    RllabSimpleHumanoid is rebuilt."""
    runs = [(results, env) for results in (sensitivity_reacher, sensitivity, sensitivity_humanoid)
               for env in environments(results)]  # fmt: skip
    fig, axes = plots.panels([env for _, env in runs], 4)
    for results, env in runs:
        for policy in results.setting("policy"):
            finals = np.sort(np.nan_to_num(results.final("return", env=env, policy=policy), nan=-np.inf))
            axes[env].plot(
                (np.arange(len(finals)) + 0.5) / len(finals), finals, ".-", color=COLOURS[policy], label=LABELS[policy]
            )
        axes[env].set(title=env, xlabel="quantile")
    axes[runs[0][1]].set_ylabel("final return")
    return plots.finish(fig)


def fig7_ablation(ablation_k, ablation_units, ablation_embedding):
    """The flow's own settings: number K of couplings (or pairs of them, as released), and l1 read as the width of the
    networks s and t (Appendix B, authors' code) or of the state embedding (Section 5.3). Mean return of the last 40
    training episodes; faint: seeds; line: their mean, with its 95 % interval where there are five seeds or more. KL
    radius 0.01."""

    def varied(results, label, key):
        return {label.format(value): (results, {key: value}) for value in results.setting(key)}

    columns = {
        "K": varied(ablation_k, "K = {}", "couplings"),
        "l1, s and t": {"l1 = 3": (ablation_k, {"couplings": 4}), **varied(ablation_units, "l1 = {}", "coupling_units")},
        "l1, state embedding": varied(ablation_embedding, "l1 = {}", "embedding_units"),
    }
    rows = [(env, preset) for preset in ablation_k.setting("preset") for env in environments(ablation_k)]
    fig, axes = plots.panels([f"{name}\n{env}, {preset}" for env, preset in rows for name in columns], 3)
    places = [(env, preset, runs) for env, preset in rows for runs in columns.values()]
    for (title, ax), (env, preset, runs) in zip(axes.items(), places, strict=True):
        plots.curves(ax, "return", runs, plots.PALETTE, env=env, preset=preset)
        plots.steps_axis(ax, title, left=0)
    return plots.finish(fig, "return", ncols=6)


def figx_gmm_density(
    trpo_exact_radius="env=Hopper-v4|Reacher-v4, policy=gmm2|gmm5",
    trpo_released="env=Hopper-v4|Reacher-v4, policy=gmm2|gmm5",
    bandits="policy=gmm2|gmm5",
):
    """Mixtures of Gaussians with their own density and independent networks (equations), and with the geometric mean of the
    components' densities, which is no density, and one trunk (released). Bandits: distance between components in standard
    deviations after training, one dot per random start, by the gradient: score function, as in every algorithm here, or
    pathwise, under which the geometric mean has no best policy and distances grow without bound (arrows: beyond the axis);
    below the line at 0.5 the components coincide. Robots, where they were run: return of TRPO. Faint: seeds; line: their
    mean, with its 95 % interval where there are five seeds or more."""
    toys, presets = bandits.setting("toy"), {"equations": trpo_exact_radius, "released": trpo_released}
    places = [(toy, estimator) for toy in toys for estimator in ("score", "pathwise")]
    shown = dict.fromkeys(env for results in presets.values() for env in environments(results))
    fig, axes = plots.panels([*(f"bandit, {toy}, {estimator}" for toy, estimator in places), *shown], 2)
    for toy, estimator in places:
        ax = axes[f"bandit, {toy}, {estimator}"]
        kinds = [(policy, preset) for policy in bandits.setting("policy") for preset in bandits.setting("preset")]
        for place, (policy, preset) in enumerate(kinds):
            where = {"toy": toy, "policy": policy, "preset": preset, "estimator": estimator}
            distances = bandits.final("component_distance", 1, **where)
            for x, distance in zip(place + np.linspace(-0.2, 0.2, len(distances)), distances, strict=True):
                ax.plot(x, distance, "o", color=COLOURS[policy], markersize=3)
        ax.set_xticks(range(len(kinds)), [f"{LABELS[policy].split(', ')[-1]}\n{preset}" for policy, preset in kinds])
        ax.axhline(0.5, color="0.5", linewidth=0.8)
        ax.set(yscale="log", title=f"bandit, {toy}, {estimator}", ylabel="distance of components")
        plots.trim(ax, high=30.0)
    for env in shown:
        for style, (name, results) in zip(("-", "--"), presets.items(), strict=True):
            for policy in results.setting("policy"):
                curve = results.curve("return", env=env, policy=policy)
                plots.seeds_and_mean(axes[env], curve, f"{LABELS[policy]}, {name}", COLOURS[policy], linestyle=style)
        plots.steps_axis(axes[env], env, left=0)
        axes[env].set_ylabel("return")
    return plots.finish(fig)


def figx_fisher(trpo_fisher, trpo_truncated, trpo_exact_radius="env=Hopper-v4|HalfCheetah-v4, policy=flow"):
    """TRPO with the flow under estimates of its Fisher matrix, as far as they were run: the Hessian of the KL sampled
    at the actions taken, as released, which can have negative curvature; the same with conjugate gradient stopped
    before it; over 8 fresh actions per state; and the covariance of the scores of 8 fresh actions, which has none.
    Left: return, cut (arrows) where a single action far out, which nothing clips, costs more; right: share of batches
    without a step because of negative curvature. Faint: seeds; line: their mean, with its 95 % interval where there are
    five seeds or more. Preset equations, KL accepted up to one radius."""
    metrics = {"": "return", ", negative curvature": "negative_curvature"}
    fig, axes = plots.panels([env + suffix for env in environments(trpo_exact_radius) for suffix in metrics], 2)
    runs = {
        "Hessian, actions taken": (trpo_exact_radius, {}),
        "the same, truncated": (trpo_truncated, {}),
        "Hessian, 8 fresh actions": (trpo_fisher, {"fisher": "fresh"}),
        "scores, 8 fresh actions": (trpo_fisher, {"fisher": "scores"}),
    }
    for env in environments(trpo_exact_radius):
        for suffix, metric in metrics.items():
            plots.curves(axes[env + suffix], metric, runs, plots.PALETTE, env=env)
            plots.steps_axis(axes[env + suffix], env + suffix, left=0)
            axes[env + suffix].set_ylabel("share of batches" if suffix else "return")
        plots.trim(axes[env], low=-1000.0)
        axes[f"{env}, negative curvature"].set_ylim(-0.05, 1.05)
    plots.legend_below(fig)
    return fig


def figx_constant(kl_ball, kl_ball_gaussian, entropy, entropy_gaussian):
    """How far distributions of the same "KL" or "entropy" reach, with the flow's normalising constant and without it,
    as released: radii that hold half and 99.9 % of the samples, relative to the Gaussians' mean; one dot per random
    start, arrows where one lies beyond 100. Left: on the boundary of the ball KL = 0.01, by width of the flow's
    networks. Right: at entropies -1 and -4. Preset equations."""
    fig, axes = plt.subplots(1, 2, figsize=(8, 3.4))
    units = kl_ball.setting("coupling_units")
    balls = [("Gaussian", kl_ball_gaussian, {})]
    balls += [(f"flow, {u} units{'' if k else ', no constant'}", kl_ball, {"constant": k, "coupling_units": u})
              for k in (True, False) for u in units]  # fmt: skip
    drawing.radii(axes[0], balls, [(kl_ball_gaussian, {})] * len(balls))
    levels = [(f"{name}\nH = {level:g}", results, {"entropy": level, **where}) for level in (-1.0, -4.0)
              for name, results, where in (("Gaussian", entropy_gaussian, {}), ("flow", entropy, {"constant": True}),
                                           ("flow, no constant", entropy, {"constant": False}))]  # fmt: skip
    drawing.radii(axes[1], levels, [(entropy_gaussian, {"entropy": where["entropy"]}) for _, _, where in levels])
    axes[0].set_title("KL = 0.01")
    axes[1].set_title("equal entropy")
    axes[0].set_ylabel("radius, relative to Gaussians'")
    return plots.finish(fig)


def figx_timeouts(trpo_timeouts, trpo="env=Hopper-v4|HalfCheetah-v4|Reacher-v4, policy=gaussian|flow"):
    """Time limits in TRPO: terminations with value 0, as released (solid), or bootstrapped with V (dashed). HalfCheetah
    and Reacher end by time limits alone. Mean return of the last 40 training episodes; faint: seeds; line: their mean,
    with its 95 % interval where there are five seeds or more. Preset equations, KL radius 0.01."""
    arms = {"terminal": trpo, "bootstrapped": trpo_timeouts}
    return drawing.compared(trpo_timeouts, {policy: arms for policy in trpo_timeouts.setting("policy")})


def figx_width(trpo_narrow, trpo_narrow_flow, trpo="env=Hopper-v4|HalfCheetah-v4|Reacher-v4, policy=gaussian|flow"):
    """Networks of 64 units, as in Appendix A (solid), and of 32, as in the authors' scripts (dashed): for the Gaussian,
    its mean and V; for the flow, V alone, for its state embedding has 64 units in both. Mean return of the last 40
    training episodes; faint: seeds; line: their mean, with its 95 % interval where there are five seeds or more. Preset
    equations, KL radius 0.01."""
    narrow = {"gaussian": trpo_narrow, "flow": trpo_narrow_flow}
    return drawing.compared(trpo_narrow, {policy: {"64 units": trpo, "32 units": runs} for policy, runs in narrow.items()})


def figx_acktr_value(acktr_released_value, acktr="env=Reacher-v4|Hopper-v4|HalfCheetah-v4, kl_radius=0.002"):
    """Inputs of V with ACKTR: observation and time (solid), or, as released, outputs of the policy too (dashed): the
    Gaussian's mean and deviation, but the flow's log-density of the action taken. A baseline with slope c in the log-density
    is an entropy bonus of weight c. Top: mean return of the last 40 training episodes; bottom: entropy, cut at 40 nats.
    Faint: seeds, with a cross where one diverged; line: their mean, with its 95 % interval where there are five seeds or
    more. Preset equations, KL 0.002."""
    arms = {"V of the state": acktr, "V as released": acktr_released_value}
    names = {"": "return", ", entropy": "entropy"}
    shown = environments(acktr_released_value)
    fig, axes = plots.panels([env + suffix for suffix in names for env in shown], len(shown))
    for title, ax in axes.items():
        env, *_ = title.split(", ")
        metric = names[title.removeprefix(env)]
        for policy in acktr_released_value.setting("policy"):
            curves = {name: runs.curve(metric, env=env, policy=policy) for name, runs in arms.items()}
            if metric == "entropy":  # the last one before a divergence may be of any size
                curves = {name: curve.assign(value=curve["value"].clip(-40, 40)) for name, curve in curves.items()}
            drawing.variants(ax, curves, policy)
        plots.steps_axis(ax, title, left=0)
    plots.outer_labels(fig, "return")
    axes[f"{shown[0]}, entropy"].set_ylabel("entropy (nats)")
    return plots.finish(fig)


def figx_ppo(ppo):
    """PPO with the Gaussian and the flow, which gains little by the paper's conclusion (without numbers). Mean return
    of the last 40 training episodes; faint: seeds; line: their mean, with its 95 % interval where there are five seeds
    or more. Preset equations."""
    return drawing.returns(ppo, 4)


def figx_rllab_humanoid(trpo_rllab_humanoid):
    """TRPO with four policy classes on the larger humanoid of rllab, rebuilt with a body of our own, which stands in for
    rllab's. Mean return of the last 40 training episodes; faint: seeds; line: their mean, with its 95 % interval where
    there are five seeds or more. Preset equations, KL radius 0.01."""
    return drawing.returns(trpo_rllab_humanoid, 1)


def figx_tolerance(trpo_exact_radius, trpo="env=Reacher-v4|Hopper-v4|HalfCheetah-v4"):
    """TRPO whose line search accepts a KL of one radius (solid), as eq. 3 reads, or of 1.5 (dashed), as in OpenAI
    baselines, on whose defaults Appendix A rests; as far as they were run. Mean return of the last 40 training
    episodes; faint: seeds; line: their mean, with its 95 % interval where there are five seeds or more. Preset
    equations, KL radius 0.01."""
    arms = {"one radius": trpo_exact_radius, "1.5 radii": trpo}
    return drawing.compared(trpo_exact_radius, {policy: arms for policy in trpo_exact_radius.setting("policy")})


def figx_long(trpo_long):
    """TRPO with the Gaussian and the flow for 2e6 steps. Mean return of the last 40 training episodes; faint: seeds;
    line: their mean, with its 95 % interval where there are five seeds or more. Preset equations, KL radius 0.01."""
    return drawing.returns(trpo_long, 2)


def figx_large_radius(trpo_large_radius, trpo="env=Hopper-v4|HalfCheetah-v4, policy=gaussian|flow"):
    """TRPO at KL radii beyond the paper's: 0.01, 0.03 and 0.06. sb3-contrib's radius of 0.01, a mean over the action's
    dimensions, is one of 0.03 on Hopper and of 0.06 on HalfCheetah. Mean return of the last 40 training episodes; faint:
    seeds; line: their mean, with its 95 % interval where there are five seeds or more. Preset equations."""
    names = [f"{env}, {LABELS[policy]}" for env in environments(trpo_large_radius) for policy in ("gaussian", "flow")]
    places = [(env, policy) for env in environments(trpo_large_radius) for policy in ("gaussian", "flow")]
    fig, axes = plots.panels(names, 2)
    for (title, ax), (env, policy) in zip(axes.items(), places, strict=True):
        runs = {"radius 0.01": (trpo, {})}
        runs |= {f"radius {r:g}": (trpo_large_radius, {"kl_radius": r}) for r in trpo_large_radius.setting("kl_radius")}
        plots.curves(ax, "return", runs, plots.PALETTE, env=env, policy=policy)
        plots.steps_axis(ax, title, left=0)
    return plots.finish(fig, "return")


def figx_acktr_released(acktr_released):
    """ACKTR with the released policies, among them the flow with layer normalisation: V of the state (solid), and V as
    released, which sees the flow's log-density of the action taken (dashed). Mean return of the last 40 training episodes;
    faint: seeds, with a cross where one diverged; line: their mean, with its 95 % interval where there are five seeds or
    more. KL 0.002."""
    fig, axes = plots.panels(environments(acktr_released), 2)
    for env, ax in axes.items():
        for policy in acktr_released.setting("policy"):
            arms = {"V of the state": "state", "V as released": "policy"}
            curves = {
                name: acktr_released.curve("return", env=env, policy=policy, value_sees=sees) for name, sees in arms.items()
            }
            drawing.variants(ax, curves, policy)
        plots.steps_axis(ax, env, left=0)
    return plots.finish(fig, "return")
