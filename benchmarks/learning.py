"""Do our learners learn what their peers learn? The same task and settings, several seeds each.

    python -m benchmarks learning sac --env HalfCheetah-v4 --steps 20000 --seeds 4
    python -m benchmarks learning trpo --env HalfCheetah-v4 Hopper-v4 --steps 204800 --seeds 3

sac: against stable-baselines3. Prints each seed's deterministic return, mean over the second half of training, and the
interval of the difference (Welch). Differences that stay: the initialisation (Xavier with zero biases here, torch's default
there), the clamp of ln sigma (5 here, 2 there) and the random numbers.

trpo: against sb3-contrib, the factorised Gaussian. Prints each seed's return, mean over its last 40 training episodes. Ours
starts with the settings of the equations and takes on the peer's ways one at a time; the peer is run as it comes, and with
the divergence of two policies that the papers define. One thing decides: sb3-contrib averages the KL divergence over the
dimensions of the action, where the divergence of two factorised Gaussians is their sum. A radius of 0.01 there is one of
0.06 on HalfCheetah and 0.03 on Hopper, and its damping is as many times larger. Differences that stay: V's weights (theirs
orthogonal) and its fit's order, the line search (theirs 0.8, 0.64 … of a step, ours 1/2, 1/4 …), the normaliser (theirs
learns while it acts) and the random numbers.
"""

import argparse
import dataclasses
import tempfile
import warnings
from pathlib import Path
from unittest import mock

import gymnasium
import numpy as np
import torch

from common.lab.report.stats import difference
from common.rl import off_policy, on_policy, sac
from common.rl.config import SAC
from common.rl.hardware import prepare
from common.rl.journal import MemoryJournal
from papers.trpo_nf.config import TRPONF
from papers.trpo_nf.trpo_nf import Learner as TRPO

EVALUATIONS = 10  # of SAC, deterministic, evenly over training; the second half is compared
EPISODES = 5  # per evaluation


def main(arguments):
    parser = argparse.ArgumentParser(prog="python -m benchmarks learning")
    parser.add_argument("algorithm", choices=("sac", "trpo"))
    parser.add_argument("--env", nargs="+", help="default: HalfCheetah-v4; trpo: Hopper-v4 too")
    parser.add_argument("--steps", type=int, help="default: 20,000 (sac), 204,800 (trpo)")
    parser.add_argument("--seeds", type=int, help="default: 4 (sac), 3 (trpo)")
    options = parser.parse_args(arguments)
    prepare()
    warnings.filterwarnings("ignore", message=".*out of date.*|Training and eval env.*")
    compare, environments, steps, seeds = {
        "sac": (compare_sac, ["HalfCheetah-v4"], 20_000, 4),
        "trpo": (compare_trpo, ["HalfCheetah-v4", "Hopper-v4"], 204_800, 3),
    }[options.algorithm]
    for env in options.env or environments:
        compare(env, options.steps or steps, options.seeds or seeds)


def compare_sac(env, steps, seeds):
    print(f"{env}, {steps} steps, SAC at temperature 0.2\n")
    settings = SAC(
        env=env,
        total_steps=steps,
        warmup=1_000,
        update_after=1_000,
        evaluate_every=steps // EVALUATIONS,
        evaluation_episodes=EPISODES,
        log_std_high=2.0,
    )
    curves = recorded(off_policy.run, sac.Learner, settings, seeds)
    ours = curves[EVALUATIONS // 2 :].mean(0)
    print("ours              ", np.round(ours, 1), flush=True)
    theirs = np.array([peer_sac(env, steps, seed) for seed in range(seeds)])
    print("stable-baselines3 ", np.round(theirs, 1))
    print(difference(ours, theirs, quantity="return, ours - stable-baselines3"))


def compare_trpo(env, steps, seeds):
    (dimensions,) = gymnasium.make(env).action_space.shape
    print(f"\n{env}, {steps} steps, TRPO with the factorised Gaussian, radius 0.01, return of the last 40 episodes\n")
    base = TRPONF(env=env, policy="gaussian", total_steps=steps, record_every=steps)
    ways = {
        "ours: limits terminate, KL <= radius": {"kl_tolerance": 1.0},
        "+ time limits bootstrapped": {"timeouts": "bootstrapped"},
        "+ actions clipped to their bounds": {"rescale": True},
        "+ every state in the Fisher matrix": {"fisher_stride": 1},
        "+ the radius is one per dimension": {"kl_radius": 0.01 * dimensions},
        "+ the damping too": {"fisher_damping": 0.1 * dimensions},
    }
    changes = {}
    for name, way in ways.items():
        changes |= way
        show(name, recorded(on_policy.run, TRPO, dataclasses.replace(base, **changes), seeds)[-1])
    show("sb3-contrib", [peer_trpo(env, steps, seed) for seed in range(seeds)])
    show("sb3-contrib, KL summed over dimensions", [peer_trpo(env, steps, seed, summed=True) for seed in range(seeds)])


def show(name, returns):
    print(f"{name:40s} mean {np.mean(returns):7.0f}   seeds {np.round(returns).astype(int).tolist()}", flush=True)


def recorded(run, learner, settings, seeds):
    """Returns [records, seeds] that a loop records."""
    journal = MemoryJournal(seeds)
    run(learner, settings, list(range(seeds)), journal)
    returns = [value for _, _, metric, value in journal.records if metric == "return"]
    return np.array(returns).reshape(-1, seeds)


def peer_sac(env, steps, seed):
    """One seed of stable-baselines3's SAC."""
    from stable_baselines3 import SAC as PeerSAC
    from stable_baselines3.common.callbacks import EvalCallback
    from stable_baselines3.common.monitor import Monitor

    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        evaluation = EvalCallback(
            Monitor(gymnasium.make(env)),
            eval_freq=steps // EVALUATIONS,
            n_eval_episodes=EPISODES,
            log_path=folder,
            verbose=0,
        )
        model = PeerSAC("MlpPolicy", gymnasium.make(env), ent_coef=0.2, learning_starts=1_000, seed=seed, device="cpu")
        model.learn(steps, callback=evaluation)
        with np.load(Path(folder) / "evaluations.npz") as evaluations:
            return evaluations["results"][EVALUATIONS // 2 :].mean()


def peer_trpo(env, steps, seed, summed=False):
    """One seed of sb3-contrib's TRPO with our batch, networks and settings. `summed`: with the divergence of two policies
    summed over the action's dimensions, as it is defined, in place of their mean."""
    from sb3_contrib import TRPO as PeerTRPO
    from sb3_contrib.trpo import trpo
    from stable_baselines3.common.monitor import Monitor
    from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

    torch.set_num_threads(1)
    c = TRPONF(env=env, policy="gaussian")
    envs = VecNormalize(DummyVecEnv([lambda: Monitor(gymnasium.make(env))]), norm_reward=False, clip_obs=c.observation_limit)
    model = PeerTRPO(
        "MlpPolicy",
        envs,
        n_steps=c.batch_steps,
        batch_size=c.minibatch,
        gamma=c.discount,
        gae_lambda=c.trace,
        learning_rate=c.value_learning_rate,
        n_critic_updates=c.epochs,
        cg_max_steps=c.conjugate_iterations,
        cg_damping=c.fisher_damping,
        target_kl=c.kl_radius,
        stats_window_size=on_policy.RECENT,
        seed=seed,
        device="cpu",
    )
    divergence = trpo.kl_divergence
    defined = (lambda p, q: divergence(p, q).sum(-1)) if summed else divergence
    with mock.patch.object(trpo, "kl_divergence", defined):
        model.learn(steps)
    return np.mean([episode["r"] for episode in model.ep_info_buffer])
