"""A person's own data set of Minari through the same door as the data made here: by its id, on the page of experiments or
on the command line."""

import numpy as np
import pytest

from common.errors import UserError
from common.lab.plan import catalog, packages
from common.lab.results.requests import Asked
from common.lab.run.journal import Journal
from common.rl import rollouts
from common.rl.datasets import checked
from common.rl.inputs import Run
from common.settings import resolve
from papers.cnf_offline import minari_data
from papers.cnf_offline.config import CNF, Flow, MinariData
from tests.test_minari_files import NAME, rows_of, written

ASKED = {"dataset": NAME, "env": "Hopper-v4"}


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    """A folder of data sets of Minari, for a while, and what is asked for forgotten at the end."""
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "datasets"))
    yield tmp_path / "datasets"
    catalog.replace_data(None, None)


def rolled(tmp_path, **settings):
    """The rows that a run of `minari_data` leaves, and its records."""
    config, file = MinariData(**ASKED | settings), tmp_path / "rows.safetensors"
    journal = Journal(tmp_path / "run", ["0"], "digest", 1e9, lambda: False, {"rows": [str(file)]})
    rollouts.run(minari_data.Learner, config, [0], journal)
    values = {metric: float(value) for _, _, metric, value in journal.records}
    return checked(Run({"rows": file}, {}, {}).tensors("rows")["rows"], 11, 3, "rows"), values


def test_the_rows_are_those_of_the_data_set(place, tmp_path):
    rows = rows_of("Hopper-v4")
    written(place, rows=rows)
    data, values = rolled(tmp_path)
    for field, column in (("obs", data.obs), ("action", data.action), ("reward", data.reward), ("next_obs", data.next_obs),
                          ("terminated", data.terminated)):  # fmt: skip
        np.testing.assert_array_equal(column.numpy(), rows[field])
    assert data.truncated.nonzero().flatten().tolist() == [19, 29], "a time limit, and the end of the data"
    assert values["rows"] == 30 and values["terminations"] == 1


def test_a_smaller_number_of_rows_takes_the_first(place, tmp_path):
    rows = rows_of("Hopper-v4")
    written(place, rows=rows)
    np.testing.assert_array_equal(rolled(tmp_path, total_steps=12)[0].obs.numpy(), rows["obs"][:12])


def test_bad_data_are_refused_and_leave_nothing(place, tmp_path):
    written(place)
    with pytest.raises(UserError, match=r"^ours/maze/umaze-v0: env_spec: holds data of Hopper-v4, not of Walker2d-v4$"):
        rolled(tmp_path, env="Walker2d-v4")
    with pytest.raises(UserError, match=r"^ours/other-v0: there is no such data set below .*, and Minari's hub "):
        rolled(tmp_path, dataset="ours/other-v0")
    assert not (tmp_path / "rows.safetensors").exists()


def test_an_id_goes_with_the_quality_minari_alone():
    assert resolve(CNF, {"quality": "minari", "dataset": NAME}, "here").dataset == NAME
    for cls, settings in ((CNF, {"quality": "minari"}), (Flow, {"dataset": NAME}), (MinariData, {})):
        with pytest.raises(UserError, match="^here: .*dataset"):
            resolve(cls, settings, "here")


def test_asked_for_it_takes_the_place_of_the_page_s_data_and_changes_nothing_else():
    page = {name: catalog.cells("cnf_offline", name, "day") for name in ("minari_cnf", "minari_flows", "cnf")}
    catalog.replace_data(NAME, "Hopper-v4")
    [cell] = catalog.cells("cnf_offline", "minari_cnf", "day").values()
    assert cell.name == "Hopper-v4-ours.maze.umaze-v0" and cell.key not in {x.key for x in page["minari_cnf"].values()}
    assert (cell.config.env, cell.config.dataset, cell.config.quality) == ("Hopper-v4", NAME, "minari")
    assert {used.config.dataset for used in cell.used} == {NAME} and cell.used[0].folder != cell.folder
    for name, other in catalog.cells("cnf_offline", "cnf", "day").items():
        assert other.digest == page["cnf"][name].digest
    catalog.replace_data(None, None)
    assert catalog.cells("cnf_offline", "minari_cnf", "day").keys() == page["minari_cnf"].keys()


def test_commands_of_the_workflow_are_told():
    asked = Asked(ASKED | {"seeds": "4,5"})
    assert asked.options == f" --seeds 4,5 --dataset {NAME} --env Hopper-v4"
    assert asked.run_options == f" --seeds 4,5 --exactly --dataset {NAME} --env Hopper-v4"
    assert Asked({}).options == ""
    assert catalog.cells("cnf_offline", "minari_cnf", "day").keys() == {"HalfCheetah-v4-mujoco.halfcheetah.medium-v0"}


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ({"dataset": NAME}, "dataset and env are asked for together"),
        ({"env": "Hopper-v4"}, "dataset and env are asked for together"),
        ({"dataset": "ours", "env": "Hopper-v4"}, "'ours' is no id of a Minari data set"),
        ({"dataset": "../ours-v0", "env": "Hopper-v4"}, "'../ours-v0' is no id of a Minari data set"),
    ],
)
def test_mistakes_are_one_line(config, says):
    with pytest.raises(UserError) as error:
        Asked(config)
    assert str(error.value).startswith(says) and "\n" not in str(error.value)


def test_an_environment_that_is_not_known_is_named():
    catalog.replace_data(NAME, "Hoper-v4")
    with pytest.raises(UserError, match=r"minari_data: env = 'Hoper-v4' is not known; did you mean Hopper-v4"):
        catalog.cells("cnf_offline", "minari_cnf", "day")


def test_of_everything_it_is_left_out_where_the_data_are_not_here(place):
    """Asked for alone it is fetched; `all` downloads nothing."""
    catalog.replace_data(NAME, "Hopper-v4")
    [cell] = catalog.cells("cnf_offline", "minari_data", "day").values()
    assert packages.lacking(cell) == f"needs the data set {NAME}, which is not on this machine (minari download {NAME})"
    assert packages.lacking(cell, alone=True) is None
    written(place)
    assert packages.lacking(cell) is None
