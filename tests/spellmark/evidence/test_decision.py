from dataclasses import replace

import pytest

from spellmark.evidence import transcript
from spellmark.evidence.decision import DecisionRule, DecisionRuleError, decide
from spellmark.evidence.transcript import Exchange, TranscriptError

RULE = DecisionRule(alpha=0.05, decoys=19, probes=4, query_cap=4, minimum_probes=3)


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


def test_a_true_key_above_all_decoys_is_a_match():
    decision = decide(RULE, [_exchange(probe, {7}) for probe in range(4)], true=7)
    assert (decision.verdict, decision.p_value, decision.statistic) == ("match", 0.05, 4)


def test_a_true_key_among_the_decoys_is_no_match():
    decision = decide(RULE, [_exchange(probe, {3, 7}) for probe in range(4)], true=7)
    assert (decision.verdict, decision.p_value) == ("no match", 0.1)


def test_too_few_answers_are_inconclusive_even_when_the_true_key_wins():
    exchanges = [_exchange(probe, {7}) for probe in range(2)]
    assert decide(RULE, exchanges, true=7).verdict == "inconclusive"


def test_a_suspect_that_always_says_the_same_is_inconclusive():
    exchanges = [_exchange(probe, set(range(20))) for probe in range(4)]
    decision = decide(RULE, exchanges, true=7)
    assert (decision.verdict, decision.p_value) == ("inconclusive", 1.0)


def test_a_probe_that_misses_some_keys_counts_for_none():
    half = replace(_exchange(3, {7}), labels=(0,) * 10)
    exchanges = [*(_exchange(probe, {7}) for probe in range(3)), half]
    decision = decide(RULE, exchanges, true=7)
    assert (decision.answered_probes, decision.statistic) == (3, 3)


def test_failed_exchanges_do_not_count():
    exchanges = [_exchange(probe, {7}) for probe in range(3)]
    failed = replace(_exchange(3, {7}, state="failed"), labels=())
    assert decide(RULE, [*exchanges, failed], true=7).answered_probes == 3


@pytest.mark.parametrize(
    "changes",
    [{"alpha": 0.01}, {"alpha": 0.0}, {"alpha": 0.5}, {"minimum_probes": 5}, {"minimum_probes": 0}],
)
def test_it_refuses_rules_that_cannot_work(changes: dict[str, float]):
    with pytest.raises(DecisionRuleError):
        replace(RULE, **changes)


def test_the_transcript_gives_the_same_result():
    exchanges = [_exchange(probe, {3, 7}) for probe in range(4)]
    lines = transcript.write({"decoys": 19, "trueSlot": 7}, exchanges)
    assert transcript.read(lines)[1] == exchanges
    assert transcript.recompute(lines) == {"statistic": 4, "pValue": 0.1, "queries": 4}
    assert transcript.answer_digests(lines) == {"b" * 64}


@pytest.mark.parametrize(
    "lines", [b"", b"{}", b"[1]\n", b'{"format":"spellmark-transcript/v1"}\n5']
)
def test_it_refuses_what_is_no_transcript(lines: bytes):
    with pytest.raises(TranscriptError):
        transcript.read(lines)
