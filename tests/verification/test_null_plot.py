"""The plot of keyed labels: the exact null distribution on a logarithmic scale, the hits marked."""

import math
from xml.etree import ElementTree

import pytest

from tests import factories
from verification.models import Run
from verification.plots import FLOOR, LEFT, RIGHT, TOP, null_plot, null_plot_text, run_plot

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture
def run(alice_actor) -> Run:
    return factories.finished_run(alice_actor, verdict="match", method="keyed-labels")


def drawn(run: Run) -> ElementTree.Element:
    return ElementTree.fromstring(run_plot(run))  # noqa: S314 - our own SVG


def bars(run: Run, kind: str) -> list[dict[str, float]]:
    _legend, *rest = [e for e in drawn(run).iter(f"{SVG}rect") if e.get("class") == kind]
    return [{k: float(e.get(k)) for k in ("x", "y", "width", "height")} for e in rest]


def test_it_has_a_bar_for_every_number_of_hits_that_can_come_about(run):
    possible = [hits for hits, share in enumerate(run.null_distribution) if share]
    tail = [hits for hits in possible if hits >= run.statistic]
    assert len(bars(run, "tail")) == len(tail) > 0
    assert len(bars(run, "decoys")) == len(possible) - len(tail) > 0


def test_ten_times_as_likely_is_one_decade_higher(run):
    run.null_distribution, run.statistic, run.p_value = [0.9, 0.09, 0.009, 0.001], 3, 0.001
    heights = [bar["height"] for bar in bars(run, "decoys")]
    decade = (FLOOR - TOP) / 4
    assert heights[0] - heights[1] == pytest.approx(decade, abs=0.2)
    assert heights[1] - heights[2] == pytest.approx(decade, abs=0.2)


def test_it_marks_the_hits_and_stays_in_its_frame(run):
    text = "".join(drawn(run).itertext())
    assert f"this suspect: {run.statistic} of 16" in text
    marks = [e.get("d") for e in drawn(run).iter(f"{SVG}path") if e.get("class") == "true-key"]
    assert LEFT <= float(marks[1].split()[0].removeprefix("M")) <= RIGHT
    for kind in ("tail", "decoys"):
        for bar in bars(run, kind):
            assert bar["x"] >= LEFT
            assert bar["x"] + bar["width"] <= RIGHT
            assert bar["y"] >= TOP
            assert bar["y"] + bar["height"] == pytest.approx(FLOOR, abs=0.2)


@pytest.mark.parametrize(("probes", "least"), [(5000, 1e-6), (40, 1e-300)])
def test_it_holds_many_probes_and_tiny_probabilities(run, probes, least):
    rising = [least ** (hits / probes) for hits in range(probes + 1)]
    shares = [share / sum(rising) for share in rising]
    run.null_distribution, run.statistic, run.p_value = shares, probes, least
    found = [*bars(run, "decoys"), *bars(run, "tail")]
    assert 0 < len(found) <= 101
    assert all(math.isfinite(bar["height"]) and bar["y"] >= TOP - 0.1 for bar in found)


def test_it_is_named_and_told_in_words(run):
    root = drawn(run)
    names = {e.get("id") for e in root if e.tag in (f"{SVG}title", f"{SVG}desc")}
    assert set(root.get("aria-labelledby").split()) == names
    assert root.find(f"{SVG}desc").text == null_plot_text(run)
    assert f"{run.statistic} of 16 answers" in null_plot_text(run)


def test_it_needs_no_styles_and_no_script(run):
    elements = list(drawn(run).iter())
    assert not any(e.tag in (f"{SVG}style", f"{SVG}script") for e in elements)
    assert not any(name == "style" or name.startswith("on") for e in elements for name in e.attrib)


def test_a_run_has_the_plot_of_its_method(alice_actor, run):
    assert run_plot(run) == null_plot(run)
    other = factories.finished_run(alice_actor, verdict="match")
    assert "decoy keys" in run_plot(other)
    assert run_plot(factories.failed_run(alice_actor, method="keyed-labels")) == ""
