"""TRPO: fleets of five seeds against sb3-contrib, on one thread, HalfCheetah-v4, batches of 1024 steps.

    python -m benchmarks trpo

Both sides are measured in turn in one run, so that a busy machine slows both; the median of the pairs counts. sb3-contrib's
TRPO gets the same work: networks 2x64, ten conjugate gradient iterations on every fifth state, V fitted in five passes of
minibatches of 64. Printed: environment steps per second, summed over the fleet, against sb3-contrib's, and the fleet's by
phase: acting, environments, fitting V (with advantages and normalisation), trust-region step.
"""

import argparse
import statistics
import time
import warnings

from common.rl.hardware import prepare
from common.rl.on_policy import RolloutCollector
from common.rl.randomness import draws
from papers.trpo_nf.config import TRPONF
from papers.trpo_nf.trpo_nf import Learner

SEEDS = [0, 1, 2, 3, 4]
FLOORS = {("gaussian", "equations"): 6.0, ("flow", "equations"): 5.0, ("flow", "released"): 2.5}
PHASES = ("act", "environment", "fit", "trust region")


def main(arguments):
    parser = argparse.ArgumentParser(prog="python -m benchmarks trpo")
    parser.add_argument("--pairs", type=int, default=5, help="how often each side is measured (default 5)")
    parser.add_argument("--iterations", type=int, default=4, help="batches a measurement (default 4)")
    options = parser.parse_args(arguments)
    matmul = prepare()
    print(f"float32 products at precision {matmul!r}; medians of {options.pairs} pairs; one thread\n")
    peer, fleets = Peer(), {kind: Timed(*kind) for kind in FLOORS}
    peers, found = [], {kind: [] for kind in fleets}
    for _ in range(options.pairs):
        peers.append(peer.rate(options.iterations))
        for kind, fleet in fleets.items():
            found[kind].append(fleet.seconds(options.iterations))
    report(peers, found, options.iterations)


def report(peers, found, iterations):
    print(f"sb3-contrib, one seed          {statistics.median(peers):8.0f} steps/s")
    steps = len(SEEDS) * TRPONF().batch_steps * iterations
    for (policy, preset), rows in found.items():
        rates = [steps / sum(row.values()) for row in rows]
        ratios = sorted(rate / peer for rate, peer in zip(rates, peers, strict=True))
        floor = FLOORS[policy, preset]
        bound = f"   floor {floor:g}" if floor else ""
        print(f"\n{policy}, {preset}: fleet of {len(SEEDS)}, {statistics.median(rates):.0f} steps/s")
        print(f"  against sb3-contrib   {statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f}){bound}")
        for phase in PHASES:
            print(f"  {phase:14s} {statistics.median(steps / row[phase] for row in rows):10.0f} steps/s")


class Peer:
    """sb3-contrib's TRPO of one seed."""

    def __init__(self):
        import gymnasium
        from sb3_contrib import TRPO

        warnings.filterwarnings("ignore", message=".*out of date.*")
        settings = {
            "n_steps": 1024, "batch_size": 64, "n_critic_updates": 5, "sub_sampling_factor": 5, "cg_max_steps": 10,
            "gae_lambda": 0.98, "target_kl": 0.01, "seed": 0, "device": "cpu",
        }  # fmt: skip
        self.model = TRPO("MlpPolicy", gymnasium.make("HalfCheetah-v4"), **settings)
        self.model.learn(1024)

    def rate(self, iterations):
        """Environment steps per second."""
        start = time.perf_counter()
        self.model.learn(1024 * iterations, reset_num_timesteps=False)
        return 1024 * iterations / (time.perf_counter() - start)


class Timed:
    """A fleet whose phases are timed. It goes on learning from measurement to measurement."""

    def __init__(self, policy, preset):
        self.config = TRPONF(policy=policy, preset=preset)
        self.fleet = RolloutCollector(self.config, SEEDS)
        self.learner = Learner(self.config, SEEDS, self.fleet.observations, self.fleet.actions)
        self.iteration = 0
        self.spent = dict.fromkeys(PHASES, 0.0)
        self.learner.improve = self.clocked(self.learner.improve, "trust region")
        self.seconds(1)

    def clocked(self, function, phase):
        def timed(*arguments):
            start = time.perf_counter()
            result = function(*arguments)
            self.spent[phase] += time.perf_counter() - start
            return result

        return timed

    def seconds(self, iterations):
        """Seconds of every phase."""
        self.spent = dict.fromkeys(PHASES, 0.0)
        for _ in range(iterations):
            self.iterate()
            self.iteration += 1
        return dict(self.spent)

    def iterate(self):
        start = time.perf_counter()
        actor = self.learner.actor(draws(SEEDS, "act", self.iteration, self.learner.acting_draws))
        self.spent["act"] += time.perf_counter() - start
        acting = self.spent["act"]
        start = time.perf_counter()
        rollout = self.fleet.roll(self.clocked(actor, "act"), 0, None)
        self.spent["environment"] += time.perf_counter() - start - (self.spent["act"] - acting)
        start, improving = time.perf_counter(), self.spent["trust region"]
        random = draws(SEEDS, "update", self.iteration, self.learner.update_draws)
        self.learner.update(rollout, random)
        self.spent["fit"] += time.perf_counter() - start - (self.spent["trust region"] - improving)
