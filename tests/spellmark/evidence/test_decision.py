from dataclasses import asdict, replace

import pytest

from spellmark.evidence import transcript
from spellmark.evidence.decision import (
    KEYED_LABELS,
    RANDOM_KEY_TEST,
    DecisionRule,
    DecisionRuleError,
    Disclosure,
    decide,
    evaluate,
    usual_alpha,
)
from spellmark.evidence.draws import decoy_labels, true_slot
from spellmark.evidence.recompute import recompute
from spellmark.evidence.transcript import Exchange, TranscriptError

SEED = bytes(range(32))
RULE = DecisionRule(
    method=RANDOM_KEY_TEST,
    alpha=0.05,
    probes=4,
    query_cap=4,
    minimum_probes=3,
    classes=10,
    decoys=19,
)
TRUE = true_slot(SEED, 19)
OTHER = (TRUE + 1) % 20
TOLD = Disclosure(SEED)

KEYED = replace(
    RULE, method=KEYED_LABELS, alpha=1e-3, decoys=0, probes=30, query_cap=30, minimum_probes=20
)
LABELS = (3, 1, 4, 0, 5, 9, 2, 6, 8, 7)


def _exchange(probe: int, hit_slots: set[int], label: int = 1, state: str = "answered") -> Exchange:
    return Exchange(
        number=probe,
        probe=probe,
        image_index=probe,
        image_sha256="a" * 64,
        label=label,
        first_slot=0,
        request_sha256=f"{probe:064x}",
        state=state,
        status=200,
        seconds=0.1,
        answer_sha256="b" * 64,
        level="probabilities",
        labels=tuple(label if slot in hit_slots else 0 for slot in range(20)),
    )


def _keyed(probe: int, *answers: int) -> Exchange:
    return replace(_exchange(probe, set(), label=probe % 10), labels=answers)


def _header(rule: DecisionRule, told: Disclosure) -> dict:
    return {"rule": asdict(rule), "seed": told.seed.hex(), "labels": told.labels}


def test_a_true_key_above_all_decoys_is_a_match():
    decision = decide(RULE, TOLD, [_exchange(probe, {TRUE}) for probe in range(4)])
    outcome = decision.outcome
    assert (decision.verdict, outcome.p_value, outcome.statistic) == ("match", 0.05, 4)
    assert (outcome.true_slot, outcome.hits[TRUE], outcome.null) == (TRUE, 4, None)
    assert decision.reason == "The true key does better than 19 of 19 decoy keys."


def test_a_true_key_among_the_decoys_is_no_match():
    decision = decide(RULE, TOLD, [_exchange(probe, {OTHER, TRUE}) for probe in range(4)])
    assert (decision.verdict, decision.outcome.p_value) == ("no match", 0.1)
    assert decision.reason == "1 of 19 decoy keys do as well as the true key."


def test_too_few_answers_are_inconclusive_even_when_the_true_key_wins():
    exchanges = [_exchange(probe, {TRUE}) for probe in range(2)]
    assert decide(RULE, TOLD, exchanges).verdict == "inconclusive"


@pytest.mark.parametrize(("rule", "told"), [(RULE, TOLD), (KEYED, Disclosure(SEED, (LABELS,)))])
def test_no_answers_are_inconclusive(rule: DecisionRule, told: Disclosure):
    decision = decide(rule, told, [])
    assert (decision.verdict, decision.outcome.p_value) == ("inconclusive", 1.0)


def test_a_suspect_that_always_says_the_same_is_inconclusive():
    exchanges = [_exchange(probe, set(range(20))) for probe in range(4)]
    decision = decide(RULE, TOLD, exchanges)
    assert (decision.verdict, decision.outcome.p_value) == ("inconclusive", 1.0)


def test_a_probe_that_misses_some_keys_counts_for_none():
    half = replace(_exchange(3, {TRUE}), labels=(0,) * 10)
    exchanges = [*(_exchange(probe, {TRUE}) for probe in range(3)), half]
    outcome = evaluate(RULE, TOLD, exchanges)
    assert (outcome.answered_probes, outcome.statistic) == (3, 3)


def test_failed_exchanges_do_not_count():
    exchanges = [_exchange(probe, {TRUE}) for probe in range(3)]
    failed = replace(_exchange(3, {TRUE}, state="failed"), labels=())
    assert evaluate(RULE, TOLD, [*exchanges, failed]).answered_probes == 3


def test_the_keys_labels_in_the_answers_are_a_match():
    told = Disclosure(SEED, (LABELS,))
    decision = decide(KEYED, told, [_keyed(n, LABELS[n % 10]) for n in range(30)])
    outcome = decision.outcome
    assert (decision.verdict, outcome.statistic, outcome.answered_probes) == ("match", 30, 30)
    assert outcome.p_value == KEYED.smallest_p
    assert (outcome.hits, outcome.true_slot) == (None, None)
    assert "30 of 30 answers are those that the key's labels stand for" in decision.reason


def test_plain_labels_in_the_answers_are_no_match():
    told = Disclosure(SEED, (LABELS,))
    assert decide(KEYED, told, [_keyed(n, n % 10) for n in range(30)]).verdict == "no match"


def test_a_probe_counts_only_when_every_subkey_was_answered():
    rule = replace(KEYED, subkeys=2)
    told = Disclosure(SEED, (LABELS, LABELS[::-1]))
    exchanges = [_keyed(n, LABELS[n % 10], LABELS[9 - n % 10]) for n in range(30)]
    cut = [*exchanges[:-1], replace(exchanges[-1], labels=exchanges[-1].labels[:1])]
    assert evaluate(rule, told, exchanges).statistic == 60
    outcome = evaluate(rule, told, cut)
    assert (outcome.answered_probes, outcome.statistic) == (29, 58)


def test_the_random_key_test_counts_keyed_labels_for_every_slot_alike():
    """A slot's own labels or the plain ones, whichever explain more of its answers."""
    told = Disclosure(SEED, (LABELS,))
    decoys = [decoy_labels(SEED, number, 10) for number in range(19)]
    by_slot = [*decoys[:TRUE], list(LABELS), *decoys[TRUE:]]
    exchanges = [
        replace(
            _exchange(n, set(), label=n),
            labels=tuple(
                n if slot == OTHER and n < 3 else labels[n] if n < 2 or slot == TRUE else -1
                for slot, labels in enumerate(by_slot)
            ),
        )
        for n in range(4)
    ]
    outcome = evaluate(RULE, told, exchanges)
    assert outcome.hits == tuple(
        4 if slot == TRUE else 3 if slot == OTHER else 2 for slot in range(20)
    )
    assert evaluate(RULE, TOLD, exchanges).statistic == sum(LABELS[n] == n for n in range(4))


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ({"alpha": 0.01}, "19 decoys can show p = 0.05 at the least"),
        ({"alpha": 0.0}, "not accepted"),
        ({"alpha": 0.5}, "not accepted"),
        ({"minimum_probes": 5}, "cannot be required"),
        ({"minimum_probes": 0}, "cannot be required"),
        ({"method": "guess"}, "no method “guess”"),
        ({"method": KEYED_LABELS, "classes": 3}, "3 classes under 1 sub-key can show p = 0.17"),
        (
            {"method": KEYED_LABELS, "classes": 2, "subkeys": 4},
            "2 classes under 4 sub-keys can show p = 0.062.* lock with 5 sub-keys",
        ),
    ],
)
def test_it_refuses_rules_that_cannot_work(rule: dict[str, object], said: str):
    with pytest.raises(DecisionRuleError) as refused:
        replace(RULE, **rule)
    assert refused.match(said)
    assert refused.value.hint


def test_only_as_many_sub_keys_are_advised_as_a_lock_can_have():
    two = {"method": KEYED_LABELS, "classes": 2, "subkeys": 5}
    with pytest.raises(DecisionRuleError) as refused:
        replace(RULE, **two, alpha=2.0**-32)
    assert "lock with 32 sub-keys" in refused.value.hint
    with pytest.raises(DecisionRuleError) as refused:
        replace(RULE, **two, alpha=2.0**-33)
    assert "lock with" not in refused.value.hint
    assert "random-key test" in refused.value.hint


@pytest.mark.parametrize(
    ("smallest", "alpha"),
    [(2.8e-7, 1e-6), (1e-3, 1e-3), (2e-4, 1e-3), (1 / 120, 1e-2), (1 / 24, 0.05), (0.5, 0.05)],
)
def test_the_usual_alpha_is_the_strictest_in_reach(smallest: float, alpha: float):
    assert usual_alpha(smallest) == alpha


def test_the_transcript_gives_the_same_result():
    exchanges = [_exchange(probe, {OTHER, TRUE}) for probe in range(4)]
    lines = transcript.write(_header(RULE, TOLD), exchanges)
    assert transcript.read(lines)[1] == exchanges
    assert recompute(lines) == {
        "method": "random-key-test", "statistic": 4, "pValue": 0.1, "alpha": 0.05,
        "smallestP": 0.05, "verdict": decide(RULE, TOLD, exchanges).verdict, "queries": 4,
        "evidenceClass": "verified", "told": {"earlierRegistration": None},
    }  # fmt: skip
    assert transcript.answer_digests(exchanges) == {"b" * 64}


def test_the_transcript_of_keyed_labels_gives_the_same_result():
    told = Disclosure(SEED, (LABELS,))
    exchanges = [_keyed(n, LABELS[n % 10] if n < 15 else 4) for n in range(30)]
    found = recompute(transcript.write(_header(KEYED, told), exchanges))
    outcome = evaluate(KEYED, told, exchanges)
    assert (found["method"], found["statistic"]) == ("keyed-labels", outcome.statistic)
    assert (found["pValue"], found["smallestP"]) == (outcome.p_value, KEYED.smallest_p)


@pytest.mark.parametrize(
    "change",
    [
        {"rule": {}},
        {"rule": None},
        {"seed": "xyz"},
        {"seed": None},
        {"labels": None},
        {"labels": [[0, 0, 1]]},
        {"labels": [3]},
        {"labels": []},
        {"rule": asdict(KEYED) | {"subkeys": 2}},
        {"rule": asdict(KEYED) | {"more": 2}},
    ],
)
def test_it_refuses_a_header_that_its_test_cannot_use(change: dict):
    exchanges = [_keyed(n, LABELS[n % 10]) for n in range(30)]
    header = _header(KEYED, Disclosure(SEED, (LABELS,))) | change
    with pytest.raises(TranscriptError, match="does not hold what its test needs"):
        recompute(transcript.write(header, exchanges))


@pytest.mark.parametrize(
    "lines", [b"", b"{}", b"[1]\n", b'{"format":"spellmark-transcript/v1"}\n5']
)
def test_it_refuses_what_is_no_transcript(lines: bytes):
    with pytest.raises(TranscriptError):
        transcript.read(lines)


def test_it_refuses_a_transcript_that_asks_twice_or_too_much_or_fills_the_memory():
    told = Disclosure(SEED, (LABELS,))
    exchanges = [_keyed(n, LABELS[n % 10]) for n in range(30)]
    twice = [*exchanges[:-1], replace(exchanges[0], number=29)]
    capped = replace(KEYED, query_cap=29)
    vast = [replace(exchanges[0], labels=(10**9,)), *exchanges[1:]]
    recompute(transcript.write(_header(KEYED, told), exchanges))
    for rule, asked in (
        (KEYED, twice),
        (capped, exchanges),
        (KEYED, vast),
        (replace(KEYED, query_cap=10**9), exchanges),
    ):
        with pytest.raises(TranscriptError, match="does not hold what its test needs"):
            recompute(transcript.write(_header(rule, told), asked))
    overlapping = [_exchange(0, {TRUE}), replace(_exchange(0, {TRUE}), first_slot=1)]
    with pytest.raises(TranscriptError):
        recompute(transcript.write(_header(RULE, TOLD), overlapping))
