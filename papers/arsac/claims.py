"""What the paper claims, sentence by sentence, and what we ask beyond it; one function per claim.

Arguments select cells of experiments. There is one number per seed; "final" is the mean of the last ten evaluations. A
claim over several environments has a verdict in each, and holds if it holds in all of them; one over several sizes holds if
it holds at each. Windows of steps are as worded: where a run ends before one, there is no number. The least budget stands in
`judged`: the paper's own, 10^6 steps and 4 seeds, unless a claim needs less.
"""

import numpy as np
import pandas as pd

from common.lab.report import stats
from common.lab.report.measures import environments, last, of_curves, of_table
from common.lab.report.plots import count
from common.lab.report.stats import MARGIN, magnitude
from common.lab.report.verdicts import conjunction, over_environments
from papers.arsac.comparisons import between, by_size, climb, final, first, judged, over_sizes, peak, slope


def c01_rises_then_falls(arsac="env=HalfCheetah-v4, base=1x32|1x128|2x256"):
    """On HalfCheetah the log-scale first rises, then falls, with every size of the base network (Section 4.1, Figure 3).

    Rise: mean ln β over steps 100k to 200k less that up to 20k. Fall: the former less the mean of the last tenth of the
    run. Both above 0, for all sizes. Least budget: 500k steps; at 300k the authors' own fall has hardly begun.
    """
    parts = {
        f"{name} {base}": stats.mean_within(changes, low=0)
        for name, change in (("rise", _rise), ("fall", _fall))
        for base, changes in by_size(arsac, change, "log_scale").items()
    }
    return judged(conjunction(parts, "change of ln β"), arsac, steps=500_000)


def c02_peak_at_150k(arsac="env=HalfCheetah-v4, base=1x32|1x128|2x256"):
    """On HalfCheetah the log-scale peaks at about 150k steps (Section 4.1: "through 150k steps"; the authors' means
    peak at 160k to 190k).

    Step of the highest point of a seed's curve, averaged over 50k steps; its mean over seeds lies within 120k to 220k,
    for all sizes. Least budget: 300k steps, beyond which a later peak would show.
    """
    peaks = by_size(arsac, of_curves, "log_scale", peak(50_000))
    parts = {base: stats.mean_within(steps, low=120_000, high=220_000) for base, steps in peaks.items()}
    return judged(conjunction(parts, "step of the peak of ln β"), arsac, steps=300_000)


def c03_reliance_grows_late(arsac="env=HalfCheetah-v4|Hopper-v4|Walker2d-v4|Ant-v4, base=1x32|1x128|2x256"):
    """In every environment the policy comes to rely more on the flow as training goes on: ln β falls (Sections 4.1 and
    5).

    Slope of ln β over steps 300k to 10^6, mean over sizes, below 0 in all four environments.
    """
    parts = {env: stats.mean_within(_late_slope(arsac, "log_scale", env), high=0) for env in environments(arsac)}
    return judged(over_environments(parts, "slope of ln β per million steps from 300k on"), arsac)


def c04_initial_increase_elsewhere(arsac="env=Hopper-v4|Walker2d-v4|Ant-v4, base=1x32|1x128|2x256"):
    """In the other environments too the log-scale increases at first (Section 4.1 calls Figure 5 similar).

    Highest point of a seed's ln β, averaged over 50k steps, before the middle of the run, less the first evaluation:
    mean over sizes, above 0.1 in Hopper, Walker2d and Ant. (A curve that only wavers has a highest point too.) When it
    peaks is not asked: the authors' peaks lie at 10k to 140k. The note gives the mean steps of ours. Least budget: 300k
    steps.
    """
    parts, peaks = {}, []
    for env in environments(arsac):
        rise = over_sizes(arsac, of_curves, "log_scale", climb(50_000, arsac.steps / 2), env=env)
        parts[env] = stats.mean_within(rise, low=0.1)
        highest = by_size(arsac, of_curves, "log_scale", peak(50_000), env=env)
        peaks.append(f"{env} " + " / ".join(count(steps.mean()) for steps in highest.values()))
    verdict = over_environments(parts, "highest ln β before the middle, less the first").with_note(
        "peaks by size: " + ", ".join(peaks)
    )
    return judged(verdict, arsac, steps=300_000)


def c05_larger_base_relies_more(arsac="env=HalfCheetah-v4, base=1x32|1x128|2x256"):
    """On HalfCheetah, the larger the base network, the more the policy relies on the flow: the lower its final ln β
    (Section 4.1, which calls it surprising; Figure 3).

    Exact Jonckheere-Terpstra test over the three sizes. Least budget: 300k steps, by which the authors' curves are in
    that order.
    """
    quantity = "P(a larger base has a larger final ln β)"
    return judged(_ordered(arsac, "decreasing", quantity, of_curves, "log_scale", last()), arsac, steps=300_000)


def own_larger_base_has_lower_log_scale_elsewhere(
    arsac="env=Hopper-v4|Walker2d-v4|Ant-v4, base=1x32|1x128|2x256",
):
    """Ours: `c05` in the other environments, where the paper does not claim it (the authors' Walker2d is not ordered)."""
    quantity = "P(a larger base has a larger final ln β)"
    return judged(_ordered(arsac, "decreasing", quantity, of_curves, "log_scale", last()), arsac, steps=300_000)


def c06_halfcheetah_gains(arsac_half="env=HalfCheetah-v4, base=1x32|1x128", sac_half="env=HalfCheetah-v4, base=1x32|1x128"):
    """On HalfCheetah ARSAC ends slightly above SAC (Section 4.2; the authors' curves: +1913 at 1x32, +1001 at 1x128).

    Return at 5 · 10^5 steps, where the authors' gain is as large (+1364, +1555), Welch's t-test over 8 seeds, ARSAC -
    SAC above 0 at both sizes: the same steps in all as 4 seeds of 10^6, which would not decide it.
    """
    theirs = by_size(sac_half, final)
    parts = {base: stats.difference(ours, theirs[base]) for base, ours in by_size(arsac_half, final).items()}
    return judged(conjunction(parts, "return, ARSAC - SAC"), arsac_half, sac_half, steps=500_000, seeds=8)


def c07_halfcheetah_wider_is_better(
    arsac_half="env=HalfCheetah-v4, base=1x32|1x128", sac_half="env=HalfCheetah-v4, base=1x32|1x128"
):
    """On HalfCheetah 128 units end above 32, with the flow and without (Section 4.2; the authors' curves: +1343, +2255).

    Return at 5 · 10^5 steps (the authors: +1166, +1357), Welch's t-test over 8 seeds, 1x128 - 1x32 above 0 for both.
    """
    runs = {"ARSAC": arsac_half, "SAC": sac_half}
    parts = {name: stats.difference(final(run, base="1x128"), final(run, base="1x32")) for name, run in runs.items()}
    return judged(conjunction(parts, "return, 1x128 - 1x32"), arsac_half, sac_half, steps=500_000, seeds=8)


def c08_hopper_no_benefit(arsac="env=Hopper-v4, base=1x32|1x128", sac="env=Hopper-v4, base=1x32|1x128"):
    """On Hopper the flow is of no clear benefit (Section 4.2; the authors' curves: -107 at 1x32, -276 at 1x128).

    Final return, ARSAC not above SAC by 10 % at both sizes. A flow that returns less is of no benefit either.
    """
    return judged(_no_gain(arsac, sac), arsac, sac)


def c09_ant_no_benefit(arsac="env=Ant-v4, base=1x32|1x128", sac="env=Ant-v4, base=1x32|1x128"):
    """On Ant the flow is of no clear benefit (Section 4.2). As `c08`."""
    return judged(_no_gain(arsac, sac), arsac, sac)


def c10_walker_slightly_worse(arsac="env=Walker2d-v4, base=1x32|1x128", sac="env=Walker2d-v4, base=1x32|1x128"):
    """On Walker2d ARSAC ends slightly below SAC (Section 4.2; the authors' curves: -1192 at 1x32, -334 at 1x128).

    Final return, mean over both sizes, Welch's t-test, ARSAC - SAC below 0.
    """
    ours, theirs = over_sizes(arsac, final), over_sizes(sac, final)
    verdict = stats.difference(ours, theirs, direction="less", quantity="final return, ARSAC - SAC, mean of both sizes")
    return judged(verdict, arsac, sac)


def c11_small_reaches_default(sac="env=Hopper-v4|Walker2d-v4|Ant-v4, base=1x32|1x128|2x256"):
    """On Hopper, Walker2d and Ant a small policy network ends where the usual one does (Section 4.2).

    Final return of SAC, 1x32 and 1x128 not inferior to 2x256 by more than 10 % in each environment.
    """
    quantity, parts = "final return of SAC, small - 2x256", {}
    for env in environments(sac):
        usual, small = final(sac, env=env, base="2x256"), {b: final(sac, env=env, base=b) for b in ("1x32", "1x128")}
        parts[env] = conjunction({b: stats.non_inferiority(x, usual) for b, x in small.items()}, quantity)
    return judged(over_environments(parts, quantity), sac)


def c12_halfcheetah_small_falls_short(sac_half="env=HalfCheetah-v4, base=1x32|2x256"):
    """On HalfCheetah the small policy network does not reach the usual one (Section 4.2; the authors at 10^6 steps: 8166
    against 10812).

    Return of SAC at 5 · 10^5 steps, 1x32 less 2x256 below 0, Welch's t-test over 8 seeds.
    """
    small, usual = final(sac_half, base="1x32"), final(sac_half, base="2x256")
    verdict = stats.difference(small, usual, direction="less", quantity="return of SAC, 1x32 - 2x256")
    return judged(verdict, sac_half, steps=500_000, seeds=8)


def c13_captures_dynamics(arsac="env=Walker2d-v4, base=1x32"):
    """The flow captures temporal dependencies of actions, in some dimensions most of the dynamics, while the base stays
    nearly constant, in others little (Sections 4.1 and 5, Figure 2).

    Walker2d, trained policy, by seed: the largest R² of a dimension, 1 - Var(x - δ) / Var x, above 0.5 (a shift that a
    base as large takes back has R² 0), the smallest share Var δ / Var x below 0.2, and the base variable less
    autocorrelated than the action, |autocorrelation| of x less that of u, mean over lags 1 to 10 and dimensions, above
    0.
    """

    def memory(rows):
        size = {name: rows.filter(regex=f"^autocorrelation_{name}_").abs() for name in "xu"}
        return float(np.nanmean(size["x"]) - np.nanmean(size["u"]))

    largest = of_table(arsac, "dimensions", lambda rows: rows["r2"].max())
    smallest = of_table(arsac, "dimensions", lambda rows: rows["shift_share"].min())
    parts = {
        "largest R²": stats.mean_within(largest, low=0.5),
        "smallest share": stats.mean_within(smallest, high=0.2),
        "autocorrelation removed": stats.mean_within(of_table(arsac, "dimensions", memory), low=0),
    }
    return judged(conjunction(parts, "share of the variance of x that the shift explains"), arsac)


def c14_flow_is_used_everywhere(arsac="env=HalfCheetah-v4|Hopper-v4|Walker2d-v4|Ant-v4, base=1x32|1x128|2x256"):
    """The flow is used in every environment (Section 5).

    Trained policy, mean over sizes, in each environment: the shift's share of the variance of x above 5 %, and with β
    and δ at their means over time the same episodes return over 10 % less. A constant β and δ are none: the base could
    take them over, and such a policy is SAC in another gauge.
    """
    parts, quantity = {}, "use of the flow"
    for env in environments(arsac):
        share = over_sizes(arsac, of_curves, "shift_share", last(), env=env)
        uses = {"share": stats.mean_within(share, low=0.05)}
        uses["loss with the flow frozen"] = stats.mean_within(over_sizes(arsac, _frozen, env=env), low=MARGIN)
        parts[env] = conjunction(uses, quantity)
    return judged(over_environments(parts, quantity), arsac)


def c15_32_units_suffice(sac="env=HalfCheetah-v4|Hopper-v4|Walker2d-v4|Ant-v4, base=1x32|2x256"):
    """Many of the tasks are solved by one hidden layer of 32 units (Section 5, as a statement over all four).

    Interquartile mean over environments and seeds of SAC's final return relative to SAC 2x256: 1x32 lies at most 10 %
    lower. Stratified bootstrap.
    """
    small, usual = [], []
    for env in environments(sac):
        default = final(sac, env=env, base="2x256")
        usual.append(default / magnitude(default))
        small.append(final(sac, env=env, base="1x32") / magnitude(default))
    quantity = "interquartile mean of relative final return, 1x32 - 2x256"
    verdict = stats.aggregate(lambda a, b: stats.iqm(a) - stats.iqm(b), small, usual, low=-MARGIN, quantity=quantity)
    return judged(verdict, sac)


def c16_helps_when_observations_are_limited(
    arsac_masked="env=HalfCheetah-v4|Hopper-v4|Walker2d-v4",
    arsac_delayed="env=HalfCheetah-v4|Hopper-v4|Walker2d-v4, delay=2|5",
    sac_masked="env=HalfCheetah-v4|Hopper-v4|Walker2d-v4",
    sac_delayed="env=HalfCheetah-v4|Hopper-v4|Walker2d-v4, delay=2|5",
):
    """The flow helps where observations are incomplete or late (Sections 3.1 and 5 expect it, no run of the paper tests
    it).

    Probability that ARSAC ends above SAC, over environments and three conditions (velocities hidden, 2 and 5 steps
    late): above 1/2. Stratified bootstrap.
    """
    runs = arsac_masked, arsac_delayed, sac_masked, sac_delayed
    return judged(_better("P(ARSAC ends above SAC), observations limited", *runs), *runs)


def c17_gain_only_where_small_networks_fall_short(
    arsac="env=HalfCheetah-v4|Hopper-v4|Walker2d-v4|Ant-v4, base=1x32",
    sac="env=HalfCheetah-v4|Hopper-v4|Walker2d-v4|Ant-v4, base=1x32|2x256",
):
    """The only environment in which the flow gains is the one in which a small policy network falls short of the usual
    one (Section 5).

    Final return, in each environment: ARSAC 1x32 above SAC 1x32, and SAC 1x32 below SAC 2x256, on HalfCheetah; neither
    by 10 % elsewhere.
    """
    parts, quantity = {}, "final return: ARSAC 1x32 - SAC 1x32, or SAC 1x32 - 2x256"
    for env in environments(arsac):
        ours, small, usual = (final(run, env=env, base=b) for run, b in ((arsac, "1x32"), (sac, "1x32"), (sac, "2x256")))
        if env == "HalfCheetah-v4":
            pairs = {"gain": stats.difference(ours, small), "shortfall": stats.difference(small, usual, direction="less")}
        else:
            pairs = {"gain": stats.non_superiority(ours, small), "shortfall": stats.non_inferiority(small, usual)}
        parts[env] = conjunction(pairs, quantity)
    return judged(over_environments(parts, quantity), arsac, sac)


def own_sigma_offsets_the_fall(arsac="env=HalfCheetah-v4, base=1x32|1x128|2x256"):
    """Ours: ln β alone does not measure reliance, for only β σ reaches the action. On HalfCheetah the base's ln σ takes
    back over half of what ln β moves, up or down.

    |Change of ln β| / 2 less |change of ln β + ln σ|, both from steps 100k-200k to the last tenth of the run, mean over
    sizes, above 0. If it is below 0, ln(β σ) moves too. Least budget: as in `c01`.
    """

    def offset(results, **where):
        alone, both = (_fall(results, metric, **where).abs() for metric in ("log_scale", "log_scale_std"))
        return alone / 2 - both

    quantity = "half of |change of ln β| less |change of ln β + ln σ|"
    return judged(stats.mean_within(over_sizes(arsac, offset), low=0, quantity=quantity), arsac, steps=500_000)


def own_sizes_split_one_scale(arsac="env=HalfCheetah-v4, base=1x32|1x128|2x256"):
    """Ours: what tells the sizes apart in Figure 3 is how β and σ split one common scale. On HalfCheetah the final ln β
    of the sizes lie apart by more than twice as much as their ln β + ln σ.

    Range over sizes of the final ln β less twice that of ln β + ln σ, seed by seed, above 0. Least budget: 300k steps,
    4 seeds.
    """

    def ranges(metric):
        values = pd.DataFrame(by_size(arsac, of_curves, metric, last()))
        return values.max(axis=1) - values.min(axis=1) if len(values) else pd.Series(dtype=float)

    quantity = "range over sizes of ln β less twice that of ln β + ln σ"
    verdict = stats.mean_within(ranges("log_scale") - 2 * ranges("log_scale_std"), low=0, quantity=quantity)
    return judged(verdict, arsac, steps=300_000)


def own_shift_share_grows_late(arsac="env=HalfCheetah-v4|Hopper-v4|Walker2d-v4|Ant-v4, base=1x32|1x128|2x256"):
    """Ours: `c03` by a measure that σ does not confound. The shift's share of the variance of x grows.

    Slope of Var δ / Var x (mean over dimensions) over steps 300k to 10^6, mean over sizes, above 0 in all environments.
    """
    parts = {env: stats.mean_within(_late_slope(arsac, "shift_share", env), low=0) for env in environments(arsac)}
    return judged(over_environments(parts, "slope of Var δ / Var x per million steps from 300k on"), arsac)


def own_larger_base_has_larger_shift_share(arsac="env=HalfCheetah-v4|Hopper-v4|Walker2d-v4|Ant-v4, base=1x32|1x128|2x256"):
    """Ours: `c05` by a measure that σ does not confound. The larger the base network, the larger the shift's share of
    the variance of x.

    Exact Jonckheere-Terpstra test of the final Var δ / Var x over the three sizes, in each environment.
    """
    quantity = "P(a larger base has a larger final Var δ / Var x)"
    return judged(_ordered(arsac, "increasing", quantity, of_curves, "shift_share", last()), arsac, steps=300_000)


def own_larger_base_loses_more_without_flow(arsac="env=HalfCheetah-v4|Hopper-v4|Walker2d-v4|Ant-v4, base=1x32|1x128|2x256"):
    """Ours: `c05` by intervention. The larger the base network, the more return the trained policy loses with its flow
    frozen: β and δ at their means over time, which the base could take over.

    Exact Jonckheere-Terpstra test of the relative loss over the three sizes, in each environment. The note gives the
    order without any flow (β = 1, δ = 0), which a base in another gauge loses by too.
    """
    without = _ordered(arsac, "increasing", "", _ablation)
    verdict = _ordered(arsac, "increasing", "P(a larger base loses more)", _frozen)
    orders = ", ".join(f"{env} {part.effect:.2g}" for env, part in without.parts.items())
    return judged(verdict.with_note(f"without the flow: {orders}") if orders else verdict, arsac)


def own_released_figure_2_moves_the_base(arsac="env=Walker2d-v4, base=1x32"):
    """Ours: the released logging of Figure 2 shows the transformed mean as the base's mean, so that, in the dimension
    that the flow drives most, the base seems to move more than it does.

    Walker2d, trained policy, by seed: ln of the standard deviation over time of β μ + δ over that of μ, in the dimension
    with the largest shift's share, above 0.
    """
    dims = of_table(arsac, "dimensions", lambda rows: rows.loc[rows["shift_share"].idxmax(), "dim"])

    def excess(rows):
        rows = rows[rows["dim"] == dims[rows["seed"].iloc[0]]]
        moved = (rows["scale"] * rows["base_mean"] + rows["shift"]).std()
        return np.log(moved / rows["base_mean"].std()) if len(rows) > 1 else np.nan

    quantity = "ln of the base's movement as released over its true one"
    return judged(stats.mean_within(of_table(arsac, "trace", excess), low=0, quantity=quantity), arsac)


def own_gain_beyond_capacity(
    sac_wide="env=HalfCheetah-v4, base=2x384",
    arsac="env=HalfCheetah-v4, base=1x128|2x256",
    sac="env=HalfCheetah-v4, base=2x256",
):
    """Ours: ARSAC's gain on HalfCheetah is not its parameters. It ends above SAC of its own size (5 % fewer parameters
    than ARSAC 1x128, 8 % more than ARSAC 2x256).

    Final return, Welch's t-test, ARSAC - SAC above 0 at both sizes.
    """
    parts = {
        "1x128": stats.difference(final(arsac, base="1x128"), final(sac)),
        "2x256": stats.difference(final(arsac, base="2x256"), final(sac_wide)),
    }
    return judged(conjunction(parts, "final return, ARSAC - SAC of its size"), arsac, sac, sac_wide)


def own_gain_beyond_memory(sac_history="env=HalfCheetah-v4, base=1x128|2x256", arsac="env=HalfCheetah-v4, base=1x128|2x256"):
    """Ours: ARSAC's gain on HalfCheetah is not its memory. It ends above SAC that sees the same 3 past actions.

    Final return, Welch's t-test, ARSAC - SAC above 0 at both sizes.
    """
    theirs = by_size(sac_history, final)
    parts = {base: stats.difference(ours, theirs[base]) for base, ours in by_size(arsac, final).items()}
    return judged(conjunction(parts, "final return, ARSAC - SAC that sees 3 past actions"), arsac, sac_history)


def own_critics_need_no_history(
    arsac_history_critic="env=HalfCheetah-v4, base=1x128|2x256", arsac="env=HalfCheetah-v4, base=1x128|2x256"
):
    """Ours: on HalfCheetah the published critics lose nothing by not seeing the history on which the policy depends.

    Final return, ARSAC with Q(s, h, a) equivalent to ARSAC with Q(s, a), within 10 %, at both sizes.
    """
    return judged(_equal(arsac_history_critic, arsac), arsac, arsac_history_critic)


def own_critics_may_step_once(
    arsac_released_critics="env=HalfCheetah-v4, base=1x128", arsac="env=HalfCheetah-v4, base=1x128"
):
    """Ours: it makes no difference that the critics' Adam steps twice per update in the authors' code and once here.

    Return at the end of 300k steps on HalfCheetah, equivalent within 10 %.
    """
    return judged(_equal(arsac_released_critics, arsac), arsac, arsac_released_critics, steps=300_000)


def own_limited_observations_need_the_flow(
    arsac_masked="env=HalfCheetah-v4|Hopper-v4|Walker2d-v4",
    arsac_delayed="env=HalfCheetah-v4|Hopper-v4|Walker2d-v4, delay=2|5",
    sac_history_masked="env=HalfCheetah-v4|Hopper-v4|Walker2d-v4",
    sac_history_delayed="env=HalfCheetah-v4|Hopper-v4|Walker2d-v4, delay=2|5",
):
    """Ours: where observations are limited, a flow over past actions helps more than showing them to SAC's policy.

    As `c16`, against SAC that sees 3 past actions.
    """
    runs = arsac_masked, arsac_delayed, sac_history_masked, sac_history_delayed
    return judged(_better("P(ARSAC ends above SAC that sees 3 past actions), observations limited", *runs), *runs)


def _rise(results, metric, **where):
    """Change from the first 20k steps to steps 100k-200k, per seed."""
    return of_curves(results, metric, between(100_000, 200_000), **where) - of_curves(
        results, metric, first(20_000), **where
    )


def _fall(results, metric, **where):
    """Fall from steps 100k-200k to the last tenth of the run, per seed."""
    late = of_curves(results, metric, between(0.9 * results.steps, results.steps), **where)
    return of_curves(results, metric, between(100_000, 200_000), **where) - late


def _late_slope(results, metric, env):
    """Slope from 300k steps on, per seed; NaN of a run that ends there."""
    return over_sizes(results, of_curves, metric, slope(300_000, results.steps), env=env)


def _ordered(results, direction, quantity, measure, *args):
    """`measure(results, *args, env=, base=)` is ordered over the sizes, in every environment."""
    groups = {env: list(by_size(results, measure, *args, env=env).values()) for env in environments(results)}
    return over_environments({env: stats.ordered(levels, direction) for env, levels in groups.items()}, quantity)


def _equal(ours, theirs):
    """Final returns equivalent within 10 % of `theirs`, at every size."""
    references = by_size(theirs, final)
    parts = {base: stats.equivalence(values, references[base]) for base, values in by_size(ours, final).items()}
    return conjunction(parts, "difference in final return")


def _no_gain(ours, theirs):
    """Final returns of ours not above `theirs` by 10 %, at every size."""
    references = by_size(theirs, final)
    parts = {base: stats.non_superiority(values, references[base]) for base, values in by_size(ours, final).items()}
    return conjunction(parts, "difference in final return")


def _frozen(arsac, **where):
    """As `_ablation`, with the flow at its means over time; NaN where that was not run."""
    whole = of_curves(arsac, "return", last(1), **where)
    return (whole - of_curves(arsac, "return_frozen_flow", last(1), **where)) / magnitude(whole)


def _ablation(arsac, **where):
    """Share of the trained policy's return that it loses without the flow, on the same episodes."""
    whole = of_curves(arsac, "return", last(1), **where)
    return (whole - of_curves(arsac, "return_without_flow", last(1), **where)) / magnitude(whole)


def _better(quantity, *runs):
    """P(improvement) of the first two runs over the last two, masked and delayed observations each, above 1/2."""
    scores = []
    for masked, delayed in (runs[:2], runs[2:]):
        places = [{"env": env, "delay": delay} for env in environments(delayed) for delay in delayed.setting("delay")]
        hidden = [final(masked, env=env) for env in environments(masked)]
        scores.append(hidden + [final(delayed, **where) for where in places])
    return stats.aggregate(stats.probability_of_improvement, *scores, low=0.5, quantity=quantity)
