"""What the workflow is asked for: its configuration and targets, checked before any job is planned."""

import re
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Any

from common.errors import UserError
from common.files import say
from common.lab.plan import catalog, experiments, packages
from common.lab.results import costs, sources
from common.settings import check_known

SUFFIXES = {"figures": (".pdf", ".png"), "tables": (".md", ".tex", ".csv"), "claims": (".md", ".csv")}
KEYS = ("scale", "device", "fresh", "seeds", "dataset", "env")


def check_device(device: object) -> None:
    """Raises `UserError` unless the device is one that runs are written for. Apple's `mps` is none: it has no float64, in
    which observations are normalised."""
    if not isinstance(device, str) or not re.fullmatch(r"cpu|cuda(:[0-9]+)?", device):
        raise UserError(f"unknown device {device!r}; allowed: cpu, cuda, cuda:<number>")


class Asked:
    """The workflow's configuration: the default scale, `device`, `gpus` that a run takes, `fresh`, `seeds` in place of the
    experiments' own, and `dataset` and `env` in place of the data of Minari. `options` are those of the commands that draw,
    `run_options` of the one that trains.

    Raises `UserError` for unknown keys and values.
    """

    def __init__(self, config: dict[str, Any]):
        for key in config:
            check_known(key, KEYS, "config: unknown key")
        fresh = str(config.get("fresh", False)).lower()  # text if it comes from the command line
        self.told: set[str] = set()  # names that people were told of
        self.default = config.get("scale", "quick")
        self.device = config.get("device", "cpu")
        self.gpus = 0 if self.device == "cpu" else 1
        if self.default not in catalog.SCALES:  # from the smallest on, as `nearest` would not tell them
            raise UserError(f"config: unknown scale {self.default!r}; allowed: {', '.join(catalog.SCALES)}")
        check_known(fresh, ("true", "false"), "config: fresh cannot be")
        self.fresh = fresh == "true"
        check_device(self.device)
        catalog.replace_seeds(experiments.seeds(config["seeds"], "config: seeds") if "seeds" in config else None)
        catalog.replace_data(config.get("dataset"), config.get("env"))
        self.options = ("--fresh" if self.fresh else "") + catalog.seeds_option() + catalog.data_option()
        self.run_options = (f"{catalog.seeds_option()} --exactly" if "seeds" in config else "") + catalog.data_option()

    def scale(self, at: str) -> str:
        """The scale of a file in figures/ (`at` is '') or figures/<scale>/ (`at` is '<scale>/')."""
        return at.rstrip("/") or self.default

    def run_param(self, key: str, scale: str) -> str:
        """What a cell's run depends on: its digest and members, or those that it holds beside the wanted ones, so that a run
        which has them all is left as it is."""
        cell = catalog.cell(key, scale)
        held = sources.own(cell)
        if held and not held.stale and not held.partial:
            cell = replace(cell, members=tuple(held.record["members"]))
        return cell.param

    def threads(self, key: str, scale: str) -> int:
        """Cores that a cell's job takes: one per worker. On a GPU one worker trains all members."""
        return catalog.cell(key, scale).threads(1 if self.gpus else 1000)

    def needs(self, key: str, scale: str, threads: int) -> costs.Needs:
        """What a cluster is asked for, for a cell's job."""
        return costs.needs(catalog.cell(key, scale), threads, self.device)

    def group(self, key: str, scale: str) -> str | None:
        """The group of short cells that a cell belongs to, short<level>; None if it is worth a job of its own. Cells that
        use others are of another level than these, so that no group waits for itself."""
        if not self.needs(key, scale, self.threads(key, scale)).short:
            return None
        level, used = 0, catalog.cell(key, scale).used
        while used:
            level, used = level + 1, tuple(other for cell in used for other in cell.used)
        return f"short{level}"

    def run_inputs(self, key: str, scale: str, again: set[str]) -> list[str]:
        """Paths, relative to the root, of the metrics that a cell's run reads. Its own join `again`, what Snakemake makes
        anew, if they are outdated: of other settings or code, of fewer seeds, or without a file that the cell produces. It
        sees that of its own runs alone; of one that `papers run` made it has no record."""
        cell = catalog.cell(key, scale)
        if sources.own(cell) and sources.source(cell, True, cell.produces).kind == "missing":
            again.add(f"{cell.place}/metrics.csv")
        return sources.run_inputs(key, scale)

    def inputs(self, name: str, at: str) -> list[str]:
        """Paths, relative to the root, of the metrics that an artefact reads. Tells if it is about to replace a picture of a
        larger scale."""
        _, kind = catalog.find(name)
        sources.say_if_larger(f"figures/{at}{name}{SUFFIXES[kind][0]}", self.scale(at))
        return [sources.source(cell, self.fresh).metrics for cell in catalog.artefact_cells(name, self.scale(at))]

    def everything(self, at: str = "") -> list[str]:
        """Files of every figure, table and paper's verdicts that can be made here; `at` is '' or '<scale>/'. Tells which
        cannot."""
        files = {name: f"figures/{at}{name}{SUFFIXES[homes[0][1]][0]}" for name, homes in catalog.names().items()}
        lacking = {name: reason for name in files if (reason := self._lacking(name, self.scale(at)))}
        for name in lacking.keys() - self.told:
            say(f"{name}: left out: {lacking[name]}")
        self.told |= lacking.keys()
        return [file for name, file in files.items() if name not in lacking]

    def _lacking(self, name, scale, alone=False):
        """Why some cell that an artefact reads cannot be trained here and has no results, or None."""
        for cell in catalog.artefact_cells(name, scale):
            reason = packages.lacking(cell, alone)
            if reason and sources.source(cell, self.fresh).kind == "missing":
                return reason
        return None

    def check(self, arguments: list[str]) -> None:
        """Checks what a command line asks for: files below figures/ or results/, the targets `all` and `smoke`, and names of
        artefacts, which are no files.

        Raises `UserError`, with the nearest names, for what does not exist, and for mistakes in experiments it reads.
        """
        for argument in arguments:
            if argument in ("all", "smoke"):
                self.check(self.everything("smoke/" if argument == "smoke" else ""))
            path = PurePosixPath(argument)
            self._check_is_a_file(path)
            if path.parts[:1] == ("figures",) and len(path.parts) > 1:
                self._check_artefact(path)
            if path.parts[:1] == ("results",) and len(path.parts) == 6:
                catalog.cell("/".join(path.parts[2:5]), path.parts[1])

    def _check_is_a_file(self, path):
        """Snakemake itself says of what is no target that it has no rule for it, and names nothing near."""
        if any(path.is_relative_to(catalog.ROOT / folder) for folder in ("figures", "results")):
            raise UserError(f"{path}: must be relative to the checkout: {path.relative_to(catalog.ROOT)}")
        if len(path.parts) != 1:
            return
        if path.stem in catalog.names() or re.match("(fig|table)[0-9x]*_|claims_", path.name):
            name = path.stem
            kind = catalog.find(name)[1]
            raise UserError(f"{path}: is no file; did you mean figures/{name}{SUFFIXES[kind][0]}?")

    def _check_artefact(self, path):
        at = path.parts[1] if len(path.parts) > 2 else ""
        if len(path.parts) > 3 or at not in ("", *catalog.SCALES):
            known = ", ".join(catalog.SCALES)
            raise UserError(f"{path}: must be figures/<name> or figures/<scale>/<name>, <scale> one of {known}")
        _, kind = catalog.find(path.stem)
        if path.suffix not in SUFFIXES[kind]:
            raise UserError(f"{path}: {path.stem} is one of the {kind}; allowed endings: {', '.join(SUFFIXES[kind])}")
        if reason := self._lacking(path.stem, self.scale(at), alone=True):
            raise UserError(f"{path}: {reason}")
