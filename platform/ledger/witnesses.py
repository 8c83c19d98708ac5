"""Asking the witnesses of the policy for their cosignatures."""

import logging
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from hashlib import sha256

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


class WitnessError(SpellmarkError):
    """The quorum of cosignatures was not reached."""


def cosign(policy: Policy, note: bytes, *, old_size: int, new_size: int) -> bytes:
    """The checkpoint with the cosignatures of the witnesses. Raises WitnessError.

    `old_size` is what they are thought to have seen; one that saw another size says so and is asked
    again with the proof from there.
    """
    by_url: dict[str, list[Verifier]] = {}
    for witness in policy.witnesses:
        if witness.url:
            by_url.setdefault(witness.url, []).append(witness.verifier)
    lines: list[bytes] = []
    trouble: list[str] = []
    sizes = dict.fromkeys(by_url, old_size)
    # A second round for those that saw another size, a third for one that moved on meanwhile.
    for _ in range(3):
        requests = {
            url: Request(size, consistency_proof(size, new_size), note).dumps()
            for url, size in sizes.items()
        }
        sizes = {}
        for url, answer in _ask(requests).items():
            if isinstance(answer, str):
                trouble.append(answer)
            elif answer.status_code == 409:
                other = _other_size(url, answer, new_size)
                if isinstance(other, int):
                    sizes[url] = other
                else:
                    LOG.error(other)
                    trouble.append(other)
            elif answer.status_code == 200:
                found = _lines(note, answer.content, by_url[url])
                lines += found
                if not found:
                    trouble.append(f"{url} answered with no cosignature of its key")
            else:
                why = " ".join(answer.text[:200].split())
                trouble.append(f"{url} answered {answer.status_code}: {why}")
        if not sizes:
            break
    cosigned = notes.add_signatures(note, b"".join(lines))
    cosigners = [witness.name for witness in policy.cosigners(notes.parse(cosigned))]
    if not policy.is_met(cosigners):
        why = "; ".join(trouble) or "too few have an address"
        raise WitnessError(
            f"The quorum {policy.quorum} is not reached: {why}.",
            hint="Entries wait until enough witnesses answer.",
        )
    return cosigned


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


def _ask(requests: Mapping[str, bytes]) -> dict[str, httpx.Response | str]:
    """Every witness's answer, or what kept it from answering."""

    def ask(url: str) -> httpx.Response | str:
        try:
            return _client().post(f"{url.rstrip('/')}/add-checkpoint", content=requests[url])
        except httpx.HTTPError as error:
            return f"{url} does not answer ({type(error).__name__})"

    if not requests:
        return {}
    with ThreadPoolExecutor(len(requests)) as pool:
        return dict(zip(requests, pool.map(ask, requests), strict=True))


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
