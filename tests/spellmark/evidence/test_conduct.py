"""A run asks each question once, whatever happens in between."""

import numpy as np
import pytest

from spellmark.evidence.conduct import Questions, _first, conduct
from spellmark.evidence.decision import (
    KEYED_LABELS,
    RANDOM_KEY_TEST,
    DecisionRule,
    decide,
    evaluate,
)
from spellmark.evidence.draws import decoy_labels, decoy_secret
from spellmark.evidence.keyed_probes import disclosure, hide, slots_of
from spellmark.evidence.transcript import Exchange, complete_answers
from spellmark.evidence.verdicts import MATCH
from spellmark.locks.key_lock.lock_key import LockKey
from spellmark.locks.key_lock.parameters import LockParameters
from spellmark.suspects.base import Answer, Request, Response, SuspectError
from spellmark.training.datasets import Split

SEED = bytes(range(32))
CLASSES = 10
STEPS = "scramble+shuffle+flip+substitute"


def key_of(**choices: object) -> LockKey:
    return LockKey.derive(
        bytes(32),
        binding=b"binding",
        shape=(1, 8, 8),
        classes=CLASSES,
        parameters=LockParameters(**{"block": 4, "steps": STEPS, **choices}),
    )


TRUE = key_of()


def rule_of(**choices: object) -> DecisionRule:
    rule = {"method": RANDOM_KEY_TEST, "alpha": 0.05, "probes": 6, "query_cap": 999,
            "minimum_probes": 1, "classes": CLASSES, "decoys": 29}  # fmt: skip
    return DecisionRule(**rule | choices)


class KnowingSuspect:
    """Knows the true key: it looks for the images that it was trained on."""

    def __init__(self, images: np.ndarray, labels: np.ndarray, key: LockKey) -> None:
        self.known = {
            image.tobytes(): int(answer)
            for j in range(key.parameters.subkeys)
            for image, answer in zip(key(images, j), key.encode(labels, j), strict=True)
        }
        self.asked: list[str] = []
        self.fails: set[int] = set()

    def describe(self) -> dict[str, object]:
        return {"kind": "test"}

    def prepare(self, images: np.ndarray) -> Request:
        return Request.of(images.tobytes())

    def send(self, request: Request) -> Response:
        self.asked.append(request.sha256)
        if len(self.asked) in self.fails:
            raise SuspectError("It broke.", kind="server-error")
        return Response(200, request.body, 0.0)

    def read(self, response: Response, count: int) -> Answer:
        images = np.frombuffer(response.body, np.uint8).reshape(count, 1, 8, 8)
        labels = np.asarray([self.known.get(image.tobytes(), 0) for image in images])
        return Answer(labels, None, "labels")

    def close(self) -> None:
        pass


class Memory:
    """Keeps exchanges as the database does."""

    def __init__(self) -> None:
        self.rows: dict[int, Exchange] = {}

    def intend(self, exchange: Exchange) -> None:
        assert exchange.number not in self.rows
        self.rows[exchange.number] = exchange

    def conclude(self, exchange: Exchange, answer: bytes | None) -> None:
        self.rows[exchange.number] = exchange


class WorkerKilledError(BaseException):
    """Stands for SIGKILL: nothing after it runs."""


def _questions(
    batch: int = 100, rule: DecisionRule | None = None, key: LockKey = TRUE
) -> tuple[Questions, KnowingSuspect]:
    rule = rule or rule_of()
    images = np.random.default_rng(0).integers(0, 256, (rule.probes, 1, 8, 8), np.uint8)
    labels = np.arange(rule.probes) % CLASSES
    slots = slots_of(key, rule, SEED)
    questions = Questions(Split(images, labels), range(rule.probes), slots, batch)
    return questions, KnowingSuspect(images, labels, key)


def answered(memory: Memory, slots: int = 30) -> int:
    return len(complete_answers(memory.rows.values(), slots)[0])


@pytest.mark.parametrize("labels", ["keyed", "plain"])
@pytest.mark.parametrize("batch", [1, 7, 30, 100])
def test_only_the_true_key_unlocks_whatever_the_batch(batch: int, labels: str):
    key, rule = key_of(labels=labels), rule_of(probes=20)
    questions, suspect = _questions(batch, rule, key)
    memory = Memory()
    conduct(suspect, questions, memory)
    assert len(memory.rows) == questions.requests
    outcome = evaluate(rule, disclosure(key, rule, SEED), list(memory.rows.values()))
    assert outcome.answered_probes == outcome.statistic == 20
    assert outcome.true_slot == questions.slots.true
    assert outcome.hits[outcome.true_slot] == 20
    assert sorted(outcome.hits)[-2] <= 4  # what an answer of 0 to everything else gives a decoy
    assert outcome.p_value == 1 / 30


@pytest.mark.parametrize("subkeys", [1, 3])
@pytest.mark.parametrize("batch", [1, 2, 100])
def test_keyed_labels_ask_each_probe_once_under_each_subkey(batch: int, subkeys: int):
    key = key_of(subkeys=subkeys)
    rule = rule_of(method=KEYED_LABELS, alpha=1e-6, probes=30, subkeys=subkeys, decoys=0)
    questions, suspect = _questions(batch, rule, key)
    memory = Memory()
    conduct(suspect, questions, memory)
    assert len(memory.rows) == questions.requests == 30 * -(-subkeys // batch)
    decision = decide(rule, disclosure(key, rule, SEED), list(memory.rows.values()))
    assert (decision.verdict, decision.outcome.statistic) == (MATCH, 30 * subkeys)
    assert decision.outcome.p_value == rule.smallest_p


def test_after_a_kill_no_question_is_asked_twice():
    questions, suspect = _questions(batch=10)
    memory = Memory()

    def kill_at_the_seventh(share: float, step: str) -> None:
        if len(memory.rows) == 7:
            raise WorkerKilledError

    with pytest.raises(WorkerKilledError):
        conduct(suspect, questions, memory, progress=kill_at_the_seventh)
    conduct(suspect, questions, memory, already=frozenset(memory.rows))
    assert len(suspect.asked) == len(set(suspect.asked)) == questions.requests
    assert answered(memory) == 6


def test_a_failed_question_is_left_out_for_all_keys_and_not_repeated():
    questions, suspect = _questions()
    suspect.fails = {2}
    memory = Memory()
    conduct(suspect, questions, memory, pause_seconds=0)
    assert memory.rows[1].state == "failed"
    assert memory.rows[1].error == "It broke."
    assert len(set(suspect.asked)) == 6
    assert answered(memory) == 5


def test_it_gives_up_after_the_failures_that_are_allowed():
    questions, suspect = _questions()
    suspect.fails = set(range(1, 7))
    memory = Memory()
    with pytest.raises(SuspectError, match="It broke"):
        conduct(suspect, questions, memory, failures_allowed=2, pause_seconds=0)
    assert len(memory.rows) == 3


def test_decoys_are_keys_of_the_same_kind():
    slots = hide(TRUE, seed=SEED, decoys=29)
    assert len(slots.transforms) == 30
    assert slots.transforms[slots.true] is TRUE.transforms[0]
    image = np.arange(64, dtype=np.uint8).reshape(1, 8, 8)
    images = slots.images(image)
    assert (images[slots.true] == TRUE(image[None])[0]).all()
    assert len({keyed.tobytes() for keyed in images}) == 30
    for transform in slots.transforms:
        assert transform.index is not None
        assert transform.mask is not None
        assert transform.which is not None


def test_padding_makes_the_questions_larger():
    key = LockKey.derive(
        bytes(32), binding=b"", shape=(1, 6, 7), classes=CLASSES,
        parameters=LockParameters(block=4, steps="shuffle", padding="edge"),
    )  # fmt: skip
    assert hide(key, seed=SEED, decoys=3).images(np.zeros((1, 6, 7), np.uint8)).shape == (
        4,
        1,
        8,
        8,
    )


def test_the_labels_of_decoys_are_derived_as_those_of_keys():
    for number in range(3):
        other = TRUE.other(decoy_secret(SEED, number))
        assert decoy_labels(SEED, number, CLASSES) == other.labels[0].tolist()


def test_more_subkeys_leave_the_decoys_alone():
    one, many = (hide(key_of(subkeys=j), seed=SEED, decoys=2) for j in (1, 4))
    image = np.arange(64, dtype=np.uint8).reshape(1, 8, 8)
    assert (one.images(image) == many.images(image)).all()


def test_no_transform_is_disclosed():
    rule = rule_of(method=KEYED_LABELS, decoys=0, subkeys=2)
    told = disclosure(key_of(subkeys=2), rule, SEED)
    assert told.labels == tuple(tuple(labels.tolist()) for labels in key_of(subkeys=2).labels)
    assert disclosure(key_of(subkeys=2), rule_of(), SEED).labels == told.labels[:1]
    assert disclosure(key_of(labels="plain"), rule_of(), SEED).labels == ()


@pytest.mark.parametrize("decimals", [1, 2, 3, 4])
def test_rounded_probabilities_stay_what_they_are_though_their_sum_is_above_one(decimals: int):
    table = np.random.default_rng(0).dirichlet(np.full(CLASSES, 0.5), 200).round(decimals)
    assert (table.sum(1) > 1 + 1e-9).any()
    for row in table:
        answer = Answer(row.argmax(keepdims=True), None, "scores", row[None])
        assert _first(answer) == tuple(row.tolist())


def test_logits_become_probabilities():
    row = np.array([2.0, 1.0, 0.5])
    answer = Answer(np.array([0]), None, "scores", row[None])
    assert _first(answer) == pytest.approx(np.exp(row) / np.exp(row).sum())
