"""SAC: a fleet against stable-baselines3, on one thread, HalfCheetah, batch 256, networks 2x256.

    python -m benchmarks sac

Both sides are measured in turn in one run, so that a busy machine slows both; the median of the pairs counts. Printed:

(a) member-updates per second of a fleet's whole update against stable-baselines3's training end to end, fleets of 4 and 1;
(b) the share of the machine's rate of batched 256 x 256 x 256 float32 products that the update reaches;
(c) the fleet end to end, with environments and replay, against its updates alone;
(d) all cores: members trained at once by the harness's split, against as many stable-baselines3 processes; peak memory.

stable-baselines3 runs as it comes, and a second time with the faster matrix library that our workers choose, so that the
fleet's share of the gain can be told from the library's.
"""

import argparse
import multiprocessing
import os
import resource
import statistics
import time
import warnings

import numpy as np
import torch

from common.flows.networks import widths
from common.lab.run.hardware import prepare
from common.rl import off_policy, sac
from common.rl.config import SAC
from common.rl.replay import Batch

STEPS = 700  # environment steps in an end-to-end timing
UPDATES = 60  # updates in an update timing
OBSERVATIONS, ACTIONS = 17, 6


def main(arguments):
    parser = argparse.ArgumentParser(prog="python -m benchmarks sac")
    parser.add_argument("--pairs", type=int, default=5, help="how often each side is measured (default 5)")
    pairs = parser.parse_args(arguments).pairs
    matmul = prepare()
    print(f"float32 products at precision {matmul!r}; medians of {pairs} pairs; one thread unless said otherwise\n")
    peer, fast_peer = Peer("highest"), Peer(matmul)
    fleets = {members: Fleet(members) for members in (4, 1)}
    rows = {}
    for _ in range(pairs):
        measure(rows, "peer", peer.rate)
        measure(rows, "fast peer", fast_peer.rate)
        torch.set_float32_matmul_precision(matmul)
        measure(rows, "products", product_rate)
        for members, fleet in fleets.items():
            measure(rows, f"updates {members}", fleet.update_rate)
            measure(rows, f"end to end {members}", fleet.end_to_end_rate)
    middle = {name: statistics.median(values) for name, values in rows.items()}
    report(middle, rows)
    report_all_cores(matmul)


def measure(rows, name, rate):
    rows.setdefault(name, []).append(rate())


def report(middle, rows):
    def ratio(a, b):
        pairs = sorted(x / y for x, y in zip(rows[a], rows[b], strict=True))
        return f"{statistics.median(pairs):.2f} ({pairs[0]:.2f} to {pairs[-1]:.2f})"

    print(f"stable-baselines3, as it comes           {middle['peer']:7.0f} updates/s end to end")
    print(f"stable-baselines3, our matrix library    {middle['fast peer']:7.0f} updates/s end to end")
    for members in (4, 1):
        updates, whole = f"updates {members}", f"end to end {members}"
        print(f"\nfleet of {members}: {middle[updates]:.0f} member-updates/s; end to end {middle[whole]:.0f}")
        print(f"  (a) against stable-baselines3 end to end      {ratio(updates, 'peer')}   floor 2.2")
        print(f"      the same with our matrix library          {ratio(updates, 'fast peer')}")
        print(f"      end to end against end to end             {ratio(whole, 'peer')}")
        share = [u * flop() / p for u, p in zip(rows[updates], rows["products"], strict=True)]
        peak = f"({middle['products'] / 1e9:.0f} GFLOP/s)"
        print(f"  (b) share of the product rate {peak:15s} {statistics.median(share):.2f}   floor 0.60")
        print(f"  (c) end to end against updates alone          {ratio(whole, updates)}   floor 0.90")


class Peer:
    """stable-baselines3's SAC with the same settings, training on HalfCheetah."""

    def __init__(self, precision):
        import gymnasium
        from stable_baselines3 import SAC as PeerSAC

        self.precision = precision
        warnings.filterwarnings("ignore", message=".*out of date.*")
        environment = gymnasium.make("HalfCheetah-v4")
        self.model = PeerSAC("MlpPolicy", environment, ent_coef=0.2, learning_starts=300, seed=0, device="cpu")
        self.model.learn(400)

    def rate(self):
        torch.set_float32_matmul_precision(self.precision)
        start = time.perf_counter()
        self.model.learn(STEPS, reset_num_timesteps=False)
        return STEPS / (time.perf_counter() - start)


class Fleet:
    """Our SAC."""

    def __init__(self, members):
        self.members = members
        self.learner = sac.Learner(SAC(), list(range(members)), OBSERVATIONS, ACTIONS)
        generator = torch.Generator().manual_seed(0)

        def normal(*shape):
            return torch.randn(members, 256, *shape, generator=generator)

        action, none_ended = normal(ACTIONS).tanh(), torch.zeros(members, 256)
        self.batch = Batch(normal(OBSERVATIONS), action, normal(), none_ended, normal(OBSERVATIONS))
        self.draws = {"noise": normal(ACTIONS), "next_noise": normal(ACTIONS)}
        self.update_rate()

    def update_rate(self):
        """Member-updates per second of critics, policy and targets."""
        start = time.perf_counter()
        for _ in range(UPDATES):
            self.learner.update(self.batch, self.draws)
        return self.members * UPDATES / (time.perf_counter() - start)

    def end_to_end_rate(self):
        """Member-updates per second of the off-policy loop, one environment step an update, evaluations left out."""
        total = 300 + STEPS
        settings = SAC(total_steps=total, warmup=200, update_after=300, evaluate_every=total, evaluation_episodes=1)
        clock = Clock(300, total - 1)
        off_policy.run(sac.Learner, settings, list(range(self.members)), clock)
        return self.members * (STEPS - 1) / (clock.stopped - clock.started)


class Clock:
    """A journal that keeps the time between the ends of two steps."""

    def __init__(self, first, last):
        self.first, self.last = first, last

    def due(self, step, total):
        if step == self.first:
            self.started = time.perf_counter()
        if step == self.last:
            self.stopped = time.perf_counter()
        return False

    def resume(self):
        return None

    def append(self, *arguments):
        pass

    record = table = diverged = end = append


def product_rate():
    """FLOP per second of batched 256 x 256 x 256 products."""
    a, b = torch.randn(8, 256, 256), torch.randn(8, 256, 256)
    start = time.perf_counter()
    for _ in range(UPDATES):
        torch.bmm(a, b)
    return UPDATES * 8 * 2 * 256**3 / (time.perf_counter() - start)


def flop():
    """Floating-point operations of the matrix products in one member's update: what the equations need and no more."""

    def layers(sizes):
        return [2 * SAC().batch_size * i * o for i, o in zip(sizes, sizes[1:], strict=False)]

    policy = layers([OBSERVATIONS, *widths(SAC().base), 2 * ACTIONS])
    critic = layers([OBSERVATIONS + ACTIONS, *widths(SAC().critic), 1])
    forward, weights, inputs = sum, sum, lambda sizes: sum(sizes[1:])
    acting = forward(policy) * 2 + weights(policy) + inputs(policy)
    learning = 2 * (forward(critic) * 2 + weights(critic) + inputs(critic))  # the targets, the critics and their gradients
    # The policy's loss goes through the critics, down to their action inputs.
    through = 2 * (forward(critic) + inputs(critic) + critic[0] * ACTIONS / (OBSERVATIONS + ACTIONS))
    return acting + learning + through


def report_all_cores(matmul):
    cores = os.cpu_count()
    print(f"\n(d) all {cores} cores, one process each, end to end, members/s = environment steps of all members per second")
    ours = together(cores, our_process, matmul)
    peers = together(cores, peer_process, "highest")
    for name, found in (("ours, fleets of 2", ours), ("stable-baselines3", peers)):
        memory = max(megabytes for _, megabytes in found)
        print(f"    {name:20s} {sum(rate for rate, _ in found):7.0f}   peak memory {memory} MB a process")


def together(count, work, precision):
    """Run `count` processes at once; what each returns."""
    context = multiprocessing.get_context("spawn")
    with context.Pool(count) as pool:
        return pool.starmap(work, [(precision, i) for i in range(count)])


def our_process(precision, seed):
    prepare()
    return Fleet(2).end_to_end_rate(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def peer_process(precision, seed):
    torch.set_num_threads(1)
    np.random.seed(seed)
    return Peer(precision).rate(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
