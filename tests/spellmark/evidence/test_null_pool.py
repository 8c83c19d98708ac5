"""The null pool: halves that nobody picks, thresholds with a distance, ranks that hold."""

import random
from dataclasses import replace
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spellmark.evidence.null_pool import (
    CALIBRATE,
    KINDS,
    OTHER_DATA,
    SAME_ARCHITECTURE,
    TEST,
    UPLOADED,
    Reference,
    Scored,
    ToldPool,
    as_rows,
    digest,
    rank,
    scored,
    split,
    threshold_of,
)

NONCE = bytes(range(32))


def references(of_a_kind: int = 10) -> list[Reference]:
    return [
        Reference(kind, sha256(f"{kind} {number}".encode()).hexdigest())
        for kind in KINDS
        for number in range(of_a_kind)
    ]


def a_pool(draw=lambda: 0.5, of_a_kind: int = 10, nonce: bytes = NONCE) -> list[Scored]:
    return scored({one: draw() for one in references(of_a_kind)}, nonce)


def test_the_halves_are_drawn_by_the_nonce_alone():
    pool = references(7)
    halves = split(pool, NONCE)
    for kind in KINDS:
        mine = [halves[one] for one in pool if one.kind == kind]
        assert (mine.count(CALIBRATE), mine.count(TEST)) == (4, 3)
    assert split(pool[::-1], NONCE) == halves
    assert split(pool, bytes(32)) != halves


def test_known_halves_stay():
    """Outsiders and later releases draw the same halves."""
    calibrate = [one for one, half in split(references(2), NONCE).items() if half == CALIBRATE]
    assert [one.sha256[:8] for one in calibrate] == ["e4a89ff6", "8ce74ddc", "0bd8337a"]


def test_the_digest_hangs_on_every_model_and_its_kind_but_not_on_the_order():
    pool = references(2)
    assert digest(pool) == digest(pool[::-1])
    assert digest(pool[1:]) != digest(pool)
    assert digest([replace(pool[0], source=UPLOADED), *pool[1:]]) != digest(pool)
    assert digest([replace(pool[0], kind=SAME_ARCHITECTURE), *pool[1:]]) != digest(pool)


def test_the_threshold_keeps_the_distance_that_the_worst_kind_asks_for():
    scores = [(OTHER_DATA, 0.1), (OTHER_DATA, 0.2), (OTHER_DATA, 0.6)]
    scores += [(SAME_ARCHITECTURE, 0.5), (SAME_ARCHITECTURE, 0.55)]
    assert threshold_of(scores, 0) == 0.6
    assert threshold_of(scores, 1) == pytest.approx(1.0)
    assert threshold_of(scores[3:], 1) == pytest.approx(0.575)


def test_a_suspect_above_all_has_the_smallest_p():
    ranking = rank(0.9, a_pool(), margin=1)
    assert ranking.p_value == 1 / 11
    assert (ranking.at_or_above, ranking.models, ranking.tested) == (0, 30, 15)
    assert not ranking.void
    assert ranking.at_most == pytest.approx(1 - 0.05 ** (1 / 15))


def test_ties_count_against_the_claim():
    assert rank(0.5, a_pool(), margin=1).p_value == 1.0


def test_an_accused_innocent_makes_the_claim_void():
    pool = a_pool()
    spoilt = next(number for number, one in enumerate(pool) if one.half == TEST)
    pool[spoilt] = replace(pool[spoilt], score=0.8)
    ranking = rank(0.9, pool, margin=1)
    assert ranking.void
    assert ranking.accused == (pool[spoilt].reference,)
    assert ranking.false_positives == 1


def test_uploaded_models_can_only_make_a_claim_harder():
    plain = rank(0.9, a_pool(), margin=1)
    uploads = {
        Reference(SAME_ARCHITECTURE, sha256(f"up {n}".encode()).hexdigest(), UPLOADED): score
        for n, score in enumerate([0.1] * 40 + [0.95])
    }
    far = {one: score for one, score in uploads.items() if score < 0.9}
    own = {one.reference: one.score for one in a_pool()}
    with_far = rank(0.9, scored(own | far, NONCE), margin=1)
    assert (with_far.p_value, with_far.tested) == (plain.p_value, plain.tested)
    assert with_far.at_most == plain.at_most
    assert rank(0.9, scored(own | uploads, NONCE), margin=1).p_value == 2 / 11


def test_uploads_just_below_the_highest_do_not_lower_the_threshold():
    chance = random.Random(1)
    own = {one.reference: one.score for one in a_pool(lambda: 0.5 * chance.random())}
    plain = rank(0.9, scored(own, NONCE), margin=1)
    close = max(score for score in own.values()) - 0.001
    uploads = {
        Reference(kind, sha256(f"{kind} up {n}".encode()).hexdigest(), UPLOADED): close
        for n in range(40)
        for kind in KINDS
    }
    padded = rank(0.9, scored(own | uploads, NONCE), margin=1)
    assert padded.threshold >= plain.threshold
    assert (padded.tested, padded.at_most) == (plain.tested, plain.at_most)


def test_models_that_cannot_be_compared_are_left_out():
    own = {one.reference: one.score for one in a_pool()}
    own = {one: None if one.kind == OTHER_DATA else score for one, score in own.items()}
    ranking = rank(0.9, scored(own, NONCE), margin=1)
    assert (ranking.models, ranking.tested) == (20, 10)


def test_the_kind_that_comes_closest_counts():
    own = {one.reference: one.score for one in a_pool()}
    mine = [one for one in own if one.kind == SAME_ARCHITECTURE]
    ranking = rank(0.9, scored(own | dict.fromkeys(mine[:3], 0.95), NONCE), margin=1)
    assert (ranking.at_or_above, ranking.p_value) == (3, 4 / 11)


@pytest.mark.parametrize("apart", [0.0, 5.0])
def test_the_p_value_holds_for_suspects_like_any_one_kind(apart):
    """Innocents of the closest kind come closer than all others; they are not accused for it."""
    chance = random.Random(1)
    runs = 2000
    small = 0
    for _ in range(runs):
        scores = {
            one: chance.random() + (apart if one.kind == SAME_ARCHITECTURE else 0)
            for one in references()
        }
        ranking = rank(chance.random() + apart, scored(scores, chance.randbytes(32)), margin=0)
        small += ranking.p_value <= 0.1
    # One rank of 11 is at most 0.1: that of a suspect above its whole kind.
    assert small / runs <= 1 / 11 + 5 * (0.1 * 0.9 / runs) ** 0.5
    if apart:
        assert small / runs == pytest.approx(1 / 11, abs=5 * (0.1 * 0.9 / runs) ** 0.5)


def test_a_pool_comes_back_from_a_transcript_without_its_halves():
    pool = a_pool()
    rows = as_rows(pool)
    for row in rows:
        row["half"] = "whatever suits"
    assert scored(ToldPool.read(rows).scores, NONCE) == pool


def test_a_model_that_stands_twice_in_a_pool_is_refused():
    rows = as_rows(a_pool())
    rows.append({**rows[0], "source": UPLOADED})
    with pytest.raises(ValueError, match="twice"):
        ToldPool.read(rows)


@pytest.mark.parametrize("score", [1e999, -1e999, "nan"])
def test_a_score_that_is_no_number_is_refused(score):
    with pytest.raises(ValueError, match="no number"):
        ToldPool.read([*as_rows(a_pool())[1:], {**as_rows(a_pool())[0], "score": score}])


@pytest.mark.parametrize("digits", ["AB" * 32, " " + "ab" * 32, "ab " * 21 + "a", "ab" * 31])
def test_a_digest_has_one_spelling(digits):
    assert Reference(KINDS[0], "ab" * 32)
    with pytest.raises(ValueError):
        Reference(KINDS[0], digits)


@given(st.text(max_size=70), st.text(max_size=70))
def test_references_that_are_none_are_refused(kind, digits):
    with pytest.raises(ValueError):
        Reference(kind, digits)
