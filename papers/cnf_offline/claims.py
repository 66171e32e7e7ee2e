"""What the paper claims of its agents and of its toy, and what we ask beyond it; one function per claim.

Agents: one number per seed, a normalised score, the mean of the last ten evaluations with sampled actions, as published (of
AWAC and IQL with their mean action, as CORL's code and IQL's authors evaluate). On HalfCheetah the last ten are a quarter of
the run, where the paper's are its last 1,000 updates. Agents learn from data of this repository. A data set whose policies
ended outside the levels of D4RL's is weak: no claim of Table 1 is judged on it, and one on several sets then is so in part.
The least budget is 200,000 updates and three seeds, the paper's on HalfCheetah.

The toy: one number per seed, the share of decoded points that are far from the data (`toys.py` defines far). Toys need no
long runs: 2,000 updates and three seeds give a verdict.
"""

from functools import partial

import numpy as np

from common.lab.report import stats, verdicts
from common.lab.report.measures import of_curves, of_row
from common.lab.report.verdicts import at_least, conjunction, in_part, untested
from papers.cnf_offline import comparisons
from papers.cnf_offline.comparisons import cells, final, overestimation, strong

AMPLITUDES = (1.0, 2.0, 3.0, 4.0, 6.0)
FEW = 0.05  # share of far points that still counts as the support of the data

NEAR = 1.5  # of the data's own distance from each other: an action that is no farther is near them
SETTLED = 1.0  # score, by which a curve that has converged may still change
ENTROPY = -0.38  # of the moons, in nats
CHEETAH = "HalfCheetah-v4"

toy = partial(verdicts.judged, steps=2_000, seeds=3)
judged = comparisons.judged


# The agents


def _on_average(behaviour, cnf, other, name, metric="return"):
    """CNF's score less the other's, both means over the data sets, seed by seed."""
    pairs, left_out = strong(behaviour, cnf)
    if not pairs:
        return judged(untested("weak data", quantity=f"score, CNF - {name}"), cnf, other)
    ours, theirs = (_mean([final(results, *pair, metric=kind) for pair in pairs])
                    for results, kind in ((cnf, "return"), (other, metric)))  # fmt: skip
    verdict = stats.difference(ours, theirs, quantity=f"score on average, CNF - {name}")
    verdict = in_part(verdict, [" ".join(pair) for pair in pairs], left_out) if left_out else verdict
    return judged(verdict, cnf, other)


def _mean(columns):
    """Mean over data sets of the seeds that all have."""
    count = min(map(len, columns))
    return np.mean([column[:count] for column in columns], axis=0) if count else np.array([])


def _each(behaviour, results, compare, quantity):
    """`compare(env, quality)` on every data set that is not weak, all of which have to hold."""
    pairs, left_out = strong(behaviour, results)
    parts = {f"{env} {quality}": compare(env, quality) for env, quality in pairs}
    verdict = conjunction(parts, quantity) if parts else untested("weak data", quantity=quantity)
    return in_part(verdict, list(parts), left_out) if parts and left_out else verdict


def c01_bases_fit_alike(
    flows_bases="env=HalfCheetah-v4, quality=medium-replay, base=uniform|normal",
):
    """Encoders with a uniform and with a normal base are almost identical in training and validation (Figure 8, Appendix
    A.3).

    -ln p(a | s) of the rows trained on and of those held out, HalfCheetah's medium-replay data, five seeds: equivalent
    within 0.1 nats per action dimension, 0.6 of an action.
    """
    where, parts = {"env": CHEETAH, "quality": "medium-replay"}, {}
    for name, metric in (("training", "nll"), ("held out", "nll_held_out")):
        uniform, normal = (flows_bases.final(metric, 1, **where, base=base) if len(flows_bases.frame) else np.array([])
                           for base in ("uniform", "normal"))  # fmt: skip
        parts[name] = stats.equivalence(uniform, normal, 0.6)
    return judged(conjunction(parts, "nats per action, uniform - normal"), flows_bases, steps=100_000, seeds=3)


def c03_beats_awac(
    behaviour="env=HalfCheetah-v4|Hopper-v4|Walker2d-v4",
    cnf="env=HalfCheetah-v4|Hopper-v4|Walker2d-v4, quality=medium|medium-replay|medium-expert",
    awac="env=HalfCheetah-v4|Hopper-v4|Walker2d-v4, quality=medium|medium-replay|medium-expert",
):
    """CNF is better than AWAC on average over the nine locomotion data sets (Table 1: 81.9 against 76.2)."""
    return _on_average(behaviour, cnf, awac, "AWAC", metric="return_mode")


def c04_beats_iql(
    behaviour="env=HalfCheetah-v4|Hopper-v4|Walker2d-v4",
    cnf="env=HalfCheetah-v4|Hopper-v4|Walker2d-v4, quality=medium|medium-replay|medium-expert",
    iql="env=HalfCheetah-v4|Hopper-v4|Walker2d-v4, quality=medium|medium-replay|medium-expert",
):
    """CNF is better than IQL on average over the nine locomotion data sets (Table 1: 81.9 against 77.3)."""
    return _on_average(behaviour, cnf, iql, "IQL", metric="return_mode")


def c05_beats_plas(
    behaviour="env=HalfCheetah-v4|Hopper-v4|Walker2d-v4",
    cnf="env=HalfCheetah-v4|Hopper-v4|Walker2d-v4, quality=medium|medium-replay|medium-expert",
    plas="env=HalfCheetah-v4|Hopper-v4|Walker2d-v4, quality=medium|medium-replay|medium-expert",
):
    """CNF is better than PLAS on average over the nine locomotion data sets (Table 1: 81.9 against 57.8, of which PLAS's 2.7
    and 3.2 on two replays look broken)."""
    return _on_average(behaviour, cnf, plas, "PLAS")


def c06_best_on_most_data_sets(
    behaviour="env=HalfCheetah-v4|Hopper-v4|Walker2d-v4",
    cnf="env=HalfCheetah-v4|Hopper-v4|Walker2d-v4, quality=medium|medium-replay|medium-expert",
    awac="env=HalfCheetah-v4|Hopper-v4|Walker2d-v4, quality=medium|medium-replay|medium-expert",
    iql="env=HalfCheetah-v4|Hopper-v4|Walker2d-v4, quality=medium|medium-replay|medium-expert",
    plas="env=HalfCheetah-v4|Hopper-v4|Walker2d-v4, quality=medium|medium-replay|medium-expert",
):
    """CNF has the best score on most of the nine locomotion data sets (Table 1's caption: on eight; its own numbers: on
    seven).

    On more than half of them CNF's score is above AWAC's, IQL's and PLAS's.
    """
    pairs, left_out = strong(behaviour, cnf)
    if not pairs:
        return judged(untested("weak data", quantity="score, CNF - other"), cnf, awac, iql, plas)
    others, parts = {"AWAC": (awac, "return_mode"), "IQL": (iql, "return_mode"), "PLAS": (plas, "return")}, {}
    for pair in pairs:
        each = {name: stats.difference(final(cnf, *pair), final(results, *pair, metric=metric))
                for name, (results, metric) in others.items()}  # fmt: skip
        parts[" ".join(pair)] = conjunction(each, "score, CNF - other")
    verdict = at_least(len(pairs) // 2 + 1, parts, "score, CNF - other")
    verdict = in_part(verdict, list(parts), left_out) if left_out else verdict
    return judged(verdict, cnf, awac, iql, plas)


def c07_mazes(
    mazes_cnf="env=Maze2dUmaze-v0|Maze2dMedium-v0|Maze2dLarge-v0, quality=maze",
    mazes_lapo="env=Maze2dUmaze-v0|Maze2dMedium-v0|Maze2dLarge-v0, quality=maze",
):
    """CNF is better than LAPO in the medium and the large maze, and worse in the umaze (Table 1: 156, 213 and 63 against
    143, 201 and 119, which are quoted from LAPO's paper).

    Difference of scores, in each maze. Least budget: CNF's 100,000 updates of 10,240 rows.
    """
    parts = {}
    for env, quality in cells(mazes_cnf):
        direction = "less" if env == "Maze2dUmaze-v0" else "greater"
        scores = (final(results, env, quality) for results in (mazes_cnf, mazes_lapo))
        parts[env] = stats.difference(*scores, direction=direction)
    return judged(conjunction(parts, "score, CNF - LAPO"), mazes_cnf, mazes_lapo, steps=100_000)


def c08_unclipped_normal_collapses(
    behaviour="env=HalfCheetah-v4",
    cnf_normal="env=HalfCheetah-v4, quality=medium|medium-replay|medium-expert",
    cnf="env=HalfCheetah-v4, quality=medium|medium-replay|medium-expert",
):
    """A policy in the unclipped latent space of a normal base is substantially worse, on each HalfCheetah set (Figure 5).

    Score, uniform less normal, above 10: more than a tenth of the way from random to expert.
    """

    def compare(env, quality):
        return stats.difference(final(cnf, env, quality), final(cnf_normal, env, quality), margin=10.0)

    return judged(_each(behaviour, cnf_normal, compare, "score, uniform - normal unclipped"), cnf, cnf_normal)


def c09_uniform_reaches_the_best_clip(
    behaviour="env=Walker2d-v4",
    cnf_clipped="env=Walker2d-v4, quality=medium|medium-replay|medium-expert, clip=1.0|2.0|3.0",
    cnf="env=Walker2d-v4, quality=medium|medium-replay|medium-expert",
):
    """On each Walker2d set the uniform base, without a clip to choose, does as well as the best clip of a normal base
    (Figure 6, which has it better on each). Which clip is best differs: the note says which.

    Score, uniform against each clip: not inferior by 5.
    """
    best = {}

    def compare(env, quality):
        scores = {clip: final(cnf_clipped, env, quality, clip=clip) for clip in cnf_clipped.setting("clip")}
        best[quality] = max(
            scores, key=lambda clip: np.nanmean(scores[clip]) if np.isfinite(scores[clip]).any() else -np.inf
        )
        mine = final(cnf, env, quality)
        parts = {f"clip {clip:g}": stats.non_inferiority(mine, values, margin=5.0) for clip, values in scores.items()}
        return conjunction(parts, "score, uniform - clipped")

    verdict = _each(behaviour, cnf_clipped, compare, "score, uniform - clipped")
    said = ", ".join(f"{quality} {clip:g}" for quality, clip in best.items())
    return judged(verdict.with_note(f"best clips: {said}" if said else ""), cnf, cnf_clipped)


def c10_flow_beats_vae(
    behaviour="env=HalfCheetah-v4",
    cnf_vae="env=HalfCheetah-v4, quality=medium|medium-replay|medium-expert",
    cnf="env=HalfCheetah-v4, quality=medium|medium-replay|medium-expert",
    plas="env=HalfCheetah-v4, quality=medium|medium-replay|medium-expert",
):
    """The flow is the better encoder: CNF is above CNF-VAE, which is level with PLAS, on each HalfCheetah set (Figure 7).

    Score: CNF less CNF-VAE above 0; CNF-VAE and PLAS equivalent within 5.
    """

    def compare(env, quality):
        flow, vae, other = (final(results, env, quality) for results in (cnf, cnf_vae, plas))
        parts = {"flow - VAE": stats.difference(flow, vae), "VAE - PLAS": stats.equivalence(vae, other, 5.0)}
        return conjunction(parts, "score")

    return judged(_each(behaviour, cnf_vae, compare, "score"), cnf, cnf_vae, plas)


def c11_actions_train_better(
    behaviour="env=HalfCheetah-v4",
    awac_latent="env=HalfCheetah-v4, quality=medium|medium-replay|medium-expert",
    cnf="env=HalfCheetah-v4, quality=medium|medium-replay|medium-expert",
):
    """Training through the encoder beats AWAC on encoded actions, the same loss and networks with the distance and the
    critics in latents, in speed and final score, on each HalfCheetah set (Appendix A.4: slightly lower on all data sets,
    without a number).

    Mean score over all evaluations, and the final one, CNF less AWAC on latents: above 0.
    """

    def compare(env, quality):
        parts = {"over training": _whole, "final": lambda results, *pair: final(results, *pair)}
        return conjunction({name: stats.difference(measure(cnf, env, quality), measure(awac_latent, env, quality))
                            for name, measure in parts.items()}, "score")  # fmt: skip

    return judged(_each(behaviour, awac_latent, compare, "score, CNF - AWAC on latents"), cnf, awac_latent)


def _whole(results, env, quality):
    """Mean score over a run, per seed."""
    return _of_scores(results, env, quality, lambda steps, values: values.mean())


def _of_scores(results, env, quality, measure):
    """`measure(steps, scores)` of every seed's curve; NaN of one that diverged."""
    if not results.cells:
        return np.array([])
    return of_curves(
        results, "return", lambda steps, values: measure(steps, comparisons.score(env, values)), env=env, quality=quality
    ).to_numpy()


def c12_conservative(
    behaviour="env=HalfCheetah-v4",
    cnf_normal="env=HalfCheetah-v4, quality=medium|medium-replay|medium-expert",
    cnf="env=HalfCheetah-v4, quality=medium|medium-replay|medium-expert",
):
    """The agent stays near the data by design, without further regularisation (Abstract, Section 3.1), and exaggerates the
    extrapolation error less than one in a normal latent space.

    On each HalfCheetah set: the distance of its actions from the data is below 1.5 times that of the data's own; and its
    critics promise less too much in first states, in units of the discounted return, than the normal base's. What a critic
    promises too little counts as 0.
    """

    def compare(env, quality):
        where = {"env": env, "quality": quality}
        policy, data = (cnf.final(metric, 1, **where) for metric in ("distance_policy", "distance_data"))
        excess = [np.maximum(overestimation(results, **where), 0) for results in (cnf_normal, cnf)]
        parts = {"distance": stats.mean_within(policy / data, high=NEAR), "overestimation": stats.difference(*excess)}
        return conjunction(parts, "ratio")

    return judged(_each(behaviour, cnf_normal, compare, "ratio"), cnf, cnf_normal)


def c13_200k_is_enough(
    behaviour="env=HalfCheetah-v4",
    cnf="env=HalfCheetah-v4, quality=medium|medium-replay|medium-expert",
):
    """On HalfCheetah 200,000 steps are enough for convergence (Section 4.1).

    Change of the score from the fourth to the last fifth of the training within 1, on each set: a curve that falls has not
    converged either.
    """

    def compare(env, quality):
        return stats.mean_within(_of_scores(cnf, env, quality, _change), -SETTLED, SETTLED)

    return judged(_each(behaviour, cnf, compare, "change of the score"), cnf)


def _change(steps, values):
    """From the mean of the fourth fifth of a curve to that of the last."""
    share = np.asarray(steps) / steps[-1]
    return values[share > 0.8].mean() - values[(share > 0.6) & (share <= 0.8)].mean()


def c14_seeds_agree(
    behaviour="env=HalfCheetah-v4",
    cnf="env=HalfCheetah-v4, quality=medium|medium-replay|medium-expert",
):
    """Scores on HalfCheetah differ little between seeds (Table 1: a deviation of 0.2 to 0.5).

    The deviation of scores between seeds, the same for all sets because three seeds say little of a spread: below 1
    (chi-square).
    """
    pairs, left_out = strong(behaviour, cnf)
    verdict = stats.deviation_below([final(cnf, *pair) for pair in pairs], 1.0, "deviation of scores between seeds")
    verdict = in_part(verdict, [" ".join(pair) for pair in pairs], left_out) if left_out and pairs else verdict
    return judged(verdict, cnf)


def c15_flow_not_loss(
    behaviour="env=HalfCheetah-v4",
    no_flow="env=HalfCheetah-v4, quality=medium|medium-replay|medium-expert",
    cnf="env=HalfCheetah-v4, quality=medium|medium-replay|medium-expert",
):
    """The flow is what the gain is due to (the whole paper; the control with the same loss and no flow is ours), on each
    HalfCheetah set.

    Score, CNF less the agent without a flow, above 0.
    """

    def compare(env, quality):
        return stats.difference(final(cnf, env, quality), final(no_flow, env, quality))

    return judged(_each(behaviour, no_flow, compare, "score, CNF - no flow"), cnf, no_flow)


def c16_latents_grow(
    cnf_normal="env=HalfCheetah-v4, quality=medium|medium-replay|medium-expert",
):
    """An unclipped policy's latents grow in amplitude as it climbs its critic (Figure 3's caption: seen in preliminary
    experiments).

    Median size of a latent entry at the end less at the first evaluation above 0, on each HalfCheetah set.
    """
    parts = {}
    for env, quality in cells(cnf_normal):
        growth = of_curves(cnf_normal, "latent_size", lambda steps, values: values[-1] - values[0], env=env, quality=quality)
        parts[f"{env} {quality}"] = stats.mean_within(growth.to_numpy(), low=0)
    return judged(conjunction(parts, "growth of the median |z|"), cnf_normal)


def c17_temperature_from_greed_to_cloning(
    cnf_temperature="env=HalfCheetah-v4, quality=medium, temperature=0.03|0.1|0.3333|1.0|10.0",
):
    """A higher temperature λ makes training more like cloning, a lower one more like greed (Section 3.3).

    Mean distance of the policy's mode from the data's actions falls over λ = 0.03 to 10 (Jonckheere and Terpstra),
    HalfCheetah medium.
    """
    levels = sorted(cnf_temperature.setting("temperature"), reverse=True)
    where = {"env": CHEETAH, "quality": "medium"}
    columns = [cnf_temperature.final("l1_mode", 1, **where, temperature=level) for level in levels]
    verdict = stats.ordered(columns) if columns else untested("no runs at this scale")
    return judged(verdict, cnf_temperature)


def c18_whole_box(
    cnf="env=HalfCheetah-v4, quality=medium|medium-replay|medium-expert",
):
    """The latent policy uses the whole latent space (Figure 1's caption, Section 3.1).

    Its samples reach the box's two ends in every entry: of the entry and the end that they reach least, the 99th centile is
    above 0.9 of the way from the middle, on each HalfCheetah set.
    """
    parts = {f"{env} {quality}": stats.mean_within(cnf.final("latent_reach", 1, env=env, quality=quality), low=0.9)
             for env, quality in cells(cnf)}  # fmt: skip
    return judged(conjunction(parts, "99th centile of z at the end reached least"), cnf)


# The toy


def _far(moons, base, how, size):
    """Share of far points [seeds] of latents chosen in one way and of one size."""
    return of_row(moons, "reach", "far", {"how": how, "size": size}, base=base)


def c02_normal_latents_leave_the_data(moons="base=uniform|normal"):
    """Larger latents of the normal base decode to more points off the data; those of the uniform base, whose samples
    already use all its latents, do not (Section 3.1, Figures 2 and 3).

    Share of far points: rising over a = 1 to 6 for the normal base (Jonckheere and Terpstra); below 5 % for samples of
    the uniform base.
    """
    parts = {
        "normal, order": stats.ordered([_far(moons, "normal", "scaled", a) for a in AMPLITUDES]),
        "uniform, whole box": stats.mean_within(_far(moons, "uniform", "scaled", 1.0), high=FEW),
    }
    return toy(conjunction(parts, "share of far points"), moons)


def c19_no_actor_leaves_the_data(moons="base=uniform"):
    """With the uniform base no potential actor can choose actions outside of the data (Section 3.1 on the toy's base: such
    an actor should not be capable of it).

    Share of far points of latents tanh(4 N(0, I)), those of a policy that uses the whole box, below 5 %. The amplitude is
    ours; the paper's own policies are regressed on actions of the data (eq. 6), not free to choose.
    """
    share = _far(moons, "uniform", "pushed", 4.0)
    verdict = stats.mean_within(share, high=FEW, quantity="share of far points, latents tanh(4 N(0, I))")
    return toy(verdict.with_note("amplitude 4 is our choice"), moons)


def c20_both_flows_model_the_data(moons="base=uniform|normal"):
    """Flows of either base model the training distribution well (Section 3.1, Figure 2).

    For each base: the share of far points among its samples below 5 %, so that they are on the data, and -ln p of held-out
    points within 0.5 nats of the entropy of the data, so that they are everywhere on them: a flow of one moon alone loses
    more than ln 2.
    """
    parts = {}
    for base in ("uniform", "normal"):
        parts[f"{base}, far"] = stats.mean_within(_far(moons, base, "scaled", 1.0), high=FEW)
        parts[f"{base}, nats"] = stats.mean_within(moons.final("nll_held_out", 1, base=base), high=ENTROPY + 0.5)
    return toy(conjunction(parts, "share of far points, and nats per held-out point"), moons)


def own_the_edge_of_the_box_is_as_far_as_the_normal_tail(moons="base=uniform|normal"):
    """At equal mass beyond, the box is no safer than the normal base: latents with an entry at the ends beyond which
    10^-4 of the base's mass lies are off the data for both bases.

    Share of far points above 25 %, for each base, and the uniform base's not below the normal's by 5 %.
    """
    shares = {base: _far(moons, base, "edge", 1e-4) for base in ("uniform", "normal")}
    parts = {base: stats.mean_within(share, low=0.25) for base, share in shares.items()}
    parts["uniform - normal"] = stats.non_inferiority(shares["uniform"], shares["normal"], margin=0.05)
    return toy(conjunction(parts, "share of far points"), moons)


def own_bridge_between_the_moons(moons="base=uniform|normal"):
    """Both bases have points off the data: a bijection cannot part one box into two moons, and its bridge lies at small
    latents. Samples at a quarter of the base's amplitude are off the data more often than samples of the base.

    Share of far points, paired over seeds, for each base.
    """
    parts = {
        base: stats.difference(_far(moons, base, "scaled", 0.25), _far(moons, base, "scaled", 1.0), paired=True)
        for base in ("uniform", "normal")
    }
    return toy(conjunction(parts, "share of far points, a = 1/4 less a = 1"), moons)


def own_bases_fit_the_moons_alike(moons="base=uniform|normal"):
    """Ours: the two bases fit the moons equally well, as Figure 8 claims of the encoders of actions (`c01`).

    -ln p of held-out points, in nats: equivalent within 0.1.
    """
    uniform, normal = (moons.final("nll_held_out", 1, base=base) for base in ("uniform", "normal"))
    return toy(stats.equivalence(uniform, normal, 0.1, quantity="nats per held-out point, uniform - normal"), moons)
