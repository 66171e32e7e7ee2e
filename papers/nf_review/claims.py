"""What the review claims, and what we ask beyond it; one function per claim."""

import numpy as np

from common.lab.report import measures, stats
from common.lab.report.verdicts import at_least, conjunction, judged, over_environments
from papers.nf_review.comparisons import (
    LAST,
    area,
    chosen,
    final_return,
    flow_and_gaussian,
    gaussian_kl,
    growth,
    is_long,
    is_short,
    lasting_error,
    mass_error,
    mean_over,
    mean_over_lengths,
    median_episodes,
    misjudged,
    share_left,
    solving,
    state_spread,
)

NO_DIFFERENCE = 0.25  # of the other's return
WAYS = ("sample", "density")
ALMOST_ALL = 0.7  # chance to return more, the mean over five robots: between three and four of them won by all seeds


def c18_a_flow_of_a_density_is_a_density(shapes="family=planar|radial, base=normal|uniform, flows=1|2|10"):
    """A flow maps a density to a density (Section 2): with the corrected log-determinants planar and radial flows, up to
    ten in turn, keep the mass, for a normal and for a uniform base.

    |mass on a grid - 1| within 5 % for each family, base and number, the mean over seeds. A law: no budget.
    """
    parts = {
        f"{family}, {base}, K = {count}": stats.mean_within(
            np.abs(shapes.final("mass", 1, family=family, base=base, flows=count) - 1), high=0.05
        )
        for family in shapes.setting("family")
        for base in shapes.setting("base")
        for count in shapes.setting("flows")
    }
    return conjunction(parts, "distance of the mass on the grid from 1")


def c01_entropy_regularisation_is_a_bound(entropy_bound="temperature=0.1|1.0, kl_radius=0.0001|0.001|0.01|0.1"):
    """Entropy regularisation maximises a lower bound of the maximum-entropy objective when consecutive policies are close
    (Section 3.1.1).

    Random decision processes, exactly: after one step of entropy regularisation the objective is no lower than the bound,
    which is the regularised one less a penalty that vanishes with the step, in over 95 % of them, for each weight of the
    entropy and each length of the step. A theorem: it tests our reading and our code.
    """
    return _shares(entropy_bound, "margin", "share of processes in which the bound holds")


def own_regularised_steps_raise_the_objective(entropy_bound="temperature=0.1|1.0, kl_radius=0.0001|0.001"):
    """A small step of entropy regularisation raises the maximum-entropy objective.

    Random decision processes: it does in over 95 % of them, for each weight of the entropy and two lengths of the step. The
    bound of c01 says nothing of it: the penalty is larger than what the step gains.
    """
    return _shares(entropy_bound, "gain", "share of processes in which the step raises the objective")


def _shares(entropy_bound, metric, quantity):
    parts = {}
    for temperature in entropy_bound.setting("temperature"):
        for radius in entropy_bound.setting("kl_radius"):
            values = entropy_bound.final(metric, 1, temperature=temperature, kl_radius=radius)
            part = stats.proportion(int((values > -1e-9).sum()), len(values), low=0.95)
            parts[f"beta = {temperature:g}, KL {radius:g}"] = part
    return judged(conjunction(parts, quantity), entropy_bound, steps=1, seeds=200)


def c02_beats_other_gradients(
    locomotion_ppo="env=HalfCheetah-v4|Hopper-v4|Walker2d-v4|Reacher-v4|Ant-v4, policy=flow",
    locomotion_trpo="env=HalfCheetah-v4|Hopper-v4|Walker2d-v4|Reacher-v4|Ant-v4",
    locomotion_ddpg="env=HalfCheetah-v4|Hopper-v4|Walker2d-v4|Reacher-v4|Ant-v4",
    locomotion_sql="env=HalfCheetah-v4|Hopper-v4|Walker2d-v4|Reacher-v4|Ant-v4",
):
    """PPO with a flow is better than DDPG, TRPO and soft Q-learning on almost all tasks (Section 3.1.1).

    Five robots, final returns, the mean of the last ten records: of training episodes for PPO and TRPO, of evaluations
    without noise for DDPG and of draws of the sampler for soft Q-learning, as each is usually reported. Against each of the
    others: the chance that a seed of the flow's returns more than one of the other's, the mean over robots, is above 0.7.
    It is 0.8 where four of five robots are won by all seeds, 0.6 where three are.
    """
    others = {"TRPO": locomotion_trpo, "DDPG": locomotion_ddpg, "soft Q-learning": locomotion_sql}
    parts = {}
    for name, other in others.items():
        envs = [env for env in measures.environments(locomotion_ppo) if env in measures.environments(other)]
        scores = ([results.final("return", LAST, env=env) for env in envs] for results in (locomotion_ppo, other))
        parts[name] = stats.aggregate(stats.probability_of_improvement, *scores, low=ALMOST_ALL)
    verdict = conjunction(parts, "chance that the flow returns more")
    return judged(verdict, locomotion_ppo, *others.values(), steps=1_000_000, seeds=5)


def c03_level_with_gaussian_ppo(
    locomotion_ppo="env=HalfCheetah-v4|Hopper-v4|Walker2d-v4|Reacher-v4|Ant-v4, policy=flow|gaussian",
):
    """PPO with a flow is not better than PPO with a Gaussian (Section 3.1.1).

    Five robots: the chance that a seed of the flow's returns more than one of the Gaussian's at the end, the mean over
    robots, is below 0.7, where "almost all tasks" begin.
    """
    flow, gaussian = flow_and_gaussian(
        locomotion_ppo, lambda env, policy: locomotion_ppo.final("return", LAST, env=env, policy=policy)
    )
    quantity = "chance that the flow returns more"
    verdict = stats.aggregate(stats.probability_of_improvement, flow, gaussian, high=ALMOST_ALL, quantity=quantity)
    return judged(verdict, locomotion_ppo, steps=1_000_000, seeds=5)


def c04_robust_to_noise(
    locomotion_noise="env=HalfCheetah-v4|Hopper-v4|Walker2d-v4, policy=flow|gaussian, observation_noise=0.05|0.1|0.2",
):
    """With noise on observations, PPO with a flow learns faster than PPO with a Gaussian on a number of tasks
    (Section 3.1.1).

    Three robots, on two of them at least: the mean of a seed's whole curve of returns is larger with the flow; the chance of
    that, the mean over three sizes of the noise, is above a half.
    """
    sizes, parts = locomotion_noise.setting("observation_noise"), {}
    for env in measures.environments(locomotion_noise):
        flow, gaussian = ([area(locomotion_noise, env=env, policy=kind, observation_noise=size) for size in sizes]
                          for kind in ("flow", "gaussian"))  # fmt: skip
        parts[env] = stats.aggregate(stats.probability_of_improvement, flow, gaussian, low=0.5)
    verdict = at_least(2, parts, "chance that the flow learns faster")
    return judged(verdict, locomotion_noise, steps=300_000, seeds=5)


def own_noise_costs_the_flow_less(
    locomotion_noise="env=HalfCheetah-v4|Hopper-v4|Walker2d-v4, policy=flow|gaussian, observation_noise=0.2",
    locomotion_ppo="env=HalfCheetah-v4|Hopper-v4|Walker2d-v4, policy=flow|gaussian",
):
    """A flow that learns faster with noise may do so without: noise costs it less than it costs a Gaussian.

    Three robots: the mean of a seed's whole curve with noise of deviation 0.2, less the mean over seeds without noise, as a
    share of the size of the Gaussian's without noise. The chance that a seed of the flow's keeps more, the mean over robots,
    is above a half.
    """

    def kept(env, policy):
        without = {kind: np.nanmean(area(locomotion_ppo, env=env, policy=kind)) for kind in (policy, "gaussian")}
        return (area(locomotion_noise, env=env, policy=policy) - without[policy]) / abs(without["gaussian"])

    flow, gaussian = flow_and_gaussian(locomotion_noise, kept)
    quantity = "chance that noise costs a seed of the flow's less"
    verdict = stats.aggregate(stats.probability_of_improvement, flow, gaussian, low=0.5, quantity=quantity)
    return judged(verdict, locomotion_noise, locomotion_ppo, steps=300_000, seeds=5)


def c06_harder_to_train(
    locomotion_ppo="env=HalfCheetah-v4|Hopper-v4|Walker2d-v4|Reacher-v4|Ant-v4, policy=flow|gaussian",
):
    """The flow is harder to train (Section 3.1.1).

    Five robots: how far a seed's final return lies from the median of its policy's seeds, relative to the size of the
    Gaussian's median, is larger with the flow: the chance of that, the mean over robots, is above a half.
    """

    def away(env, policy):
        found = {kind: locomotion_ppo.final("return", LAST, env=env, policy=kind) for kind in (policy, "gaussian")}
        return np.abs(found[policy] - np.nanmedian(found[policy])) / abs(np.nanmedian(found["gaussian"]))

    flow, gaussian = flow_and_gaussian(locomotion_ppo, away)
    quantity = "chance that a seed of the flow's lies further from the others"
    verdict = stats.aggregate(stats.probability_of_improvement, flow, gaussian, low=0.5, quantity=quantity)
    return judged(verdict, locomotion_ppo, steps=1_000_000, seeds=5)


def c05_several_goals(multigoal="policy=gaussian|flow, path_entropy_weight=0.1"):
    """A flow commits to several goals, a Gaussian to one (Section 3.1.1).

    A point with four equal goals, PPO with a reward for entropy of weight 0.1. Goals that at least a tenth of a trained
    policy's rollouts reach, the mean over seeds: more than 1.5 by the flow, between 0.5 and 1.5 by the Gaussian. A Gaussian
    that reaches none commits to none.
    """
    flow, gaussian = (multigoal.final("goals", 1, policy=policy) for policy in ("flow", "gaussian"))
    parts = {"flow": stats.mean_within(flow, low=1.5), "Gaussian": stats.mean_within(gaussian, 0.5, 1.5)}
    return judged(conjunction(parts, "goals visited"), multigoal, steps=400_000, seeds=10)


def c07_latent_space_policy(
    lsp="env=HalfCheetah-v4|Hopper-v4|Walker2d-v4|Ant-v4", lsp_gaussian="env=HalfCheetah-v4|Hopper-v4|Walker2d-v4|Ant-v4"
):
    """A latent-space policy of one level is level with the best on benchmarks by itself (Section 3.1.3).

    Final return, the mean of the last ten evaluations, one number per seed: that of soft actor-critic with latents is not
    below that with a Gaussian by more than a tenth, on each robot.
    """
    parts = {
        env: stats.non_inferiority(final_return(lsp, env), final_return(lsp_gaussian, env))
        for env in measures.environments(lsp)
    }
    verdict = over_environments(parts, "difference in final return, latents - Gaussian")
    return judged(verdict, lsp, lsp_gaussian, steps=1_000_000, seeds=5)


def c08_second_layer(
    lsp_second="env=HalfCheetah-v4|Ant-v4", lsp_long="env=HalfCheetah-v4|Ant-v4", lsp="env=HalfCheetah-v4|Ant-v4"
):
    """A second layer goes on improving where a single one has stopped (Section 3.1.3).

    Final return, the mean of the last ten evaluations, one number per seed: that of a second level, on top of a first one
    that was trained for 10^6 steps and frozen, is higher after 10^6 steps more than that of the first one, seed by seed, and
    than that of one level after 2 x 10^6.
    """
    parts = {}
    for env in measures.environments(lsp_second):
        both = final_return(lsp_second, env)
        each = {
            "than the first level": stats.difference(both, final_return(lsp, env), paired=True),
            "than one level for as long": stats.difference(both, final_return(lsp_long, env)),
        }
        parts[env] = conjunction(each, "difference in final return, two levels - one")
    verdict = over_environments(parts, "difference in final return, two levels - one")
    return judged(verdict, lsp_second, lsp_long, lsp, steps=1_000_000, seeds=5)  # the second level's own steps


def c09_three_properties(lsp="env=HalfCheetah-v4|Hopper-v4|Walker2d-v4|Ant-v4"):
    """Sub-policies are tractable, lose no information on the way down, and are deterministic given the latent (Section
    3.1.3).

    Of the trained policies, before tanh, in float64, the largest of 64 states of the last evaluation, one number per robot
    and seed: the log-determinant differs from that of the Jacobian by automatic differentiation by less than 10^-5, and a
    latent is found again to 10^-5, in more than eight of ten policies. That the same latent in the same state gives the same
    is so by construction, and is measured with them.
    """
    names = {"tractable": "log_prob_error", "invertible": "inversion_error", "deterministic": "repeat_error"}
    parts = {}
    for name, metric in names.items():
        errors = lsp.final(metric, 1) if lsp.cells else np.array([])
        parts[name] = stats.proportion(int((errors < 1e-5).sum()), len(errors), low=0.8)
    return judged(conjunction(parts, "share of policies"), lsp, steps=1_000_000, seeds=5)


def own_latents_survive_in_float32(lsp="env=HalfCheetah-v4|Hopper-v4|Walker2d-v4|Ant-v4"):
    """Ours: nor is information lost in practice: of the trained policies a latent is found again from the action that was
    taken, in float32, to a hundredth, in half of the states or more, one number per robot and seed."""
    verdict = stats.mean_within(lasting_error(lsp), high=0.01, quantity="error of the latent, median over states")
    return judged(verdict, lsp, steps=1_000_000, seeds=5)


def c10_mnf_solves_chains(
    nchain_mnf="length=10|20|30|40|50|60|70|80|90|100",
    nchain_noisy="length=10|20|30|40|50|60|70|80|90|100",
    nchain_dqn="length=10|20|30|40|50|60|70|80|90|100",
):
    """MNF-DQN solves every n-chain in fewer episodes than NoisyDQN and epsilon-greedy DQN (Section 3.2).

    Each chain is solved by more than half of its members, and the median number of episodes before a chain is solved, one
    number per length, is smaller than that of either other: Student's t on the differences over lengths. A chain that a
    member does not solve counts all its episodes.
    """
    parts = {}
    for length in nchain_mnf.setting("length"):
        found = solving(nchain_mnf, length=length)
        parts[f"members that solve {length} states"] = stats.proportion(found.sum(), len(found), low=0.5)
    for name, other in (("NoisyDQN", nchain_noisy), ("DQN", nchain_dqn)):
        parts[f"episodes less than {name}"] = stats.difference(
            median_episodes(nchain_mnf), median_episodes(other), paired=True, direction="less"
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
    short, long = (
        [mean_over_lengths(results, kept) for results in (nchain_bayes, nchain_mnf)] for kept in (is_short, is_long)
    )
    parts = {
        "close up to 70 states": stats.equivalence(*short, margin=200.0),
        "behind from 80 states on": stats.difference(*long),
    }
    verdict = conjunction(parts, "difference in episodes before a chain is solved, Bayes by backprop - MNF-DQN")
    return judged(verdict, nchain_bayes, nchain_mnf, steps=2000, seeds=10)


def c12_epsilon_greedy_fails(nchain_dqn="length=10|20|30|40|50|60|70|80|90|100"):
    """Epsilon-greedy DQN fails on most chains of ten states and more (Section 3.2).

    The share of members, over all lengths, that do not solve their chain, as the paper counts it, by a hundred best rollouts
    in a row, is above a half.
    """
    failed = ~solving(nchain_dqn)
    verdict = stats.proportion(failed.sum(), len(failed), low=0.5, quantity="share of members that fail")
    return judged(verdict, nchain_dqn, steps=2000, seeds=10)


def own_epsilon_greedy_does_not_keep_the_far_end(nchain_dqn="length=10|20|30|40|50|60|70|80|90|100"):
    """Ours: whether or not a chain counts as solved on the way, epsilon-greedy DQN does not reach its far end at last: the
    mean return of the last hundred rollouts without noise is below half of the best, 5, in more than half of the members."""
    ends = nchain_dqn.final("return", LAST)
    verdict = stats.proportion((ends < 5).sum(), len(ends), low=0.5, quantity="share of members that end below half")
    return judged(verdict, nchain_dqn, steps=2000, seeds=10)


def own_the_time_limit_decides(
    nchain_dqn="length=10|20|30|40|50|60|70|80|90|100", nchain_dqn_timeouts="length=10|20|30|40|50|60|70|80|90|100"
):
    """Ours: that epsilon-greedy DQN fails has to do with the time limit, which the released code takes for a terminal state
    though no observation tells the time. Where values go on past it, the mean over lengths of the episodes before a chain is
    solved, one number per seed, is smaller."""
    with_end, without = (mean_over_lengths(results, lambda length: True) for results in (nchain_dqn, nchain_dqn_timeouts))
    quantity = "difference in episodes before a chain is solved, bootstrapped - terminal"
    verdict = stats.difference(without, with_end, direction="less", quantity=quantity)
    return judged(verdict, nchain_dqn, nchain_dqn_timeouts, steps=2000, seeds=10)


def c13_mountain_car(mountaincar_mnf, mountaincar_bayes, mountaincar_noisy, mountaincar_dqn):
    """MNF-DQN learns fastest on MountainCar (Section 3.2).

    The mean return of all rollouts without noise, one number per seed, is higher than that of Bayes by backprop, of NoisyDQN
    and of epsilon-greedy DQN: the area under the curve, which an agent that ends higher may win as well.
    """
    others = {"Bayes by backprop": mountaincar_bayes, "NoisyDQN": mountaincar_noisy, "DQN": mountaincar_dqn}
    parts = {name: stats.difference(area(mountaincar_mnf), area(other)) for name, other in others.items()}
    verdict = conjunction(parts, "difference in mean return of all rollouts, MNF-DQN - other")
    return judged(verdict, mountaincar_mnf, *others.values(), steps=1000, seeds=5)


def c14_near_the_best_on_arcade_games(
    minatar="env=MinAtar-Asterix|MinAtar-Breakout|MinAtar-Freeway|MinAtar-Seaquest|MinAtar-SpaceInvaders",
):
    """On Atari MNF-DQN is near the best on every game, and clearly best on Gravitar (Section 3.2).

    MinAtar stands in for Atari, and no game of it for Gravitar: that half is not tested. Final return of training, the mean
    of the last ten points, one number per seed: on every game no more than a tenth below that of the agent with the best
    mean.
    """
    parts, best = {}, {}
    for game in measures.environments(minatar):
        columns = {agent: final_return(minatar, game, agent=agent) for agent in ("bayes", "noisy", "dqn")}
        best[game] = max(columns, key=lambda agent: np.mean(columns[agent]) if len(columns[agent]) else -np.inf)
        mine = final_return(minatar, game, agent="mnf")
        parts[game] = stats.non_inferiority(mine, columns[best[game]], share=0.1)
    verdict = over_environments(parts, "difference in final return, MNF-DQN - the best other")
    said = ", ".join(f"{game} {agent}" for game, agent in best.items())
    verdict = verdict.with_note(f"MinAtar in Atari's place{'; the best others: ' if said else ''}{said}")
    return judged(verdict, minatar, steps=500_000, seeds=5)


def c15_mnf_ddpg(
    mnf_ddpg="env=HalfCheetah-v4|Walker2d-v4|Hopper-v4",
    bayes_ddpg="env=HalfCheetah-v4|Walker2d-v4|Hopper-v4",
    noisy_ddpg="env=HalfCheetah-v4|Walker2d-v4|Hopper-v4",
    ou_ddpg="env=HalfCheetah-v4|Walker2d-v4|Hopper-v4",
):
    """MNF-DDPG is best on HalfCheetah, and makes no difference on Walker2d and Hopper (Section 3.2).

    Final return, the mean of the last ten evaluations, one number per seed. On HalfCheetah it is higher than with Bayes by
    backprop, with a noisy critic and with noise on actions; elsewhere it lies within a quarter of each of theirs.
    """
    others = {"Bayes by backprop": bayes_ddpg, "NoisyNet": noisy_ddpg, "OU noise": ou_ddpg}
    parts = {}
    for env in measures.environments(mnf_ddpg):
        mine, each = final_return(mnf_ddpg, env), {}
        for name, results in others.items():
            theirs = final_return(results, env)
            best = env == "HalfCheetah-v4"
            each[name] = stats.difference(mine, theirs) if best else stats.equivalence(mine, theirs, share=NO_DIFFERENCE)
        parts[env] = conjunction(each, "difference in final return, MNF-DDPG - other")
    verdict = over_environments(parts, "difference in final return, MNF-DDPG - other")
    return judged(verdict, mnf_ddpg, *others.values(), steps=1_000_000, seeds=5)


def own_actors_that_climb_random_critics_explore(
    mnf_ddpg="env=HalfCheetah-v4|Walker2d-v4|Hopper-v4", ou_ddpg="env=HalfCheetah-v4|Walker2d-v4|Hopper-v4"
):
    """Ours: the noise on actions, which MNF-DDPG leaves out, is not missed: the states of its replay buffer are spread as
    widely as those of DDPG with noise. Mean ln distance of a state to its third neighbour in a batch, over all evaluations,
    one number per seed: not less by more than 0.1 on any robot."""
    parts = {
        env: stats.non_inferiority(state_spread(mnf_ddpg, env), state_spread(ou_ddpg, env), margin=0.1)
        for env in measures.environments(mnf_ddpg)
    }
    verdict = over_environments(parts, "difference in the spread of states, MNF-DDPG - DDPG with noise")
    return judged(verdict, mnf_ddpg, ou_ddpg, steps=1_000_000, seeds=5)


def own_noise_helps_random_critics(mnf_ddpg_noise="env=HalfCheetah-v4", mnf_ddpg="env=HalfCheetah-v4"):
    """Ours: multiplicative flows in the critic do not replace noise on actions: on HalfCheetah the final return, the mean of
    the last ten evaluations, is higher with both."""
    env = "HalfCheetah-v4"
    verdict = stats.difference(
        final_return(mnf_ddpg_noise, env),
        final_return(mnf_ddpg, env),
        quantity="difference in final return, with noise - without",
    )
    return judged(verdict, mnf_ddpg_noise, mnf_ddpg, steps=1_000_000, seeds=5)


def c16_linear_cost(mnf_cost="posterior=masked|iaf"):
    """The cost of multiplicative flows is linear in the number of parameters (Section 3.2).

    Operations of one step of learning on dense layers of 16 to 1024 units, counted. d ln operations / d ln parameters lies
    within 0.9 and 1.1 for each two sizes that follow each other and both kinds of flow; the one furthest from 1 is shown.
    Counted: nothing is left to chance, and no budget is needed.
    """
    parts = {}
    for kind in mnf_cost.setting("posterior"):
        found = growth(measures.first_member(mnf_cost, "cost", posterior=kind))
        parts[kind] = stats.exact(float(found[np.argmax(np.abs(found - 1))]), 0.9, 1.1)
    return conjunction(parts, "d ln operations / d ln parameters")


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

    Of every family, one number per seed: the mean ln q of points held out, over four distributions in the plane, is higher
    than the best Gaussian's; and |mass of q on a grid - 1|, the mean over them, is below 2 %.
    """
    parts = {}
    for results in (density_simple, density_modern):
        for family in results.setting("family"):
            flow, gaussian = (
                mean_over(results, metric, "data", family=family) for metric in ("log_likelihood", "log_likelihood_gaussian")
            )
            parts[f"{family}, likelihood"] = stats.difference(flow, gaussian, paired=True)
            parts[f"{family}, mass"] = stats.mean_within(mass_error(results, family), high=0.02)
    verdict = conjunction(parts, "difference in ln q to the best Gaussian (nats), and error of the mass")
    return judged(verdict, density_simple, density_modern, steps=10_000, seeds=5)


def c20_richer_than_mean_field(
    vi_gaussian="energy=U1|U2|U3|U4, correlated=false, annealing=0.5|0.0",
    vi_planar="energy=U1|U2|U3|U4, flows=32",
    vi_flows="energy=U1|U2|U3|U4, family=realnvp",
):
    """In variational inference a flow comes closer to the posterior than a mean field (Section 2.2).

    On each of the four energies of Rezende & Mohamed 2015: KL(q || p), one number per seed, is smaller with 32 planar flows,
    and with RealNVP, than with a mean field, of whose two fits, with annealing and without, the better one counts.
    """
    parts = {}
    for energy in vi_gaussian.setting("energy"):
        field, _ = gaussian_kl(vi_gaussian, energy)
        flows = {"planar": vi_planar.final("kl", 1, energy=energy), "RealNVP": vi_flows.final("kl", 1, energy=energy)}
        parts |= {
            f"{energy}, {name}": stats.difference(flow, field, paired=True, direction="less") for name, flow in flows.items()
        }
    verdict = conjunction(parts, "difference in KL (nats), flow - mean field")
    return judged(verdict, vi_gaussian, vi_planar, vi_flows, steps=20_000, seeds=5)


def own_mean_field_is_biased(
    vi_gaussian="energy=U1|U2|U3|U4, correlated=false, annealing=0.5|0.0", vi_flows="energy=U1|U2|U3|U4, family=realnvp"
):
    """Ours, after Section 2.2 ("highly biased"): a mean field misjudges how widely the posterior is spread by more than a
    flow does. |ln| of q's total variance as a share of p's, the mean over the four energies, one number per seed; of the
    mean field's two fits the one with the smaller KL."""
    names = vi_gaussian.setting("energy")
    field = misjudged([chosen(vi_gaussian, "variance_share", energy) for energy in names])
    flow = misjudged([vi_flows.final("variance_share", 1, energy=energy) for energy in names])
    quantity = "difference in |ln share of the variance|, mean field - RealNVP"
    verdict = stats.difference(field, flow, paired=True, quantity=quantity)
    return judged(verdict, vi_gaussian, vi_flows, steps=20_000, seeds=5)


def c21_planar_needs_long_chains(planar_chains="event=2|32, flows=4|64", chains_beside="event=2|32, family=mean_field"):
    """Planar flows are effective in few dimensions and need long chains in many (Section 2.3.1).

    Three parts, on posteriors of known density, one number per seed: the share of a mean field's KL(q || p) that is left.
    After 4 flows it is below a half in 2 dimensions and above a half in 32, where 64 flows leave less than 4 do.
    """
    few, short, long = (
        share_left(planar_chains, chains_beside, event, flows=flows) for event, flows in ((2, 4), (32, 4), (32, 64))
    )
    parts = {
        "4 flows, 2 dimensions": stats.mean_within(few, high=0.5),
        "4 flows, 32 dimensions": stats.mean_within(short, low=0.5),
        "64 against 4 flows, 32 dimensions": stats.difference(long, short, paired=True, direction="less"),
    }
    verdict = conjunction(parts, "share of the mean field's KL that is left")
    return judged(verdict, planar_chains, chains_beside, steps=10_000, seeds=5)


def c22_sylvester_lifts_the_bottleneck(
    chains_beside="event=8|32, family=mean_field|sylvester", planar_chains="event=8|32, flows=64"
):
    """Sylvester flows lift the bottleneck of one hidden unit (Section 2.3.1).

    With as many parameters as 64 planar flows in 8 dimensions, to 1 %, and 14 % more in 32, they leave a smaller share of a
    mean field's KL(q || p), one number per seed. Numbers that a step stores and its orthonormal columns take back do not
    count.
    """
    parts = {}
    for event in planar_chains.setting("event"):
        sylvester = share_left(chains_beside, chains_beside, event, family="sylvester")
        planar = share_left(planar_chains, chains_beside, event)
        parts[f"{event} dimensions"] = stats.difference(sylvester, planar, paired=True, direction="less")
    verdict = conjunction(parts, "difference in the share of the mean field's KL that is left, Sylvester - planar")
    return judged(verdict, chains_beside, planar_chains, steps=10_000, seeds=5)


def c23_autoregressive_trade(costs="family=maf|iaf, event=2|8|32"):
    """Of MAF and IAF each is fast where the other is slow: MAF's samples and IAF's densities go entry by entry (Section
    2.3.2).

    Passes of networks that a sample takes for each one that a density takes, in 2, 8 and 32 dimensions: as many as
    dimensions for MAF, and one in as many for IAF. Counted, a law: no budget.
    """
    parts = {}
    for event in costs.setting("event"):
        for family, expected in (("maf", event), ("iaf", 1 / event)):
            sample, density = (np.nanmean(costs.final(f"{way}_passes", 1, family=family, event=event)) for way in WAYS)
            part = stats.exact(float(sample / density), 0.99 * expected, 1.01 * expected)
            parts[f"{family.upper()}, D = {event}"] = part
    return conjunction(parts, "passes of a sample, relative to a density's")


def own_knows_what_it_does_not_know(mnf_regression="posterior=masked|mean_field"):
    """Ours: away from the data the multiplicative posterior is less sure than the mean field: the deviation of its
    predictions between 4 and 6 on both sides is larger after the fit. Members share data by seed."""
    masked, field = (mnf_regression.final("deviation_outside", 3, posterior=kind) for kind in ("masked", "mean_field"))
    quantity = "difference in the deviation of predictions outside the data, multiplicative - mean field"
    return judged(stats.difference(masked, field, paired=True, quantity=quantity), mnf_regression, steps=10_000, seeds=10)
