"""Verdicts of claims on their results: at which scale, and in which environments, a claim can be tested."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from common.errors import UserError
from common.lab.plan import catalog
from common.lab.report.verdicts import Verdict, holm_verdicts, in_part, untested
from common.lab.results import costs, records, sources

PUBLISHED = ("paper", "day")  # scales whose results are kept, the larger first


@dataclass(frozen=True)
class Trial:
    """A scale at which a claim is tested, and the environments that were run there if others are `lacking` (else None)."""

    scale: str
    environments: tuple | None = None
    lacking: tuple = ()


def not_written(paper: str) -> dict[str, str]:
    """{claim: its sentence} of the claims that the paper makes and no function tests yet; they count as untested. UserError:
    one that has a function."""
    claims = catalog.front(paper).get("claims_not_written") or {}
    if written := set(claims) & set(catalog.artefacts(paper, "claims")):
        raise UserError(f"papers/{paper}/paper.yaml: claims_not_written: {min(written)} has a function in claims.py")
    return claims


def trial(paper: str, claim: str, scales: Sequence[str], fresh: bool = False) -> Trial | None:
    """The `Trial` at the first scale at which every cell has results; else at the first at which all cells of some
    environments have, and those without an environment; else None."""
    partial = []
    for scale in scales:
        read = catalog.claim_cells(paper, claim, scale)
        wanted = dict.fromkeys(map(records.environment, read))
        missing = {records.environment(cell) for cell in read if sources.source(cell, fresh).kind == "missing"}
        ran, lacking = (tuple(env for env in wanted if (env in missing) == gone) for gone in (False, True))
        if read and not lacking:
            return Trial(scale)
        if None not in missing and set(ran) - {None}:
            partial.append(Trial(scale, ran, lacking))
    return partial[0] if partial else None


def verdicts(
    paper: str, trials: Mapping[str, Trial | None], fresh: bool = False
) -> tuple[dict[str, Verdict], list[records.Results]]:
    """Verdicts of the claims named in `trials`, {claim: `Trial`, or None where it cannot be tested}, corrected by Holm in
    two families: what the paper claims (c…) and what we ask beyond it (own_…).

    Where only some environments of a claim were run, its verdict is that of `verdicts.in_part`. Returns {claim: verdict} and
    the `Results` read. UserError: a claim that returns no `Verdict`, a paper without claims.
    """
    claims = catalog.artefacts(paper, "claims")
    if not claims:
        raise UserError(f"papers/{paper}/claims.py has no claims")
    loaded: dict = {}
    judged = {}
    for name, at in trials.items():
        if not at:
            judged[name] = untested("not run")
            continue
        keys = {experiment: (experiment, at.scale, chosen, at.environments) for experiment, chosen in claims[name].items()}
        for experiment, scale, chosen, environments in keys.values():
            if (key := (experiment, scale, chosen, environments)) not in loaded:
                loaded[key] = records.load(paper, experiment, scale, chosen, fresh, environments=environments)
        verdict = catalog.function(paper, "claims", name)(**{experiment: loaded[key] for experiment, key in keys.items()})
        if not isinstance(verdict, Verdict):
            raise UserError(f"papers/{paper}/claims.py: {name} must return a Verdict, not {verdict!r}")
        ran = [env for env in at.environments or () if env]
        judged[name] = in_part(verdict, ran, at.lacking) if at.lacking else verdict
    own = {name: verdict for name, verdict in judged.items() if name.startswith("own_")}
    theirs = {name: verdict for name, verdict in judged.items() if name not in own}
    corrected = holm_verdicts(theirs) | holm_verdicts(own)
    return {name: with_remedy(paper, name, corrected[name]) for name in judged}, list(loaded.values())


@dataclass(frozen=True)
class Remedy:
    """A command that trains what a claim still needs, and its price in core-seconds at the reference speed."""

    command: str
    core_seconds: float

    def __str__(self) -> str:
        return f"to test it: {self.command} ({costs.duration(self.core_seconds)} of one core)"


def needs(paper: str, claim: str) -> tuple[int, int] | None:
    """(steps, seeds) that can test a claim, as its function says without any results; None if it states none."""
    experiments = catalog.artefacts(paper, "claims")[claim]
    return catalog.function(paper, "claims", claim)(**{name: records.Results("paper", []) for name in experiments}).needs


def remedy(paper: str, claim: str, steps: int, seeds: int) -> Remedy | None:
    """The cheapest command that brings the cells of a claim to these steps and seeds: over the scales whose runs are long
    enough, with further seeds where a scale has too few. None if no scale is."""
    found = []
    for scale, read, own, more in _ways(paper, claim, steps, seeds):
        price = sum(_price(cell, {*own, *more}) for cell in read)
        option = f" --seeds {','.join(map(str, own))},{','.join(map(str, more))}" if more else ""
        found.append(Remedy(f"python -m papers run {paper}/{claim} --scale {scale}{option}", price))
    return min(found, key=lambda remedy: remedy.core_seconds, default=None)


def options(paper: str, claim: str, steps: int, seeds: int) -> list[dict[tuple[str, str, int], float]]:
    """All ways to bring the cells of a claim to these steps and seeds, one per scale that is published and long enough:
    {(scale, cell's key, seed): core-seconds at the reference speed} of what is not finished."""
    ways = []
    for scale, read, own, more in _ways(paper, claim, steps, seeds):
        if scale not in PUBLISHED:
            continue
        prices: dict[tuple[str, str, int], float] = {}
        for cell in read:
            missing = _missing(cell, {*own, *more} if more else {member["seed"] for member in cell.members})
            price = _price(cell, missing) / max(1, len(missing))
            prices |= {(scale, cell.key, seed): price for seed in missing}
        ways.append(prices)
    return ways[::-1]  # the larger scale first, which is taken where both cost the same


def _ways(paper, claim, steps, seeds):
    """(scale, cells, seeds of its page, further seeds) of every scale whose runs are long enough."""
    for scale in catalog.SCALES:
        read = catalog.claim_cells(paper, claim, scale)
        if scale == "smoke" or not read or any(costs.work(asdict(cell.config)) < steps for cell in read):
            continue
        kinds = max(_members_per_seed(cell) for cell in read)  # of a fleet whose members differ in more than seeds
        own = list(dict.fromkeys(member["seed"] for member in read[0].members))
        yield scale, read, own, range(max(own) + 1, max(own) + 1 + max(0, -(-seeds // kinds) - len(own)))


def _members_per_seed(cell):
    return len(cell.members) // len({member["seed"] for member in cell.members})


def _missing(cell, seeds):
    """Those of the seeds that are not finished."""
    held = sources.source(cell, fresh=True)
    return seeds - (set() if held.stale else {member["seed"] for member in held.record.get("members", ())})


def _price(cell, seeds):
    """Core-seconds of those seeds of a cell that are not finished, at the reference speed."""
    missing = _members_per_seed(cell) * len(_missing(cell, seeds))
    return costs.estimate(cell, missing=missing, speed=costs.FALLBACK_SPEED).core_seconds


def with_remedy(paper: str, claim: str, verdict: Verdict) -> Verdict:
    """An untested verdict with the cheapest command that would test it in its note."""
    if verdict.status != "untested" or not (least := verdict.needs or needs(paper, claim)):
        return verdict
    cheapest = remedy(paper, claim, *least)
    return verdict.with_note(str(cheapest)) if cheapest else verdict
