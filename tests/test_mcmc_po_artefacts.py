"""MCMC-PO's figures, tables and experiments."""

import matplotlib.pyplot
import pytest

from common.lab.plan import catalog
from common.lab.report import plots, stamping
from common.settings import fields
from papers.mcmc_po import figures, tables
from tests.test_mcmc_po_claims import results

matplotlib.use("agg")
FIGURES = catalog.artefacts("mcmc_po", "figures")
TABLES = catalog.artefacts("mcmc_po", "tables")


@pytest.mark.parametrize("name", FIGURES)
def test_figures_draw(name, tmp_path):
    loaded = results("true", "paper", FIGURES[name], 5)
    with plots.style():
        fig = getattr(figures, name)(**loaded)
        stamping.stamp(fig, list(loaded.values()), "paper", "A caption.")
        assert all(path.stat().st_size > 5_000 for path in stamping.save(fig, tmp_path / name, "paper"))
    matplotlib.pyplot.close(fig)


def test_table_1_holds_the_papers_numbers_beside_ours():
    frame = tables.table1_mcmc_po(**results("true", "paper", TABLES["table1_mcmc_po"]))
    row = frame.set_index("method").loc["Hamiltonian policy, K = 5"]
    assert row["Hopper, paper"] == "4021.3 ± 172.2" and row["Hopper, ours"].startswith("4000.0 ± ")
    assert "(n = 5)" in row["Ant, ours"]
    smoke = tables.table1_mcmc_po(**results("true", "smoke", TABLES["table1_mcmc_po"], 2))
    assert (smoke["Ant, ours"] == "").all()


@pytest.mark.parametrize("scale", ["smoke", "paper"])
def test_the_speed_table_tells_what_the_chain_takes(scale):
    frame = tables.table_mcmc_po_speed(**results("true", scale, TABLES["table_mcmc_po_speed"])).set_index("method")
    assert frame.loc["SAC, alpha = 0.05", "time / SAC's"] == pytest.approx(1)
    assert frame.loc["Hamiltonian policy, K = 5", "time / SAC's"] == pytest.approx(4)
    chain = frame["share of the chain"]
    assert chain["Hamiltonian policy, K = 0"] == 0 and chain["Hamiltonian policy, K = 5"] == pytest.approx(0.75)
    assert chain.drop(index=[name for name in chain.index if name.startswith("Ham")]).isna().all()
    assert (frame["steps a core-second"] > 0).all()


def test_the_speed_table_is_empty_where_nothing_was_timed():
    loaded = results("true", "paper", TABLES["table_mcmc_po_speed"])
    for one in loaded.values():
        for source in one.cells:
            del source.record["parts"]
    assert tables.table_mcmc_po_speed(**loaded)[["steps a core-second", "share of the chain"]].isna().all(axis=None)


def test_hyperparameters_name_every_setting_of_every_algorithm_once():
    frame = tables.table_mcmc_po_hyperparameters()
    run = {name: next(iter(catalog.cells("mcmc_po", name, "paper").values())).config.__class__
           for name in catalog.experiment_names("mcmc_po")}  # fmt: skip
    for column, (experiment,) in tables.COLUMNS.items():
        stated = frame[(frame[column] != "") & (frame["setting"] != "(built in)")]["setting"]
        assert sorted(stated) == sorted(fields(run[experiment])), column
    names = frame["setting"].tolist()
    assert names == sorted(names, key=names.index)  # rows of one setting stand together
    assert set(run.values()) == {run[experiment] for (experiment,) in tables.COLUMNS.values()}


def test_sources_are_this_papers_or_name_their_owner():
    frame = tables.table_mcmc_po_hyperparameters()
    assert set(frame["origin"]) == {"paper", "peer", "our choice"}
    # "Table 1" of the shared settings is another paper's; this one's Table 1 states no setting.
    assert not frame["source"].str.startswith(("Table", "Appendix", "authors'", "its ")).any()
    stated = frame[frame["origin"] == "paper"].set_index("setting")
    hmc = stated[stated["HMC"] != ""]["HMC"]
    assert (hmc["total_steps"], hmc["base"], hmc["leapfrog_steps"]) == ("500,000", "2x256", "4, 5")
    assert not {"gate_units", "gate_state", "env", "log_std_low", "step_size", "target"} & set(stated.index)
    assert stated.loc[["temperature"], "SAC"].tolist() == ["0.05, 0.2"]  # the floor of tau is ours
    rows = frame[frame["setting"] == "learning_rate"].set_index("source")
    assert rows.loc["peer: Lillicrap et al. 2016, Section 7", "Langevin, DDPG"] == "0.0001"
    assert rows.loc["our choice", "bandit"] == "0.003"


@pytest.mark.parametrize("scale", ["quick", "day", "paper"])
def test_every_curve_has_ten_points_made_by_the_policy(scale):
    for experiment in catalog.experiment_names("mcmc_po"):
        for cell in catalog.cells("mcmc_po", experiment, scale).values():
            c = cell.config
            assert (c.total_steps - getattr(c, "warmup", 0)) // c.evaluate_every >= 10, cell.key


@pytest.mark.parametrize("scale", ["smoke", "quick", "day", "paper"])
def test_the_policy_has_moved_before_the_first_evaluation(scale):
    """Else what is averaged over its iterations would be nothing."""
    for experiment in catalog.experiment_names("mcmc_po"):
        for cell in catalog.cells("mcmc_po", experiment, scale).values():
            c = cell.config
            assert c.evaluate_every - getattr(c, "update_after", 0) >= getattr(c, "policy_delay", 1), cell.key
