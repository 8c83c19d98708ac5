"""Runs against an external feature: with its key, but ranked in the null pool as fingerprints."""

from collections.abc import Mapping
from typing import Any

from protection.features import feature_parameters
from protection.models import Protection
from spellmark.evidence.fingerprint_rule import (
    FEATURE,
    FEATURES,
    LEAST_PROBES,
    MOST_ALPHA,
    FingerprintRule,
    FingerprintRuleError,
)
from spellmark.evidence.null_pool import Reference, digest
from verification.models import Reference as ReferenceRow
from verification.models import Suspect
from verification.references import PoolError, fewest_of_a_kind, pool_of

USUAL_FEATURE_PROBES = 100


def feature_pool(protection: Protection) -> dict[Reference, ReferenceRow]:
    """The models that stand against a feature: those of its version, and of the one before it.

    Both are of one architecture and data set, so each model is of one kind for both.
    Raises PoolError.
    """
    versions = [one for one in (protection.source, protection.result) if one is not None]
    own = {file.sha256 for one in versions for file in one.files.all()}
    found = {
        reference: row
        for version in versions
        for reference, row in pool_of(version, protection.dataset).items()
    }
    return {reference: row for reference, row in found.items() if row.sha256 not in own}


def feature_rule(
    protection: Protection,
    *,
    method: str = "",
    alpha: float | None = None,
    probes: int | None = None,
    query_cap: int | None = None,
) -> FingerprintRule:
    """The rule of a run against this feature, over the null pool as it stands now.

    alpha: 0.05 unless it is said otherwise. Raises PoolError and FingerprintRuleError.
    """
    if protection.kind != Protection.Kind.FEATURE or method not in ("", *FEATURES):
        raise FingerprintRuleError(
            f"A {protection.kind} and the method “{method}” do not belong together.",
            hint="Leave the method open: then it suits the protection.",
        )
    pool = feature_pool(protection)
    asked = USUAL_FEATURE_PROBES if probes is None else probes
    rule = FingerprintRule(
        method=method or FEATURE,
        alpha=MOST_ALPHA if alpha is None else alpha,
        of_a_kind=fewest_of_a_kind(pool),
        pool_sha256=digest(pool),
        probes=asked,
        minimum_probes=max(LEAST_PROBES, asked // 4),
        classes=feature_parameters(protection.source, protection.commitment).classes,
    )
    if query_cap is not None and rule.query_cap > query_cap:
        raise FingerprintRuleError(
            f"{asked} images, each asked three times, take {rule.query_cap} requests, more than "
            f"the cap of {query_cap}.",
            hint="Ask for fewer probes or a higher cap.",
        )
    return rule


def check_feature_suspect(
    suspect: Suspect, rule: FingerprintRule, pool: Mapping[Reference, Any]
) -> None:
    """Raise FingerprintRuleError or PoolError where the suspect cannot be ranked in the pool."""
    is_file = suspect.kind == Suspect.Kind.FILE
    if rule.method != FEATURE and not is_file:
        raise FingerprintRuleError(
            "This suspect is a service, whose gradients nobody sees.",
            hint="Choose the external feature by answers.",
        )
    if is_file and any(one.sha256 == suspect.sha256 for one in pool):
        raise PoolError(
            "This very file stands in the null pool, as a model that is known to be innocent.",
            hint="A model cannot be both. Remove the suspect, or grow the pool without it.",
        )
