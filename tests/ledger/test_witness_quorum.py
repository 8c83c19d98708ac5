"""A quorum of three witnesses of which one lags: the log goes on, and asks it again."""

import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest

from ledger import witnesses
from ledger.keys import ensure_signing_keys
from ledger.selectors import checkpoint_latest, cosigners_of
from ledger.services import entries_queue, ledger_sequence
from spellmark.certificates.policy import Group, Policy, PolicyWitness
from tests.ledger.witnesses import RunningWitness

TIMEOUT_SECONDS = 20


@pytest.fixture
def three(db, settings, tmp_path) -> Iterator[list[RunningWitness]]:
    """Any two of them are enough."""
    ensure_signing_keys()
    settings.LOG_POLICY = tmp_path / "policy.txt"
    settings.LOG_WITNESS_TIMEOUT_SECONDS = TIMEOUT_SECONDS
    witnesses._client.cache_clear()
    running = [RunningWitness(tmp_path, settings.LOG_POLICY, name) for name in ("w1", "w2", "w3")]
    _two_of([one.lines()[0] for one in running], settings.LOG_POLICY)
    yield running
    for one in running:
        one.stop()


def _two_of(lines: list[PolicyWitness], path) -> None:
    group = Group("two", 2, tuple(line.name for line in lines))
    path.write_bytes(Policy(witnesses=tuple(lines), groups=(group,), quorum="two").dumps())


def _publish() -> list[str]:
    """Publish one more entry; who cosigned."""
    size = checkpoint_latest().size if checkpoint_latest() else 0
    entries_queue(bodies=[b"%d" % size])
    ledger_sequence()
    assert checkpoint_latest().size == size + 1
    return sorted(cosigners_of(checkpoint_latest()))


def test_all_that_answer_in_time_cosign(three):
    assert _publish() == _publish() == ["w1", "w2", "w3"]


def test_a_witness_that_lags_holds_nothing_up_and_is_asked_again(three):
    gate, late = threading.Event(), three[2]
    answer = late.witness.add_checkpoint

    def wait(body: bytes):
        assert gate.wait(TIMEOUT_SECONDS)
        return answer(body)

    late.witness.add_checkpoint = wait
    begin = time.monotonic()
    assert _publish() == _publish() == ["w1", "w2"]
    assert time.monotonic() - begin < TIMEOUT_SECONDS / 2
    assert list(witnesses._OWING) == [late.url]
    question = witnesses._OWING[late.url]
    gate.set()
    question.join(TIMEOUT_SECONDS)
    # It has seen the first checkpoint only, and says so.
    assert _publish() == ["w1", "w2", "w3"]
    assert [status for status, _ in late.refusals] == [409]


def test_a_witness_that_never_answers_is_asked_one_question_at_a_time(three, settings):
    with socket.create_server(("127.0.0.1", 0)) as hole:
        url = f"http://127.0.0.1:{hole.getsockname()[1]}"
        lines = [one.lines()[0] for one in three]
        _two_of([*lines[:2], replace(lines[2], url=url)], settings.LOG_POLICY)
        for _ in range(3):
            assert _publish() == ["w1", "w2"]
        asked, _ = hole.accept()
        hole.settimeout(0.2)
        with pytest.raises(TimeoutError):
            hole.accept()
        question = witnesses._OWING[url]
        asked.close()
        question.join(TIMEOUT_SECONDS)
