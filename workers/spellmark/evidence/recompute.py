"""The test redone from a transcript, as anyone can who holds it."""

from typing import Any

from spellmark.errors import SpellmarkError
from spellmark.evidence.decision import DecisionRule, Disclosure, evaluate
from spellmark.evidence.transcript import TranscriptError, count_queries, read


def recompute(lines: bytes) -> dict[str, Any]:
    """The method, its figures and the number of queries, as a certificate names them.

    Raises TranscriptError.
    """
    header, exchanges = read(lines)
    try:
        rule = DecisionRule(**header["rule"])
        told = Disclosure(
            bytes.fromhex(header["seed"]),
            tuple(tuple(permutation) for permutation in header["labels"]),
        )
        outcome = evaluate(rule, told, exchanges)
    except (LookupError, TypeError, ValueError, SpellmarkError) as error:
        raise TranscriptError(
            "The transcript does not hold what its test needs.",
            hint="Ask for the evidence bundle again.",
        ) from error
    return {
        "method": rule.method,
        "statistic": outcome.statistic,
        "pValue": outcome.p_value,
        "alpha": rule.alpha,
        "smallestP": rule.smallest_p,
        "queries": count_queries(exchanges),
    }
