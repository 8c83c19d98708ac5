"""Asking the witnesses of the policy for their cosignatures."""

import logging
from collections import Counter
from collections.abc import Sequence
from functools import cache
from hashlib import sha256
from queue import Empty, SimpleQueue
from threading import Thread

import httpx
from django.conf import settings

from ledger.selectors import consistency_proof
from spellmark.certificates import checkpoints, notes
from spellmark.certificates.errors import FormatError, VerificationError
from spellmark.certificates.notes import Verifier
from spellmark.certificates.policy import Policy
from spellmark.certificates.witness import Request
from spellmark.errors import SpellmarkError

LOG = logging.getLogger("spellmark.ledger")

MAX_ANSWER_BYTES = 100_000
MOST_QUESTIONS = 3
# For witnesses that are a little slower than the quorum: others may ask for their cosignatures.
GRACE_SECONDS = 0.5
# Who was asked and has not answered yet: one question at a time, or a dead witness would gather
# hundreds of them.
_OWING: dict[str, Thread] = {}
_Answer = httpx.Response | str


class WitnessError(SpellmarkError):
    """The quorum of cosignatures was not reached."""


def cosign(policy: Policy, note: bytes, *, old_size: int, new_size: int) -> bytes:
    """The checkpoint with the cosignatures of the witnesses. Raises WitnessError.

    `old_size` is what they are thought to have seen; one that saw another size says so and is asked
    again with the proof from there. Once the quorum is there those that lag are left behind.
    """
    asking = _Asking(policy, note, new_size)
    for url in asking.verifiers:
        asking.begin(url, old_size)
    while asking.waiting:
        try:
            url, answer = asking.answers.get(timeout=GRACE_SECONDS if asking.is_met else None)
        except Empty:
            break
        asking.take(url, answer)
    if not asking.is_met:
        why = "; ".join(asking.trouble) or "too few have an address"
        raise WitnessError(
            f"The quorum {policy.quorum} is not reached: {why}.",
            hint="Entries wait until enough witnesses answer.",
        )
    return asking.cosigned


class _Asking:
    """The witnesses of a policy asked for one checkpoint, and what they said so far."""

    def __init__(self, policy: Policy, note: bytes, new_size: int) -> None:
        self.policy, self.note, self.new_size = policy, note, new_size
        self.verifiers: dict[str, list[Verifier]] = {}
        for witness in policy.witnesses:
            if witness.url:
                self.verifiers.setdefault(witness.url, []).append(witness.verifier)
        self.answers: SimpleQueue[tuple[str, _Answer]] = SimpleQueue()
        self.waiting: set[str] = set()
        self.questions: Counter[str] = Counter()
        self.cosigned = note
        self.trouble: list[str] = []

    @property
    def is_met(self) -> bool:
        """Whether the quorum has cosigned."""
        cosigners = self.policy.cosigners(notes.parse(self.cosigned))
        return self.policy.is_met([witness.name for witness in cosigners])

    def begin(self, url: str, size: int) -> None:
        """Ask a witness, unless it still owes the answer to an earlier checkpoint."""
        owing = _OWING.get(url)
        if owing and owing.is_alive():
            self.trouble.append(f"{url} has not answered the last question yet")
        else:
            self._ask(url, size)

    def take(self, url: str, answer: _Answer) -> None:
        """Take an answer in; a witness that saw another size is asked again, twice at most."""
        self.waiting.discard(url)
        if isinstance(answer, str):
            self.trouble.append(answer)
        elif answer.status_code == 409:
            self._take_size(url, _other_size(url, answer, self.new_size))
        elif answer.status_code == 200:
            found = _lines(self.note, answer.content, self.verifiers[url])
            self.cosigned = notes.add_signatures(self.cosigned, b"".join(found))
            if not found:
                self.trouble.append(f"{url} answered with no cosignature of its key")
        else:
            why = " ".join(answer.text[:200].split())
            self.trouble.append(f"{url} answered {answer.status_code}: {why}")

    def _take_size(self, url: str, size: int | str) -> None:
        if isinstance(size, str):
            LOG.error(size)
            self.trouble.append(size)
        # A second question for one that saw another size, a third for one that moved on meanwhile.
        elif self.questions[url] < MOST_QUESTIONS:
            self._ask(url, size)

    def _ask(self, url: str, size: int) -> None:
        request = Request(size, consistency_proof(size, self.new_size), self.note).dumps()
        self.questions[url] += 1
        self.waiting.add(url)
        _OWING[url] = Thread(target=_post, args=(url, request, self.answers), daemon=True)
        _OWING[url].start()


def latest_cosigned(url: str) -> bytes | None:
    """The log's last checkpoint that the witness knows. Raises WitnessError."""
    name = sha256(settings.LOG_ORIGIN.encode()).hexdigest()
    try:
        answer = _client().get(f"{url.rstrip('/')}/{name}/checkpoint")
    except httpx.HTTPError as error:
        raise WitnessError(
            f"The witness at {url} does not answer ({type(error).__name__}).",
            hint="Start it, or take it out of the policy.",
        ) from None
    if answer.status_code == 404:
        return None
    if answer.status_code != 200 or len(answer.content) > MAX_ANSWER_BYTES:
        raise WitnessError(f"The witness at {url} answered {answer.status_code}.")
    return answer.content


def _post(url: str, request: bytes, answers: SimpleQueue[tuple[str, _Answer]]) -> None:
    """Put a witness's answer, or what kept it from answering, into the queue."""
    answer: _Answer = f"{url} could not be asked"
    try:
        answer = _client().post(f"{url.rstrip('/')}/add-checkpoint", content=request)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        answer = f"{url} does not answer ({type(error).__name__})"
    finally:
        # First of all it may be asked again: whoever waits for the answer may want to at once.
        _OWING.pop(url, None)
        answers.put((url, answer))


def _other_size(url: str, answer: httpx.Response, new_size: int) -> int | str:
    """The size that a witness has seen, or what is wrong with it: one witness stops no quorum."""
    try:
        size = checkpoints.parse_decimal(answer.text.removesuffix("\n"), "The size")
    except FormatError:
        return f"The witness at {url} does not say which size it has seen"
    if size > new_size:
        return (
            f"The witness at {url} has seen {size} entries, but the log has {new_size}: the"
            " database was rolled back. Restore a newer copy of it, and run manage.py verify_log"
        )
    return size


def _lines(note: bytes, answer: bytes, verifiers: Sequence[Verifier]) -> list[bytes]:
    """The lines of an answer that are cosignatures of these keys; others are left out."""
    try:
        parsed = notes.parse(notes.add_signatures(note, answer[:MAX_ANSWER_BYTES]))
        found = notes.verified(parsed, verifiers)
    except (FormatError, VerificationError):
        return []
    # A blank line in the answer would make another text of what was signed.
    if parsed.text != notes.parse(note).text:
        return []
    keys = {(verifier.name, verifier.key_id) for verifier in found}
    return [s.line() for s in parsed.signatures if (s.name, s.key_id) in keys]


@cache
def _client() -> httpx.Client:
    # One for all: it keeps its connections open. No proxy from the environment: the addresses are
    # the operator's own.
    return httpx.Client(timeout=settings.LOG_WITNESS_TIMEOUT_SECONDS, trust_env=False)
