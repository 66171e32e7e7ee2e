"""Tables are written whole, read with suspicion, and joined for figures."""

import errno
import json
import math
import os
import pty
import time

import matplotlib
import numpy as np
import pandas as pd
import pytest

from common.errors import UserError
from common.files import atomic_write
from common.lab.plan import catalog
from common.lab.report import plots, stamping, stats, tabular
from common.lab.results import costs, records, sources
from common.lab.run import fleets, joining, origin, watch
from tests.fake import Repository, adopted, forget

matplotlib.use("agg")
GOOD = "member,seed,step,metric,value\n0,4,10,return,1.5\n0,4,20,return,2.5\n"


@pytest.fixture
def toy(tmp_path, monkeypatch):
    with adopted(Repository.create(tmp_path / "repository"), monkeypatch) as repository:
        yield repository


def write(cell, members=None, digest=None, diverged=(), lost=(), folder=None):
    """Results of a cell: 12 evaluations, the return of member m at evaluation k being m + k. Seeds that diverged were
    evaluated 6 times, lost ones never."""
    rows = []
    for index, member in enumerate(cell.members):
        if members is not None and member not in members:
            continue
        last = 0 if member["seed"] in lost else 6 if member["seed"] in diverged else 12
        for k in range(1, last + 1):
            rows.append({"member": index, **member, "step": 100 * k, "metric": "return", "value": float(index + k)})
        if member["seed"] in (*diverged, *lost):
            rows.append({"member": index, **member, "step": 100 * last + 10, "metric": "diverged", "value": 1.0})
    folder = folder or cell.folder
    records.write_rows(folder / "metrics.csv", rows)
    held = list(cell.members if members is None else members)
    atomic_write(folder / "run.json", json.dumps({"digest": digest or cell.digest, "members": held, "commit": "abcdef012"}))


def test_rows_are_shortest_float32_and_the_same_bytes(tmp_path):
    rows = [{"member": 0, "seed": 4, "step": 1, "metric": "a", "value": 0.1},
            {"member": 0, "seed": 4, "step": 2, "metric": "a", "value": np.float32(1) / 3},
            {"member": 0, "seed": 4, "step": 3, "metric": "a", "value": math.nan}]  # fmt: skip
    records.write_rows(tmp_path / "m.csv", rows)
    text = (tmp_path / "m.csv").read_text()
    assert text == "member,seed,step,metric,value\n0,4,1,a,0.1\n0,4,2,a,0.33333334\n0,4,3,a,nan\n"
    read = records.read_metrics(tmp_path / "m.csv")
    assert np.float32(read["value"][1]) == np.float32(1) / 3 and np.isnan(read["value"][2])


@pytest.mark.parametrize(
    "text, message",
    [
        (GOOD.replace(",metric", ",metrics"), "lacks the columns metric; it has member, seed, step, metrics, value"),
        (GOOD.replace("0,4,10", "0,4,nan"), "step holds NaN"),
        (GOOD.replace("0,4,10", "0,4,"), "step holds NaN"),
        (GOOD.replace("0,4,10", "0,4,-1"), "negative"),
        (GOOD.replace("0,4,10", "0,4,1.5"), "broken"),
        (GOOD.replace("1.5", "high"), "value holds what is not a number"),
        (GOOD.splitlines()[0] + "\n", "has no rows"),
        ("", "is not a table"),
    ],
)
def test_a_broken_table_is_named(tmp_path, text, message):
    (tmp_path / "metrics.csv").write_text(text)
    with pytest.raises(UserError, match=message) as error:
        records.read_metrics(tmp_path / "metrics.csv")
    assert "metrics.csv: " in str(error.value) and "\n" not in str(error.value)


def test_rows_with_other_columns_are_refused(tmp_path):
    with pytest.raises(UserError, match="no rows"):
        records.write_rows(tmp_path / "x.csv", [])
    with pytest.raises(UserError, match="a row has the columns"):
        records.write_rows(tmp_path / "x.csv", [{"a": 1}, {"b": 1}])
    assert not list(tmp_path.iterdir())


def test_a_full_disk_leaves_the_earlier_file(tmp_path, monkeypatch):
    path = tmp_path / "metrics.csv"
    path.write_text(GOOD)

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(UserError, match="No space left on device; earlier results are untouched"):
        atomic_write(path, "new")
    assert [p.name for p in tmp_path.iterdir()] == ["metrics.csv"] and path.read_text() == GOOD


def test_results_join_cells_with_their_grid(toy):
    for cell in catalog.cells("toy", "toy", "quick").values():
        write(cell, diverged=(5,) if cell.name == "A-0.5" else ())
    results = records.load("toy", "toy", "quick", "env=A")
    assert list(results.frame) == ["cell", "env", "gain", "member", "seed", "step", "metric", "value"]
    assert set(results.frame["cell"]) == {"A-0.5", "A-1.0"}
    assert (results.diverged, results.seeds, results.steps, results.metrics) == (1, 3, 1200, ["diverged", "return"])
    curve = results.curve("return", gain=1.0, seed=[4, 6])
    assert list(curve["seed"].unique()) == [4, 6] and len(curve) == 24
    np.testing.assert_allclose(results.final("return", last=10), [7.5, np.nan, 9.5, 7.5, 8.5, 9.5])
    np.testing.assert_allclose(results.final("return", last=1, gain=1.0), [12, 13, 14])
    assert len(results.curve("return", rate=0.1)) == len(results.curve("return"))
    with pytest.raises(UserError, match="no run recorded the metric 'retrun'; did you mean return"):
        results.curve("retrun")
    with pytest.raises(UserError, match="toy has no setting 'gian'; did you mean gain"):
        results.curve("return", gian=1.0)
    with pytest.raises(UserError, match="tables: it does not write 'trace'; allowed: none"):
        results.table("trace")


def test_a_member_that_diverged_before_its_first_evaluation_is_counted(toy):
    """Of cell A-0.5 seed 5 is lost at once, of B-1.0 every seed is."""
    for cell in catalog.cells("toy", "toy", "quick").values():
        write(cell, lost={"A-0.5": [5], "B-1.0": [4, 5, 6]}.get(cell.name, ()))
    results = records.load("toy", "toy", "quick")
    assert (results.diverged, results.seeds, results.steps) == (4, 3, 1200)
    np.testing.assert_array_equal(results.final("return", last=1), [12, np.nan, 14, *[12, 13, 14] * 2, *[np.nan] * 3])
    np.testing.assert_array_equal(results.final("return", env="A", gain=0.5, seed=5), [np.nan])
    assert "diverged 4" in stamping.summary([results], "quick")
    lost = records.load("toy", "toy", "quick", "env=B, gain=1.0")
    assert (lost.steps, lost.budget) == (0, lost.cells[0].cell.config.total_steps)  # no more training would change it
    verdict = stats.difference(results.final("return", env="A", gain=1.0), results.final("return", env="A", gain=0.5))
    assert "1 of 6 seeds diverged" in verdict.note
    verdict = stats.difference(results.final("return", env="B", gain=1.0), results.final("return", env="B", gain=0.5))
    assert (verdict.status, verdict.n) == ("untested", 0) and "3 of 6 seeds diverged" in verdict.note
    # Where nobody lived, no metric is known, and none is denied.
    alone = records.load("toy", "toy", "quick", "env=B, gain=1.0")
    assert alone.has("return") and alone.curve("return").empty and np.isnan(alone.final("return")).all()
    assert not results.has("retrun")


def test_only_cells_that_record_a_metric_count_for_it(toy):
    """A metric of the cells of A alone, recorded at the end: who diverged before has none."""
    for cell in catalog.cells("toy", "toy", "quick").values():
        write(cell, diverged=[5])
        table = pd.read_csv(cell.folder / "metrics.csv")
        if cell.point["env"] == "A":
            ends = table[table["step"] == 1200].assign(metric="own", value=7.0)
            table = pd.concat([table, ends]).sort_values(["member", "metric", "step"])
            table.to_csv(cell.folder / "metrics.csv", index=False)
    results = records.load("toy", "toy", "quick")
    np.testing.assert_array_equal(results.final("own"), [7, np.nan, 7] * 2)
    assert len(results.final("own", env="B")) == 0


def test_scalars_are_as_they_were_set(toy):
    rates = [f"{{seed: {seed}, rate: {rate}}}" for rate in ("0.1234567891", "1e-4") for seed in (1, 2)]
    toy.page(f"algorithm: toy\nmembers: [{', '.join(rates)}]\ntables: [trace]")
    forget()
    cell = catalog.cells("toy", "toy", "quick")["all"]
    write(cell)
    records.write_rows(cell.folder / "trace.csv", [{"member": i, **m, "x": 0.5} for i, m in enumerate(cell.members)])
    results = records.load("toy", "toy", "quick")
    assert list(results.frame["rate"].unique()) == [0.1234567891, 1e-4]
    np.testing.assert_allclose(results.final("return", last=1, rate=0.1234567891), [12, 13])
    assert len(results.table("trace")) == 4 and len(results.table("trace", rate=0.1234567891)) == 2


def test_a_further_table_without_rows_is_one_clear_line(toy):
    toy.page("algorithm: toy\nseeds: [1, 2]\ntables: [trace]")
    forget()
    write(catalog.cells("toy", "toy", "quick")["all"], diverged=[1, 2])
    with pytest.raises(UserError, match="no rows of the table 'trace': not run, or all members diverged"):
        records.load("toy", "toy", "quick").table("trace")
    with pytest.raises(UserError, match="no rows of the table 'trace'"):
        records.Results("quick", []).table("trace")


def test_an_empty_selection_is_an_empty_table(toy):
    results = records.Results("smoke", [])
    assert results.frame.empty and results.curve("return").empty and len(results.final("return")) == 0
    assert (results.seeds, results.steps, results.budget, results.diverged) == (0, 0, 0, 0)


@pytest.mark.parametrize("scale", catalog.SCALES)
def test_which_copy_stands_for_a_cell(toy, scale):
    cell = catalog.cells("toy", "other", scale)["A"]
    lenient = scale in ("day", "paper")
    assert sources.source(cell).kind == "missing"
    write(cell, digest="stale")
    assert sources.source(cell).kind == "missing" and sources.source(cell).stale
    write(cell, digest="stale", folder=cell.published)
    found = sources.source(cell)
    assert (found.kind, found.stale) == (("published" if lenient else "missing"), True)
    write(cell, members=cell.members[:2], folder=cell.published)
    found = sources.source(cell)
    assert (found.kind, found.partial) == (("published", True) if lenient else ("missing", False))
    assert sources.source(cell, fresh=True).kind == "missing"
    write(cell)
    assert sources.source(cell).kind == "results"
    write(cell, folder=cell.published)
    assert sources.source(cell).kind == "published"
    assert sources.source(cell, fresh=True).kind == "published"


def test_a_published_run_of_the_same_digest_stands_at_every_scale(toy):
    """`toy` has the same settings at day and at paper, others at smoke."""
    at_paper, at_day, at_smoke = (catalog.cell("toy/toy/A-1.0", scale) for scale in ("paper", "day", "smoke"))
    rows = [{"member": i, **m, "step": 1, "metric": "return", "value": 1.0} for i, m in enumerate(at_paper.members)]
    records.write_rows(at_paper.published / "metrics.csv", rows)
    atomic_write(at_paper.published / "run.json", json.dumps({"digest": at_paper.digest, "members": list(at_paper.members)}))
    assert at_day.digest == at_paper.digest != at_smoke.digest
    assert sources.source(at_day).folder == at_paper.published
    assert sources.source(at_smoke).kind == "missing"
    stale = json.dumps({"digest": "other", "members": list(at_day.members)})
    records.write_rows(at_day.published / "metrics.csv", rows)
    atomic_write(at_day.published / "run.json", stale)
    assert sources.source(at_day).folder == at_paper.published  # rather than its own stale copy


def test_a_cell_that_has_not_been_run_names_the_command(toy):
    with pytest.raises(UserError, match="python -m papers run toy/other/A --scale quick"):
        records.load("toy", "other", "quick")


def test_what_a_figure_rests_on_stands_below_it(toy, tmp_path):
    for cell in catalog.cells("toy", "toy", "day").values():
        write(cell, members=cell.members[:2], diverged=(5,), digest="stale", folder=cell.published)
    results = records.load("toy", "toy", "day", "env=A")
    text = stamping.summary([results], "day")
    assert text.startswith("scale day · 2 of 3 seeds (partial) · 1.2k steps · commit abcdef0")
    assert "stale" in text and text.endswith("diverged 2")
    with plots.style():
        fig, ax = matplotlib.pyplot.subplots(figsize=(4, 3))
        plots.seeds_and_mean(ax, results.curve("return", gain=1.0), label="toy", smooth=5)
        plots.steps_axis(ax)
        plots.legend_below(fig)
        stamping.stamp(fig, [results], "day", "A caption. " * 20)
        first = [path.read_bytes() for path in stamping.save(fig, tmp_path / "one" / "figure.pdf", "day")]
        fig.savefig(tmp_path / "again.png", dpi=160)
        fig.canvas.draw()
        boxes = [text.get_window_extent() for text in fig.texts] + [legend.get_window_extent() for legend in fig.legends]
        boxes.append(ax.get_tightbbox())
    sizes = [text.get_fontsize() for text in fig.findobj(matplotlib.text.Text) if text.get_text()]
    assert min(sizes) >= 7
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])
    assert b"scale=day" in first[0] and b"CreationDate" not in first[0]


def test_members_trained_at_several_commits_name_them_all(toy):
    cell = catalog.cell("toy/toy/A-1.0", "day")
    for number, member in enumerate(cell.members):
        spec = json.loads(fleets.Fleet(cell, (member,)).specify("cpu", origin.describe()).read_text())
        assert spec["made_by"] == origin.describe()
        kept = {"digest": cell.digest, "labels": spec["labels"], "members": [member], "tables": {}, "seconds": 1.0,
                "peak_mb": 1, "records": [[0, 1200, "return", "1.0"]], "device": "cpu", "matmul": "highest"}  # fmt: skip
        made = {"commit": "aaaaaaa1", "dirty": False} if number else {"commit": "bbbbbbb1", "dirty": True}
        atomic_write(spec["part"], json.dumps(kept | made))
    joining.join(cell, {"commit": "ccccccc1", "dirty": False})  # nothing was trained at this one
    results = records.load("toy", "toy", "day", "env=A, gain=1.0")
    assert "commit aaaaaaa, bbbbbbb+" in stamping.summary([results], "day")
    assert "ccccccc" not in stamping.summary([results], "day")


def test_a_row_of_panels_has_one_legend_that_names_what_any_of_them_shows():
    fig, axes = matplotlib.pyplot.subplots(1, 3)
    for ax, labels in zip(axes, ("ab", "bc", "a"), strict=True):
        for label in labels:
            ax.plot([0, 1], label=label)
    plots.legend_right(axes, "which")
    [legend] = [ax.get_legend() for ax in axes if ax.get_legend()]
    assert [text.get_text() for text in legend.get_texts()] == ["a", "b", "c"]
    matplotlib.pyplot.close(fig)


def test_bands_are_what_they_say():
    values = np.random.default_rng(0).normal(size=(2, 5))
    interval = stats.mean_within(values[0], low=0.0)
    np.testing.assert_allclose(plots.band_half_width(values)[0], (interval.high - interval.low) / 2, rtol=1e-6)
    assert plots.band_half_width(values[:, :4]) is None  # a t-interval of so few hides the curves


def drawn(values):
    """Axes with a curve per column of `values` [steps, members]."""
    _, ax = matplotlib.pyplot.subplots()
    rows = [(0, m, step, v) for step, row in enumerate(values) for m, v in enumerate(row)]
    plots.seeds_and_mean(ax, pd.DataFrame(rows, columns=["cell", "member", "step", "value"]))
    return ax


def test_a_band_does_not_set_the_axis():
    """Five members at one point far apart: the band is 2.6 times as wide as they are."""
    values = np.zeros((3, 5))
    values[1, 0] = 10.0
    ax = drawn(values)
    assert len(ax.collections) == 1 and ax.collections[0].get_paths()[0].vertices[:, 1].min() < -2
    assert ax.get_ylim() == pytest.approx((-0.5, 10.5))
    assert not drawn(values[:, :4]).collections
    matplotlib.pyplot.close("all")


def test_a_cut_axis_shows_what_was_cut():
    ax = drawn(np.array([[0.0, 0.0], [1.0, -400.0], [0.5, 90.0]]))
    lines = len(ax.lines)
    plots.trim(ax, low=-5, high=5)
    assert ax.get_ylim() == (-5, 5)
    arrows = [(line.get_marker(), *line.get_xydata()[0]) for line in ax.lines[lines:]]
    # The second member and the mean leave at both ends, the first stays inside.
    assert sorted(arrows) == [("^", 2, 1), ("^", 2, 1), ("v", 1, 0), ("v", 1, 0)]
    inside = drawn(np.array([[0.0, 1.0], [1.0, 0.0]]))
    limits, lines = inside.get_ylim(), len(inside.lines)
    plots.trim(inside, low=-5, high=5)
    assert inside.get_ylim() == limits and len(inside.lines) == lines
    matplotlib.pyplot.close("all")


def test_smoothing_keeps_cubics_and_gaps():
    x = np.linspace(-1, 1, 21)
    curve = pd.Series(x**3 - x)
    np.testing.assert_allclose(plots.smoothed(curve, 7), curve, atol=1e-12)
    assert plots.smoothed(pd.Series([1.0, np.nan, 3.0]), 7).isna().sum() == 1


def test_tables_survive_markup(tmp_path):
    frame = pd.DataFrame({"a|b": ["x_1 & y", "50 % | z"], "value": [0.123456, math.nan]})
    tabular.write(tmp_path / "table.md", frame, "Caption.", "scale quick", "quick")
    text = (tmp_path / "table.md").read_text()
    assert "| x_1 & y | 0.1235 |" in text and r"50 % \| z" in text
    typeset = (tmp_path / "table.tex").read_text()
    assert r"x\_1 \& y & 0.1235 \\" in typeset and r"50 \% | z" in typeset
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "table.csv"), frame)


def test_costs_come_from_measured_rates(toy, monkeypatch):
    monkeypatch.setattr(costs, "calibration", lambda: 50.0)
    costs.measured.cache_clear()
    cell = catalog.cells("toy", "toy", "quick")["A-1.0"]
    assert "guess" in costs.estimate(cell).basis
    parts = [{"labels": ["4", "5"], "seconds": 99.0, "cpu_seconds": 24.0, "device": "cpu"}]
    settings = {"env": "A", "gain": 1.0, "total_steps": 1200, "rate": 0.1}
    write(cell)
    record = json.loads((cell.folder / "run.json").read_text()) | {
        "parts": parts,
        "settings": settings,
        "calibration": 100.0,
    }
    (cell.folder / "run.json").write_text(json.dumps(record))
    costs.measured.cache_clear()
    dear = catalog.cells("toy", "toy", "paper")["B-1.0"]
    found = costs.estimate(dear)
    # 24 s of CPU time, the machine being busy, for 2 members of 1200 steps, on a machine twice as fast as this one; 3
    # members of 1200 steps are missing.
    assert found.core_seconds == pytest.approx(24 / 2 * 3 * 2) and "measured" in found.basis
    costs.measured.cache_clear()


def test_a_long_episode_costs_its_updates(monkeypatch):
    monkeypatch.setattr(costs, "calibration", lambda: 100.0)
    monkeypatch.setattr(costs, "measured", lambda root: [])
    prices = {}
    for name in ("nchain_dqn", "mountaincar_dqn"):
        cell = next(iter(catalog.cells("nf_review", name, "paper").values()))
        prices[name] = costs.estimate(cell, missing=1).core_seconds / cell.config.total_steps
    assert prices["mountaincar_dqn"] == pytest.approx(1000 * prices["nchain_dqn"])  # an update per step; one per episode


def test_a_cell_trained_on_two_kinds_of_machine_tells_the_rate_of_each(toy, monkeypatch):
    monkeypatch.setattr(costs, "calibration", lambda: 50.0)
    write(catalog.cells("toy", "toy", "quick")["A-1.0"])
    path = catalog.cells("toy", "toy", "quick")["A-1.0"].folder / "run.json"
    parts = [{"labels": ["6"], "seconds": 3.0, "cpu_seconds": 1.0, "device": "NVIDIA H200", "calibration": 80.0},
             {"labels": ["4", "5"], "seconds": 99.0, "cpu_seconds": 24.0, "device": "x86_64"}]  # fmt: skip
    record = {"parts": parts, "settings": {"total_steps": 1200}, "calibration": 100.0}
    path.write_text(json.dumps(json.loads(path.read_text()) | record))
    costs.measured.cache_clear()
    dear = catalog.cells("toy", "toy", "paper")["B-1.0"]
    assert costs.estimate(dear).core_seconds == pytest.approx(24 / 2 * 3 * 2)
    assert costs.estimate(dear, "cuda").core_seconds == pytest.approx(3.0 * 3)
    costs.measured.cache_clear()


def test_the_time_that_passed_stands_in_for_cpu_time():
    """Where CPU time was not measured, and on a GPU, whose worker's CPU waits."""
    assert costs.core_seconds({"seconds": 9.0}) == 9.0
    assert costs.core_seconds({"seconds": 9.0, "cpu_seconds": 4.0, "device": "x86_64"}) == 4.0
    assert costs.core_seconds({"seconds": 9.0, "cpu_seconds": 4.0, "device": "NVIDIA H100"}) == 9.0


def test_this_machine_can_be_calibrated():
    assert costs.calibration() > 0.5


def test_a_footer_leaves_the_terminal_whole(monkeypatch):
    outer, inner = pty.openpty()
    monkeypatch.setattr("os.get_terminal_size", lambda _: os.terminal_size((40, 10)))
    with open(inner, "w", closefd=False) as stream:
        footer = watch.Footer(stream)
        footer.draw(["one", "two"])
        first = os.read(outer, 4096).decode()
        footer.draw(["one"] * 20)
        second = os.read(outer, 4096).decode()
        footer.close()
        last = os.read(outer, 4096).decode()
    assert "\x1b[1;8r" in first and "\x1b[9;1H\x1b[2K\x1b[?7lone" in first and "two" in first
    assert second.count("one") == 5 and "\x1b[1;5r" in second  # never more than half of the terminal
    assert last.endswith("\x1b[r\x1b8") and last.count("\x1b[2K") == 5


def test_progress_is_one_line_a_cell(toy):
    work = toy.root / "results/quick/toy/toy/A-1.0/.work"
    common = {"step": 250, "total": 1000, "rate": 50.0, "updated": time.time(), "pid": os.getpid()}
    atomic_write(work / "progress-4x1.json", json.dumps({"members": ["4"], "return": 10.0, **common}))
    atomic_write(work / "progress-5x1.json", json.dumps({"members": ["5"], "return": 20.0, **common}))
    atomic_write(work / "progress-6x1.json", json.dumps({"members": ["6"], **common, "pid": 2**22 + 1}))
    atomic_write(work / "progress-7x1.json", "{")
    (line,) = watch.lines(watch.running())
    assert line.startswith("quick toy/toy/A-1.0") and "25 %  2 members  100 steps/s  return 15  15 s left" in line
    assert watch.running(now=time.time() + 1000) == {}
