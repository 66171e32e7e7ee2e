"""What the paper claims, and what we ask beyond it; one function per claim.

Arguments select cells of experiments. There is one number per seed, one time per worker; "final" is the mean of the last
five evaluations. A claim over several environments has a verdict in each, and holds if it holds in all of them. The
paper's budget, 5 * 10^5 steps and 5 seeds, is the least that tests a claim on returns; laws and the bandit run at full size
at every scale but `smoke`, and need three seeds.
"""

import numpy as np
import pandas as pd

from common.lab.report.measures import environments, mean_over, of_curves, of_row
from common.lab.report.stats import difference, equivalence, mean_within, non_inferiority, ordered
from common.lab.report.verdicts import conjunction, over_environments
from papers.mcmc_po.comparisons import deviations, drawdowns, final, judged, rates, seconds, toy


def c01_gains_on_hopper(hmc="env=Hopper-v4, leapfrog_steps=5", sac="env=Hopper-v4, temperature=0.05"):
    """On Hopper the Hamiltonian policy ends above SAC at alpha = 0.05 (Table 1: 4021 against 3281).

    Final return, Welch's t-test.
    """
    return judged(difference(final(hmc), final(sac), quantity="final return, HMC - SAC"), hmc, sac)


def c02_gains_on_halfcheetah(hmc="env=HalfCheetah-v4, leapfrog_steps=5", sac="env=HalfCheetah-v4, temperature=0.05"):
    """On HalfCheetah the Hamiltonian policy ends above SAC at alpha = 0.05 (Table 1: 2926 against 2613).

    Final return, Welch's t-test.
    """
    return judged(difference(final(hmc), final(sac), quantity="final return, HMC - SAC"), hmc, sac)


def c03_gains_on_ant(hmc="env=Ant-v4, leapfrog_steps=5", sac="env=Ant-v4, temperature=0.05"):
    """On Ant the Hamiltonian policy ends above SAC at alpha = 0.05 (Table 1: 4037 against 3492).

    Final return, Welch's t-test.
    """
    return judged(difference(final(hmc), final(sac), quantity="final return, HMC - SAC"), hmc, sac)


def c05_chain_narrows_the_gap(hmc="env=Hopper-v4|HalfCheetah-v4|Ant-v4, leapfrog_steps=5"):
    """The chain narrows the amortisation gap (Sections 3.2 and 3.3): the bound of eq. 17 is higher after it than before, the
    more so the longer the chain, on states of the replay buffer in every environment.

    Bound after 5 steps of the trained chain less that after none, above 0; order over 1, 3, 5 steps by Jonckheere and
    Terpstra. The note gives the share of the gap to gradient ascent that is closed.
    """
    parts, shares = {}, []
    for env in environments(hmc):
        bounds = {k: of_row(hmc, "gap", "bound", {"how": "chain", "size": k}, env=env) for k in (0, 1, 3, 5)}
        ascent = of_row(hmc, "gap", "bound", {"how": "ascent"}, env=env)
        narrower = mean_within(bounds[5] - bounds[0], low=0)
        order = ordered([bounds[k] - bounds[0] for k in (1, 3, 5)])
        parts[env] = conjunction({"gain": narrower, "order": order}, "gain of the bound by 5 steps")
        shares.append(f"{env} {np.nanmean((bounds[5] - bounds[0]) / (ascent - bounds[0])):.0%}")
    verdict = over_environments(parts, "gain of the bound by 5 steps")
    return judged(verdict.with_note("gap closed: " + ", ".join(shares)) if shares else verdict, hmc)


def c05_chain_narrows_the_gap_of_the_bandit(bandit="leapfrog_steps=0|5"):
    """The same where the posterior is known: a policy trained with 5 steps ends with a smaller gap than one trained with
    none, and its gap falls with the length of the chain.

    Gap of the policy trained without a chain less that of the one trained with it, above 0: a policy that is trained with a
    chain has a wider gap before it, and undoing that does not count. Order over 1, 3, 5 steps.
    """
    gaps = {k: of_row(bandit, "lengths", "gap", {"steps": k}, leapfrog_steps=5) for k in (0, 1, 3, 5)}
    alone = of_row(bandit, "lengths", "gap", {"steps": 0}, leapfrog_steps=0)
    parts = {
        "gap": difference(alone, gaps[5]),
        "order": ordered([gaps[k] for k in (1, 3, 5)], "decreasing"),
    }
    verdict = conjunction(parts, "gap, trained without - with the chain")
    if len(gaps[5]):
        before, after = np.nanmean(gaps[0] - gaps[5]), np.nanmean(alone) - np.nanmean(gaps[5])
        verdict = verdict.with_note(f"the chain takes {before:.3g} off its own policy's gap, {after:.3g} off the other's")
    return toy(verdict, bandit)


def c06_five_steps_suffice(
    hmc_steps="env=HalfCheetah-v4, leapfrog_steps=0|1|3|10", hmc="env=HalfCheetah-v4, leapfrog_steps=5"
):
    """About 5 steps are enough (Section 3.3): on HalfCheetah, final return and the chain's gain of the bound rise from 0
    over 1 to 5 steps, and not beyond.

    Order over K = 0, 1, 5 by Jonckheere and Terpstra, of both; return with 3 and with 10 steps equivalent to that with 5
    within 10 %; gain with 5 not below that with 10 by 10 %. Policies trained with K each.
    """
    returns, gains = (
        {k: final(hmc_steps, metric, leapfrog_steps=k) for k in (0, 1, 3, 10)} | {5: final(hmc, metric)}
        for metric in ("return", "bound_gain")
    )
    parts = {
        "return, order": ordered([returns[k] for k in (0, 1, 5)]),
        "return, K = 3": equivalence(returns[3], returns[5]),
        "return, K = 10": equivalence(returns[10], returns[5]),
        "gain, order": ordered([gains[k] for k in (0, 1, 5)]),
        "gain, K = 10": non_inferiority(gains[5], gains[10]),
    }
    return judged(conjunction(parts, "final return and gain of the bound, by K"), hmc, hmc_steps)


def c07_controller_holds_the_distance(
    hmc_fixed="env=Hopper-v4|HalfCheetah-v4, beta=0.05|0.2|1.0", hmc="env=Hopper-v4|HalfCheetah-v4, leapfrog_steps=5"
):
    """PID control keeps the distance D around its threshold (Sections 1 and 4.1), closer than a fixed beta of 0.05, 0.2 or 1
    does, in each environment.

    Share of iterations in which D lies within half of the threshold: above 1/2, and above that of each fixed beta; root
    mean square of D / threshold - 1: below that of each (Welch's t-test).
    """
    parts = {}
    for env in environments(hmc):
        ours = {"share": mean_within(final(hmc, "distance_within", env=env), low=0.5)}
        for beta in hmc_fixed.setting("beta"):
            fixed = {name: final(hmc_fixed, name, env=env, beta=beta) for name in ("distance_within", "distance_rms")}
            label = f"beta {beta:g}"
            ours[f"{label}, share"] = difference(final(hmc, "distance_within", env=env), fixed["distance_within"])
            ours[f"{label}, error"] = difference(fixed["distance_rms"], final(hmc, "distance_rms", env=env))
        parts[env] = conjunction(ours, "share of iterations near the threshold, or error that control saves")
    quantity = "share of iterations near the threshold, or error that control saves"
    return judged(over_environments(parts, quantity), hmc, hmc_fixed)


def c07_control_improves_and_steadies_learning(
    hmc_fixed="env=Hopper-v4|HalfCheetah-v4, beta=0.05|0.2|1.0", hmc="env=Hopper-v4|HalfCheetah-v4, leapfrog_steps=5"
):
    """PID control stabilises learning and improves its result significantly (Section 1): against a fixed beta, in each
    environment, the final return is higher, its spread over seeds smaller, and the curve falls back less.

    Welch's t-tests against the mean over the three fixed beta, seed by seed: of the final return, of its distance from the
    seeds' median (Brown and Forsythe), and of the deepest fall of the curve as a share of its range.
    """

    def fixed(measure, env):
        return mean_over(pd.Series(measure(hmc_fixed, env=env, beta=beta)) for beta in hmc_fixed.setting("beta")).to_numpy()

    def spread(results, **where):
        return deviations(final(results, **where))

    parts = {}
    for env in environments(hmc):
        ours = {
            "return": difference(final(hmc, env=env), fixed(final, env)),
            "spread": difference(fixed(spread, env), spread(hmc, env=env)),
            "falls": difference(fixed(drawdowns, env), drawdowns(hmc, env=env)),
        }
        parts[env] = conjunction(ours, "what control gains: return, spread over seeds, deepest fall")
    quantity = "what control gains: return, spread over seeds, deepest fall"
    return judged(over_environments(parts, quantity), hmc, hmc_fixed)


def c08_gated_leapfrog_keeps_volume(bandit="leapfrog_steps=5"):
    """The Jacobian of the gated leapfrog is 1 (Section 4.2).

    Largest |ln |det J|| over 16 points, trained and random gates, float64, below 1e-5. A law: no budget.
    """
    names = {"trained gate": "jacobian_trained", "random gate": "jacobian_random"}
    parts = {name: mean_within(of_row(bandit, "laws", "value", {"law": law}), high=1e-5) for name, law in names.items()}
    return conjunction(parts, "|ln |det J||")


def c09_leapfrog_leaves_the_posterior_invariant(bandit="leapfrog_steps=5"):
    """Leapfrog steps reverse, and the gated ones leave the joint density invariant (Section 4.2).

    Reversal error below 1e-8; and 6 chains of the trained gated leapfrog, started from the posterior itself, do not raise
    the KL to it by 0.05 nats, as Metropolis-corrected ones do not. The note gives the KL that the estimate finds of the
    posterior itself, its floor. Least budget: 1,000 iterations, 3 seeds.
    """

    def after(kernel, iterations):
        return of_row(bandit, "kernels", "kl", {"start": "posterior", "kernel": kernel, "iterations": iterations})

    parts = {
        "reversal": mean_within(of_row(bandit, "laws", "value", {"law": "reversal_plain"}), high=1e-8),
        "invariance, corrected": mean_within(after("corrected", 6) - after("corrected", 0), high=0.05),
        "invariance, gated": mean_within(after("gated", 6) - after("gated", 0), high=0.05),
    }
    verdict = conjunction(parts, "error, or rise of the KL")
    floor = after("gated", 0)
    return toy(verdict.with_note(f"floor of the estimate {np.nanmean(floor):.2g}") if len(floor) else verdict, bandit)


def c10_gate_is_needed(
    hmc_gate="env=Hopper-v4|HalfCheetah-v4, gate=plain|implicit", hmc="env=Hopper-v4|HalfCheetah-v4, leapfrog_steps=5"
):
    """The explicit gradient alone leads to local optima, and both have to be traded off (Section 4.2): the gated policy
    ends above the explicit and above the implicit one, in each environment.

    Final return, Welch's t-test.
    """
    parts = {}
    for env in environments(hmc):
        others = {
            gate: difference(final(hmc, env=env), final(hmc_gate, env=env, gate=gate)) for gate in ("plain", "implicit")
        }
        parts[env] = conjunction(others, "final return, gated - other")
    return judged(over_environments(parts, "final return, gated - other"), hmc, hmc_gate)


def c11_wider_gates_hurt(
    hmc_width="env=Hopper-v4|HalfCheetah-v4, gate_units=1x8|2x16|1x32|1x64|1x256",
    hmc="env=Hopper-v4|HalfCheetah-v4, leapfrog_steps=5",
):
    """Larger gates can make learning unstable, and their policy may be far from optimal (Section 4.2): from 16 to 64 to 256
    units the final return falls and its spread over seeds grows, over the environments together.

    Exact Jonckheere-Terpstra tests of the final return and of its distance from the seeds' median, summed over environments.
    """
    levels = {
        env: [final(hmc, env=env), *(final(hmc_width, env=env, gate_units=units) for units in ("1x64", "1x256"))]
        for env in environments(hmc)
    }
    if not levels:
        return judged(conjunction({}, "P(a wider gate ends higher, or is spread wider)"), hmc, hmc_width)
    spreads = {env: [deviations(level) for level in row] for env, row in levels.items()}
    parts = {"return": ordered(levels, "decreasing"), "spread": ordered(spreads)}
    return judged(conjunction(parts, "P(a wider gate ends higher, or is spread wider)"), hmc, hmc_width)


def c12_chain_explores(
    hmc="env=Hopper-v4|HalfCheetah-v4|Ant-v4, leapfrog_steps=5", sac="env=Hopper-v4|HalfCheetah-v4|Ant-v4, temperature=0.05"
):
    """The chain improves exploration (Section 1): it raises Q in visited states, and training visits a wider range of them
    than SAC's, in every environment.

    Q(a_K) - Q(a_0) above 0; entropy estimate of the replay buffer's states at equal steps, Welch's t-test.
    """
    parts = {}
    for env in environments(hmc):
        gain = mean_within(final(hmc, "visited_value_gain", env=env), low=0)
        spread = difference(final(hmc, "coverage", env=env), final(sac, "coverage", env=env))
        parts[env] = conjunction({"gain in Q": gain, "spread": spread}, "gain in Q, or spread of states")
    return judged(over_environments(parts, "gain in Q, or spread of states"), hmc, sac)


def c12_langevin_noise_explores(
    td3="env=Hopper-v4|HalfCheetah-v4|Ant-v4", langevin="env=Hopper-v4|HalfCheetah-v4|Ant-v4, kind=noisy, pid=true"
):
    """Noise in every step of the Langevin chain augments exploration (Section 3.1): TD3 with the noisy chain visits a wider
    range of states than TD3, in every environment.

    Entropy estimate of the replay buffer's states at equal steps, Welch's t-test.
    """
    parts = {env: difference(*(final(x, "coverage", env=env) for x in (langevin, td3))) for env in environments(langevin)}
    return judged(over_environments(parts, "spread of states, noisy - TD3"), td3, langevin)


def c13_langevin_improves_on_td3(
    td3="env=Hopper-v4|HalfCheetah-v4|Ant-v4", langevin="env=Hopper-v4|HalfCheetah-v4|Ant-v4, pid=true, kind=noisy|flow"
):
    """TD3 with Langevin dynamics, noisy chain or flow, ends above TD3 (the abstract; Section 3.1 reports no result), in
    every environment.

    Final return, Welch's t-test. The note says whether it is at least no worse than TD3 by 10 %.
    """
    return judged(_improves(langevin, td3, "final return, Langevin - TD3"), td3, langevin)


def c13_langevin_improves_on_ddpg(
    ddpg="env=Hopper-v4|HalfCheetah-v4|Ant-v4", langevin_ddpg="env=Hopper-v4|HalfCheetah-v4|Ant-v4, kind=noisy|flow"
):
    """DDPG with Langevin dynamics, noisy chain or flow, ends above DDPG, which Section 3.1 names beside TD3, in every
    environment. As `c13_langevin_improves_on_td3`."""
    return judged(_improves(langevin_ddpg, ddpg, "final return, Langevin - DDPG"), ddpg, langevin_ddpg)


def c14_gradients_accelerate_learning(
    hmc="env=Hopper-v4|HalfCheetah-v4|Ant-v4, leapfrog_steps=5", sac="env=Hopper-v4|HalfCheetah-v4|Ant-v4, temperature=0.05"
):
    """Gradient information accelerates learning (Section 3.2), in every environment.

    Return, mean over all evaluations of a run, HMC - SAC above 0, Welch's t-test.
    """

    def area(results, env):
        return of_curves(results, "return", lambda steps, values: values.mean(), env=env).to_numpy()

    parts = {env: difference(area(hmc, env), area(sac, env)) for env in environments(hmc)}
    return judged(over_environments(parts, "mean return over training, HMC - SAC"), hmc, sac)


def c15_chains_approach_the_posterior(bandit="leapfrog_steps=5"):
    """Section 3.3's KL(q_0) >= KL(q_k), for the chain as it is used: gated and without correction.

    KL from the policy's own density falls over 0, 1, 2, 4 and 6 chains of the trained gated leapfrog, Jonckheere-Terpstra.
    From the posterior itself it rises (`c09`). Least budget: 1,000 iterations, 3 seeds.
    """
    return toy(_falls(bandit, "gated", (0, 1, 2, 4, 6)), bandit)


def c16_flow_is_more_flexible_than_the_chain(
    langevin_frozen="env=Hopper-v4|HalfCheetah-v4|Ant-v4",
    langevin="env=Hopper-v4|HalfCheetah-v4|Ant-v4, pid=true, kind=noisy|flow",
):
    """Scalar step sizes are not flexible enough; a learned flow is better (Section 3.1): TD3 with the Langevin flow ends
    above that with the noisy chain, and above that with a flow that stays as it starts, in every environment.

    Final return, Welch's t-test.
    """
    parts = {}
    for env in environments(langevin):
        learned = final(langevin, env=env, kind="flow")
        others = {"noisy": final(langevin, env=env, kind="noisy"), "frozen": final(langevin_frozen, env=env)}
        pairs = {name: difference(learned, other) for name, other in others.items()}
        parts[env] = conjunction(pairs, "final return, flow - other")
    return judged(over_environments(parts, "final return, flow - other"), langevin, langevin_frozen)


def c17_gate_may_ignore_the_state(hmc_gate_state="env=HalfCheetah-v4", hmc="env=HalfCheetah-v4, leapfrog_steps=5"):
    """In some environments the state can be left out of sigma and T (Section 4.2).

    HalfCheetah, which is one: final return without it at most 10 % below. Least budget: 10^5 steps, 3 seeds.
    """
    verdict = non_inferiority(final(hmc_gate_state), final(hmc), quantity="final return, gate without state - with")
    return judged(verdict, hmc, hmc_gate_state, steps=100_000, seeds=3)


def own_gain_survives_a_tuned_baseline(
    sac_auto="env=Hopper-v4|HalfCheetah-v4|Ant-v4",
    hmc="env=Hopper-v4|HalfCheetah-v4|Ant-v4, leapfrog_steps=5",
    sac="env=Hopper-v4|HalfCheetah-v4|Ant-v4, temperature=0.2",
):
    """The gain is over SAC, not over SAC at an unusual temperature: it survives alpha = 0.2 and a tuned alpha, in every
    environment (Section 5 gives SAC the temperatures that its authors' code gives the other environments).

    Final return, Welch's t-test for each baseline and environment.
    """
    parts = {}
    for env in environments(hmc):
        baselines = {"alpha 0.2": sac, "alpha tuned": sac_auto}
        pairs = {name: difference(final(hmc, env=env), final(other, env=env)) for name, other in baselines.items()}
        parts[env] = conjunction(pairs, "final return, HMC - SAC")
    return judged(over_environments(parts, "final return, HMC - SAC"), hmc, sac, sac_auto)


def own_chain_costs_its_gradients(
    hmc="env=Hopper-v4|HalfCheetah-v4|Ant-v4, leapfrog_steps=5", sac="env=Hopper-v4|HalfCheetah-v4|Ant-v4, temperature=0.05"
):
    """A chain of K steps costs K + 1 gradients of the critic and nothing that outweighs them: with K = 5 training takes at
    most 6 times as long as SAC's, over all environments.

    Core-seconds of whole runs as recorded, one number per worker, HMC's over the mean of SAC's in the same environment;
    the note gives both in steps per core-second, `table_mcmc_po_speed` the chain's share. Only runs of one machine are
    comparable; `python -m benchmarks hmc` measures both in turn.
    """
    shared = [env for env in environments(hmc) if env in environments(sac)]
    ratios = [seconds(hmc, env=env) / seconds(sac, env=env).mean() for env in shared]
    if not ratios:
        return judged(conjunction({}, "training time, HMC / SAC"), hmc, sac, steps=100_000, seeds=3)
    verdict = mean_within(np.concatenate(ratios), high=6, quantity="training time, HMC / SAC")
    speeds = ", ".join(f"{name} {rates(results).mean():.3g}" for name, results in (("HMC", hmc), ("SAC", sac)))
    return judged(verdict, hmc, sac, steps=100_000, seeds=3).with_note(f"steps per core-second: {speeds}")


def own_distance_is_gain_and_energy_error(bandit="leapfrog_steps=5"):
    """At theta = theta_t the controlled distance is no more than the gain in Q over tau and the error in energy, so that
    a threshold on it limits the chain's gain.

    Largest |D - (Q(a_K) - Q(a_0)) / tau - (H_K - H_0)| of the trained chain below 1e-8. A law: no budget.
    """
    errors = of_row(bandit, "laws", "value", {"law": "bound_identity"})
    return mean_within(errors, high=1e-8, quantity="error of the identity")


def own_gated_chains_gain_more_than_explicit_ones(bandit_gate="gate=plain|implicit", bandit="leapfrog_steps=5"):
    """A chain adds to the bound the energy that it loses, and exact dynamics lose none, so that a gain comes from the gate
    or from coarse steps. On the bandit gated chains gain more than explicit ones.

    Gain of the bound in training, Welch's t-test. Least budget: 1,000 iterations, 3 seeds.
    """
    gated, plain = final(bandit, "bound_gain"), final(bandit_gate, "bound_gain", gate="plain")
    verdict = difference(gated, plain, quantity="gain, gated - plain")
    return toy(verdict, bandit, bandit_gate)


def own_corrected_chains_approach_the_posterior(bandit="leapfrog_steps=5"):
    """Section 3.3's KL(q_0) >= KL(q_k), a theorem of kernels that leave the posterior invariant, holds for
    Metropolis-corrected chains.

    KL from the policy's own density falls over 0, 2, 4 and 6 iterations, Jonckheere-Terpstra. Least budget: 1,000
    iterations, 3 seeds.
    """
    return toy(_falls(bandit, "corrected", (0, 2, 4, 6)), bandit)


def own_gain_is_inference(
    sac_coupling="env=Hopper-v4|HalfCheetah-v4|Ant-v4, temperature=0.05|0.2",
    hmc="env=Hopper-v4|HalfCheetah-v4|Ant-v4, leapfrog_steps=5",
):
    """Section 1 asks whether a flow's gain is inference or over-parametrisation. It is inference: the Hamiltonian policy
    ends above SAC with a coupling flow of the same number of parameters, at alpha = 0.05 and at 0.2, in every
    environment.

    Final return, Welch's t-test. Two temperatures, so that a gain over an unusual one does not count as inference.
    """
    parts = {}
    for env in environments(hmc):
        flows = {f"alpha {alpha:g}": final(sac_coupling, env=env, temperature=alpha) for alpha in (0.05, 0.2)}
        pairs = {name: difference(final(hmc, env=env), flow) for name, flow in flows.items()}
        parts[env] = conjunction(pairs, "final return, HMC - coupling")
    return judged(over_environments(parts, "final return, HMC - coupling"), hmc, sac_coupling)


def own_chain_helps_the_trained_policy(hmc="env=Hopper-v4|HalfCheetah-v4|Ant-v4, leapfrog_steps=5"):
    """The trained policy needs its chain: without it its return at test time is lower, in every environment.

    Return with the chain, less without, same episodes, at the end of training, above 0.
    """
    parts = {}
    for env in environments(hmc):
        chained, base = (hmc.final(name, 1, env=env) for name in ("return", "return_without_chain"))
        parts[env] = mean_within(chained - base, low=0)
    return judged(over_environments(parts, "return, with - without chain"), hmc)


def _improves(langevin, plain, quantity):
    """Both kinds of Langevin policy end above the plain algorithm, in every environment."""
    parts, reached = {}, []
    for env in environments(langevin):
        base, kinds = final(plain, env=env), {kind: final(langevin, env=env, kind=kind) for kind in ("noisy", "flow")}
        parts[env] = conjunction({kind: difference(values, base) for kind, values in kinds.items()}, quantity)
        reached += [f"{env} {kind} {non_inferiority(values, base).status}" for kind, values in kinds.items()]
    verdict = over_environments(parts, quantity)
    return verdict.with_note("no worse by 10 %: " + ", ".join(reached)) if reached else verdict


def _falls(bandit, kernel, iterations):
    """The KL to the posterior falls over so many iterations of a kernel, from the policy's own density."""
    where = {"start": "policy", "kernel": kernel}
    groups = [of_row(bandit, "kernels", "kl", where | {"iterations": i}) for i in iterations]
    return ordered(groups, "decreasing", "P(more iterations are farther)")
