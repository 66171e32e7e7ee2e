"""The order in which claims are settled, and the command that settles them."""

import time

import pytest

from common.errors import UserError
from common.lab.plan import catalog
from common.lab.report import judging, planning, settling
from common.lab.results import costs, sources
from tests.fake import Repository, adopted
from tests.test_judging import CLAIMS, run


@pytest.fixture
def toy(tmp_path, monkeypatch):
    repository = Repository.create(tmp_path / "repository")
    with open(repository.root / "papers/toy/claims.py", "a") as file:
        file.write(CLAIMS)
    monkeypatch.setattr(costs, "FALLBACK", {})
    with adopted(repository, monkeypatch):
        yield repository


def jobs(**prices):
    """{job: price} of jobs that are named by one letter each."""
    return {("paper", name, 0): price for name, price in prices.items()}


def order(wanted):
    return [(step.claims, sorted(key for _, key, _ in step.jobs), step.core_seconds) for step in planning.ordered(wanted)]


def test_the_most_claims_per_price_come_first_and_what_is_shared_is_paid_once():
    wanted = {
        "p/c01_dear": [jobs(a=8, b=1)],
        "p/c02_cheap": [jobs(c=3)],
        "p/c03_shares": [jobs(a=8)],
        "p/own_free_with_c02": [jobs(c=3)],
    }
    assert order(wanted) == [
        (("p/c02_cheap", "p/own_free_with_c02"), ["c"], 3),
        (("p/c01_dear", "p/c03_shares"), ["a", "b"], 9),
    ]


def test_what_an_earlier_step_runs_costs_nothing_later():
    assert order({"p/c01_both": [jobs(a=2, b=9)], "p/c02_one": [jobs(a=2)]}) == [
        (("p/c02_one",), ["a"], 2),
        (("p/c01_both",), ["b"], 9),
    ]


def test_the_cheaper_of_two_ways_and_among_equals_the_papers_own_claim():
    wanted = {"p/own_first": [jobs(a=2)], "p/c01": [jobs(b=9), jobs(d=2)]}
    assert order(wanted) == [(("p/c01",), ["d"], 2), (("p/own_first",), ["a"], 2)]


def test_a_plan_asks_for_the_missing_seeds_alone(toy):
    """One claim reads two cells of three seeds, one of which was run; one reads four; one reads two of these with five
    seeds, which serve both. A step takes 0.01 core-seconds."""
    run("A-0.5", "paper")
    made = planning.plan(["toy"])
    assert [step.claims for step in made.steps] == [
        ("toy/c01_gain_helps",),
        ("toy/c02_gain_helps_everywhere", "toy/own_a_higher_gain_is_lower"),
    ] and made.hopeless == []
    first, second = made.steps
    assert first.cells == {("paper", "toy/toy/A-1.0"): [4, 5, 6]}
    assert second.cells == {("paper", f"toy/toy/B-{gain}"): [4, 5, 6, 7, 8] for gain in (0.5, 1.0)}
    assert second.core_seconds == pytest.approx(2 * 5 * 1200 * 0.01)


def test_a_budget_that_no_scale_meets_is_named(toy):
    toy.edit("papers/toy/claims.py", "steps=1_000, seeds=3", "steps=5_000, seeds=3")
    assert planning.plan(["toy"]).hopeless == ["toy/c02_gain_helps_everywhere"]
    toy.papers("settle", "--plan")
    page = (toy.root / "docs/evidence.md").read_text()
    assert "No scale meets the least budget of toy/c02_gain_helps_everywhere." in page and "toy/c01_gain_helps" in page


def test_settle_runs_the_plan_publishes_and_has_nothing_left(toy):
    done = toy.papers("settle", "--threads", "2")
    assert done.returncode == 0, done.stderr
    assert "4 of 4: " in done.stderr and "published, 5 of 5 members" in done.stderr
    for name in ("A-0.5", "A-1.0", "B-0.5", "B-1.0"):
        assert not sources.publication(catalog.cell(f"toy/toy/{name}", "paper")).stale
    assert planning.plan(["toy"]).steps == []
    trials = {claim: judging.trial("toy", claim, judging.PUBLISHED) for claim in catalog.artefacts("toy", "claims")}
    judged = judging.verdicts("toy", trials)[0]
    assert judged["c02_gain_helps_everywhere"].status == "reproduced"
    assert "0 cells" in toy.papers("settle", "toy").stderr


def test_settle_stops_after_its_hours_and_ends_what_it_started(toy):
    (toy.root / "wait").touch()
    began = time.monotonic()
    done = toy.papers("settle", "--hours", "0.002", "--threads", "1")
    assert done.returncode == 0 and time.monotonic() - began < 60
    assert "papers: stopped" in done.stderr and not list((toy.root / "published").rglob("run.json"))


def test_mistakes_are_one_line():
    with pytest.raises(UserError, match="unknown paper .arsca.; did you mean arsac"):
        settling.settle(["arsca"])
