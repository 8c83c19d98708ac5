"""What a run by fingerprint or external feature tells of the null pool, beside score and verdict.

The platform puts it into page and certificate, and outsiders make it anew from the transcript, so
it is made in one place. The standard library alone.
"""

from collections.abc import Iterable
from typing import Any

from spellmark.evidence.fingerprint_rule import FEATURES, FingerprintOutcome, FingerprintRule
from spellmark.evidence.null_pool import Ranking, Reference, count_kinds

# What a certificate says of the pool, of all that is found.
_RANKED = ("models", "threshold", "tested", "falsePositives", "falsePositiveRateAtMost", "void")


def findings(outcome: FingerprintOutcome) -> dict[str, Any]:
    """Where the suspect stands in the pool, ready for JSON; empty where that cannot be told.

    `control`, of an external feature alone: where it stands under a wrong style.
    """
    found = _ranked(outcome.ranking) if outcome.ranking else {}
    if wrong := outcome.control:
        found["control"] = {
            "score": wrong.score,
            "pValue": wrong.p_value,
            "threshold": wrong.threshold,
            "atOrAbove": wrong.at_or_above,
        }
    return found


def certified(
    rule: FingerprintRule, outcome: FingerprintOutcome, pool: Iterable[Reference]
) -> dict[str, Any]:
    """The certificate's parameters that follow from the rule, the pool and the answers."""
    found = findings(outcome)
    told: dict[str, Any] = {
        "classes": rule.classes,
        "variant": rule.variant,
        "kernel": rule.kernel,
        "margin": rule.margin,
        "minimumProbes": rule.minimum_probes,
        "answeredProbes": outcome.answered,
        "queryCap": rule.query_cap,
        "nullPool": {
            "sha256": rule.pool_sha256,
            "kinds": count_kinds(pool),
            **{name: found.get(name) for name in _RANKED},
        },
    }
    if rule.method in FEATURES:
        told["wrongStyle"] = found.get("control")
    return told


def _ranked(ranking: Ranking) -> dict[str, Any]:
    return {
        "threshold": ranking.threshold,
        "atOrAbove": ranking.at_or_above,
        "models": ranking.models,
        "tested": ranking.tested,
        "falsePositives": ranking.false_positives,
        "falsePositiveRateAtMost": round(ranking.at_most, 6),
        "closest": ranking.closest,
        "void": ranking.void,
        "accused": [one.sha256 for one in ranking.accused],
    }
