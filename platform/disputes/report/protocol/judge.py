"""How a run's facts meet the demands: pure, and never *met* where the facts do not show it."""

from collections.abc import Callable

from disputes.report.figures import percent, share, time
from disputes.report.protocol.demands import DOES_NOT_APPLY, MET, NOT_MET, Answer
from disputes.report.protocol.facts import Facts
from spellmark.evidence.decision import KEYED_LABELS, RANDOM_KEY_TEST
from spellmark.evidence.fingerprint_rule import (
    FEATURES,
    FINGERPRINTS,
    RANKED,
    UNASKED,
    WEIGHTS,
    least_accuracy,
)
from spellmark.evidence.mark_rule import DYNAMIC
from spellmark.evidence.null_pool import LEAST_MODELS, TRAINED
from spellmark.evidence.proportions import at_most
from spellmark.evidence.trigger_rule import TRIGGER

# Those of spellmark.watermarks.trigger.examine, which loads torch.
LEAST_RECALL, MOST_LOST = 0.9, 0.05

Judged = tuple[str, str]


def judge(facts: Facts) -> tuple[Answer, ...]:
    """How each of the twelve demands was met."""
    answers = []
    for number, rule in enumerate(_RULES, start=1):
        state, how = rule(facts)
        answers.append(Answer(number, state, how))
    return tuple(answers)


def _committed(facts: Facts) -> Judged:
    found = facts.registration
    if found is None:
        return NOT_MET, facts.problem or "The registration is not in the log."
    if facts.beaten:
        return NOT_MET, f"The accused lodged an earlier registration. {facts.beaten}"
    earlier = facts.signed.parameters.get("earlierRegistration") if facts.signed else None
    if earlier is not None:
        return NOT_MET, (
            f"Entry {earlier:,} of the log is another owner’s registration of the suspect’s very "
            f"file, earlier than entry {found.index:,}, on which this claim rests."
        )
    where = f"Entry {found.index:,} of the log, since {time(found.logged_at)}"
    if found.logged_at > facts.asked_at:
        return NOT_MET, f"{where}: after the first question, of {time(facts.asked_at)}."
    vouched = found.vouched_at
    if vouched is None:
        return NOT_MET, (
            f"{where}, before the first question. But only this registry’s own clock says so: "
            "neither a timestamp authority nor a witness saw it."
        )
    who = "A timestamp authority" if vouched == found.stamped_at else "A witness of the log"
    if vouched > facts.asked_at:
        return NOT_MET, f"{where}. {who} saw it only after the first question."
    return MET, f"{where}. {who} saw it at {time(vouched)}, before the first question."


_DERIVED = {
    KEYED_LABELS: "The label permutations follow from the owner’s secret and a value that the "
    "registry drew when the commitment had come in; the images follow from the run’s seed, drawn "
    "when the run was made.",
    RANDOM_KEY_TEST: "The decoys, the slot of the true key and the images follow from the run’s "
    "seed, drawn when the run was made, after the commitment was logged.",
    DYNAMIC: "The signs follow from the owner’s secret and a value that the registry drew when the "
    "commitment had come in; the images follow from the run’s seed.",
    TRIGGER: "Images and labels follow from the owner’s secret, the owner’s id and a value that "
    "the registry drew when the commitment had come in; the run’s seed chose among them.",
    **dict.fromkeys(
        FEATURES,
        "The style follows from the owner’s secret, the owner’s id and a value that the registry "
        "drew when the commitment had come in; images and the wrong style follow from the run’s "
        "seed.",
    ),
}


def _derived(facts: Facts) -> Judged:
    if facts.method in FINGERPRINTS:
        return DOES_NOT_APPLY, (
            "A fingerprint plants nothing and rests on no secret. Its probes and the halves of the "
            "null pool are drawn by the run’s seed."
        )
    if facts.registered is None:
        return NOT_MET, facts.problem or "There is no registration that names the commitment."
    if not (facts.registered.commitment and facts.registered.binding):
        return NOT_MET, "The registration names no commitment with a value drawn after it."
    if facts.method not in _DERIVED:
        return NOT_MET, "Nothing on record says how this method’s questions come about."
    return MET, _DERIVED[facts.method]


def _regenerated(facts: Facts) -> Judged:
    if facts.method in FINGERPRINTS:
        return DOES_NOT_APPLY, "No secret has to be opened, so nothing is derived from one."
    signed, registered = facts.signed, facts.registered
    if signed is None or registered is None:
        return NOT_MET, facts.problem or "The run reached no verdict that says so."
    named = signed.parameters.get("commitment"), signed.parameters.get("binding")
    if named != (registered.commitment, registered.binding):
        return NOT_MET, "The verdict names another commitment than the registration."
    if facts.undigested or not (facts.answered or facts.method in UNASKED):
        return NOT_MET, f"{facts.undigested} requests or answers have no digest on record."
    if facts.method == TRIGGER:
        root = registered.parameters.get("triggerRoot")
        if not root or root != facts.root or root != signed.parameters.get("triggerRoot"):
            return NOT_MET, "The root of the triggers is not the one that was registered."
        return MET, (
            "From the opened key all triggers were derived again before anyone was asked: their "
            "root is the registered one. The transcript opens those that were asked about."
        )
    return MET, (
        "The opened key has the registered commitment; the registry itself made every request from "
        "it, and the transcript holds the digest of each, so that whoever is shown the key can "
        "make them again."
    )


def _optimised(facts: Facts) -> Judged:
    if facts.method not in FINGERPRINTS:
        return DOES_NOT_APPLY, "No input was searched for: all are derived, or drawn by a seed."
    if facts.evidence_class != "indicative":
        return NOT_MET, "A fingerprint is told as more than a lead."
    if facts.method == WEIGHTS:
        return MET, "No input is used at all, and the result counts as a lead, never as proof."
    return MET, (
        "The registry itself chose the probes from the test data with the registered model, and "
        "the result counts as a lead, never as proof."
    )


_RANDOM_KEY = (
    "In its place stands the exact argument of the random key: for a suspect that never depended "
    "on it the true key is one among all that might have been drawn, whatever models are like."
)


def _trained_asked(facts: Facts) -> int:
    """How many models of the pool were asked that the platform trained."""
    # A trigger run tells hits, no scores, and these only once its pool was asked.
    asked = (
        row for row in facts.pool if row.get("score") is not None or "passed" in facts.findings
    )
    return sum(row["source"] == TRAINED for row in asked)


def _controlled(facts: Facts) -> Judged:
    trained = _trained_asked(facts)
    if not facts.pool:
        return NOT_MET, f"No independent model was asked in this run. {_RANDOM_KEY}"
    if trained < LEAST_MODELS:
        return NOT_MET, (
            f"{trained} models that the registry trained were asked, not {LEAST_MODELS}."
        )
    accused = facts.findings.get("passed", len(facts.findings.get("accused", ())))
    if not facts.findings.get("void"):
        return MET, f"{trained} models that the registry trained were asked; none is accused."
    if facts.signed is None or facts.signed.verdict == "match":
        return NOT_MET, f"The method accuses {accused} of {trained} independent models."
    return MET, f"It accuses {accused} of {trained} independent models, so the claim is void."


def _corrected(facts: Facts) -> Judged:
    signed = facts.signed
    if signed is None:
        return _no_verdict(facts)
    if signed.p_value is None:
        return DOES_NOT_APPLY, "The run gave no p-value, so it claims nothing."
    if facts.method == TRIGGER:
        keys, runs = facts.rule.get("registration"), facts.rule.get("run")
        told = signed.parameters.get("registrationNumber"), signed.parameters.get("runNumber")
        if told != (keys, runs):
            return NOT_MET, "The certificate counts other keys and runs than the rule."
        return MET, (
            f"The binomial of the derived labels is exact, and its p-value counts every look, key "
            f"{keys} of this owner and run {runs} under it."
        )
    how = "The p-value is a rank among the null pool" if facts.method in RANKED else (
        "The p-value is exact, or a strict bound"
    )  # fmt: skip
    held = min(1.0, facts.tries * signed.p_value)
    tries = "it was the first try" if facts.tries == 1 else (
        f"held to all {facts.tries:,} tries it is at most {share(held)}"
    )  # fmt: skip
    if signed.verdict == "match" and held > signed.alpha:
        return NOT_MET, (
            f"{how}; {tries}, which is above α = {share(signed.alpha)}: an owner who picked the "
            "best of them has no match."
        )
    return MET, f"{how}; {tries}."


def _able(facts: Facts) -> Judged:
    own = _own_model(facts)
    if own[0] != MET:
        return own
    classes = facts.rule.get("classes")
    if facts.suspect_classes != classes:
        return NOT_MET, (
            f"{own[1]} The suspect tells {facts.suspect_classes} classes apart, the owner’s model "
            f"{classes}."
        )
    if facts.method in UNASKED:
        return MET, f"{own[1]} The suspect’s file tells the same {classes} classes apart."
    if facts.classes_seen < 2:
        return NOT_MET, f"{own[1]} The suspect has not given two different answers."
    return MET, (
        f"{own[1]} The suspect tells the same {classes} classes apart and gave "
        f"{facts.classes_seen:,} different answers."
    )


def _own_model(facts: Facts) -> Judged:
    card = facts.report_card
    before, after = card.get("accuracy_before", 0.0), card.get("accuracy_after", 0.0)
    if facts.method == TRIGGER and {"recall", "accuracy_before", "accuracy_after"} <= card.keys():
        how = (
            f"The owner’s model gives {percent(card['recall'])} of the triggers their labels, and "
            f"is right on {percent(after)} of the test images ({percent(before)} before)."
        )
        return _kept(before, after, card["recall"] >= LEAST_RECALL), how
    if {"right", "unprotected", "wrong_max"} <= card.keys():
        how = (
            f"The owner’s locked model is right on {percent(card['right'])} of the test images "
            f"with its key ({percent(card['unprotected'])} before the lock), on at most "
            f"{percent(card['wrong_max'])} with a wrong one."
        )
        return _kept(card["unprotected"], card["right"], card["right"] > card["wrong_max"]), how
    if facts.method in FEATURES and {"accuracy_before", "accuracy_after", "scores"} <= card.keys():
        scores = card["scores"]
        how = (
            f"The owner’s model is right on {percent(after)} of the test images "
            f"({percent(before)} before), and bears its style "
            f"({scores['score']:.2f}) better than a wrong one ({scores['control']:.2f})."
        )
        return _kept(before, after, scores["score"] > scores["control"]), how
    if facts.method in FINGERPRINTS:
        return _own_accuracy(facts)
    return NOT_MET, "That the owner’s own answers pass the test is not on record."


def _own_accuracy(facts: Facts) -> Judged:
    itself = "Compared with itself the owner’s model is a match by definition"
    right = facts.signed.parameters.get("ownerAccuracy") if facts.signed else None
    if right is None:
        return NOT_MET, f"{itself}, but how well it does its task is not on record."
    least = least_accuracy(facts.rule["classes"])
    return MET if right >= least else NOT_MET, (
        f"{itself}. It is right on {percent(right)} of the test images; a claim asks for "
        f"{percent(least)}."
    )


def _kept(before: float, after: float, bears_it: bool) -> str:
    """Whether the owner's model bears its mark, and still does its task, by its accuracies."""
    return MET if bears_it and before - after <= MOST_LOST else NOT_MET


def _reserved(facts: Facts) -> Judged:
    if facts.method in FINGERPRINTS:
        return DOES_NOT_APPLY, "There is no secret that questions could use up."
    if facts.method == TRIGGER:
        used = len(facts.rule.get("used", ()))
        left = facts.rule["triggers"] - used - facts.asked
        if facts.opened_twice:
            return NOT_MET, f"{facts.opened_twice} triggers had been opened by an earlier run."
        if not facts.root or facts.signed is None:
            return NOT_MET, facts.problem or "The run reached no verdict, so none is bound to it."
        return MET, (
            f"{facts.asked} triggers of a tree whose root is registered were opened, none of "
            f"the {used} that earlier runs had opened; {left} are kept back."
        )
    if facts.told_before and facts.method != RANDOM_KEY_TEST:
        return NOT_MET, (
            f"{facts.told_before} earlier run{'s' if facts.told_before > 1 else ''} under this key "
            "told what its answers are: whoever read that could have made the suspect fit it."
        )
    if facts.method == RANDOM_KEY_TEST:
        return DOES_NOT_APPLY, (
            "A lock has no set of questions to keep back: images, decoys and the slot of the key "
            "are drawn anew for each run, and the key is never told."
        )
    return DOES_NOT_APPLY, (
        "The key has one set of signs or labels, or one style, and none to keep back. No earlier "
        "run had told it."
    )


def _heard(facts: Facts) -> Judged:
    if facts.invited_at is None:
        return NOT_MET, "The accused was given no access to a case with this run."
    if facts.opened_at is None:
        return NOT_MET, (
            f"A link was made at {time(facts.invited_at)}, but nobody has opened it yet."
        )
    did = [
        f"{count} {what}{'s' if count > 1 else ''}"
        for count, what in ((facts.answers, "registration"), (facts.retests, "request"))
        if count
    ]
    return MET, (
        f"Somebody who was not logged in as one of the owner’s opened the link at "
        f"{time(facts.opened_at)}: it shows the figures, the null pool and the evidence, and by it "
        f"the accused can lodge an earlier registration and ask for a new test: "
        f"{' and '.join(did) or 'nothing'} so far."
    )


def _bound(facts: Facts) -> Judged:
    signed = facts.signed
    if signed is None:
        return NOT_MET, facts.problem or "No verdict was signed, so nothing binds what was said."
    if not facts.transcript_holds:
        return NOT_MET, "The transcript is not the one that the certificate names."
    if facts.suspect_kind == "file":
        if not facts.suspect_sha256 or signed.suspect.get("sha256") != facts.suspect_sha256:
            return NOT_MET, "The certificate does not name the suspect’s file by its digest."
        return MET, f"The certificate names the suspect’s file: SHA-256 {facts.suspect_sha256}."
    if facts.undigested or not facts.answered:
        return NOT_MET, f"{facts.undigested} requests or answers have no digest on record."
    if not facts.suspect_url.startswith("https://") or None in facts.tls_certificates:
        return NOT_MET, (
            "The suspect answered without TLS, so anybody on the way may have answered for it."
        )
    if len(facts.tls_certificates) > 1:
        return NOT_MET, (
            f"The suspect’s address answered under {len(facts.tls_certificates)} TLS certificates, "
            "so more than one server may have spoken for it."
        )
    return MET, (
        f"The digests of all {facts.answered:,} answers stand in the transcript, and its digest in "
        "the signed certificate. All came under one TLS certificate. It binds what the address "
        "answered then; whose address it is, is the word of whoever named it."
    )


def _told(facts: Facts) -> Judged:
    signed = facts.signed
    if signed is None:
        return _no_verdict(facts)
    if not signed.limits or not signed.access_level:
        return NOT_MET, "The certificate does not say what could be seen, or what its limits are."
    seen = f"{signed.queries:,} queries, {signed.access_level}, {len(signed.limits)} limits"
    told = f"“{signed.verdict}”, p = {share(signed.p_value)}, {seen}"
    if facts.evidence_class == "verified":
        return _told_beside_the_key(facts, f"{told}. False matches: at most {share(signed.alpha)}")
    pool = signed.parameters.get("nullPool") or {}
    if pool.get("falsePositiveRateAtMost") is None:
        return NOT_MET, f"{told}. No rate of false matches, for no pool was ranked."
    return MET, (
        f"{told}. False matches: {pool['falsePositives']} of {pool['tested']}, at most "
        f"{percent(pool['falsePositiveRateAtMost'])} (95 %)."
    )


def _told_beside_the_key(facts: Facts, told: str) -> Judged:
    """Whether a null pool bears out a rate that follows from the key."""
    if not facts.pool:
        return NOT_MET, f"{told}, by construction. No null pool was asked. {_RANDOM_KEY}"
    trained, passed = _trained_asked(facts), facts.findings.get("passed", 0)
    if trained < LEAST_MODELS:
        return NOT_MET, (
            f"{told}, by construction. {trained} innocent models were asked the same, not "
            f"{LEAST_MODELS}."
        )
    return MET, (
        f"{told}, by construction; {passed} of {trained} innocent models pass, at most "
        f"{percent(at_most(passed, trained))} (95 %)."
    )


def _logged(facts: Facts) -> Judged:
    if facts.registration is None or facts.verdict is None:
        return NOT_MET, facts.problem or "The run has no verdict in the log."
    if facts.verdict.index <= facts.registration.index:
        return NOT_MET, "The verdict stands in the log before its registration."
    price = (
        "a further run gets a smaller share of α and uses triggers up"
        if facts.method == TRIGGER
        else "a further run counts as a try against its p-value"
    )
    return MET, (
        f"Entries {facts.registration.index:,} and {facts.verdict.index:,}, each proved to be "
        f"under a signed checkpoint. No deposit is taken, but {price}."
    )


def _no_verdict(facts: Facts) -> Judged:
    if facts.problem:
        return NOT_MET, facts.problem
    going = "is still going on" if not facts.is_over else "ended without a verdict"
    return DOES_NOT_APPLY, f"The run {going}, so it claims nothing."


_RULES: tuple[Callable[[Facts], Judged], ...] = (
    _committed, _derived, _regenerated, _optimised, _controlled, _corrected, _able, _reserved,
    _heard, _bound, _told, _logged,
)  # fmt: skip
