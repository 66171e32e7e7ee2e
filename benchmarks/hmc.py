"""The Hamiltonian policy against SAC, on one thread, sizes of Hopper and HalfCheetah, batch 256, networks 2x256.

    python -m benchmarks hmc [--pairs 5] [--members 1]

Both are updated in turn in one run, so that a busy machine slows both; the median of the pairs counts. Printed for each
environment:

(a) the cost of a K = 5 update in units of a SAC update, with a chain of its own for the step on h and with a shared one;
(b) the same for K = 1, 3, 10: what a leapfrog step costs;
(c) where the time of a training step goes, environment step and update: the simulator, acting, the target's chain, the
    critics' step, the policy iteration, the targets' moving average and what else there is;
(d) the cost of acting for one environment step, against SAC's.

By network passes alone a K = 5 update is about 5.5 SAC updates, about 4 with one chain for both steps; the aim is 5.
"""

import argparse
import statistics
import time

import numpy as np
import torch

from common.rl import sac
from common.rl.config import SAC
from common.rl.hardware import prepare
from common.rl.optimisers import descend
from common.rl.randomness import Blocks
from common.rl.replay import Batch
from common.rl.simulators import Environment
from papers.mcmc_po import hmc
from papers.mcmc_po.config import HMC

UPDATES = 12  # in a timing
STEPS = 50  # of the simulator, for each of these
SIZES = {"Hopper": (11, 3), "HalfCheetah": (17, 6)}
FLOOR = 5


def main(arguments):
    parser = argparse.ArgumentParser(prog="python -m benchmarks hmc")
    parser.add_argument("--pairs", type=int, default=5, help="how often each side is measured (default 5)")
    parser.add_argument("--members", type=int, default=1, help="members of each fleet (default 1)")
    options = parser.parse_args(arguments)
    matmul = prepare()
    print(f"float32 products at precision {matmul!r}; medians of {options.pairs} pairs; one thread")
    for name, sizes in SIZES.items():
        compare(name, sizes, options)


def compare(name, sizes, options):
    """Measure and print one environment."""
    variants = {
        "K = 5": {},
        "K = 5, one chain for both steps": {"alternation": "shared"},
        **{f"K = {k}": {"leapfrog_steps": k} for k in (1, 3, 10)},
    }
    baseline = Timed(sac.Learner, SAC(), sizes, options.members)
    chains = {label: Timed(hmc.Learner, HMC(**settings), sizes, options.members) for label, settings in variants.items()}
    ratios = {label: [] for label in chains}
    acting = []
    for _ in range(options.pairs):
        for label, timed in chains.items():
            ratios[label].append(timed.update_seconds() / baseline.update_seconds())
        acting.append(chains["K = 5"].acting_seconds() / baseline.acting_seconds())
    print(f"\n{name}: SAC {1 / baseline.update_seconds():.0f} updates/s, fleets of {options.members}")
    for label, found in ratios.items():
        floor = f"   aim {FLOOR}" if label == "K = 5" else ""
        print(f"  {label:<34}{spread(found)} SAC updates{floor}")
    print(f"  {'acting, K = 5':<34}{spread(acting)} times SAC's")
    parts = {"the simulator": simulator_seconds(name)} | chains["K = 5"].parts()
    total = sum(parts.values())
    shares = ", ".join(f"{part} {seconds / total:.0%}" for part, seconds in parts.items())
    print(f"  a K = 5 training step of {1e3 * total:.0f} ms: {shares}")


def simulator_seconds(name):
    """Seconds of one environment step under random actions."""
    env, rng = Environment(f"{name}-v4", "bounded"), np.random.default_rng(0)
    env.reset(0)
    actions = iter(rng.uniform(-1, 1, (UPDATES * STEPS, env.actions)).astype(np.float32))

    def play():
        for _ in range(STEPS):
            *_, terminated, truncated = env.step(next(actions))
            if terminated or truncated:
                env.reset(0)

    return timed(play) / STEPS


def spread(values):
    """Median (lowest to highest)."""
    return f"{statistics.median(values):5.2f} ({min(values):.2f} to {max(values):.2f})"


class Timed:
    """A fleet that learns from random transitions."""

    def __init__(self, learner, config, sizes, members):
        observations, actions = sizes
        seeds = list(range(members))
        self.learner = learner(config, seeds, observations, actions)
        generator = torch.Generator().manual_seed(0)

        def normal(*shape):
            return torch.randn(members, config.batch_size, *shape, generator=generator)

        none_ended = torch.zeros(members, config.batch_size)
        self.batch = Batch(normal(observations), normal(actions).tanh(), normal(), none_ended, normal(observations))
        self.draws = self._numbers(seeds, "update", self.learner.update_draws)
        acting = self._numbers(seeds, "act", self.learner.acting_draws)
        self.acting = {key: value.unsqueeze(1) for key, value in acting.items()}
        self.update_seconds()

    @staticmethod
    def _numbers(seeds, stream, draw):
        return {key: torch.from_numpy(value) for key, value in Blocks(seeds, stream, 1, draw).at(0).items()}

    def update_seconds(self):
        """Seconds of one update."""
        return timed(lambda: self.learner.update(self.batch, self.draws))

    def acting_seconds(self):
        """Seconds of one sampled action of every member."""
        obs = self.batch.obs[:, :1]
        return timed(lambda: self.learner.act(obs, self.acting))

    def parts(self):
        """Seconds of the parts of a Hamiltonian training step, the simulator's left out."""
        one, b, d = self.learner, self.batch, self.draws

        critics = timed(lambda: descend(one.critic_optimiser, one.critic_loss(b, d)))
        chain = timed(lambda: one.next_value(b, d))
        critic = one.critic(one.critics, b.obs)
        iteration = timed(lambda: one.hamiltonian.improve(b.obs, critic, d))
        named = {"the target's chain": chain, "the critics' step": max(critics - chain, 0.0), "theta, h and beta": iteration}
        rest = max(self.update_seconds() - critics - iteration, 0.0)
        return {"acting": self.acting_seconds()} | named | {"the rest": rest}


def timed(work):
    start = time.perf_counter()
    for _ in range(UPDATES):
        work()
    return (time.perf_counter() - start) / UPDATES
