"""What there is to build, and what a mistake in an experiment's file says."""

import pickle
import sys
import time
import types

import pytest

from common.errors import UserError
from common.lab.plan import catalog, provenance
from tests.fake import Repository, adopted, forget

FILE = "papers/toy/experiments.yaml"


@pytest.fixture
def toy(tmp_path, monkeypatch):
    with adopted(Repository.create(tmp_path / "repository"), monkeypatch) as repository:
        yield repository


def experiment(toy, text, scale="quick", head=""):
    """The cells of an experiment of this text, on a page with this head."""
    toy.page(text, head)
    forget()
    return catalog.cells("toy", "toy", scale)


def test_functions_are_artefacts(toy):
    assert catalog.papers() == ["toy"]
    assert catalog.artefacts("toy", "figures") == {
        "fig1_toy": {"toy": "env=A"},
        "fig2_both": {"toy": None, "other": "env=B"},
        "fig3_schematic": {},
    }
    assert catalog.find("table1_final") == ("toy", "tables")
    assert catalog.find("claims_toy") == ("toy", "claims")
    assert [cell.key for cell in catalog.artefact_cells("fig1_toy", "quick")] == ["toy/toy/A-0.5", "toy/toy/A-1.0"]


def test_cells_have_the_grids_points_and_resolved_settings(toy):
    cells = catalog.cells("toy", "toy", "quick")
    assert list(cells) == ["A-0.5", "A-1.0", "B-0.5", "B-1.0"]
    cell = cells["B-1.0"]
    assert cell.point == {"env": "B", "gain": 1.0}
    assert (cell.config.env, cell.config.gain, cell.config.total_steps) == ("B", 1.0, 1200)
    assert (cell.module, cell.members) == ("papers.toy.toy", ({"seed": 4}, {"seed": 5}, {"seed": 6}))
    assert cell.folder == toy.root / "results/quick/toy/toy/B-1.0"
    assert (cell.threads(16), cell.threads(2)) == (3, 2)
    smoke = catalog.cells("toy", "toy", "smoke")["B-1.0"]
    assert (smoke.config.total_steps, smoke.members) == (24, ({"seed": 4},))
    assert pickle.loads(pickle.dumps(cell)).digest == cell.digest


def test_a_case_sets_what_its_points_of_the_grid_need_unless_the_scale_says_it(toy):
    plain = "algorithm: toy\ngrid: {env: [A, B]}\nseeds: [1]\nset: {gain: 1.0, total_steps: 300}\n"
    scales = "scales: {smoke: {set: {total_steps: 24}}, day: {grid: {env: [A]}}}\n"
    cases = "cases: [{env: [B], set: {gain: 2.0, total_steps: 400}}, {set: {rate: 0.25}}]"
    without = experiment(toy, plain + scales)["A"]
    cells = experiment(toy, plain + scales + cases)
    said = {name: (cell.config.gain, cell.config.total_steps, cell.config.rate) for name, cell in cells.items()}
    assert said == {"A": (1.0, 300, 0.25), "B": (2.0, 400, 0.25)}
    smoke = catalog.cells("toy", "toy", "smoke")["B"].config
    assert (smoke.gain, smoke.total_steps, smoke.rate) == (2.0, 24, 0.25)
    assert list(catalog.cells("toy", "toy", "day")) == ["A"]
    assert experiment(toy, plain + scales + cases.partition(", {set")[0] + "]")["A"].digest == without.digest


def test_an_algorithm_may_be_shared(toy):
    toy.write("common/rl/shared.py", "")
    with pytest.raises(UserError, match="common/rl/config.py has no dataclass for 'shared'"):
        experiment(toy, "algorithm: shared\nseeds: [1]")


def test_a_cell_depends_on_the_loop_that_its_settings_name(toy):
    """The whole module of the loop counts, though the algorithm imports none."""
    before = experiment(toy, "algorithm: toy\nseeds: [1]")["all"].digest
    toy.edit("common/rl/plain.py", "pass", "return 1")
    assert experiment(toy, "algorithm: toy\nseeds: [1]")["all"].digest != before


def test_settings_name_a_loop(toy):
    toy.edit("papers/toy/config.py", 'loop = "plain"', 'loop = "plane"')
    with pytest.raises(UserError, match=r"config.py: Toy: loop = 'plane' must name a module of common/rl"):
        experiment(toy, "algorithm: toy\nseeds: [1]")


def test_members_are_seeds_and_ranges_or_an_explicit_list(toy):
    assert experiment(toy, "algorithm: toy\nseeds: [7, 1-3]")["all"].members == tuple({"seed": s} for s in (7, 1, 2, 3))
    listed = experiment(toy, "algorithm: toy\nmembers: [{rate: 1e-3, seed: 1}, {seed: 1, rate: 0.3}]")["all"]
    assert listed.members == ({"seed": 1, "rate": 0.001}, {"seed": 1, "rate": 0.3})
    others = experiment(toy, "algorithm: toy\nmembers: [{seed: 2, rate: 0.5}]")["all"]
    assert listed.digest == others.digest != experiment(toy, "algorithm: toy\nseeds: [1]")["all"].digest


HEAD = """seeds: [8, 9]
scales:
  quick: {seeds: [1], set: {gain: 2.0, total_steps: 600, level: 5}}
"""


def test_the_page_states_once_what_holds_for_all(toy):
    toy.edit("papers/toy/config.py", "class OtherToy(Toy):\n    pass", """class OtherToy(Toy):
    level: int = setting(0, "level", "our choice")""")  # fmt: skip

    def at(scale, text):
        cell = next(iter(experiment(toy, text, scale, HEAD).values()))
        return [member["seed"] for member in cell.members], cell.config.gain, cell.config.total_steps

    assert at("paper", "algorithm: toy") == ([8, 9], 1.0, 1200)
    assert at("paper", "algorithm: toy\nseeds: [3]") == ([3], 1.0, 1200)
    assert at("quick", "algorithm: toy\nseeds: [3]\nset: {total_steps: 60}") == ([1], 2.0, 600)
    assert at("quick", "algorithm: toy\ngrid: {gain: [0.5]}") == ([1], 0.5, 600)
    assert at("quick", "algorithm: toy\nmembers: [{seed: 5, rate: 0.2}]") == ([5], 2.0, 600)
    assert at("quick", "algorithm: toy\ngrid: {level: [1]}".replace("toy", "other_toy")) == ([1], 2.0, 600)
    assert catalog.cells("toy", "toy", "quick")["1"].config.level == 1  # as the grid states
    assert at("quick", "algorithm: toy\nscales: {quick: {seeds: [6], set: {total_steps: 12}}}") == ([6], 1.0, 12)
    assert at("quick", "algorithm: toy\nscales: {quick: {set: {}}}") == ([1], 1.0, 1200)
    assert catalog.cells("toy", "other", "quick")["A"].config.level == 5


SHARED = """from dataclasses import dataclass

from common.settings import setting


@dataclass(frozen=True)
class Loop:
    discount: float = setting(0.9, "discount factor", high=1.0)
    warmup: int = setting(3, "warm-up", "our choice")
"""


@pytest.fixture
def sharing(toy, monkeypatch):
    """The toy paper with settings of common/rl."""
    toy.write("common/rl/config.py", SHARED)
    toy.edit("papers/toy/config.py", "from common.settings import setting", "from common.settings import setting\n"
             "from shared_settings import Loop")  # fmt: skip
    toy.edit("papers/toy/config.py", "class Toy:", "class Toy(Loop):")
    toy.edit("papers/toy/config.py", "    pass", '    warmup: int = setting(5, "warm-up", "Section 2")')
    module = types.ModuleType("common.rl.config")
    exec(SHARED, vars(module))
    monkeypatch.setitem(sys.modules, "shared_settings", module)
    return toy


def test_a_paper_has_defaults_and_sources_of_settings_that_papers_share(sharing):
    head = "seeds: [1]\nsources: {discount: Table 1}\ndefaults: {discount: 0.8, warmup: 7}"
    cell = experiment(sharing, "algorithm: toy", head=head)["all"]
    assert (cell.config.discount, cell.config.warmup) == (0.8, 7)
    other = catalog.cells("toy", "other", "quick")["A"].config
    assert (other.discount, other.warmup) == (0.8, 5)  # the paper's own declaration counts
    assert experiment(sharing, "algorithm: toy\nset: {discount: 0.7}", head=head)["all"].config.discount == 0.7
    sources = catalog.sources("toy", type(cell.config))
    assert (sources["discount"], sources["warmup"]) == ("Table 1", "our choice")


@pytest.mark.parametrize(
    "head, message",
    [
        ("defaults: {gain: 2.0}", "defaults: no setting that papers share is 'gain'; allowed: discount, warmup"),
        ("defaults: {discunt: 0.5}", "defaults: no setting that papers share is 'discunt'; did you mean discount"),
        ("defaults: {discount: 2.0}", "discount = 2.0 is out of range; it must be at most 1.0"),
        (
            "sources: {discunt: Table 1}",
            "no setting without a source of its own is 'discunt'; did you mean discount",
        ),
        ("sources: {warmup: Table 1}", "sources: no setting without a source of its own is 'warmup'; allowed: discount"),
        ("sources: {discount: 1}", "sources: discount: must be text, not 1"),
    ],
)
def test_mistakes_in_defaults_and_sources_are_told_in_one_line(sharing, head, message):
    with pytest.raises(UserError, match=message) as error:
        experiment(sharing, "algorithm: toy", head=f"seeds: [1]\n{head}")
    assert "\n" not in str(error.value) and str(error.value).startswith(FILE)


def test_a_table_that_reads_no_run_depends_on_the_page(toy):
    toy.edit(
        "papers/toy/tables.py", "def table1_final(toy):", "def table2_settings():\n    pass\n\n\ndef table1_final(toy):"
    )

    def digests(text):
        experiment(toy, text)
        return catalog.artefact_digest("table2_settings"), catalog.artefact_digest("table1_final")

    before, after = digests("algorithm: toy\nseeds: [1]"), digests("algorithm: toy\nseeds: [1]\nset: {gain: 2.0}")
    assert before[0] != after[0] and before[1] == after[1]
    assert digests("algorithm: toy  # a comment\nseeds: [1]") == before


def test_every_setting_of_every_paper_has_a_source():
    forget()
    for paper in catalog.papers():
        for name in catalog.experiment_names(paper):
            cls = type(next(iter(catalog.cells(paper, name, "paper").values())).config)
            assert [key for key, source in catalog.sources(paper, cls).items() if not source] == [], (paper, name)


@pytest.mark.parametrize(
    "head, message",
    [
        ("sead: [1]", "experiments.yaml: unknown key 'sead'; did you mean seeds"),
        ("scales: {huge: {}}", "scales: unknown key 'huge'; allowed: day, paper, quick, smoke"),
        ("scales: {quick: {grid: {}}}", "scales: quick: unknown key 'grid'; allowed: seeds, set"),
        ("scales: {quick: {set: {gian: 1}}}", "scales: quick: set: no algorithm of the paper has 'gian'; did you mean gain"),
        ("scales: {quick: {set: [gain]}}", "scales: quick: set: must be a mapping"),
        ("scales: {quick: {seeds: [x]}}", "scales: quick: seeds: 'x' must be an integer"),
        ("scales: [quick]", "scales: must be a mapping"),
        ("seeds: [9-4]", "experiments.yaml: seeds: '9-4' must be an integer in .* or a range such as 0-4"),
        ("seeds: [0-99999]", "experiments.yaml: seeds: '0-99999' must be an integer in"),
        ("seeds: [1]\nseeds: [2]", "experiments.yaml:2: the key 'seeds' stands twice"),
        ("seeds: [1]\nscales: {quick: {set: {gain: fast}}}", "gain = 'fast' is a str; it must be a float"),
    ],
)
def test_mistakes_in_a_pages_head_are_told_in_one_line(toy, head, message):
    with pytest.raises(UserError, match=message) as error:
        experiment(toy, "algorithm: toy", head=head)
    assert "\n" not in str(error.value) and str(error.value).startswith(FILE)


def test_names_of_experiments_are_checked(toy):
    for name, message in (("Toy", "experiments.yaml:2: Toy: a name must consist of small letters, digits and _"),
                          ("toy", "experiments.yaml:4: the key 'toy' stands twice")):  # fmt: skip
        toy.write(FILE, f"experiments:\n  {name}:\n    algorithm: toy\n  toy:\n    algorithm: toy\n")
        forget()
        with pytest.raises(UserError, match=message):
            catalog.experiment_names("toy")


def test_seeds_are_no_part_of_the_digest(toy):
    few = experiment(toy, "algorithm: toy\nseeds: [1]")["all"]
    more = experiment(toy, "algorithm: toy\nseeds: [1, 2]")["all"]
    other = experiment(toy, "algorithm: toy\nseeds: [1]\nset: {gain: 2.0}")["all"]
    assert few.digest == more.digest != other.digest
    assert few.param != more.param


def test_a_run_may_use_the_cells_that_agree_with_it(toy):
    text = "algorithm: toy\ngrid: {env: [A], gain: [1.0, 2.0]}\nseeds: [1]\nuses: {data: other}"
    cell = experiment(toy, text)["A-2.0"]
    assert [used.key for used in cell.uses["data"]] == ["toy/other/A"]
    before = cell.digest
    toy.edit(FILE, "seeds: [4, 5, 6]\n", "seeds: [4, 5, 6]\n    set: {rate: 0.5}\n")
    forget()
    assert catalog.cells("toy", "toy", "quick")["A-2.0"].digest != before
    toy.edit(FILE, "set: {rate: 0.5}\n", "uses: {data: toy}\n")
    forget()
    with pytest.raises(UserError, match="toy -> other -> toy is a circle"):
        catalog.cells("toy", "toy", "quick")


def test_selections(toy):
    cells = catalog.cells("toy", "toy", "quick")
    assert list(catalog.select(cells, None)) == list(cells)
    assert list(catalog.select(cells, "env=B, gain=0.5|1.0")) == ["B-0.5", "B-1.0"]
    for selection, message in [("envv=B", "did you mean env"), ("env=C", "no env is 'C'"), ("env", "form key=value")]:
        with pytest.raises(UserError, match=message):
            catalog.select(cells, selection)


def test_a_selection_may_be_empty_at_a_narrowed_scale(toy):
    text = "algorithm: toy\ngrid: {env: [A, B]}\nseeds: [1]\nscales: {smoke: {grid: {env: [A]}}}"
    cells = experiment(toy, text, "smoke")
    assert list(cells) == ["A"]
    assert catalog.select(cells, "env=B") == {}


@pytest.mark.parametrize(
    "text, message",
    [
        ("algorithm: toy\nseeds: [1]\nsed: {}", "unknown key 'sed'; did you mean seeds or set"),
        ("algorithm: tyo\nseeds: [1]", "neither papers/toy nor common/rl has a module 'tyo'; did you mean toy"),
        ("seeds: [1]", "algorithm: must name"),
        ("algorithm: toy", "no seeds"),
        ("algorithm: toy\nseeds: []", "no seeds"),
        ("algorithm: toy\nseeds: [x]", "'x' must be an integer"),
        ("algorithm: toy\nseeds: [-1]", "-1 must be an integer in"),
        ("algorithm: toy\nseeds: [true]", "True must be an integer"),
        ("algorithm: toy\nseeds: [1, 1]", "{'seed': 1} stands twice"),
        ("algorithm: toy\nmembers: [{seed: 1, gain: 0.1}]", "members cannot differ in 'gain'; allowed: rate"),
        ("algorithm: toy\nmembers: [{seed: 1, rate: -1.0}]", "rate = -1.0 is out of range"),
        ("algorithm: toy\nmembers: [{seed: 1, rate: 0.5}]\nset: {rate: 0.1}", "rate differs between members"),
        ("algorithm: toy\nseeds: [1]\nmembers: [{seed: 1}]", "members excludes seeds"),
        ("algorithm: toy\nmembers: [{rate: 0.1}]", "mappings with a seed each"),
        ("algorithm: toy\nmembers: [{seed: 1-3}]", "mappings with a seed each"),
        ("algorithm: toy\nmembers: []", "mappings with a seed each"),
        ("algorithm: toy\nmembers: [{seed: 1, rate: 0.1}, {seed: 2}]", "do not name the same scalars"),
        ("algorithm: toy\nseeds: [1]\nset: {gain: 1.0}\nsources: {env: Table 1}", "sources: it does not set 'env'"),
        ("algorithm: toy\nseeds: [1]\nset: {gian: 1}", "unknown setting 'gian'; did you mean gain"),
        ("algorithm: toy\nseeds: [1]\nset: {gain: fast}", "gain = 'fast' is a str; it must be a float"),
        ("algorithm: toy\nseeds: [1]\nset: {gain: 11}", r"gain = 11.0 is out of range; it must be in \[0.0, 10.0\]"),
        ("algorithm: toy\nseeds: [1]\nset: {gain: .nan}", "must be finite"),
        ("algorithm: toy\nseeds: [1]\nset: {env: Ant-v9}", "env = 'Ant-v9' is not known; allowed: A, B"),
        ("algorithm: toy\nseeds: [1]\nset: [gain]", "set: must be a mapping"),
        ("algorithm: toy\nseeds: [1]\nset: {gain: 1.0}\ngrid: {gain: [1.0]}", "gain stands in grid and in set"),
        ("algorithm: toy\nseeds: [1]\ngrid: {gain: 1.0}", "must be a list of one or more plain values"),
        ("algorithm: toy\nseeds: [1]\ngrid: {gain: []}", "must be a list of one or more plain values"),
        ("algorithm: toy\nseeds: [1]\ngrid: {gain: [1.0, 1.0]}", "would both be the cell '1.0'"),
        ("algorithm: toy\nseeds: [1]\ngrid: {env: [A/B]}", "'A/B' cannot name a folder"),
        ("algorithm: toy\nseeds: [1]\ncases: {env: [A]}", "cases: must be a list of mappings"),
        ("algorithm: toy\nseeds: [1]\ngrid: {env: [A]}\ncases: [{env: [A]}]", "cases: must be a list of mappings"),
        ("algorithm: toy\nseeds: [1]\ngrid: {env: [A]}\ncases: [{env: A, set: {}}]", "cases: grid: env: must be a list"),
        ("algorithm: toy\nseeds: [1]\ngrid: {env: [A]}\ncases: [{env: [B], set: {}}]", "cases: env: not in the grid: 'B'"),
        ("algorithm: toy\nseeds: [1]\ngrid: {env: [A]}\ncases: [{enw: [A], set: {}}]", "cases: grid: unknown key 'enw'"),
        ("algorithm: toy\nseeds: [1]\ngrid: {env: [A]}\ncases: [{set: {env: B}}]", "env stands in the grid; a case cannot"),
        ("algorithm: toy\nseeds: [1]\ncases: [{set: {gian: 1}}]", "unknown setting 'gian'; did you mean gain"),
        ("algorithm: toy\nseeds: [1]\nscales: {huge: {}}", "scales: unknown key 'huge'"),
        ("algorithm: toy\nseeds: [1]\nscales: {quick: {tables: [x]}}", "scales: quick: unknown key 'tables'"),
        ("algorithm: toy\nseeds: [1]\nscales: {quick: {grid: {env: [A]}}}", "scales: quick: grid: unknown key 'env'"),
        ("algorithm: toy\nseeds: [1]\nscales: {quick: {seeds: [1, 1]}}", "scales: quick: the member"),
        ("algorithm: toy\nseeds: [1]\ntables: [metrics]", "tables:"),
        ("algorithm: toy\nseeds: [1]\ntables: [../x]", "tables: must be a list of names"),
        ("algorithm: toy\nseeds: [1]\nuses: {data: nowhere}", "uses: data: unknown experiment 'nowhere'"),
        ("algorithm: toy\nseeds: [1]\nseeds: [2]", r"experiments.yaml:6: the key 'seeds' stands twice"),
        ("algorithm: [toy", r"experiments.yaml:\d: "),
        ("- algorithm", "experiments.yaml:3: toy: must be a mapping"),
        ("<<: {seeds: [1]}", "unknown key '<<'"),
    ],
)
def test_mistakes_in_an_experiment_are_told_in_one_line(toy, text, message):
    with pytest.raises(UserError, match=message) as error:
        experiment(toy, text)
    assert "\n" not in str(error.value) and FILE in str(error.value)


@pytest.mark.parametrize(
    "function, message",
    [
        ("def fig(nowhere):\n    pass", "figures.py:1: fig: unknown experiment 'nowhere'; did you mean other"),
        ("def fig(toy=3):\n    pass", "the default of toy must be a string"),
        ("def fig(*toy):\n    pass", "arguments name experiments"),
        ("def fig(toy):\n    pass\ndef fig(toy):\n    pass", "is defined twice"),
        ("def fig(toy:\n    pass", "papers/toy/figures.py:1: "),
    ],
)
def test_mistakes_in_a_figure_are_told_in_one_line(toy, function, message):
    toy.write("papers/toy/figures.py", function)
    forget()
    with pytest.raises(UserError, match=message) as error:
        catalog.artefacts("toy", "figures")
    assert "papers/toy/figures.py:" in str(error.value) and "\n" not in str(error.value)


def test_a_name_that_two_papers_have_is_refused(toy):
    toy.write("papers/second/__init__.py", "")
    toy.write("papers/second/figures.py", "def fig3_schematic():\n    pass\n")
    with pytest.raises(UserError, match="'fig3_schematic' is not unique: papers/second/figures.py, papers/toy/figures.py"):
        catalog.find("fig3_schematic")


def test_numbers_are_read_as_people_write_them(toy):
    cells = experiment(toy, "algorithm: toy\nseeds: [1]\ngrid: {gain: [1e-3, 2E0, 1.5, 3]}\nset: {total_steps: 1_000}")
    assert [cell.config.gain for cell in cells.values()] == [0.001, 2.0, 1.5, 3.0]
    assert cells["0.001"].config.total_steps == 1000


def test_1200_cells_are_planned_in_seconds(toy):
    toy.edit("papers/toy/config.py", "    rate:", '    level: int = setting(0, "level", "our choice")\n    rate:')
    text = f"algorithm: toy\nseeds: [1]\ngrid: {{env: [A, B], level: {list(range(600))}}}"
    start = time.process_time()  # other processes do not count
    assert len({cell.param for cell in experiment(toy, text).values()}) == 1200
    assert time.process_time() - start < 10


def test_every_real_experiment_resolves_and_every_name_is_unique():
    forget()
    for paper in catalog.papers():
        for name in catalog.experiment_names(paper):
            for scale in catalog.SCALES:
                assert catalog.cells(paper, name, scale)
        for kind in catalog.KINDS:
            for name in catalog.artefacts(paper, kind):
                for experiment_name, selection in catalog.artefacts(paper, kind)[name].items():
                    assert catalog.select(catalog.cells(paper, experiment_name, "paper"), selection)
    assert all(len(homes) == 1 for homes in catalog.names().values())


def test_what_a_config_fixes_or_derives_counts(toy, monkeypatch):
    """A digest walks no `config.py`: a constant of a class, or a property, counts by its value."""
    cell = catalog.cell("toy/toy/A-0.5", "quick")
    before, config = provenance.cell_digest(cell, catalog.ROOT), type(cell.config)
    monkeypatch.setattr(config, "history", 3, raising=False)
    constant = provenance.cell_digest(cell, catalog.ROOT)
    monkeypatch.setattr(config, "twice", property(lambda self: 2 * self.total_steps), raising=False)
    derived = provenance.cell_digest(cell, catalog.ROOT)
    monkeypatch.setattr(config, "whole_fleet", True, raising=False)
    assert len({before, constant, derived}) == 3 and provenance.cell_digest(cell, catalog.ROOT) == derived
