"""How a suspect's lean at a place is measured."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spellmark.evidence.mark_evidence import (
    ALONE,
    MOST_OF_ONE,
    SCALE,
    MarkEvidence,
    Place,
    Question,
)

REFERENCE = (0.88, 0.04, 0.04, 0.04)
ANSWER = [0.88, 0.08, 0.02, 0.02]


def lean(others, answer=ANSWER, place=1):
    evidence = MarkEvidence(4, 50, 0)
    evidence.add(Question(REFERENCE, 0, others), answer)
    return evidence.leans()[Place("tail", 0, 0, place)]


def test_a_lean_is_its_distance_from_the_reference_and_the_middle():
    soft = 0.001
    middle = math.log(0.029 + soft) - math.log(0.04 + soft)
    expected = math.log(0.041 + soft) - math.log(0.04 + soft) - middle
    answer = [0.901, 0.041, 0.029, 0.029]
    assert lean((), answer) == pytest.approx(math.tanh(expected / (SCALE + ALONE)))
    assert lean((), answer, place=2) == 0


def test_one_answer_says_only_so_much():
    most = math.tanh(MOST_OF_ONE / (SCALE + ALONE))
    assert lean(()) == pytest.approx(most)
    assert lean((), [0.88, 0.1, 0.01, 0.01]) == pytest.approx(most)


def test_references_that_agree_make_a_lean_tell_more_than_one_alone():
    assert lean((REFERENCE, REFERENCE)) > lean(())


def test_where_references_differ_a_lean_tells_less():
    # Both pairs of references have the same mean logarithm at class 1.
    soft, apart = 0.001, 2.0
    low, high = (math.exp(math.log(0.04 + soft) + sign) - soft for sign in (-apart, apart))
    differing = tuple((0.92 - value, value, 0.04, 0.04) for value in (low, high))
    assert 0 < lean(differing) < lean((REFERENCE, REFERENCE)) / 1.5


@given(st.floats(0.3, 0.9))
def test_a_suspect_s_confidence_alone_is_no_lean(best):
    rest = (1 - best) / 3
    evidence = MarkEvidence(4, 50, 0)
    # All the same they would count as evened out, and not be read at all.
    evidence.add(Question(REFERENCE, 0, (REFERENCE,)), [best, rest * 1.001, rest, rest * 0.999])
    assert 0 < max(map(abs, evidence.leans().values())) < 0.01


def test_of_a_close_pair_it_counts_what_the_references_do_not_say_too():
    # The owner's model and one of the others say class 1, the other says class 0.
    close = (0.4, 0.5, 0.05, 0.05)
    others = ((0.5, 0.4, 0.05, 0.05), (0.3, 0.6, 0.05, 0.05))
    for said, expected in ((0, -2 / 3), (1, 1 / 3), (2, None)):
        evidence = MarkEvidence(4, 50, 50)
        evidence.add(Question(close, 0, others), [float(n == said) for n in range(4)])
        leans = evidence.leans()
        told = {} if expected is None else {Place("label", 0, 0, 1): math.tanh(expected)}
        assert leans == pytest.approx(told)
