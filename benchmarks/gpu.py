"""Off-policy fleets on a GPU, sizes of HalfCheetah, batch 256, networks 2x256.

    python -m benchmarks gpu [--seconds 4] [--members 2,4,8,16]

Member-updates per second of SAC and of ARSAC, launched kernel by kernel (eager) and as one CUDA graph (recorded), batches
drawn from a replay in host memory as the loop does; and training steps of a whole fleet per second end to end: action,
simulators in turn on one core, batch, update."""

import argparse
import sys
import time

import numpy as np
import torch

from common.lab.run.hardware import prepare
from common.rl import off_policy, sac
from common.rl.config import SAC
from common.rl.graphs import Captured
from common.rl.journal import MemoryJournal
from common.rl.learner import tensors
from papers.arsac import arsac
from papers.arsac.config import ARSAC

WARM = 1_000  # transitions in the replay


def main(arguments):
    parser = argparse.ArgumentParser(prog="python -m benchmarks gpu")
    parser.add_argument("--seconds", type=float, default=4.0, help="of each measurement (default 4)")
    parser.add_argument("--members", default="2,4,8,16", help="sizes of the fleets (default 2,4,8,16)")
    options = parser.parse_args(arguments)
    if not torch.cuda.is_available():
        sys.exit("benchmarks gpu: no CUDA device")
    matmul = prepare("cuda")
    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}, float32 products at precision {matmul!r}")
    for name, build, config in (
        ("SAC", sac.Learner, SAC(update_after=10)),
        ("ARSAC", arsac.Learner, ARSAC(update_after=10)),
    ):
        for members in map(int, options.members.split(",")):
            rates = [measured(build, config, members, recorded, options.seconds) for recorded in (False, True)]
            (eager, _), (graph, steps) = rates
            said = f"eager {eager * members:8.0f}, recorded {graph * members:8.0f} member-updates/s"
            print(f"{name:5} fleet of {members:2}: {said}; end to end {steps * members:7.0f} member-steps/s", flush=True)


def measured(build, config, members, recorded, seconds):
    """(updates, training steps) of the fleet per second."""
    seeds = list(range(members))
    fleet = off_policy.TransitionCollector(config, seeds, "cuda")
    learner = build(config, seeds, fleet.observations, fleet.actions, "cuda")
    learner = Captured(learner) if recorded else learner
    streams, journal = off_policy.Streams(fleet, learner), MemoryJournal(members)
    step = 0

    def update():
        learner.update(fleet.replay.sample(streams.sample(step)["uniform"]), tensors(streams.update(step), "cuda"))

    def train():
        fleet.step(step + 10**6, learner, streams, journal)
        update()

    rng = np.random.default_rng(0)
    for _ in range(WARM):
        for m in range(members):
            fleet._step_member(m, rng.uniform(-1, 1, fleet.actions).astype(np.float32), journal)
    rates = []
    for one in (update, train):
        for _ in range(20):
            step += 1
            one()
        torch.cuda.synchronize()
        began, count = time.perf_counter(), 0
        while time.perf_counter() - began < seconds:
            step, count = step + 1, count + 1
            one()
            if count % 50 == 0:
                torch.cuda.synchronize()
        torch.cuda.synchronize()
        rates.append(count / (time.perf_counter() - began))
    return rates
