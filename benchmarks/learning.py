"""Does our SAC learn what stable-baselines3's does? The same task and settings, several seeds each.

    python -m benchmarks learning --env HalfCheetah-v4 --steps 20000 --seeds 4

Prints each seed's deterministic return, mean over the second half of training, and the interval of the difference (Welch).
Differences that stay: the initialisation (Xavier with zero biases here, torch's default there), the clamp of ln sigma (5
here, 2 there) and the random numbers.
"""

import argparse
import tempfile
import warnings
from pathlib import Path

import numpy as np
import torch

from common.lab.report.stats import difference
from common.lab.run.hardware import prepare
from common.rl import off_policy, sac
from common.rl.config import SAC

EVALUATIONS = 10  # of deterministic actions, evenly over training; the second half is compared
EPISODES = 5  # an evaluation


def main(arguments):
    parser = argparse.ArgumentParser(prog="python -m benchmarks learning")
    parser.add_argument("--env", default="HalfCheetah-v4")
    parser.add_argument("--steps", type=int, default=20_000)
    parser.add_argument("--seeds", type=int, default=4)
    options = parser.parse_args(arguments)
    prepare()
    ours = our_returns(options.env, options.steps, options.seeds)
    print(f"{options.env}, {options.steps} steps, SAC at temperature 0.2\n")
    print("ours              ", np.round(ours, 1), flush=True)
    theirs = np.array([peer_return(options.env, options.steps, seed) for seed in range(options.seeds)])
    print("stable-baselines3 ", np.round(theirs, 1))
    print(difference(ours, theirs, direction="either", what="return, ours - stable-baselines3"))


def our_returns(env, steps, seeds):
    """Mean of the evaluations in the second half of training, one a seed."""
    settings = SAC(
        env=env,
        total_steps=steps,
        warmup=1_000,
        update_after=1_000,
        evaluate_every=steps // EVALUATIONS,
        evaluation_episodes=EPISODES,
        log_std_high=2.0,
    )
    journal = Returns()
    off_policy.run(sac.Learner, settings, list(range(seeds)), journal)
    return np.mean(journal.returns[EVALUATIONS // 2 :], axis=0)


def peer_return(env, steps, seed):
    """The same for one seed of stable-baselines3."""
    import gymnasium
    from stable_baselines3 import SAC as PeerSAC
    from stable_baselines3.common.callbacks import EvalCallback
    from stable_baselines3.common.monitor import Monitor

    warnings.filterwarnings("ignore", message=".*out of date.*|Training and eval env.*")
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
        with np.load(Path(folder) / "evaluations.npz") as found:
            return found["results"][EVALUATIONS // 2 :].mean()


class Returns:
    """A journal that keeps the returns."""

    def __init__(self):
        self.returns = []

    def record(self, step, metric, values, alive=None):
        if metric == "return":
            self.returns.append(values)

    def resume(self):
        return None

    def due(self, step, total):
        return False

    def append(self, *arguments):
        pass

    table = diverged = end = append
