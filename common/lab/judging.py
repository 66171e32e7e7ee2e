"""Claims put to their runs: at which scale and in which environments one can be tested, and what comes out."""

import importlib
from dataclasses import dataclass, replace

from common.lab import catalog, records, sources
from common.lab.errors import UserError
from common.lab.verdicts import Verdict, holm_verdicts, untested


@dataclass(frozen=True)
class Trial:
    """Where a claim is put to its runs: a scale, and the environments to read, None for all, if others are `lacking`."""

    scale: str
    environments: tuple | None = None
    lacking: tuple = ()

    @property
    def whole(self):
        return not self.lacking


def cells(paper, claim, scale):
    """The cells that a claim reads."""
    found = []
    for experiment, selection in catalog.artefacts(paper, "claims")[claim].items():
        known = catalog.cells(paper, experiment, scale)
        found += catalog.select(known, selection, f"{paper}/{experiment}", scale).values()
    return found


def trial(paper, claim, scales, fresh=False):
    """The `Trial` at the first scale at which every cell has results; else at the first at which all cells of some
    environments do, and those without an environment; else None."""
    parts = []
    for scale in scales:
        read = cells(paper, claim, scale)
        wanted = dict.fromkeys(map(records.environment, read))
        missing = {records.environment(cell) for cell in read if sources.source(cell, fresh).kind == "missing"}
        ran, lacking = (tuple(env for env in wanted if (env in missing) == gone) for gone in (False, True))
        if read and not lacking:
            return Trial(scale)
        if None not in missing and set(ran) - {None}:
            parts.append(Trial(scale, ran, lacking))
    return parts[0] if parts else None


def verdicts(paper, trials, fresh=False):
    """Verdicts of the claims named in `trials`, {claim: `Trial`, or None where it cannot be tested}, corrected by Holm.

    Where a claim that speaks of several environments was run in some of them, its effect in those is shown, untested (in
    part). Returns {claim: Verdict} and the `Results` read.
    """
    claims = catalog.artefacts(paper, "claims")
    if not claims:
        raise UserError(f"papers/{paper}/claims.py has no claims")
    module = importlib.import_module(f"papers.{paper}.claims")
    loaded, found = {}, {}
    for name, at in trials.items():
        if not at:
            found[name] = untested("not run")
            continue
        keys = {one: (one, at.scale, selection, at.environments) for one, selection in claims[name].items()}
        for key in keys.values():
            if key not in loaded:
                *chosen, environments = key
                loaded[key] = records.load(paper, *chosen, fresh, environments=environments)
        verdict = getattr(module, name)(**{one: loaded[key] for one, key in keys.items()})
        if not isinstance(verdict, Verdict):
            raise UserError(f"papers/{paper}/claims.py: {name} must return a Verdict, not {verdict!r}")
        found[name] = verdict if at.whole else in_part(verdict, at)
    return holm_verdicts(found), list(loaded.values())


def in_part(verdict, at):
    """What some environments say of a claim on more: untested; effect and interval stay."""
    those, others = (", ".join(env for env in environments if env) for environments in (at.environments, at.lacking))
    noted = verdict.with_note(f"{those} alone; not run: {others}")
    reason = verdict.reason if verdict.status == "untested" else "in part"
    return replace(noted, status="untested", reason=reason, seeds_to_settle=None)
