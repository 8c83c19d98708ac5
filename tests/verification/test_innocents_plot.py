"""The plot of a trigger run's null pool: innocent models' hits, and the suspect's beside them."""

from collections.abc import Sequence
from hashlib import sha256
from xml.etree import ElementTree

import pytest

from registry import storage
from spellmark.evidence import transcript
from spellmark.evidence.null_pool import KINDS, TRAINED
from tests import factories
from verification.innocents_plot import innocents_plot
from verification.models import Run
from verification.plots import FLOOR, LEFT, RIGHT, TOP, run_plot

SVG = "{http://www.w3.org/2000/svg}"


def asked(run: Run, hits: Sequence[int]) -> None:
    """Innocent models that gave so many of the run's triggers their label, one a number."""
    header, exchanges = transcript.read(storage.get(run.transcript_sha256))
    header.pop("format")
    labels, classes = [one.label for one in exchanges], run.rule["classes"]
    header["pool"] = [
        {
            "sha256": sha256(b"innocent %d" % number).hexdigest(),
            "kind": KINDS[number % len(KINDS)],
            "source": TRAINED,
            "answers": [*labels[:own], *((label + 1) % classes for label in labels[own:])],
            "hits": own,
        }
        for number, own in enumerate(hits)
    ]
    run.transcript_sha256 = storage.put(transcript.write(header, exchanges))
    run.findings |= {"models": len(hits)}
    run.save()


@pytest.fixture
def run(alice_actor) -> Run:
    found = factories.finished_trigger_run(alice_actor)
    asked(found, [0, 0, 0, 0, 1, 1, 2])
    return found


def drawn(run: Run) -> ElementTree.Element:
    return ElementTree.fromstring(innocents_plot(run).svg)  # noqa: S314 - our own SVG


def bars(run: Run) -> list[dict[str, float]]:
    _legend, *rest = [e for e in drawn(run).iter(f"{SVG}rect") if e.get("class") == "decoys"]
    return [{k: float(e.get(k)) for k in ("x", "y", "width", "height")} for e in rest]


def place(run: Run, kind: str) -> float:
    """Where a line of this class stands."""
    _legend, line, *_ = [
        e.get("d") for e in drawn(run).iter(f"{SVG}path") if e.get("class") == kind
    ]
    return float(line.split()[0].removeprefix("M"))


def test_bars_are_as_high_as_so_many_models_have_these_hits(run):
    heights = [bar["height"] for bar in bars(run)]
    assert heights == [pytest.approx(heights[2] * count, abs=0.2) for count in (4, 2, 1)]
    for bar in bars(run):
        assert bar["x"] >= LEFT
        assert bar["x"] + bar["width"] <= RIGHT
        assert bar["y"] >= TOP
        assert bar["y"] + bar["height"] == pytest.approx(FLOOR, abs=0.2)


def test_the_suspect_and_what_a_match_asks_for_stand_beside_them(run):
    whole = len(run.growth)
    assert run.statistic == whole == 8
    own, needed = place(run, "true-key"), place(run, "line")
    assert max(bar["x"] + bar["width"] for bar in bars(run)) < needed < own <= RIGHT
    words = "".join(drawn(run).itertext())
    assert "7 innocent models" in words
    assert "this suspect: 8 of 8" in words
    assert "a match: 8 or more" in words
    assert innocents_plot(run).text == (
        "The suspect gives 8 of 8 triggers their label. 7 innocent models that were asked about "
        "the same give 0 to 2 of them their label, 0.6 on average; chance gives 0.8. A match after "
        "so many answers asks for 8. Of the innocent models none would be a match."
    )


def test_innocent_models_that_pass_are_told(run):
    run.findings |= {"passed": 2}
    assert innocents_plot(run).text.endswith("Of the innocent models 2 would be a match.")


def test_where_no_hits_would_be_enough_no_line_is_drawn(run):
    run.rule |= {"registration": 100}
    assert "a match:" not in "".join(drawn(run).itertext())
    assert "A match after" not in innocents_plot(run).text


def test_all_triggers_of_a_run_that_found_nothing_fit_in(alice_actor):
    run = factories.finished_trigger_run(alice_actor, verdict="no match")
    asked(run, [*range(33), 0, 0])
    assert len(bars(run)) == 33 == run.exchanges.count() + 1
    assert all(bar["x"] + bar["width"] <= RIGHT for bar in bars(run))


def test_it_is_told_apart_from_the_runs_other_plot(run):
    first, second = ElementTree.fromstring(run_plot(run)), drawn(run)  # noqa: S314 - our own SVG
    ids = [e.get("id") for root in (first, second) for e in root if e.get("id")]
    assert len(set(ids)) == 4
    assert set(second.get("aria-labelledby").split()) == set(ids[2:])
    assert second.find(f"{SVG}desc").text == innocents_plot(run).text


def test_where_nobody_was_asked_there_is_none(alice_actor, run):
    asked(run, [])
    assert innocents_plot(run) is None
    assert innocents_plot(factories.finished_run(alice_actor)) is None
