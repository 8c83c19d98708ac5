"""The plot of a run: legible, accessible, and fit for a page that allows no inline styles."""

from xml.etree import ElementTree

import pytest

from tests import factories
from verification.models import Run
from verification.plots import LEFT, RIGHT, chance_level, decoy_plot, decoy_plot_text, run_plot

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture
def run(alice_actor) -> Run:
    return factories.finished_run(alice_actor, verdict="match")


def drawn(run: Run) -> ElementTree.Element:
    return ElementTree.fromstring(decoy_plot(run))  # noqa: S314 - our own SVG


def bars(run: Run) -> list[dict[str, float]]:
    _legend, *rest = [e for e in drawn(run).iter(f"{SVG}rect") if e.get("class") == "decoys"]
    return [{k: float(e.get(k)) for k in ("x", "width", "height")} for e in rest]


def test_it_has_a_bar_for_every_number_that_a_decoy_reached(run):
    hits = {hits for slot, hits in enumerate(run.hits) if slot != run.true_slot}
    assert len(bars(run)) == len(hits)


def test_it_draws_bars_as_high_as_their_counts(run):
    run.hits, run.true_slot = [9, 0, 0, 0, 0, 1, 1, 2], 0
    heights = [bar["height"] for bar in bars(run)]
    assert heights[0] == pytest.approx(2 * heights[1], abs=0.2)
    assert heights[1] == pytest.approx(2 * heights[2], abs=0.2)


def test_it_stays_in_its_frame_with_thousands_of_probes(run):
    run.answered_probes, run.true_slot = 5000, 0
    run.hits = [5000, *range(0, 5001, 50)]
    found = bars(run)
    assert len(found) <= 100
    assert all(bar["x"] >= LEFT and bar["x"] + bar["width"] <= RIGHT for bar in found)


def test_it_marks_the_true_key_and_the_chance_level(run):
    text = "".join(drawn(run).itertext())
    assert f"true key: {run.statistic} of 16" in text
    assert "chance level: 1.6" in text


def test_it_draws_no_chance_level_where_the_classes_are_not_known(run):
    del run.rule["classes"]
    assert chance_level(run) is None
    assert "chance" not in "".join(drawn(run).itertext())


def test_it_is_named_and_told_in_words(run):
    root = drawn(run)
    names = {e.get("id") for e in root if e.tag in (f"{SVG}title", f"{SVG}desc")}
    assert set(root.get("aria-labelledby").split()) == names
    assert root.find(f"{SVG}desc").text == decoy_plot_text(run)
    assert f"Under the true key {run.statistic} of 16 probes" in decoy_plot_text(run)


def test_it_needs_no_styles_and_no_script(run):
    elements = list(drawn(run).iter())
    assert not any(e.tag in (f"{SVG}style", f"{SVG}script") for e in elements)
    assert not any(name == "style" or name.startswith("on") for e in elements for name in e.attrib)


def test_a_run_without_answers_has_none(alice_actor):
    assert run_plot(factories.failed_run(alice_actor)) == ""
