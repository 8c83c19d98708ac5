"""What a claim came to: ACCEPTED, or the words for what stopped it."""

from dataclasses import replace

from spellmark.attacks.forge_claim.court import Claim, Court, Model
from spellmark.attacks.forge_claim.forgery import ACCEPTED
from spellmark.certificates import certificate, keys
from spellmark.certificates.bundle import Bundle
from spellmark.certificates.dsse import Envelope
from spellmark.certificates.errors import FormatError
from spellmark.certificates.statements import Statement, Verdict
from spellmark.errors import SpellmarkError
from spellmark.evidence.trigger_pool import TOO_SMALL
from spellmark.evidence.trigger_rule import TriggerDecision
from spellmark.evidence.verdicts import MATCH, NO_MATCH

P_VALUE = "the exact p-value, all tries counted, is above alpha"
POOL = "the null pool: an innocent reference model would be accused too"
FEW = "the null pool has too few innocent models for any match"
CONSTANT = "the suspect answers everything alike"
ROOT = "the triggers were derived anew: another root than the registered one"
RECALL = "the accuser's own model does not know its triggers"
TASK = "the accuser's own model does not do its task"

# How the refusals begin; another refusal is told in its own words.
_REFUSALS = {
    "The key gives other triggers": ROOT,
    "The marked model itself gives only": RECALL,
    "The marked model is right on": TASK,
}


def heard(court: Court, claim: Claim, suspect: Model) -> str:
    """What a run by the book comes to."""
    try:
        return decided(court.hear(claim, suspect).decision)
    except SpellmarkError as error:
        return next(
            (words for begins, words in _REFUSALS.items() if error.message.startswith(begins)),
            error.message,
        )


def decided(decision: TriggerDecision) -> str:
    """What a verdict is, or what it says instead of a match."""
    if decision.verdict == MATCH:
        return ACCEPTED
    if decision.verdict == NO_MATCH:
        return P_VALUE
    if decision.reason.startswith("Void"):
        return POOL
    if TOO_SMALL in decision.reason:
        return FEW
    return CONSTANT if "the same class to every" in decision.reason else decision.reason


def verified(court: Court, bundle: Bundle) -> str:
    """What outsiders say of a bundle that should show a match; the first step that fails."""
    report = court.verify(bundle)
    for check in report.checks:
        if check.passed is False:
            return f"spellmark verify, step “{check.name}”"
    statement = report.statement
    is_match = isinstance(statement, Verdict) and statement.verdict == MATCH
    return ACCEPTED if report.passed and is_match else "spellmark verify: it is no match"


def with_old_signature(genuine: Bundle, statement: Statement) -> Bundle:
    """A changed statement under the signature of the genuine one."""
    known = certificate.loads(genuine.certificate)
    changed = Envelope(known.payload_type, statement.dumps(), known.keyid, known.signature)
    return replace(genuine, certificate=certificate.dumps(changed))


def with_own_signature(genuine: Bundle, statement: Statement) -> Bundle:
    """A changed statement, signed by a key that the accuser made himself."""
    return replace(genuine, certificate=certificate.issue(statement, keys.generate_p256()))


def forged(court: Court, genuine: Bundle, statement: Statement) -> list[str]:
    """Both, as outsiders see them; a statement that contradicts itself cannot even be written."""
    try:
        return [
            verified(court, make(genuine, statement))
            for make in (with_old_signature, with_own_signature)
        ]
    except FormatError:
        return ["the certificate would contradict its own numbers"] * 2
