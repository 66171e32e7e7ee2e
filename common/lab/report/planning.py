"""What to run next: the order in which claims that wait for runs are tested at the best price."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from common.files import atomic_write
from common.lab.plan import catalog
from common.lab.report import judging, tabular
from common.lab.results import costs

Job = tuple[str, str, int]  # (scale, cell's key, seed)


@dataclass(frozen=True)
class Step:
    """What is trained for one claim beyond the steps before it: its jobs, their price in core-seconds at the reference
    speed, and the claims, `paper/claim`, that can be tested after it and not before."""

    claims: tuple[str, ...]
    jobs: frozenset[Job]
    core_seconds: float

    @property
    def cells(self) -> dict[tuple[str, str], list[int]]:
        """{(scale, cell's key): seeds}, in the order of the keys."""
        named: dict[tuple[str, str], list[int]] = {}
        for scale, key, seed in sorted(self.jobs):
            named.setdefault((scale, key), []).append(seed)
        return named


@dataclass(frozen=True)
class Plan:
    """Steps in their order, and the claims whose least budget no scale meets."""

    steps: list[Step]
    hopeless: list[str]


def plan(papers: Sequence[str] = ()) -> Plan:
    """The order for the claims of these papers (all by default) that are untested: greedy, the most claims per core-second
    first, what several share paid once, the papers' own claims first among equals."""
    wanted: dict[str, list[dict[Job, float]]] = {}
    hopeless = []
    for paper in papers or catalog.papers():
        trials = {claim: judging.trial(paper, claim, judging.PUBLISHED) for claim in catalog.artefacts(paper, "claims")}
        for claim, verdict in (judging.verdicts(paper, trials)[0] if trials else {}).items():
            if verdict.status != "untested":
                continue
            least = verdict.needs or judging.needs(paper, claim)
            options = judging.options(paper, claim, *(least or (0, 0)))
            options = options if least else options[:1]  # a claim that states no budget is the largest scale's
            if options and all(options):  # else all was run: `--seeds` shows a verdict on more seeds than the page has
                wanted[f"{paper}/{claim}"] = options
            elif not options:
                hopeless.append(f"{paper}/{claim}")
    return Plan(ordered(wanted), hopeless)


def ordered(wanted: Mapping[str, Sequence[Mapping[Job, float]]]) -> list[Step]:
    """The steps for {claim: ways to test it, each {job: its price}}. A step takes the claim, and the way, with the most
    claims tested per price; whatever else its jobs complete is tested with it."""
    steps: list[Step] = []
    planned: set[Job] = set()
    left = dict(wanted)
    while left:
        found = []
        for claim, ways in left.items():
            for way in ways:
                jobs = way.keys() - planned
                tested = [name for name, others in left.items() if any(other.keys() <= planned | jobs for other in others)]
                price = sum(way[job] for job in sorted(jobs))
                own = claim.partition("/")[2].startswith("own_")
                found.append((price / len(tested), own, claim, price, jobs, tuple(tested)))
        *_, price, chosen, together = min(found, key=lambda option: option[:4])
        steps.append(Step(together, frozenset(chosen), price))
        planned |= chosen
        left = {claim: ways for claim, ways in left.items() if claim not in together}
    return steps


HEAD = ["rank", "claims that it can test", "cells", "core-hours", "sum"]


def table(steps: Sequence[Step]) -> pd.DataFrame:
    """The steps as people read them."""
    rows, total = [], 0.0
    for rank, step in enumerate(steps, 1):
        total += step.core_seconds
        cells = [f"{key} at {scale}, {len(seeds)} seeds" for (scale, key), seeds in step.cells.items()]
        shown = cells if len(cells) < 5 else [*cells[:3], f"and {len(cells) - 3} more"]
        hours, summed = (f"{seconds / 3600:.2g}" for seconds in (step.core_seconds, total))
        rows.append([rank, ", ".join(step.claims), "; ".join(shown), hours, summed])
    return pd.DataFrame(rows, columns=HEAD, dtype=object)


def show(made: Plan, papers: Sequence[str] = ()) -> None:
    """Prints the plan, and writes docs/evidence.md if it is that of all papers."""
    page = tabular.body(table(made.steps))
    if made.hopeless:
        page += "\n\nNo scale meets the least budget of " + ", ".join(made.hopeless) + "."
    print(page)
    if not papers:
        head = (
            "# What to run next\n\nThe claims that wait for runs, in the order of `python -m papers settle`: the most "
            f"claims per core-hour first, at {costs.FALLBACK_SPEED:.0f} GFLOP/s. What several read is paid once.\n\n"
        )
        atomic_write(catalog.ROOT / "docs/evidence.md", head + page + "\n")
