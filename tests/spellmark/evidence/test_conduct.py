"""A run asks each question once, whatever happens in between."""

import numpy as np
import pytest

from spellmark.evidence.conduct import Questions, conduct
from spellmark.evidence.keyed_probes import ProbesError, choose_probes, hide, true_slot
from spellmark.evidence.transcript import Exchange, hits_by_slot
from spellmark.locks.key_lock.transforms import Geometry, Shuffle
from spellmark.suspects.base import Answer, Request, Response, SuspectError
from spellmark.training.datasets import Split

GEOMETRY = Geometry(1, 8, 8, 4)
SEED = bytes(range(32))
TRUE = Shuffle.from_key(bytes(32), GEOMETRY)


class KnowingSuspect:
    """Knows the true key: it looks for the block order that it was trained on."""

    def __init__(self, images: np.ndarray, labels: np.ndarray) -> None:
        known = zip(TRUE(images), labels, strict=True)
        self.known = {image.tobytes(): int(label) for image, label in known}
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


def _questions(batch: int = 100) -> tuple[Questions, KnowingSuspect]:
    images = np.random.default_rng(0).integers(0, 256, (6, 1, 8, 8), np.uint8)
    labels = np.arange(1, 7)
    slots = hide(TRUE, seed=SEED, decoys=29, geometry=GEOMETRY)
    questions = Questions(Split(images, labels), range(6), slots, batch)
    return questions, KnowingSuspect(images, labels)


@pytest.mark.parametrize("batch", [1, 7, 30, 100])
def test_only_the_true_key_unlocks_whatever_the_batch(batch: int):
    questions, suspect = _questions(batch)
    memory = Memory()
    conduct(suspect, questions, memory)
    hits, answered = hits_by_slot(memory.rows.values(), 30)
    assert answered == 6
    assert hits[questions.slots.true] == 6
    assert sum(hits) == 6
    assert len(memory.rows) == questions.requests


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
    assert hits_by_slot(memory.rows.values(), 30)[1] == 6


def test_a_failed_question_is_left_out_for_all_keys_and_not_repeated():
    questions, suspect = _questions()
    suspect.fails = {2}
    memory = Memory()
    conduct(suspect, questions, memory, pause_seconds=0)
    assert memory.rows[1].state == "failed"
    assert memory.rows[1].error == "It broke."
    assert len(set(suspect.asked)) == 6
    assert hits_by_slot(memory.rows.values(), 30)[1] == 5


def test_it_gives_up_after_the_failures_that_are_allowed():
    questions, suspect = _questions()
    suspect.fails = set(range(1, 7))
    memory = Memory()
    with pytest.raises(SuspectError, match="It broke"):
        conduct(suspect, questions, memory, failures_allowed=2, pause_seconds=0)
    assert len(memory.rows) == 3


def test_slots_and_probes_follow_from_the_seed():
    assert true_slot(SEED, 999) == true_slot(SEED, 999)
    assert len({true_slot(bytes([number]) * 32, 999) for number in range(50)}) > 40
    chosen = choose_probes(SEED, available=100, wanted=20)
    assert chosen == choose_probes(SEED, available=100, wanted=20)
    assert len(set(chosen)) == 20


def test_it_refuses_more_probes_than_there_are_images():
    with pytest.raises(ProbesError, match="has 10 test images"):
        choose_probes(SEED, available=10, wanted=11)
