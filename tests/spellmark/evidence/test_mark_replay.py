"""A guard's run redone from its transcript, and what is refused there."""

import pytest
from benchmarks.verdict_transcripts import dynamic_watermark

from spellmark.evidence.recompute import recompute
from spellmark.evidence.transcript import TranscriptError, read, write

HEADER, EXCHANGES = read(dynamic_watermark().lines)


def test_outsiders_come_to_a_verdict():
    assert recompute(write(HEADER, EXCHANGES))["verdict"] == "no match"


@pytest.mark.parametrize("cell", [-1, 1])
def test_a_question_about_a_cell_that_the_guard_has_not_is_refused(cell):
    cells = [cell, *HEADER["cells"][1:]]
    with pytest.raises(TranscriptError, match="does not hold what its test needs"):
        recompute(write(HEADER | {"cells": cells}, EXCHANGES))


def test_more_answers_than_the_rule_counts_looks_for_are_refused():
    for exchanges in ([*EXCHANGES, EXCHANGES[0]], [*EXCHANGES[:-1], EXCHANGES[0]]):
        with pytest.raises(TranscriptError):
            recompute(write(HEADER, exchanges))
