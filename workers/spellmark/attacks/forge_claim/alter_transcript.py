"""Altered transcripts: the record of a run that found nothing, changed until it accuses."""

import hashlib
import secrets
from collections.abc import Callable
from dataclasses import replace
from itertools import accumulate
from typing import Any

from spellmark.attacks.attack import Progress
from spellmark.attacks.forge_claim.forgery import Forgery, forgery
from spellmark.attacks.forge_claim.outcomes import forged, verified
from spellmark.attacks.forge_claim.world import World
from spellmark.certificates.statements import Verdict
from spellmark.errors import SpellmarkError
from spellmark.evidence import transcript
from spellmark.evidence.binomial_test import binomial_tail
from spellmark.evidence.recompute import recompute
from spellmark.evidence.transcript import Exchange
from spellmark.evidence.verdicts import MATCH

Lines = list[Exchange]
Change = Callable[[dict[str, Any], Lines], Lines]


def forge(world: World, progress: Progress) -> list[Forgery]:
    """Every change, with the certificate as it was, made to fit, and signed anew.

    naive: changed records that say “match” by themselves to a reader who checks no signature but
    redoes the test; `caught_by_the_test` others contradict themselves even then.
    """
    outcomes, says_match, caught = [], 0, 0
    for change in _CHANGES:
        header, exchanges = transcript.read(world.silent.bundle.transcript or b"")
        header.pop("format")
        exchanges = change(header, exchanges)
        lines = transcript.write(header, exchanges)
        bundle = replace(world.silent.bundle, transcript=lines)
        try:
            says_match += recompute(lines)["verdict"] == MATCH
        except SpellmarkError:
            caught += 1
        statement = _fitting(world.silent.statement, header, exchanges, lines)
        outcomes += [verified(world.court, bundle), *forged(world.court, bundle, statement)]
    outcomes += _certificate_alone(world)
    return [
        forgery(
            "altered transcript",
            outcomes,
            naive=says_match,
            changes=len(_CHANGES),
            caught_by_the_test=caught,
        )
    ]


def _fitting(genuine: Verdict, header: dict[str, Any], exchanges: Lines, lines: bytes) -> Verdict:
    """The certificate that the accuser would like to have for these lines."""
    hits = sum(one.labels == (one.label,) for one in exchanges)
    return replace(
        genuine,
        transcript_digest=hashlib.sha256(lines).hexdigest(),
        statistic=hits,
        p_value=genuine.smallest_p,
        alpha=header["rule"]["alpha"],
        queries=len(exchanges),
        verdict=MATCH,
    )


def _certificate_alone(world: World) -> list[str]:
    """The verdict's word, its p-value, a raw answer, with the transcript as it was."""
    genuine, bundle = world.silent.statement, world.silent.bundle
    word = replace(genuine, verdict=MATCH)
    number = replace(genuine, verdict=MATCH, p_value=genuine.smallest_p)
    name, answer = next(iter(bundle.answers.items()))
    changed = replace(bundle, answers={**bundle.answers, name: answer[::-1]})
    return [
        *forged(world.court, bundle, word),
        *forged(world.court, bundle, number),
        verified(world.court, changed),
    ]


def _answers_made_hits(header: dict[str, Any], exchanges: Lines) -> Lines:
    return [replace(one, labels=(one.label,)) for one in exchanges]


def _misses_left_out(header: dict[str, Any], exchanges: Lines) -> Lines:
    return [one for one in exchanges if one.labels[0] == one.label]


def _misses_not_answered(header: dict[str, Any], exchanges: Lines) -> Lines:
    return [
        one if one.labels[0] == one.label else replace(one, state="failed", labels=())
        for one in exchanges
    ]


def _one_hit_repeated(header: dict[str, Any], exchanges: Lines) -> Lines:
    hit = replace(exchanges[0], labels=(exchanges[0].label,))
    return [replace(hit, number=one.number, probe=one.probe) for one in exchanges]


def _tail_cut_off(header: dict[str, Any], exchanges: Lines) -> Lines:
    """As if the run had ended where it looked best, which is a look that nobody counted."""
    classes = header["rule"]["classes"]
    hits = accumulate(one.labels == (one.label,) for one in exchanges[:-1])
    tails = [binomial_tail(count, answered, classes) for answered, count in enumerate(hits, 1)]
    return exchanges[: tails.index(min(tails)) + 1]


def _alpha_loosened(header: dict[str, Any], exchanges: Lines) -> Lines:
    header["rule"]["alpha"] = 0.05
    return exchanges


def _classes_added(header: dict[str, Any], exchanges: Lines) -> Lines:
    """Of a thousand classes every hit would be a wonder."""
    header["rule"]["classes"] = 1000
    return exchanges


def _another_seed(header: dict[str, Any], exchanges: Lines) -> Lines:
    header["seed"] = secrets.token_hex(32)
    return [replace(one, labels=(one.label,)) for one in exchanges]


def _pool_removed(header: dict[str, Any], exchanges: Lines) -> Lines:
    header["rule"] |= {"models": 0, "pool_sha256": ""}
    header["pool"] = []
    return [replace(one, labels=(one.label,)) for one in exchanges]


_CHANGES: tuple[Change, ...] = (
    _answers_made_hits, _misses_left_out, _misses_not_answered, _one_hit_repeated, _tail_cut_off,
    _alpha_loosened, _classes_added, _another_seed, _pool_removed,
)  # fmt: skip
