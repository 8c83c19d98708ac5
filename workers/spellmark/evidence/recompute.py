"""The test redone from a transcript, as anyone can who holds it."""

from collections.abc import Mapping, Sequence
from typing import Any

from spellmark.errors import SpellmarkError
from spellmark.evidence.decision import DecisionRule, Disclosure, Outcome, evaluate
from spellmark.evidence.feature_replay import FeatureDisclosure
from spellmark.evidence.feature_replay import replay as replay_feature
from spellmark.evidence.fingerprint_replay import FingerprintDisclosure
from spellmark.evidence.fingerprint_replay import replay as replay_fingerprint
from spellmark.evidence.fingerprint_rule import (
    FEATURES,
    FINGERPRINTS,
    FingerprintOutcome,
    FingerprintRule,
)
from spellmark.evidence.mark_replay import MarkDisclosure, replay
from spellmark.evidence.mark_rule import DYNAMIC, MarkOutcome, MarkRule
from spellmark.evidence.transcript import Exchange, TranscriptError, count_queries, read
from spellmark.evidence.trigger_replay import TriggerDisclosure
from spellmark.evidence.trigger_replay import replay as replay_triggers
from spellmark.evidence.trigger_rule import TRIGGER, TriggerOutcome, TriggerRule

_Rule = DecisionRule | MarkRule | TriggerRule | FingerprintRule
_Outcome = Outcome | MarkOutcome | TriggerOutcome | FingerprintOutcome


def recompute(lines: bytes) -> dict[str, Any]:
    """The method, its figures and the number of queries, as a certificate names them.

    Raises TranscriptError.
    """
    header, exchanges = read(lines)
    try:
        rule, outcome = _evaluated(header, exchanges)
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


def _evaluated(header: Mapping[str, Any], exchanges: Sequence[Exchange]) -> tuple[_Rule, _Outcome]:
    if header["rule"]["method"] in FINGERPRINTS:
        finger_rule = FingerprintRule(**header["rule"])
        disclosed = FingerprintDisclosure.read(header)
        return finger_rule, replay_fingerprint(finger_rule, disclosed, exchanges).outcome
    if header["rule"]["method"] in FEATURES:
        feature_rule = FingerprintRule(**header["rule"])
        styled = FeatureDisclosure.read(header)
        return feature_rule, replay_feature(feature_rule, styled, exchanges).outcome
    if header["rule"]["method"] == DYNAMIC:
        mark_rule = MarkRule(**header["rule"])
        told = MarkDisclosure.read(header)
        return mark_rule, replay(mark_rule, told, exchanges).outcome
    if header["rule"]["method"] == TRIGGER:
        trigger_rule = TriggerRule(**header["rule"])
        opened = TriggerDisclosure.read(header)
        return trigger_rule, replay_triggers(trigger_rule, opened, exchanges).outcome
    rule = DecisionRule(**header["rule"])
    labels = tuple(tuple(permutation) for permutation in header["labels"])
    return rule, evaluate(rule, Disclosure(bytes.fromhex(header["seed"]), labels), exchanges)
