"""What `python -m papers` tells: what there is, where a picture comes from, what it would cost."""

import os

from common.lab.plan import catalog, provenance
from common.lab.results import costs, sources
from common.lab.results.requests import SUFFIXES


def listing(paper: str | None = None) -> None:
    """Prints every paper with its figures, tables, claims and experiments, or one paper alone. UserError: unknown paper."""
    for name in [paper] if paper else catalog.papers():
        functions = {kind: catalog.artefacts(name, kind) for kind in catalog.KINDS}
        print(name)
        for kind, artefacts in functions.items():
            for artefact, reads in artefacts.items():
                print(f"  {kind[:-1]:<11}{artefact}({_arguments(reads)})")
        for experiment in catalog.experiment_names(name):
            size = len(catalog.cells(name, experiment, "paper"))
            print(f"  experiment {experiment}: {size} cell{'s' * (size > 1)} at scale paper")


def explain(name: str, scale: str, fresh: bool = False) -> None:
    """Prints the chain from an artefact to its function, experiments, cells and algorithms."""
    paper, kind = catalog.find(name)
    print(f"figures/{name}{SUFFIXES[kind][0]} at scale {scale}")
    for function in catalog.artefacts(paper, kind) if kind == "claims" else [name]:
        line = catalog.artefact_line(paper, kind, function)
        print(f"  papers/{paper}/{kind}.py:{line}  {function}({_arguments(catalog.artefacts(paper, kind)[function])})")
    cells = catalog.artefact_cells(name, scale)
    for experiment in catalog.reads(name):
        mine = [cell for cell in cells if cell.experiment == experiment]
        line = catalog.experiment_line(paper, experiment)
        print(f"  papers/{paper}/experiments.yaml:{line}  {experiment}" + ("" if mine else ": no cell at this scale"))
        for cell in mine:
            _explain_cell(cell, fresh)
        for module in sorted({cell.module for cell in mine}):
            print(f"    {_module(module)}")


def cost(name: str, scale: str, threads: int | None = None, device: str = "cpu", fresh: bool = False) -> None:
    """Prints the core-hours and hours that an artefact would take here, before they are spent."""
    estimates = costs.estimates(name, scale, device, fresh)
    if not estimates:
        print(f"{name} at scale {scale}: nothing has to be run")
        return
    processor = "a core" if device == "cpu" else "the device"
    for cell in estimates:
        print(
            f"  {cell.cell.key}: {cell.members} members, {costs.duration(cell.core_seconds)} of {processor} ({cell.basis})"
        )
    total, head = sum(cell.core_seconds for cell in estimates), f"{name} at scale {scale}: {len(estimates)} cells,"
    if device != "cpu":
        print(f"{head} about {costs.duration(total)} on {device}")
        return
    cores = threads or costs.cores()
    parallel = min(cores, sum(cell.members for cell in estimates))
    print(f"{head} {total / 3600:.2g} core-hours; about {costs.duration(total / parallel)} on {parallel} of {cores} cores")
    if (load := os.getloadavg()[0]) > 0.5:
        print(f"(that is CPU time; the machine's load is {load:.1f} now, so that it may take longer)")


def _explain_cell(cell, fresh):
    source = sources.source(cell, fresh)
    seeds = ", ".join(str(member["seed"]) for member in cell.members[:8]) + ", …" * (len(cell.members) > 8)
    if source.kind != "missing":
        state = f"{source.kind}/{cell.scale}, {len(source.finished)} of {len(cell.members)} members"
        state += ", stale" if source.stale else ""
    elif source.record:
        state = "to be run again: settings or code have changed" if source.stale else "to be run: lacks members"
    else:
        state = "to be run"
    print(f"    {cell.name}  seeds {seeds}  digest {cell.digest}  {state}")
    for role, cells in cell.uses.items():
        for used in cells:
            print(f"      uses {role}: {used.key}  digest {used.digest}")


def _module(module):
    """papers/arsac/arsac.py:40 Learner, if there is one."""
    place = f"{module.replace('.', '/')}.py"
    lines = {getattr(node, "name", None): node.lineno for node in provenance.parsed(catalog.ROOT / place).body}
    return f"{place}:{lines['Learner']}  Learner" if "Learner" in lines else place


def _arguments(reads):
    return ", ".join(name if selection is None else f"{name}={selection!r}" for name, selection in reads.items())
