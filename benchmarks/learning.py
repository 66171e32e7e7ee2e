"""Does our SAC learn what stable-baselines3's does? HalfCheetah, the same settings, several seeds each.

    python -m benchmarks learning --steps 20000 --seeds 4

Prints each seed's deterministic return and the interval of the difference (Welch). Differences that stay: the
initialisation (Xavier with zero biases here, torch's default there), the clamp of ln sigma (5 here, 2 there) and the random
numbers.
"""

import argparse
import warnings

import numpy as np
import torch

from common.lab.stats import difference
from common.rl import loops, sac
from common.rl.config import SAC
from common.rl.hardware import prepare


def main(arguments):
    parser = argparse.ArgumentParser(prog="python -m benchmarks learning")
    parser.add_argument("--steps", type=int, default=20_000)
    parser.add_argument("--seeds", type=int, default=4)
    options = parser.parse_args(arguments)
    prepare()
    ours = our_returns(options.steps, options.seeds)
    print("ours              ", np.round(ours, 1), flush=True)
    theirs = np.array([peer_return(options.steps, seed) for seed in range(options.seeds)])
    print("stable-baselines3 ", np.round(theirs, 1))
    print(difference(ours, theirs, direction="either", what="return, ours - stable-baselines3"))


def our_returns(steps, seeds):
    """Return after training, mean of 5 episodes, one a seed."""
    settings = SAC(
        total_steps=steps, warmup=1_000, update_after=1_000, evaluate_every=steps, evaluation_episodes=5, log_std_high=2.0
    )
    journal = Last()
    loops.off_policy(sac.Learner, settings, list(range(seeds)), journal)
    return np.array(journal.returns)


def peer_return(steps, seed):
    """The same for one seed of stable-baselines3."""
    import gymnasium
    from stable_baselines3 import SAC as PeerSAC
    from stable_baselines3.common.evaluation import evaluate_policy
    from stable_baselines3.common.monitor import Monitor

    warnings.filterwarnings("ignore", message=".*out of date.*")
    torch.set_num_threads(1)
    model = PeerSAC(
        "MlpPolicy", gymnasium.make("HalfCheetah-v4"), ent_coef=0.2, learning_starts=1_000, seed=seed, device="cpu"
    )
    model.learn(steps)
    return evaluate_policy(model, Monitor(gymnasium.make("HalfCheetah-v4")), 5)[0]


class Last:
    """A journal that keeps the last returns."""

    def record(self, step, metric, values, alive=None):
        if metric == "return":
            self.returns = values

    def resume(self):
        return None

    def due(self, step, total):
        return False

    def append(self, *arguments):
        pass

    table = diverged = end = append
