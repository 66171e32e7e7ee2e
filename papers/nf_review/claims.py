"""What the review claims, and what we ask beyond it; one function per claim."""

import numpy as np

from common.lab.report import stats
from common.lab.report.verdicts import conjunction, judged
from papers.nf_review.comparisons import chosen, gaussian_kl, share_left

LONG = 80  # states of a very long chain


def c18_a_flow_of_a_density_is_a_density(shapes="family=planar|radial, base=normal|uniform, flows=1|2|10"):
    """A flow maps a density to a density (Section 2): with the corrected log-determinants planar and radial flows, up to
    ten in turn, keep the mass, for a normal and for a uniform base.

    Mass on a grid within 5 % of 1 for each family, base and number, one number per seed. A law: no budget.
    """
    parts = {
        f"{family}, {base}, K = {count}": stats.mean_within(
            shapes.final("mass", 1, family=family, base=base, flows=count), 0.95, 1.05
        )
        for family in shapes.setting("family")
        for base in shapes.setting("base")
        for count in shapes.setting("flows")
    }
    return conjunction(parts, "mass on the grid")


def c05_several_goals(multigoal="policy=gaussian|flow, path_entropy_weight=0.1"):
    """A flow commits to several goals, a Gaussian to one (Section 3.1.1).

    A point with four equal goals, PPO with a reward for entropy of weight 0.1. Goals that at least a tenth of a trained
    policy's rollouts reach, one number per seed: more than 1.5 by the flow, fewer by the Gaussian.
    """
    flow, gaussian = (multigoal.final("goals", 1, policy=policy) for policy in ("flow", "gaussian"))
    parts = {"flow": stats.mean_within(flow, low=1.5), "Gaussian": stats.mean_within(gaussian, high=1.5)}
    return judged(conjunction(parts, "goals visited"), multigoal, steps=400_000, seeds=10)


def c10_mnf_solves_chains(
    nchain_mnf="length=10|20|30|40|50|60|70|80|90|100",
    nchain_noisy="length=10|20|30|40|50|60|70|80|90|100",
    nchain_dqn="length=10|20|30|40|50|60|70|80|90|100",
):
    """MNF-DQN solves every n-chain in fewer episodes than NoisyDQN and epsilon-greedy DQN (Section 3.2).

    Three parts. More than nine in ten of its members solve their chain, and the median number of episodes before a chain is
    solved, one number per length, is smaller than that of either other: Student's t on the differences over lengths. A chain
    that a member does not solve counts all its episodes.
    """
    solved = nchain_mnf.final("solved", 1)
    parts = {"members that solve": stats.proportion(_solving(nchain_mnf), len(solved), low=0.9)}
    for name, other in (("NoisyDQN", nchain_noisy), ("DQN", nchain_dqn)):
        parts[f"episodes less than {name}"] = stats.difference(
            _medians(nchain_mnf), _medians(other), paired=True, direction="less"
        )
    verdict = conjunction(parts, "share of members, and difference in median episodes before a chain is solved")
    return judged(verdict, nchain_mnf, nchain_noisy, nchain_dqn, steps=2000, seeds=10)


def c11_bbqn_close(
    nchain_mnf="length=10|20|30|40|50|60|70|80|90|100",
    nchain_bayes="length=10|20|30|40|50|60|70|80|90|100",
):
    """Bayes by backprop comes close to MNF-DQN, and falls behind on very long chains (Section 3.2).

    Mean over lengths of the episodes before a chain is solved, one number per seed: up to 70 states within 200 of MNF-DQN's,
    a tenth of the episodes that there are; from 80 states on more than MNF-DQN's.
    """
    short, long = ([_over(results, kept) for results in (nchain_bayes, nchain_mnf)] for kept in (_short, _long))
    parts = {
        "close up to 70 states": stats.equivalence(*short, margin=200.0),
        "behind from 80 states on": stats.difference(*long),
    }
    verdict = conjunction(parts, "difference in episodes before a chain is solved, Bayes by backprop - MNF-DQN")
    return judged(verdict, nchain_bayes, nchain_mnf, steps=2000, seeds=10)


def c12_epsilon_greedy_fails(nchain_dqn="length=10|20|30|40|50|60|70|80|90|100"):
    """Epsilon-greedy DQN fails on most chains of ten states and more (Section 3.2).

    The share of members, over all lengths, that do not solve their chain is above a half.
    """
    count = len(nchain_dqn.final("solved", 1))
    verdict = stats.proportion(count - _solving(nchain_dqn), count, low=0.5, quantity="share of members that fail")
    return judged(verdict, nchain_dqn, steps=2000, seeds=10)


def c13_mountain_car(mountaincar_mnf, mountaincar_bayes, mountaincar_noisy, mountaincar_dqn):
    """MNF-DQN learns fastest on MountainCar (Section 3.2).

    The mean return of all rollouts without noise, one number per seed, is higher than that of Bayes by backprop, of NoisyDQN
    and of epsilon-greedy DQN.
    """
    others = {"Bayes by backprop": mountaincar_bayes, "NoisyDQN": mountaincar_noisy, "DQN": mountaincar_dqn}
    parts = {name: stats.difference(_area(mountaincar_mnf), _area(other)) for name, other in others.items()}
    verdict = conjunction(parts, "difference in mean return of all rollouts, MNF-DQN - other")
    return judged(verdict, mountaincar_mnf, *others.values(), steps=1000, seeds=5)


def c17_richer_posterior(mnf_regression="posterior=masked|mean_field"):
    """The posterior of MNF is richer than a mean field (Section 3.2).

    Twenty points of y = x^3: the bound on the evidence after the fit is higher with multipliers than with a factorised
    Gaussian, which has the bound in closed form while that of the multipliers is loosened by the auxiliary density. Members
    share data by seed.
    """
    masked, field = (mnf_regression.final("bound", 3, posterior=kind) for kind in ("masked", "mean_field"))
    quantity = "difference in the bound on the evidence (nats), multiplicative - mean field"
    return judged(stats.difference(masked, field, paired=True, quantity=quantity), mnf_regression, steps=10_000, seeds=10)


def c19_density_estimation(
    density_simple="data=moons|rings|spirals|checkerboard, family=planar|radial|sylvester|householder",
    density_modern="data=moons|rings|spirals|checkerboard, "
    "family=nice|realnvp|glow|glow_lu|maf|iaf|iaf_gated|spline|spline_ar",
):
    """Flows are trained to a high likelihood, and evaluate it exactly (Section 2.1).

    Of every family, one number per seed: mean ln q of points held out, over four distributions in the plane, is higher than
    that of the best Gaussian; and q is a density: its mass on a wide grid, mean over the four, is within 5 % of 1.
    """
    parts = {}
    for results in (density_simple, density_modern):
        for family in results.setting("family"):
            flow, gaussian, mass = (
                np.mean([results.final(name, 1, family=family, data=data) for data in results.setting("data")], axis=0)
                for name in ("log_likelihood", "log_likelihood_gaussian", "mass")
            )
            parts[family] = stats.difference(flow, gaussian, paired=True)
            parts[f"mass of {family}"] = stats.mean_within(mass, 0.95, 1.05)
    verdict = conjunction(parts, "difference in ln q of points held out (nats), flow - best Gaussian; or mass")
    return judged(verdict, density_simple, density_modern, steps=10_000, seeds=5)


def c20_richer_than_mean_field(
    vi_gaussian="energy=U1|U2|U3|U4, correlated=false, annealing=0.5|0.0",
    vi_planar="energy=U1|U2|U3|U4, flows=32",
    vi_flows="energy=U1|U2|U3|U4, family=iaf|realnvp",
):
    """In variational inference a flow comes closer to the posterior than a mean field (Section 2.2).

    Four posteriors in the plane: KL(q || p) after the fit is smaller by a planar flow of 32 steps, by an inverse
    autoregressive flow and by couplings, each, than by the factorised Gaussian, of which the better of two fits counts, one
    number per seed.
    """
    parts = {}
    for energy in vi_gaussian.setting("energy"):
        field = gaussian_kl(vi_gaussian, energy)[0]
        flows = {"planar": vi_planar.final("kl", 1, energy=energy, flows=32)}
        flows |= {name: vi_flows.final("kl", 1, energy=energy, family=name) for name in ("iaf", "realnvp")}
        parts |= {f"{energy}, {name}": stats.difference(kl, field, direction="less") for name, kl in flows.items()}
    verdict = conjunction(parts, "difference in KL to the posterior (nats), flow - mean field")
    return judged(verdict, vi_gaussian, vi_planar, vi_flows, steps=20_000, seeds=5)


def c24_mean_field_is_biased(
    vi_gaussian="energy=U1|U2|U3|U4, correlated=false, annealing=0.5|0.0",
    vi_flows="energy=U1|U2|U3|U4, family=realnvp",
):
    """What a mean field estimates can be highly biased (Section 2.2).

    On four posteriors in the plane, one number per seed: its total variance is below 0.8 of the posterior's on each of them,
    and that of couplings is within 0.8 to 1.25. Of the mean field the fit with the smaller KL counts, with annealing or
    without.
    """
    parts = {}
    for energy in vi_gaussian.setting("energy"):
        flow = vi_flows.final("variance_share", 1, energy=energy, family="realnvp")
        parts[f"{energy}, mean field"] = stats.mean_within(chosen(vi_gaussian, "variance_share", energy), high=0.8)
        parts[f"{energy}, couplings"] = stats.mean_within(flow, 0.8, 1.25)
    verdict = conjunction(parts, "total variance as a share of the posterior's")
    return judged(verdict, vi_gaussian, vi_flows, steps=20_000, seeds=5)


def c21_planar_needs_long_chains(planar_chains="event=2|32, flows=16|64", chains_beside="event=2|32, family=mean_field"):
    """Planar flows are effective in few dimensions and need long chains in many (Section 2.3.1).

    Pairs of bananas, turned at random: what is left of the mean field's KL(q || p), one number per seed. 16 steps leave less
    than half in 2 dimensions and more than half in 32, where 64 leave less than 16 do.
    """
    left = {
        (event, count): share_left(planar_chains, chains_beside, event, flows=count)
        for event in planar_chains.setting("event")
        for count in planar_chains.setting("flows")
    }
    parts = {
        f"D = {event}, K = 16": stats.mean_within(left[event, 16], **{"high" if event == 2 else "low": 0.5})
        for event in (2, 32)
        if (event, 16) in left
    }
    if (32, 64) in left:
        parts["D = 32, K = 64 against 16"] = stats.difference(left[32, 64], left[32, 16], paired=True, direction="less")
    verdict = conjunction(parts, "share of the mean field's KL that is left, or difference of two")
    return judged(verdict, planar_chains, chains_beside, steps=10_000, seeds=5)


def c22_sylvester_lifts_the_bottleneck(
    planar_chains="event=8|32, flows=64", chains_beside="event=8|32, family=sylvester|mean_field"
):
    """Sylvester flows lift the bottleneck of one hidden unit (Section 2.3.1).

    Pairs of bananas, turned at random, in 8 and 32 dimensions: KL(q || p) of 7 and 2 Sylvester steps with as many units as
    dimensions is smaller than that of 64 planar steps, which have as many parameters (1024 and 4288 against 1104 and 4224).
    Members share targets by seed.
    """
    parts = {}
    for event in planar_chains.setting("event"):
        sylvester = share_left(chains_beside, chains_beside, event, family="sylvester")
        planar = share_left(planar_chains, chains_beside, event, flows=64)
        parts[f"D = {event}"] = stats.difference(sylvester, planar, paired=True, direction="less")
    verdict = conjunction(parts, "difference in the share of the mean field's KL that is left, Sylvester - planar")
    return judged(verdict, planar_chains, chains_beside, steps=10_000, seeds=5)


def c23_autoregressive_trade(costs="family=maf|iaf, event=2|8|32"):
    """Of MAF and IAF each is fast where the other is slow, density or samples (Section 2.3.2).

    Passes of the networks of a step, counted: a sample takes MAF as many times a density's as there are dimensions D, and a
    density IAF as many times a sample's. A law: no budget.
    """
    parts = {}
    for event in costs.setting("event"):
        for family, slow, fast in (("maf", "sample", "density"), ("iaf", "density", "sample")):
            passes = [costs.final(f"{way}_passes", 1, family=family, event=event) for way in (slow, fast)]
            ratio = passes[0] / passes[1]
            parts[f"{family}, D = {event}"] = stats.mean_within(ratio, event - 0.5, event + 0.5)
    return conjunction(parts, "passes of networks, the slow way / the fast one")


def own_knows_what_it_does_not_know(mnf_regression="posterior=masked|mean_field"):
    """Ours: away from the data the multiplicative posterior is less sure than the mean field: the deviation of its
    predictions between 4 and 6 on both sides is larger after the fit. Members share data by seed."""
    masked, field = (mnf_regression.final("deviation_outside", 3, posterior=kind) for kind in ("masked", "mean_field"))
    quantity = "difference in the deviation of predictions outside the data, multiplicative - mean field"
    return judged(stats.difference(masked, field, paired=True, quantity=quantity), mnf_regression, steps=10_000, seeds=10)


def _solving(results):
    """How many members solve their chain."""
    return int((results.final("solved", 1) < results.budget).sum())


def _medians(results):
    """The median of the members' episodes before a chain is solved, one number per length."""
    return np.array([np.median(results.final("solved", 1, length=length)) for length in results.setting("length")])


def _short(length):
    return length < LONG


def _long(length):
    return length >= LONG


def _over(results, kept):
    """The mean over the lengths that are kept, one number per seed."""
    numbers = [results.final("solved", 1, length=length) for length in results.setting("length") if kept(length)]
    return np.mean(numbers, axis=0) if numbers else np.array([])


def _area(results):
    """The mean of a member's whole curve of returns."""
    return results.final("return", 10**6)
