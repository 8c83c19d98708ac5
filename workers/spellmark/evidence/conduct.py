"""Asking a suspect, exchange by exchange, so that a stopped run goes on without asking twice."""

import hashlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import numpy.typing as npt

from spellmark.evidence.answer_access import FLOAT_ROUNDING, MOST_DECIMALS
from spellmark.evidence.keyed_probes import Slots
from spellmark.evidence.transcript import Exchange
from spellmark.suspects.base import Answer, Request, Suspect, SuspectError
from spellmark.training.datasets import Split


class Recorder(Protocol):
    """Keeps exchanges where a crash cannot reach them."""

    def intend(self, exchange: Exchange) -> None:
        """Record that this request is about to be sent. Called before the first byte leaves."""

    def conclude(self, exchange: Exchange, answer: bytes | None) -> None:
        """Record what came of it, with the raw answer."""


@dataclass(frozen=True)
class Questions:
    """What is asked: probe images under all keys, at most `batch` images a request.

    with_probabilities: whether what is recorded of an answer holds the first image's probabilities.
    """

    probes: Split
    image_indices: Sequence[int]
    slots: Slots
    batch: int
    with_probabilities: bool = False

    @property
    def parts(self) -> int:
        """Requests a probe."""
        return -(-len(self.slots.transforms) // self.batch)

    @property
    def requests(self) -> int:
        """Requests in all."""
        return self.parts * len(self.probes)


def conduct(
    suspect: Suspect,
    questions: Questions,
    recorder: Recorder,
    *,
    already: frozenset[int] = frozenset(),
    failures_allowed: int = 3,
    pause_seconds: float = 1.0,
    enough: Callable[[Exchange], bool] = lambda exchange: False,
    progress: Callable[[float, str], None] | None = None,
) -> None:
    """Send every request whose number is not in `already`; record each before and after.

    enough: is shown every exchange that was answered, and says whether to stop.

    A request that fails is not sent again: its probe is left out for all keys alike, which keeps
    the test exact. After more than `failures_allowed` failures the last SuspectError is raised.
    """
    failures = 0
    for exchange, request in _requests(suspect, questions, already):
        recorder.intend(exchange)
        answer = None
        try:
            response = suspect.send(request)
            answer = response.body
            exchange = replace(
                exchange,
                status=response.status,
                seconds=round(response.seconds, 4),
                answer_sha256=hashlib.sha256(answer).hexdigest(),
                tls_certificate_sha256=response.tls_certificate_sha256,
            )
            read = suspect.read(response, questions_in(questions, exchange))
            exchange = replace(
                exchange,
                state="answered",
                level=read.level,
                labels=tuple(int(label) for label in read.labels),
                probabilities=_first(read) if questions.with_probabilities else (),
            )
            recorder.conclude(exchange, answer)
        except SuspectError as error:
            recorder.conclude(replace(exchange, state="failed", error=error.message), answer)
            failures += 1
            if failures > failures_allowed:
                raise
            time.sleep(pause_seconds * failures)
        if progress:
            done = exchange.number + 1
            progress(done / questions.requests, f"request {done} of {questions.requests}")
        if exchange.state == "answered" and enough(exchange):
            return


def _first(answer: Answer) -> tuple[float, ...]:
    """The probabilities of the first image, as far as the suspect shows any.

    Numbers that sum to one at most, but for their rounding, are probabilities or a part of them;
    others are logits.
    """
    if answer.probabilities is not None:
        return tuple(answer.probabilities[0].tolist())
    if answer.scores is None:
        return ()
    row = answer.scores[0]
    if row.min() >= 0 and 0 < row.sum() <= 1 + _rounded_up(row):
        return tuple(row.tolist())
    powers = np.exp(row - row.max())
    return tuple((powers / powers.sum()).tolist())


def _rounded_up(row: npt.NDArray[np.float64]) -> float:
    """By how much rounding to the digits that are seen may have raised the sum."""
    for decimals in range(1, MOST_DECIMALS + 1):
        if np.abs(row - row.round(decimals)).max() <= FLOAT_ROUNDING:
            return float((row > 0).sum()) * 0.5 * 10.0**-decimals
    return 0.0


def questions_in(questions: Questions, exchange: Exchange) -> int:
    """How many images the exchange's request holds."""
    return min(questions.batch, len(questions.slots.transforms) - exchange.first_slot)


def _requests(
    suspect: Suspect, questions: Questions, already: frozenset[int]
) -> Iterator[tuple[Exchange, Request]]:
    for probe, (image, label) in enumerate(
        zip(questions.probes.images, questions.probes.labels, strict=True)
    ):
        numbers = range(probe * questions.parts, (probe + 1) * questions.parts)
        if already.issuperset(numbers):
            continue
        keyed = questions.slots.images(image)
        for number in numbers:
            if number in already:
                continue
            first = (number % questions.parts) * questions.batch
            request = suspect.prepare(keyed[first : first + questions.batch])
            yield (
                Exchange(
                    number=number,
                    probe=probe,
                    image_index=int(questions.image_indices[probe]),
                    image_sha256=hashlib.sha256(image.tobytes()).hexdigest(),
                    label=int(label),
                    first_slot=first,
                    request_sha256=request.sha256,
                    state="sent",
                ),
                request,
            )
