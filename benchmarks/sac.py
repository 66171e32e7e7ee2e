"""SAC: a fleet against stable-baselines3 and sbx (JAX, XLA), on one core, HalfCheetah, batch 256, networks 2x256.

    python -m benchmarks sac
    pip install --constraint constraints.txt 'flow-policies[peers] @ .'      once, for sbx

All are measured in turn in one run, on the same core, by their processes' CPU time, so that a busy machine slows all of them
alike; the median of the rounds counts. Printed:

(a) member-updates per second of a fleet end to end, and of its updates alone, against the peers' training end to end;
(b) the share of the machine's rate of batched 256 x 256 x 256 float32 products that the update reaches;
(c) the fleet end to end, with environments and replay, against its updates alone;
(d) all cores: members trained at once by the harness's split, against as many stable-baselines3 processes; peak memory.

stable-baselines3 runs with both of torch's matrix libraries, so that the fleet's share of the gain can be told from the
library's. sbx runs with one thread of XLA's.
"""

import argparse
import importlib.util
import multiprocessing
import os
import resource
import statistics
import time
import warnings

import numpy as np
import torch

from common.flows.networks import widths
from common.lab.results import costs
from common.lab.run.origin import describe
from common.rl import off_policy, sac
from common.rl.config import SAC
from common.rl.hardware import prepare
from common.rl.replay import Batch

STEPS = 700  # environment steps in an end-to-end timing
UPDATES = 60  # updates in an update timing
OBSERVATIONS, ACTIONS = 17, 6


def main(arguments):
    parser = argparse.ArgumentParser(prog="python -m benchmarks sac")
    parser.add_argument("--rounds", type=int, default=5, help="how often each side is measured (default 5)")
    rounds = parser.parse_args(arguments).rounds
    pinned = hasattr(os, "sched_setaffinity")  # macOS has none: the rounds then share the cores
    cores = os.sched_getaffinity(0) if pinned else set()
    if pinned:
        os.sched_setaffinity(0, {min(cores)})
    matmul = prepare()
    print(f"{describe()['processor']}, {torch.backends.cpu.get_cpu_capability()}; torch {torch.__version__}")
    print(f"our float32 products at precision {matmul!r}; medians of {rounds} rounds; one core unless said otherwise\n")
    peers = {f"stable-baselines3, products {precision!r}": Peer(precision) for precision in ("highest", "medium")}
    if importlib.util.find_spec("sbx"):
        peers["sbx-rl (JAX)"] = Sbx()
    else:
        print("sbx-rl is not installed, see `python -m benchmarks sac --help`")
    fleets = {members: Fleet(members) for members in (4, 1)}
    rows, wall, cpu = {}, time.perf_counter(), time.process_time()
    for _ in range(rounds):
        for name, peer in peers.items():
            measure(rows, name, peer.rate)
        torch.set_float32_matmul_precision(matmul)
        measure(rows, "products", product_rate)
        for members, fleet in fleets.items():
            measure(rows, f"updates {members}", fleet.update_rate)
            measure(rows, f"end to end {members}", fleet.end_to_end_rate)
    share = (time.process_time() - cpu) / (time.perf_counter() - wall)
    report(rows, list(peers))
    print(f"\nThe machine gave this process {100 * share:.0f} % of a core; all rates are per second of CPU time.")
    if pinned:
        os.sched_setaffinity(0, cores)
    report_all_cores()


def measure(rows, name, rate):
    rows.setdefault(name, []).append(rate())


def report(rows, peers):
    def middle(name):
        return statistics.median(rows[name])

    def ratio(a, b):
        pairs = sorted(x / y for x, y in zip(rows[a], rows[b], strict=True))
        return f"{statistics.median(pairs):.2f} ({pairs[0]:.2f} to {pairs[-1]:.2f})"

    for peer in peers:
        print(f"{peer:42s} {middle(peer):6.0f} updates/s end to end")
    for members in (4, 1):
        updates, whole = f"updates {members}", f"end to end {members}"
        print(f"\nfleet of {members}: {middle(whole):.0f} member-updates/s end to end; updates alone {middle(updates):.0f}")
        for peer in peers:
            print(f"  (a) end to end against {peer:38s} {ratio(whole, peer)}")
            print(f"      updates against {peer:43s} {ratio(updates, peer)}")
        share = [u * flop() / p for u, p in zip(rows[updates], rows["products"], strict=True)]
        peak = f"({middle('products') / 1e9:.0f} GFLOP/s)"
        print(f"  (b) share of the product rate {peak:31s} {statistics.median(share):.2f}")
        print(f"  (c) end to end against updates alone                          {ratio(whole, updates)}")


def environment():
    import gymnasium

    warnings.filterwarnings("ignore", message=".*out of date.*")
    return gymnasium.make("HalfCheetah-v4")


class Peer:
    """stable-baselines3's SAC with the same settings, training on HalfCheetah."""

    def __init__(self, precision):
        from stable_baselines3 import SAC as PeerSAC

        self.precision = precision
        self.model = PeerSAC("MlpPolicy", environment(), ent_coef=0.2, learning_starts=300, seed=0, device="cpu")
        self.model.learn(400)

    def rate(self):
        torch.set_float32_matmul_precision(self.precision)
        start = time.process_time()
        self.model.learn(STEPS, reset_num_timesteps=False)
        return STEPS / (time.process_time() - start)


class Sbx:
    """sbx's SAC with the same settings: compiled by XLA, which takes what cores it is given; here one."""

    def __init__(self):
        from sbx import SAC as PeerSAC

        self.model = PeerSAC("MlpPolicy", environment(), ent_coef=0.2, learning_starts=300, seed=0)
        self.model.learn(400)

    def rate(self):
        start = time.process_time()
        self.model.learn(STEPS, reset_num_timesteps=False)
        return STEPS / (time.process_time() - start)


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
        start = time.process_time()
        for _ in range(UPDATES):
            self.learner.update(self.batch, self.draws)
        return self.members * UPDATES / (time.process_time() - start)

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
            self.started = time.process_time()
        if step == self.last:
            self.stopped = time.process_time()
        return False

    def resume(self):
        return None

    def append(self, *arguments):
        pass

    record = table = diverged = end = append


def product_rate():
    """FLOP per second of batched 256 x 256 x 256 products."""
    a, b, out = torch.randn(3, 8, 256, 256)
    start = time.process_time()
    for _ in range(UPDATES):
        torch.bmm(a, b, out=out)
    return UPDATES * 8 * 2 * 256**3 / (time.process_time() - start)


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


def report_all_cores():
    cores = costs.cores()
    print(f"\n(d) all {cores} cores, one process each, end to end, member-updates of all per second of CPU time")
    ours, peers = together(cores, our_process), together(cores, peer_process)
    for name, found in (("ours, fleets of 2", ours), ("stable-baselines3", peers)):
        memory = max(megabytes for _, megabytes in found)
        print(f"    {name:20s} {sum(rate for rate, _ in found):7.0f}   peak memory {memory} MB a process")


def together(count, work):
    """Run `count` processes at once; what each returns."""
    context = multiprocessing.get_context("spawn")
    with context.Pool(count) as pool:
        return pool.map(work, range(count))


def our_process(seed):
    prepare()
    return Fleet(2).end_to_end_rate(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def peer_process(seed):
    torch.set_num_threads(1)
    np.random.seed(seed)
    return Peer("highest").rate(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
