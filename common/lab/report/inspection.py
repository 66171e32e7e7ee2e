"""What `python -m papers` tells: what there is, where a picture comes from, what it would cost."""

import os

from common.errors import UserError
from common.lab.plan import catalog, provenance
from common.lab.results import costs, sources
from common.lab.results.requests import SUFFIXES
from common.settings import nearest


def listing(paper=None):
    """Prints every paper with its figures, tables, claims and experiments, or one paper alone."""
    papers = [paper] if paper else catalog.papers()
    if papers[0] not in catalog.papers():
        raise UserError(f"unknown paper {paper!r}; {nearest(paper, catalog.papers())}")
    for paper in papers:
        print(paper)
        for kind in catalog.KINDS:
            for name, reads in catalog.artefacts(paper, kind).items():
                print(f"  {kind[:-1]:<11}{name}({_arguments(reads)})")
        for experiment in catalog.experiment_names(paper):
            size = len(catalog.cells(paper, experiment, "paper"))
            print(f"  experiment {experiment}: {size} cell{'s' * (size > 1)} at scale paper")


def explain(name, scale, fresh=False):
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


def cost(name, scale, threads=None, device="cpu", fresh=False):
    """Prints the core-hours and hours that an artefact would take here, before they are spent."""
    found = costs.estimates(name, scale, device, fresh)
    cores = threads or len(os.sched_getaffinity(0))
    if not found:
        print(f"{name} at scale {scale}: nothing has to be run")
        return
    for one in found:
        spent = costs.duration(one.core_seconds)
        print(f"  {one.cell.key}: {one.members} members, {spent} of {'a core' if device == 'cpu' else 'the device'}"
              f" ({one.basis})")  # fmt: skip
    total = sum(one.core_seconds for one in found)
    parallel = min(cores, sum(one.members for one in found)) if device == "cpu" else 1
    print(
        f"{name} at scale {scale}: {len(found)} cells, {total / 3600:.2g} core-hours;"
        f" about {costs.duration(total / parallel)} on {parallel} of {cores} cores"
        if device == "cpu"
        else f"{name} at scale {scale}: {len(found)} cells, about {costs.duration(total)} on {device}"
    )


def _explain_cell(cell, fresh):
    found = sources.source(cell, fresh)
    seeds = ", ".join(str(member["seed"]) for member in cell.members[:8]) + ", …" * (len(cell.members) > 8)
    if found.kind != "missing":
        state = f"{found.kind}/{cell.scale}, {len(found.finished)} of {len(cell.members)} members"
        state += ", stale" if found.stale else ""
    elif found.record:
        state = "to be run again: settings or code have changed" if found.stale else "to be run: lacks members"
    else:
        state = "to be run"
    print(f"    {cell.name}  seeds {seeds}  digest {cell.digest}  {state}")
    for role, cells in cell.uses.items():
        for used in cells:
            print(f"      uses {role}: {used.key}  digest {used.digest}")


def _module(module):
    """papers/arsac/arsac.py:40 Learner, if there is one."""
    path = catalog.ROOT / f"{module.replace('.', '/')}.py"
    place = str(path.relative_to(catalog.ROOT))
    lines = {getattr(node, "name", None): node.lineno for node in provenance.parsed(path).body}
    return f"{place}:{lines['Learner']}  Learner" if "Learner" in lines else place


def _arguments(reads):
    return ", ".join(name if selection is None else f"{name}={selection!r}" for name, selection in reads.items())
