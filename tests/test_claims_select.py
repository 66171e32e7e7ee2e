"""A claim reads the cells that its paper speaks of: an experiment that grows changes no claim."""

import dataclasses
from itertools import count

import pytest

from common.lab.plan import catalog, experiments
from common.lab.report import judging
from common.settings import fields
from tests.fake import forget

KINDS = ("policy", "toy", "fisher")  # they decide which other settings there are; no value of them is added


def another(setting, values):
    """A valid value of a setting that is not among `values`; None if there is none."""
    choices = setting.metadata["choices"]
    if choices or isinstance(values[0], bool | str):
        return next((value for value in choices or () if value not in values), None)
    if isinstance(values[0], int):
        step = max(1, min(values))  # numbers that come in pairs stay even
        return next(value for value in count(min(values), step) if value not in values)
    return (min(values) + max(values)) / 2 + 1e-4


def grown(paper, experiment):
    """The experiment with one more value of every key of its grid, environments and sizes among them, and one more seed."""
    known = fields(catalog.config_class(paper, experiment.algorithm, experiment.file)[1])
    more = {key: another(known[key], values) for key, values in experiment.full_grid.items()} | dict.fromkeys(KINDS)
    if experiment.uses:  # a data set that none of the used runs has made
        more |= {"env": None, "quality": None}
    grids = [
        {key: values + [more[key]] * (more[key] is not None) for key, values in grid.items()}
        for grid in (experiment.grid, experiment.full_grid)
    ]
    seed = max(member["seed"] for member in experiment.members) + 1
    members = (*experiment.members, experiment.members[-1] | {"seed": seed})
    return dataclasses.replace(experiment, grid=grids[0], full_grid=grids[1], members=members)


@pytest.fixture
def grow(monkeypatch):
    """A function that grows every experiment of every paper."""
    read = experiments.read

    def change():
        monkeypatch.setattr(experiments, "read", lambda page, *rest: grown(page.file.split("/")[1], read(page, *rest)))
        forget()

    yield change
    monkeypatch.undo()
    forget()


def cells(paper):
    """{(claim, scale): keys and settings of the cells that it reads}."""
    claims = catalog.artefacts(paper, "claims")
    read = {(claim, scale): catalog.claim_cells(paper, claim, scale) for claim in claims for scale in catalog.SCALES}
    return {key: [(cell.key, cell.config) for cell in found] for key, found in read.items()}


def verdicts(paper):
    """{claim: verdict} on the published results."""
    trials = {claim: judging.trial(paper, claim, ("paper", "day")) for claim in catalog.artefacts(paper, "claims")}
    judged = judging.verdicts(paper, trials)[0]
    return {claim: str(verdict).partition("to test it")[0] for claim, verdict in judged.items()}  # more seeds cost more


def size(paper, experiment):
    """Members of all cells."""
    return sum(len(cell.members) for cell in catalog.cells(paper, experiment, "paper").values())


@pytest.mark.parametrize("paper", catalog.papers())
def test_a_grown_experiment_changes_no_claim(paper, grow):
    read, judged = cells(paper), verdicts(paper)
    runs = {name: size(paper, name) for name in catalog.experiment_names(paper)}
    grow()
    assert all(size(paper, name) > before for name, before in runs.items())
    assert cells(paper) == read
    assert verdicts(paper) == judged
