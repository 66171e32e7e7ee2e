"""Flows: a fleet of five against zuko's, on one thread, float32, batches of 256, 8 steps with networks of two layers of 32.

    python -m benchmarks flows [--rounds 5] [--events 2 8 32] [--families realnvp maf spline_ar]

Ours and zuko's are measured in turn in one run, by the process's CPU time, so that a busy machine slows both alike; the
median of the rounds counts. Both have the same data, batches, steps and sizes of networks, and products of one precision.
Numbers of parameters are printed: ours end in an affine transform, and our RealNVP has a network for the scale and one for
the shift, where zuko's has one for both.

(a) updates by the likelihood and Adam: a fleet of five against five of zuko's in turn, and one against one;
(b) densities of given points, and samples with their densities, one flow against one.

zuko belongs to the `dev` packages; without it ours alone are measured.
"""

import argparse
import importlib.util
import statistics
import time

import numpy as np
import torch

from common.flows.distributions import DiagonalGaussian, FlowDistribution
from common.rl.hardware import prepare
from common.rl.optimisers import Adam
from papers.nf_review import families

MEMBERS, BATCH, STEPS, HIDDEN, RATE = 5, 256, 8, "2x32", 1e-3
SECONDS = 0.4  # of CPU time, at least, in a timing
PEERS = {"nice": "NICE", "realnvp": "RealNVP", "maf": "MAF", "spline_ar": "NSF"}


def main(arguments):
    parser = argparse.ArgumentParser(prog="python -m benchmarks flows")
    parser.add_argument("--rounds", type=int, default=5, help="how often each side is measured (default 5)")
    parser.add_argument("--events", type=int, nargs="+", default=[2, 8, 32], help="dimensions (default 2 8 32)")
    parser.add_argument("--families", nargs="+", default=["realnvp", "maf", "spline_ar"], choices=PEERS)
    options = parser.parse_args(arguments)
    matmul = prepare()
    torch.set_num_threads(1)
    here = importlib.util.find_spec("zuko") is not None
    print(f"torch {torch.__version__}, products at precision {matmul!r}; medians of {options.rounds} rounds; one thread")
    if not here:
        print("zuko is not installed, see `python -m benchmarks flows --help`")
    for family in options.families:
        for event in options.events:
            compare(family, event, options.rounds, here)


def compare(family, event, rounds, here):
    """Measure and print one family in one dimension."""
    sides = {f"ours, fleet of {MEMBERS}": Fleet(family, event, MEMBERS), "ours, one": Fleet(family, event, 1)}
    if here:
        sides |= {f"zuko, {MEMBERS} in turn": Zuko(family, event, MEMBERS), "zuko, one": Zuko(family, event, 1)}
    found = {name: {what: [] for what in ("update", "density", "sample")} for name in sides}
    for _ in range(rounds):
        for name, side in sides.items():
            for what, kept in found[name].items():
                kept.append(side.members * rate(getattr(side, what)))
    print(f"\n{family}, D = {event}: member-updates, member-batches of densities and of samples a second; parameters")
    for name, side in sides.items():
        rates = "".join(f"{statistics.median(kept):10.0f}" for kept in found[name].values())
        print(f"  {name:18s}{rates}{side.parameters():10d}")
    if here:
        for what, ours, theirs, kind in (
            (
                f"fleet of {MEMBERS} against {MEMBERS} in turn",
                f"ours, fleet of {MEMBERS}",
                f"zuko, {MEMBERS} in turn",
                "update",
            ),
            ("one against one", "ours, one", "zuko, one", "update"),
            ("densities, one against one", "ours, one", "zuko, one", "density"),
            ("samples, one against one", "ours, one", "zuko, one", "sample"),
        ):
            ratios = sorted(a / b for a, b in zip(found[ours][kind], found[theirs][kind], strict=True))
            print(f"  {what:34s}{statistics.median(ratios):6.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})")


def rate(work):
    """Calls per second of CPU time, after one that does not count."""
    work()
    calls, start = 0, time.process_time()
    while (spent := time.process_time() - start) < SECONDS:
        work()
        calls += 1
    return calls / spent


class Fleet:
    """Our flow of so many members."""

    def __init__(self, family, event, members):
        self.members, self.event = members, event
        self.flow = families.build(
            family, [np.random.default_rng(m) for m in range(members)], event, STEPS, HIDDEN, "density"
        )
        self.optimiser = Adam([p for p in self.flow.parameters() if p.numel()], lr=RATE)
        self.data = torch.randn(members, BATCH, event, generator=torch.Generator().manual_seed(0))

    def parameters(self):
        """Of one member."""
        return families.parameters(self.flow, self.members)

    def distribution(self):
        zero = torch.zeros_like(self.data)
        return FlowDistribution(DiagonalGaussian(zero, zero), self.flow)

    def update(self):
        self.optimiser.zero_grad()
        (-self.distribution().log_prob(self.data).mean(-1)).sum().backward()
        self.optimiser.step()

    @torch.no_grad()
    def density(self):
        return self.distribution().log_prob(self.data)

    @torch.no_grad()
    def sample(self):
        return self.distribution().rsample_and_log_prob()


class Zuko:
    """zuko's flows of the same family, one after the other."""

    def __init__(self, family, event, members):
        import zuko

        torch.manual_seed(0)
        self.members = members
        settings = {"transforms": STEPS, "hidden_features": [int(HIDDEN.split("x")[1])] * int(HIDDEN.split("x")[0])}
        self.flows = [getattr(zuko.flows, PEERS[family])(event, **settings) for _ in range(members)]
        self.optimisers = [torch.optim.Adam(flow.parameters(), lr=RATE) for flow in self.flows]
        self.data = torch.randn(members, BATCH, event, generator=torch.Generator().manual_seed(0))

    def parameters(self):
        """Of one flow: those that a mask leaves out do not count."""
        total = sum(p.numel() for p in self.flows[0].parameters())
        masks = [mask for name, mask in self.flows[0].named_buffers() if name.endswith("mask") and mask.dim() == 2]
        return total - sum(int((~mask.bool()).sum()) for mask in masks)

    def update(self):
        for flow, optimiser, x in zip(self.flows, self.optimisers, self.data, strict=True):
            optimiser.zero_grad()
            (-flow().log_prob(x).mean()).backward()
            optimiser.step()

    @torch.no_grad()
    def density(self):
        return [flow().log_prob(x) for flow, x in zip(self.flows, self.data, strict=True)]

    @torch.no_grad()
    def sample(self):
        return [flow().rsample_and_log_prob((BATCH,)) for flow in self.flows]
