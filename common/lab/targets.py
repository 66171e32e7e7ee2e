"""What the workflow is asked for: its configuration and targets, checked before any job is planned."""

import re
from pathlib import PurePosixPath

from common.lab import catalog
from common.lab.config import nearest
from common.lab.errors import UserError

SUFFIXES = {"figures": (".pdf", ".png"), "tables": (".md", ".tex", ".csv"), "claims": (".md", ".csv")}
KEYS = ("scale", "device", "fresh")


def settings(config):
    """(scale, '--fresh' or '') of the workflow's configuration. Raises `UserError` for unknown keys and values."""
    for key in config:
        if key not in KEYS:
            raise UserError(f"config: unknown key {key!r}; {nearest(key, KEYS)}")
    scale, fresh, device = config.get("scale", "quick"), config.get("fresh", False), config.get("device", "cpu")
    if scale not in catalog.SCALES:
        raise UserError(f"config: unknown scale {scale!r}; allowed: {', '.join(catalog.SCALES)}")
    if not isinstance(fresh, bool):
        raise UserError(f"config: fresh = {fresh!r} must be true or false")
    if not isinstance(device, str) or not re.fullmatch(r"cpu|cuda(:\d+)?|mps", device):
        raise UserError(f"config: unknown device {device!r}; allowed: cpu, cuda, cuda:<number>, mps")
    return scale, "--fresh" if fresh else ""


def everything(at=""):
    """Files of every figure, table and paper's verdicts; `at` is '' or '<scale>/'."""
    return [f"figures/{at}{name}{SUFFIXES[homes[0][1]][0]}" for name, homes in catalog.names().items()]


def check(arguments, scale):
    """Checks what a command line asks for: every file below figures/ or results/, and the targets `all` and `smoke`.

    Raises `UserError`, with the nearest names, for what does not exist and for a mistake in an experiment that is read.
    """
    for argument in arguments:
        if argument in ("all", "smoke"):
            check(everything(f"{argument}/" if argument == "smoke" else ""), scale)
        path = PurePosixPath(argument)
        if path.parts[:1] == ("figures",) and len(path.parts) > 1:
            _check_artefact(path, scale)
        if path.parts[:1] == ("results",) and len(path.parts) == 6:
            if path.parts[1] not in catalog.SCALES:
                raise UserError(f"{path}: unknown scale {path.parts[1]!r}; allowed: {', '.join(catalog.SCALES)}")
            catalog.cell("/".join(path.parts[2:5]), path.parts[1])


def _check_artefact(path, scale):
    if len(path.parts) > 3 or (len(path.parts) == 3 and path.parts[1] not in catalog.SCALES):
        raise UserError(f"{path}: must be figures/<name> or figures/<scale>/<name>, <scale> one of {catalog.SCALES}")
    _, kind = catalog.find(path.stem)
    if path.suffix not in SUFFIXES[kind]:
        raise UserError(f"{path}: {path.stem} is one of the {kind}; allowed endings: {', '.join(SUFFIXES[kind])}")
    catalog.artefact_cells(path.stem, path.parts[1] if len(path.parts) == 3 else scale)
