"""Verdicts of claims on their results: at which scale, and in which environments, a claim can be tested."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from common.errors import UserError
from common.lab.plan import catalog
from common.lab.report.verdicts import Verdict, holm_verdicts, untested
from common.lab.results import records, sources


@dataclass(frozen=True)
class Trial:
    """A scale at which a claim is tested, and the environments that were run there if others are `lacking` (else None)."""

    scale: str
    environments: tuple | None = None
    lacking: tuple = ()


def cells(paper: str, claim: str, scale: str) -> list[catalog.Cell]:
    """The cells that a claim reads."""
    selected: list = []
    for experiment, selection in catalog.artefacts(paper, "claims")[claim].items():
        known = catalog.cells(paper, experiment, scale)
        selected += catalog.select(known, selection).values()
    return selected


def trial(paper: str, claim: str, scales: Sequence[str], fresh: bool = False) -> Trial | None:
    """The `Trial` at the first scale at which every cell has results; else at the first at which all cells of some
    environments have, and those without an environment; else None."""
    partial = []
    for scale in scales:
        read = cells(paper, claim, scale)
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
    """Verdicts of the claims named in `trials`, {claim: `Trial`, or None where it cannot be tested}, corrected by Holm.

    Where only some environments of a claim were run, its verdict is untested (in part) and shows their effect. Returns
    {claim: verdict} and the `Results` read. UserError: a claim that returns no `Verdict`, a paper without claims.
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
        judged[name] = in_part(verdict, at) if at.lacking else verdict
    return holm_verdicts(judged), list(loaded.values())


def in_part(verdict: Verdict, at: Trial) -> Verdict:
    """The verdict of a trial in some environments on a claim about more: untested; effect and interval stay."""
    ran, lacking = (", ".join(filter(None, environments)) for environments in (at.environments or (), at.lacking))
    noted = verdict.with_note(f"{ran} alone; not run: {lacking}")
    reason = verdict.reason if verdict.status == "untested" else "in part"
    return replace(noted, status="untested", reason=reason, seeds_to_settle=None)
