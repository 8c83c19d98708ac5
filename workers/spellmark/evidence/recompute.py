"""The test redone from a transcript, as anyone can who holds it."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from spellmark.errors import SpellmarkError
from spellmark.evidence.decision import Decision, DecisionRule, Disclosure, decide
from spellmark.evidence.earlier import held_against
from spellmark.evidence.feature_replay import FeatureDisclosure
from spellmark.evidence.feature_replay import replay as replay_feature
from spellmark.evidence.fingerprint_replay import FingerprintDisclosure
from spellmark.evidence.fingerprint_replay import replay as replay_fingerprint
from spellmark.evidence.fingerprint_rule import (
    FEATURES,
    FINGERPRINTS,
    RANKED,
    FingerprintDecision,
    FingerprintRule,
)
from spellmark.evidence.fingerprint_told import certified
from spellmark.evidence.mark_replay import MarkDisclosure
from spellmark.evidence.mark_replay import replay as replay_mark
from spellmark.evidence.mark_rule import DYNAMIC, MarkDecision, MarkRule
from spellmark.evidence.transcript import Exchange, TranscriptError, count_queries, read
from spellmark.evidence.trigger_replay import TriggerDisclosure
from spellmark.evidence.trigger_replay import replay as replay_triggers
from spellmark.evidence.trigger_rule import TRIGGER, TriggerDecision, TriggerRule
from spellmark.evidence.verdicts import INDICATIVE, VERIFIED

# Classes, probes, decoys and whatever else a rule counts.
MOST_COUNTED = 1_000_000

_Rule = DecisionRule | MarkRule | TriggerRule | FingerprintRule
_Decision = Decision | MarkDecision | TriggerDecision | FingerprintDecision
_Told = Mapping[str, Any]


def recompute(lines: bytes) -> dict[str, Any]:
    """The method, its evidence class and figures, the verdict and the number of queries, as a
    certificate names them.

    `told`: what a certificate's parameters must say alike. Raises TranscriptError.
    """
    return recompute_read(*read(lines))


def recompute_read(header: Mapping[str, Any], exchanges: Sequence[Exchange]) -> dict[str, Any]:
    """The same from a transcript that was read. Raises TranscriptError."""
    try:
        _check_sizes(header["rule"], exchanges)
        rule, decision, told = _decided(header, exchanges)
        if len(exchanges) > rule.query_cap:
            raise ValueError("more was asked than the rule allows")
        # Of tries and earlier registrations an older transcript tells nothing.
        earlier = header.get("earlierRegistration")
        verdict, _ = held_against(decision.verdict, decision.reason, earlier)
        told = {**header.get("tries", {}), "earlierRegistration": earlier, **told}
    except (
        ArithmeticError,
        AttributeError,
        LookupError,
        TypeError,
        ValueError,
        SpellmarkError,
    ) as error:
        raise TranscriptError(
            "The transcript does not hold what its test needs.",
            hint="Ask for the evidence bundle again.",
        ) from error
    return {
        "method": rule.method,
        "evidenceClass": INDICATIVE if rule.method in RANKED else VERIFIED,
        "statistic": decision.outcome.statistic,
        "pValue": decision.outcome.p_value,
        "alpha": rule.alpha,
        "smallestP": rule.smallest_p,
        "verdict": verdict,
        "queries": count_queries(exchanges),
        "told": told,
    }


def _check_sizes(rule: Mapping[str, Any], exchanges: Sequence[Exchange]) -> None:
    """Refuse what would only fill the verifier's memory, and what was asked twice."""
    numbers = [value for value in rule.values() if isinstance(value, int)]
    labels = [max(one.label, *one.labels) if one.labels else one.label for one in exchanges]
    if max((*numbers, *labels), default=0) > MOST_COUNTED:
        raise ValueError("a number is larger than that of any run")
    if len({(one.probe, one.first_slot) for one in exchanges}) < len(exchanges):
        raise ValueError("a question was asked twice")


def _decided(
    header: Mapping[str, Any], exchanges: Sequence[Exchange]
) -> tuple[_Rule, _Decision, _Told]:
    if header["rule"]["method"] in FINGERPRINTS:
        finger_rule = FingerprintRule(**header["rule"])
        disclosed = FingerprintDisclosure.read(header)
        found = replay_fingerprint(finger_rule, disclosed, exchanges)
        return finger_rule, found, certified(finger_rule, found.outcome, disclosed.pool)
    if header["rule"]["method"] in FEATURES:
        feature_rule = FingerprintRule(**header["rule"])
        styled = FeatureDisclosure.read(header)
        found = replay_feature(feature_rule, styled, exchanges)
        return feature_rule, found, certified(feature_rule, found.outcome, styled.pool)
    if header["rule"]["method"] == DYNAMIC:
        mark_rule = MarkRule(**header["rule"])
        told = MarkDisclosure.read(header)
        return mark_rule, replay_mark(mark_rule, told, exchanges), {}
    if header["rule"]["method"] == TRIGGER:
        return _triggers(header, exchanges)
    rule = DecisionRule(**header["rule"])
    labels = tuple(tuple(permutation) for permutation in header["labels"])
    return rule, decide(rule, Disclosure(bytes.fromhex(header["seed"]), labels), exchanges), {}


def _triggers(
    header: Mapping[str, Any], exchanges: Sequence[Exchange]
) -> tuple[_Rule, _Decision, _Told]:
    rule, opened = TriggerRule(**header["rule"]), TriggerDisclosure.read(header)
    decision, pool = replay_triggers(rule, opened, exchanges)
    told = {
        "owner": opened.owner,
        "triggerRoot": opened.root,
        "registrationNumber": rule.registration,
        "runNumber": rule.run,
        "classes": rule.classes,
        "triggers": rule.triggers,
        "digits": _digits(rule.alpha),
        "minimumProbes": rule.minimum_probes,
        "answeredProbes": decision.outcome.answered,
        "queryCap": rule.query_cap,
        "nullPool": pool.as_dict(),
    }
    return rule, decision, told


def _digits(alpha: float) -> int:
    """The n of an α of 10 to the minus n, which trigger keys commit to. Raises ValueError."""
    digits = round(-math.log10(alpha))
    if alpha != float(f"1e-{digits}"):
        raise ValueError("no key commits to such an alpha")
    return digits
