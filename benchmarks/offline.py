"""The offline agents, on one thread, sizes of HalfCheetah.

    python -m benchmarks offline [--pairs 5] [--rows 1000000]

(a) Updates of a member per second of CPU time: fleets of 3 seeds of AWAC and IQL against a plain torch loop of one seed, as
    the well-known single-file ports are written (modules, one Adam each, an index into tensors for a batch). Both in turn in
    one run; the median of the pairs counts. Floor: 2.
(b) Shares of the machine's rate of batched matrix products that the flow's pre-training (12 steps of 2x256, batch 1024) and
    a CNF update (the same flow, batch 512, 3 seeds) reach. Floors: 0.6 and 0.5.
(c) Peak memory of a process that trains AWAC on so many rows. Floor: at most 1.5 GB.
"""

import argparse
import copy
import resource
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import save_file
from torch import nn
from torch.nn import functional as F

from common.rl.datasets import checked, stacked
from common.rl.hardware import prepare
from common.rl.inputs import Run
from common.rl.learner import tensors
from common.rl.randomness import Blocks
from papers.cnf_offline import awac, cnf, flow, iql
from papers.cnf_offline.config import AWAC, CNF, IQL, Flow

OBSERVATIONS, ACTIONS, SEEDS = 17, 6, (0, 1, 2)
UPDATES = 40  # in a timing
FLOW = {"layers": 12, "units": "2x256", "quality": "medium"}


def main(arguments):
    parser = argparse.ArgumentParser(prog="python -m benchmarks offline")
    parser.add_argument("--pairs", type=int, default=5, help="how often each side is measured (default 5)")
    parser.add_argument("--rows", type=int, default=1_000_000, help="rows of the data (default 1000000)")
    options = parser.parse_args(arguments)
    matmul, capability = prepare(), torch.backends.cpu.get_cpu_capability()
    print(f"float32 products at precision {matmul!r}, {capability}; medians of {options.pairs} pairs; one thread, CPU time")
    with tempfile.TemporaryDirectory() as folder:
        data = made(options.rows, Path(folder))
        for name, (learner, peer) in {"AWAC": (awac.Learner(AWAC(), SEEDS, data), PlainAWAC(data)),
                                      "IQL": (iql.Learner(IQL(), SEEDS, data), PlainIQL(data))}.items():  # fmt: skip
            against(name, fleet(learner, data), peer.update, options.pairs)
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
        print(f"peak memory so far, {options.rows:,} rows: {memory:.2f} GB (at most 1.5)")
        shares(data, options.pairs)


def made(rows, folder):
    """Random transitions of HalfCheetah's sizes, written to a file and mapped into memory as a run's are."""
    rng, chunk = np.random.default_rng(0), []
    for _ in range(max(1, rows // 100_000)):
        count = min(rows, 100_000)
        obs, following = rng.standard_normal((2, count, OBSERVATIONS), dtype=np.float32)
        action = np.tanh(rng.standard_normal((count, ACTIONS), dtype=np.float32))
        ends = (np.arange(count) % 1000 == 999).astype(np.float32)
        chunk.append(stacked(obs, action, rng.standard_normal(count), 0 * ends, ends, following))
    save_file({"rows": np.concatenate(chunk)}, folder / "rows.safetensors")
    del chunk
    run = Run({"rows": folder / "rows.safetensors"}, {}, {})
    return checked(run.tensors("rows")["rows"], OBSERVATIONS, ACTIONS, "made")


def fleet(learner, data, device="cpu"):
    """One update of a fleet, its batch drawn as the loop draws it."""
    config = learner.config
    batches = Blocks(learner.seeds, "sample", 64, lambda rng, n: {"uniform": rng.random((n, config.batch_size))})
    draws, step = Blocks(learner.seeds, "update", 64, learner.update_draws), iter(range(10**9))

    def update():
        at = next(step)
        index = torch.from_numpy((batches.at(at)["uniform"] * len(learner.order)).astype(np.int64))
        learner.update(data.take(learner.order[index], device), tensors(draws.at(at), device))

    return update


def against(name, ours, theirs, pairs):
    """Print member-updates per second of both, and their ratio."""
    rates = [(len(SEEDS) / seconds(ours), 1 / seconds(theirs)) for _ in range(pairs)]
    mine, other = (statistics.median(side) for side in zip(*rates, strict=True))
    ratio = statistics.median(a / b for a, b in rates)
    print(
        f"{name:5} fleet of {len(SEEDS)}: {mine:6.1f} member-updates/s; a plain loop: {other:6.1f}; {ratio:.2f} x (floor 2)"
    )


def seconds(update):
    """CPU seconds of one update."""
    update()
    began = time.process_time()
    for _ in range(UPDATES):
        update()
    return (time.process_time() - began) / UPDATES


def shares(data, pairs):
    """Print the shares of (b)."""
    trained = flow.Learner(Flow(**FLOW), [0], data)
    with tempfile.TemporaryDirectory() as folder:
        agent = cnf.Learner(CNF(), SEEDS, data, inputs={"flow": [run_of(trained, Path(folder))]})
    for name, learner, work, floor in (
        ("flow pre-training", trained, 3 * coupling_flops(1024), 0.6),
        ("CNF update", agent, 4 * coupling_flops(512 * len(SEEDS)) + networks_flops(512 * len(SEEDS)), 0.5),
    ):
        update = fleet(learner, data)
        measured = [work / seconds(update) / product_rate() for _ in range(pairs)]
        print(f"{name}: {work / 1e9:.2f} GFLOP, share of the product rate {statistics.median(measured):.2f} (floor {floor})")


def run_of(trained, folder):
    """The run of a flow's learner, as an agent reads it."""
    save_file(trained.files()["flow"][0], folder / "flow.safetensors")
    return Run({"flow": folder / "flow.safetensors"}, dict(vars(trained.config)), {"nll_best": 0.0})


def coupling_flops(rows):
    """Of one pass through the flow's networks."""
    half, units = ACTIONS // 2, 256
    return 12 * 2 * rows * ((half + OBSERVATIONS) * units + units**2 + units * 2 * half)


def networks_flops(rows):
    """Of policy and critics in one update: critics on (s, a) forward and backward, three more forward passes of the pair,
    the policy three times forward and once backward."""
    critic = 2 * ((OBSERVATIONS + ACTIONS) * 256 + 2 * 256**2 + 256)
    policy = OBSERVATIONS * 256 + 2 * 256**2 + 256 * 2 * ACTIONS
    return 2 * rows * (critic * (3 + 3) + policy * (3 + 2))


def product_rate():
    """FLOP per CPU second of batched 256x256 products, the best of some rounds."""
    a, out = torch.randn(2, 256, 256), torch.empty(2, 256, 256)

    def once():
        began = time.process_time()
        for _ in range(40):
            torch.bmm(a, a, out=out)
        return 40 * 2 * 2 * 256**3 / (time.process_time() - began)

    return max(once() for _ in range(5))


def plain(inputs, outputs, hidden):
    """A multilayer perceptron of torch.nn."""
    sizes = [inputs, *hidden]
    layers = [layer for pair in zip(sizes, sizes[1:], strict=False) for layer in (nn.Linear(*pair), nn.ReLU())]
    return nn.Sequential(*layers, nn.Linear(sizes[-1], outputs))


class Plain:
    """What the two plain loops share."""

    def __init__(self, data, hidden):
        fields = ("obs", "action", "reward", "terminated", "next_obs")
        self.fields = [getattr(data, name).clone() for name in fields]
        self.critics = nn.ModuleList(plain(OBSERVATIONS + ACTIONS, 1, hidden) for _ in range(2))
        self.targets = copy.deepcopy(self.critics)
        self.policy, self.log_std = plain(OBSERVATIONS, ACTIONS, hidden), nn.Parameter(torch.zeros(ACTIONS))
        self.policy_adam = torch.optim.Adam([*self.policy.parameters(), self.log_std], lr=3e-4)
        self.critic_adam = torch.optim.Adam(self.critics.parameters(), lr=3e-4)

    def batch(self):
        index = torch.from_numpy(np.random.randint(0, len(self.fields[0]), 256))
        return [field[index] for field in self.fields]

    def q(self, critics, obs, action):
        x = torch.cat([obs, action], 1)
        return [critic(x).squeeze(-1) for critic in critics]

    def distribution(self, obs):
        return torch.distributions.Normal(self.policy(obs), self.log_std.exp())

    def descend(self, adam, loss):
        adam.zero_grad()
        loss.backward()
        adam.step()

    def follow(self):
        with torch.no_grad():
            for target, online in zip(self.targets.parameters(), self.critics.parameters(), strict=True):
                target.mul_(0.995).add_(online, alpha=0.005)


class PlainAWAC(Plain):
    """AWAC of one seed."""

    def __init__(self, data):
        super().__init__(data, [256] * 3)

    def update(self):
        obs, action, reward, terminated, next_obs = self.batch()
        with torch.no_grad():
            chosen = self.distribution(next_obs).sample().clamp(-1, 1)
            target = reward + 0.99 * (1 - terminated) * torch.min(*self.q(self.targets, next_obs, chosen))
        first, second = self.q(self.critics, obs, action)
        self.descend(self.critic_adam, F.mse_loss(first, target) + F.mse_loss(second, target))
        with torch.no_grad():
            drawn = self.distribution(obs).sample().clamp(-1, 1)
            value = torch.min(*self.q(self.critics, obs, drawn))
            weight = ((torch.min(*self.q(self.critics, obs, action)) - value) * 3).exp().clamp(max=100)
        self.descend(self.policy_adam, -(weight * self.distribution(obs).log_prob(action).sum(-1)).mean())
        self.follow()


class PlainIQL(Plain):
    """IQL of one seed."""

    def __init__(self, data):
        super().__init__(data, [256] * 2)
        self.value = plain(OBSERVATIONS, 1, [256] * 2)
        self.value_adam = torch.optim.Adam(self.value.parameters(), lr=3e-4)

    def update(self):
        obs, action, reward, terminated, next_obs = self.batch()
        with torch.no_grad():
            q = torch.min(*self.q(self.targets, obs, action))
        gap = q - self.value(obs).squeeze(-1)
        self.descend(self.value_adam, (torch.where(gap < 0, 0.3, 0.7) * gap.square()).mean())
        with torch.no_grad():
            weight = (3 * (q - self.value(obs).squeeze(-1))).exp().clamp(max=100)
            target = reward + 0.99 * (1 - terminated) * self.value(next_obs).squeeze(-1)
        self.descend(self.policy_adam, -(weight * self.distribution(obs).log_prob(action).sum(-1)).mean())
        first, second = self.q(self.critics, obs, action)
        self.descend(self.critic_adam, F.mse_loss(first, target) + F.mse_loss(second, target))
        self.follow()
