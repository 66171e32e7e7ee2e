"""Fleets on a GPU, sizes of HalfCheetah.

    python -m benchmarks gpu [--seconds 4] [--members 2,4,8,16] [--offline 3,9]

Member-updates per second of SAC and of ARSAC (batch 256, networks 2x256), launched kernel by kernel (eager) and as one CUDA
graph (recorded), batches drawn from a replay in host memory as the loop does; and training steps of a whole fleet per second
end to end: action, simulators in turn on one core, batch, update. The same updates of agents that learn from fixed data: CNF
through a flow of 12 steps of 2x256 and without one, and AWAC."""

import argparse
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from benchmarks.offline import FLOW, fleet, made, run_of
from common.rl import off_policy, sac
from common.rl.config import SAC
from common.rl.graphs import Captured
from common.rl.hardware import prepare
from common.rl.journal import MemoryJournal
from common.rl.learner import tensors
from papers.arsac import arsac
from papers.arsac.config import ARSAC
from papers.cnf_offline import awac, cnf, flow
from papers.cnf_offline.config import AWAC, CNF, Flow

WARM = 1_000  # transitions in the replay


def main(arguments):
    parser = argparse.ArgumentParser(prog="python -m benchmarks gpu")
    parser.add_argument("--seconds", type=float, default=4.0, help="of each measurement (default 4)")
    parser.add_argument("--members", default="2,4,8,16", help="sizes of the fleets (default 2,4,8,16)")
    parser.add_argument("--offline", default="3,9", help="sizes of the fleets on fixed data (default 3,9)")
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

    with tempfile.TemporaryDirectory() as folder:
        data = made(100_000, Path(folder))
        inputs = {"flow": [run_of(flow.Learner(Flow(**FLOW), [0], data), Path(folder))]}
        for name, build, config in (
            ("CNF", cnf.Learner, CNF()),
            ("CNF without a flow", cnf.Learner, CNF(encoder="none")),
            ("AWAC", awac.Learner, AWAC()),
        ):
            for members in map(int, options.offline.split(",")):
                eager, graph = (
                    offline(build(config, range(members), data, "cuda", inputs), data, recorded, options.seconds)
                    for recorded in (False, True)
                )
                said = f"eager {eager * members:8.0f}, recorded {graph * members:8.0f} member-updates/s"
                print(f"{name}, fleet of {members}: {said}", flush=True)


def offline(learner, data, recorded, seconds):
    """Updates of a fleet on fixed data per second."""
    return rate(fleet(Captured(learner) if recorded else learner, data, "cuda"), seconds)


def rate(repeated, seconds):
    """Calls per second, by the clock, of what launches work on the GPU."""
    for _ in range(20):
        repeated()
    torch.cuda.synchronize()
    began, count = time.perf_counter(), 0
    while time.perf_counter() - began < seconds:
        repeated()
        count += 1
        if count % 50 == 0:
            torch.cuda.synchronize()
    torch.cuda.synchronize()
    return count / (time.perf_counter() - began)


def measured(build, config, members, recorded, seconds):
    """(updates, training steps) of the fleet per second."""
    seeds = list(range(members))
    collector = off_policy.TransitionCollector(config, seeds, "cuda")
    learner = build(config, seeds, collector.observations, collector.actions, "cuda")
    learner = Captured(learner) if recorded else learner
    streams, journal = off_policy.Streams(collector, learner), MemoryJournal(members)
    steps = iter(range(10**6))

    def update():
        step = next(steps)
        learner.update(collector.replay.sample(streams.sample(step)["uniform"]), tensors(streams.update(step), "cuda"))
        return step

    def train():
        collector.step(10**6 + update(), learner, streams, journal)

    rng = np.random.default_rng(0)
    for _ in range(WARM):
        for m in range(members):
            collector._step_member(m, rng.uniform(-1, 1, collector.actions).astype(np.float32), journal)
    return [rate(repeated, seconds) for repeated in (update, train)]
