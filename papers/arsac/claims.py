"""What the paper claims, sentence by sentence, and what we ask beyond it; one function per claim.

Arguments select cells of experiments. There is one number per seed; "final" is the mean of the last ten evaluations. A
claim over several environments or sizes holds if it holds in each (`conjunction`). The least budget stands in `judged`:
the paper's own, 10^6 steps and 4 seeds, unless a claim needs less.
"""

import numpy as np

from common.lab.report import stats
from common.lab.report.measures import environments, last, of_curves, of_table
from common.lab.report.plots import count
from common.lab.report.stats import MARGIN, magnitude
from common.lab.report.verdicts import conjunction
from papers.arsac.comparisons import PAPER_STEPS, between, by_size, final, first, judged, over_sizes, peak, reach, slope


def c01_rises_then_falls(arsac="env=HalfCheetah-v4, base=1x32|1x128|2x256"):
    """On HalfCheetah the log-scale first rises, then falls, with every size of the base network (Section 4.1, Figure 3).

    Rise: mean ln β over steps 100k to 200k less that up to 20k. Fall: the former less the mean of the last tenth of the
    run. Both above 0, for all sizes. Least budget: 500k steps; at 300k the authors' own fall has hardly begun.
    """
    shrink = reach(arsac, 500_000)
    parts = {
        f"{name} {base}": stats.mean_within(changes, low=0)
        for name, change in (("rise", _rise), ("fall", _fall))
        for base, changes in by_size(arsac, change, "log_scale", shrink).items()
    }
    return judged(conjunction(parts, "change of ln β"), arsac, steps=500_000)


def c02_peak_at_150k(arsac="env=HalfCheetah-v4, base=1x32|1x128|2x256"):
    """On HalfCheetah the log-scale peaks at about 150k steps (Section 4.1: "through 150k steps"; the authors' means peak at
    160k to 190k).

    Step of the highest point of a seed's curve, averaged over 50k steps; its mean over seeds lies within 120k to 220k, for
    all sizes. Least budget: 300k steps, beyond which a later peak would show.
    """
    peaks = by_size(arsac, of_curves, "log_scale", peak(50_000 * reach(arsac, 300_000)))
    parts = {base: stats.mean_within(steps, low=120_000, high=220_000) for base, steps in peaks.items()}
    return judged(conjunction(parts, "step of the peak of ln β"), arsac, steps=300_000)


def c03_reliance_grows_late(arsac="env=HalfCheetah-v4|Hopper-v4|Walker2d-v4|Ant-v4, base=1x32|1x128|2x256"):
    """In every environment the policy comes to rely more on the flow as training goes on: ln β falls (Sections 4.1 and 5).

    Slope of ln β over steps 300k to 10^6, mean over sizes, below 0 in all four environments.
    """
    parts = {env: stats.mean_within(_late_slope(arsac, "log_scale", env), high=0) for env in environments(arsac)}
    return judged(conjunction(parts, "slope of ln β per million steps from 300k on"), arsac)


def c04_initial_increase_elsewhere(arsac="env=Hopper-v4|Walker2d-v4|Ant-v4, base=1x32|1x128|2x256"):
    """In the other environments too the log-scale increases at first (Section 4.1 calls Figure 5 similar).

    Mean ln β over steps 100k to 200k less that up to 20k, mean over sizes, above 0 in Hopper, Walker2d and Ant; the note
    gives the mean steps of the peaks. Least budget: 200k steps.
    """
    shrink = reach(arsac, 200_000)
    parts, peaks = {}, []
    for env in environments(arsac):
        parts[env] = stats.mean_within(over_sizes(arsac, _rise, "log_scale", shrink, env=env), low=0)
        highest = by_size(arsac, of_curves, "log_scale", peak(50_000 * shrink), env=env)
        peaks.append(f"{env} " + " / ".join(count(steps.mean()) for steps in highest.values()))
    verdict = conjunction(parts, "rise of ln β to steps 100k-200k").with_note("peaks by size: " + ", ".join(peaks))
    return judged(verdict, arsac, steps=200_000)


def c05_larger_base_relies_more(arsac="env=HalfCheetah-v4|Hopper-v4|Walker2d-v4|Ant-v4, base=1x32|1x128|2x256"):
    """The larger the base network, the more the policy relies on the flow: the lower its final ln β (Section 4.1, which
    calls it surprising).

    Exact Jonckheere-Terpstra test over the three sizes, in each environment. Least budget: 300k steps, by which the
    authors' curves on HalfCheetah are in that order.
    """
    quantity = "P(a larger base has a larger final ln β)"
    return judged(_ordered(arsac, "decreasing", quantity, of_curves, "log_scale", last()), arsac, steps=300_000)


def c06_halfcheetah_gains(arsac="env=HalfCheetah-v4, base=1x32|1x128", sac="env=HalfCheetah-v4, base=1x32|1x128"):
    """On HalfCheetah ARSAC ends slightly above SAC (Section 4.2; the authors' curves: +1913 at 1x32, +1001 at 1x128).

    Final return, Welch's t-test, ARSAC - SAC above 0 at both sizes.
    """
    theirs = by_size(sac, final)
    parts = {base: stats.difference(ours, theirs[base]) for base, ours in by_size(arsac, final).items()}
    return judged(conjunction(parts, "final return, ARSAC - SAC"), arsac, sac)


def c07_halfcheetah_wider_is_better(arsac="env=HalfCheetah-v4, base=1x32|1x128", sac="env=HalfCheetah-v4, base=1x32|1x128"):
    """On HalfCheetah 128 units end above 32, with the flow and without (Section 4.2; the authors' curves: +1343, +2255).

    Final return, Welch's t-test, 1x128 - 1x32 above 0 for both algorithms.
    """
    runs = {"ARSAC": arsac, "SAC": sac}
    parts = {name: stats.difference(final(run, base="1x128"), final(run, base="1x32")) for name, run in runs.items()}
    return judged(conjunction(parts, "final return, 1x128 - 1x32"), arsac, sac)


def c08_hopper_no_benefit(arsac="env=Hopper-v4, base=1x32|1x128", sac="env=Hopper-v4, base=1x32|1x128"):
    """On Hopper the flow is of no clear benefit (Section 4.2; the authors' curves: -107 at 1x32, -276 at 1x128).

    Final return, equivalence within 10 % of SAC's at both sizes.
    """
    return judged(_equal(arsac, sac), arsac, sac)


def c09_ant_no_benefit(arsac="env=Ant-v4, base=1x32|1x128", sac="env=Ant-v4, base=1x32|1x128"):
    """On Ant the flow is of no clear benefit (Section 4.2). Final return, equivalence within 10 % of SAC's at both sizes."""
    return judged(_equal(arsac, sac), arsac, sac)


def c10_walker_slightly_worse(arsac="env=Walker2d-v4, base=1x32|1x128", sac="env=Walker2d-v4, base=1x32|1x128"):
    """On Walker2d ARSAC ends slightly below SAC (Section 4.2; the authors' curves: -1192 at 1x32, -334 at 1x128).

    Final return, mean over both sizes, Welch's t-test, ARSAC - SAC below 0.
    """
    ours, theirs = over_sizes(arsac, final), over_sizes(sac, final)
    verdict = stats.difference(ours, theirs, direction="less", quantity="final return, ARSAC - SAC, mean of both sizes")
    return judged(verdict, arsac, sac)


def c11_small_reaches_default(sac="env=Hopper-v4|Walker2d-v4|Ant-v4, base=1x32|2x256"):
    """On Hopper, Walker2d and Ant a small policy network ends where the usual one does (Section 4.2).

    Final return of SAC, 1x32 not inferior to 2x256 by more than 10 % in each environment.
    """
    runs = {env: [final(sac, env=env, base=base) for base in ("1x32", "2x256")] for env in environments(sac)}
    parts = {env: stats.non_inferiority(*arms) for env, arms in runs.items()}
    return judged(conjunction(parts, "final return of SAC, 1x32 - 2x256"), sac)


def c12_halfcheetah_small_falls_short(sac="env=HalfCheetah-v4, base=1x32|2x256"):
    """On HalfCheetah the small policy network does not reach the usual one (Section 4.2; the authors: 8166 against
    10812).

    Final return of SAC, 1x32 inferior to 2x256 by more than 10 %, Welch's t-test: the opposite of `c11`.
    """
    small, usual = final(sac, base="1x32"), final(sac, base="2x256")
    quantity = "final return of SAC, 1x32 - 2x256"
    return judged(stats.difference(small, usual, direction="less", margin=MARGIN * magnitude(usual), quantity=quantity), sac)


def c13_captures_dynamics(arsac="env=Walker2d-v4, base=1x32"):
    """The flow captures temporal dependencies of actions, in some dimensions most of the dynamics, in others little
    (Sections 4.1 and 5, Figure 2).

    Walker2d, trained policy, by seed: the largest Var δ / Var x of a dimension above 0.5, the smallest below 0.2, and the
    base variable less autocorrelated than the action, |autocorrelation| of x less that of u, mean over lags 1 to 10 and
    dimensions, above 0.
    """

    def memory(rows):
        size = {name: rows.filter(regex=f"^autocorrelation_{name}_").abs() for name in "xu"}
        return float(np.nanmean(size["x"]) - np.nanmean(size["u"]))

    largest = of_table(arsac, "dimensions", lambda rows: rows["shift_share"].max())
    smallest = of_table(arsac, "dimensions", lambda rows: rows["shift_share"].min())
    parts = {
        "largest share": stats.mean_within(largest, low=0.5),
        "smallest share": stats.mean_within(smallest, high=0.2),
        "autocorrelation removed": stats.mean_within(of_table(arsac, "dimensions", memory), low=0),
    }
    return judged(conjunction(parts, "share of the variance of x that is the shift's"), arsac)


def c14_flow_is_used_everywhere(arsac="env=HalfCheetah-v4|Hopper-v4|Walker2d-v4|Ant-v4, base=1x32|1x128|2x256"):
    """The flow is used in every environment (Section 5).

    Trained policy, mean over sizes, in each environment: mean |ln β| above 0.1, mean |δ| above 0.1, and without the flow
    at test time (β = 1, δ = 0) the same episodes return over 10 % less.
    """
    parts = {}
    for env in environments(arsac):
        for metric, symbol in (("abs_log_scale", "|ln β|"), ("abs_shift", "|δ|")):
            parts[f"{env} {symbol}"] = stats.mean_within(over_sizes(arsac, of_curves, metric, last(), env=env), low=0.1)
        parts[f"{env} loss without flow"] = stats.mean_within(over_sizes(arsac, _ablation, env=env), low=MARGIN)
    return judged(conjunction(parts, "use of the flow"), arsac)


def c15_32_units_suffice(sac="env=HalfCheetah-v4|Hopper-v4|Walker2d-v4|Ant-v4, base=1x32|2x256"):
    """Many of the tasks are solved by one hidden layer of 32 units (Section 5, as a statement over all four).

    Interquartile mean over environments and seeds of SAC's final return relative to SAC 2x256: 1x32 lies at most 10 % lower.
    Stratified bootstrap.
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
    """The flow helps where observations are incomplete or late (Sections 3.1 and 5 expect it, no run of the paper tests it).

    Probability that ARSAC ends above SAC, over environments and three conditions (velocities hidden, 2 and 5 steps late):
    above 1/2. Stratified bootstrap.
    """
    runs = arsac_masked, arsac_delayed, sac_masked, sac_delayed
    return judged(_better("P(ARSAC ends above SAC), observations limited", *runs), *runs)


def own_sigma_offsets_the_fall(arsac="env=HalfCheetah-v4, base=1x32|1x128|2x256"):
    """Ours: ln β alone does not measure reliance, for only β σ reaches the action. On HalfCheetah a rise of the base's
    ln σ offsets over half of its fall.

    Mean over sizes of the rise of ln σ less half the fall of ln β, both from steps 100k-200k to the last tenth of the
    run, above 0. If it is below 0, ln(β σ) falls too, and the paper's reading stands. Least budget: as in `c01`.
    """

    def offset(results, **where):
        scale, std = (_fall(results, metric, reach(arsac, 500_000), **where) for metric in ("log_scale", "log_std"))
        return -std - scale / 2

    quantity = "rise of ln σ less half the fall of ln β"
    return judged(stats.mean_within(over_sizes(arsac, offset), low=0, quantity=quantity), arsac, steps=500_000)


def own_shift_share_grows_late(arsac="env=HalfCheetah-v4|Hopper-v4|Walker2d-v4|Ant-v4, base=1x32|1x128|2x256"):
    """Ours: `c03` by a measure that σ does not confound. The shift's share of the variance of x grows.

    Slope of Var δ / Var x (mean over dimensions) over steps 300k to 10^6, mean over sizes, above 0 in all environments.
    """
    parts = {env: stats.mean_within(_late_slope(arsac, "shift_share", env), low=0) for env in environments(arsac)}
    return judged(conjunction(parts, "slope of Var δ / Var x per million steps from 300k on"), arsac)


def own_larger_base_has_larger_shift_share(arsac="env=HalfCheetah-v4|Hopper-v4|Walker2d-v4|Ant-v4, base=1x32|1x128|2x256"):
    """Ours: `c05` by a measure that σ does not confound. The larger the base network, the larger the shift's share of the
    variance of x.

    Exact Jonckheere-Terpstra test of the final Var δ / Var x over the three sizes, in each environment.
    """
    quantity = "P(a larger base has a larger final Var δ / Var x)"
    return judged(_ordered(arsac, "increasing", quantity, of_curves, "shift_share", last()), arsac, steps=300_000)


def own_larger_base_loses_more_without_flow(arsac="env=HalfCheetah-v4|Hopper-v4|Walker2d-v4|Ant-v4, base=1x32|1x128|2x256"):
    """Ours: `c05` by intervention. The larger the base network, the more return the trained policy loses without its
    flow (β = 1, δ = 0).

    Exact Jonckheere-Terpstra test of the relative loss over the three sizes, in each environment.
    """
    return judged(_ordered(arsac, "increasing", "P(a larger base loses more)", _ablation), arsac)


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
    """Ours: ARSAC's gain on HalfCheetah is not its parameters. It ends above SAC of its own size (5 % fewer parameters than
    ARSAC 1x128, 8 % more than ARSAC 2x256).

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


def _rise(results, metric, shrink, **where):
    """Change from the first 20k steps to steps 100k-200k, per seed."""
    early = of_curves(results, metric, first(20_000 * shrink), **where)
    return of_curves(results, metric, between(100_000 * shrink, 200_000 * shrink), **where) - early


def _fall(results, metric, shrink, **where):
    """Fall from steps 100k-200k to the last tenth of the run, per seed."""
    late = of_curves(results, metric, between(0.9 * results.steps, results.steps), **where)
    return of_curves(results, metric, between(100_000 * shrink, 200_000 * shrink), **where) - late


def _late_slope(results, metric, env):
    measure = slope(300_000 * reach(results, PAPER_STEPS), results.steps)
    return over_sizes(results, of_curves, metric, measure, env=env)


def _ordered(results, direction, quantity, measure, *args):
    """`measure(results, *args, env=, base=)` is ordered over the sizes, in every environment."""
    groups = {env: list(by_size(results, measure, *args, env=env).values()) for env in environments(results)}
    return conjunction({env: stats.ordered(levels, direction) for env, levels in groups.items()}, quantity)


def _equal(ours, theirs):
    """Final returns equivalent within 10 % of `theirs`, at every size."""
    references = by_size(theirs, final)
    parts = {base: stats.equivalence(values, references[base]) for base, values in by_size(ours, final).items()}
    return conjunction(parts, "difference in final return")


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
