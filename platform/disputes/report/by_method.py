"""What a run's section says that hangs on the run's method: its rule, its result, its meaning."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from disputes.report import wording
from disputes.report.content import Fact
from disputes.report.figures import line, odds, percent, share
from spellmark.evidence.decision import KEYED_LABELS, RANDOM_KEY_TEST, DecisionRule
from spellmark.evidence.fingerprint_rule import (
    FEATURE,
    FEATURES,
    FINGERPRINTS,
    MIXED,
    WRONG,
    FingerprintRule,
)
from spellmark.evidence.keyed_label_test import probe_classes
from spellmark.evidence.mark_rule import DYNAMIC, MarkRule
from spellmark.evidence.null_pool import KINDS
from spellmark.evidence.random_key_test import random_key_test
from spellmark.evidence.trigger_rule import TRIGGER, TriggerRule
from verification.models import Run
from verification.plots import chance_level, decoy_hits


@dataclass(frozen=True)
class Wording:
    """A method in a report. `meaning` gets the run and its verdict, match or no match, `access` the
    levels of information that the suspect gave.
    """

    meaning: Callable[[Run, str], str]
    rule: Callable[[Run, Any], tuple[Fact, ...]]
    result: Callable[[Run], tuple[Fact, ...]]
    access: Callable[[Sequence[str]], tuple[str, ...]]


def _labels_alone(levels: Sequence[str]) -> tuple[str, ...]:
    return tuple(wording.ACCESS_LEVELS.get(level, level) for level in levels)


def _probes(run: Run, rule: DecisionRule) -> tuple[Fact, ...]:
    return (
        Fact(
            "Probes",
            (
                f"{rule.probes:,} images of {line(run.dataset)}; with fewer than "
                f"{rule.minimum_probes:,} answered under every key the run is inconclusive",
            ),
        ),
        Fact("Queries", (f"at most {rule.query_cap:,}, of up to {run.batch:,} images each",)),
    )


def _labels_meaning(run: Run, known: str) -> str:
    hits, asked = run.statistic, _asked(run)
    if known == "match":
        return (
            f"{hits:,} of the suspect’s {asked:,} answers are the labels that only the owner’s "
            "secret key stands for; a model that never met the protection gives so many with a "
            f"probability of at most {share(run.p_value)} ({odds(run.p_value)})."
        )
    return (
        f"{hits:,} of the suspect’s {asked:,} answers are the labels that the owner’s secret key "
        "stands for, which is not rare enough by chance: this run gives no ground to say that the "
        "suspect depends on the key, and does not prove that it is independent."
    )


def _labels_rule(run: Run, rule: DecisionRule) -> tuple[Fact, ...]:
    least, shown = share(rule.smallest_p), probe_classes(rule.classes, rule.probes)
    of = f"{rule.classes:,} classes" if shown == rule.classes else f"{shown} of {rule.classes:,}"
    return (
        Fact(
            "Label permutations",
            (
                f"one of {of} for each of {rule.subkeys} sub-keys; the smallest p-value that they "
                f"can show is {least}",
            ),
        ),
        Fact(
            "A match asks for",
            (
                f"p ≤ {share(rule.alpha)}: so many hits under at most that share of all label "
                "permutations",
            ),
        ),
        *_probes(run, rule),
    )


def _labels_result(run: Run) -> tuple[Fact, ...]:
    assert run.null_distribution is not None
    expected = sum(hits * chance for hits, chance in enumerate(run.null_distribution))
    return (
        Fact(
            "Hits",
            (f"{run.statistic:,} of {_asked(run):,} answers are the key’s labels",),
        ),
        Fact("By chance", (f"{expected:.1f} hits on average",)),
    )


def _rank_meaning(run: Run, known: str) -> str:
    above, decoys = _at_or_above(run), run.rule["decoys"]
    if known == "match":
        beaten = f"all but {above:,} of {decoys:,}" if above else f"all {decoys:,}"
        return (
            f"The suspect does better under the owner’s secret key than under {beaten} decoy keys; "
            "a model that never met the protection does so with a probability of at most "
            f"{share(run.p_value)} ({odds(run.p_value)})."
        )
    return (
        f"The owner’s key does not stand out, for {above:,} of {decoys:,} decoy keys do as well or "
        "better: this run gives no ground to say that the suspect depends on the key, and does not "
        "prove that it is independent."
    )


def _rank_rule(run: Run, rule: DecisionRule) -> tuple[Fact, ...]:
    least = share(rule.smallest_p)
    return (
        Fact(
            "Decoy keys",
            (f"{rule.decoys:,}; the smallest p-value that they can show is {least}",),
        ),
        Fact(
            "A match asks for",
            (
                f"p ≤ {share(rule.alpha)}: at most {_most_allowed(rule):,} of the {rule.decoys:,} "
                "decoy keys may do as well as the true key",
            ),
        ),
        *_probes(run, rule),
    )


def _rank_result(run: Run) -> tuple[Fact, ...]:
    decoys, chance = decoy_hits(run), chance_level(run)
    guessing = "" if chance is None else f"; guessing gives {chance:.1f}"
    average = f"{sum(decoys) / len(decoys):.1f} on average, {max(decoys)} at the most"
    return (
        Fact("True key", (f"{run.statistic} of {run.answered_probes} probes answered right",)),
        Fact("Decoy keys", (average + guessing,)),
        Fact("As good or better", (f"{_at_or_above(run):,} of {len(decoys):,} decoy keys",)),
    )


def _mark_meaning(run: Run, known: str) -> str:
    if known == "match":
        whose = f" of the client {run.client}" if run.client else ""
        return (
            f"After {run.answered_probes:,} questions the suspect’s probabilities lean as the "
            f"owner’s secret key{whose} says; a model that never depended on the guarded answers "
            f"comes so far with a probability of at most {share(run.p_value)} "
            f"({odds(run.p_value)})."
        )
    return (
        "The suspect’s probabilities lean as the owner’s secret key says no more than chance "
        "explains: this run gives no ground to say that the suspect depends on the guarded "
        "answers, and does not prove that it is independent."
    )


def _mark_rule(run: Run, rule: MarkRule) -> tuple[Fact, ...]:
    keys = "one key" if rule.clients == 1 else f"{rule.clients:,} keys, one for each client"
    looks = ", ".join(f"{look:,}" for look in rule.looks)
    return (
        Fact("Keys", (f"{keys}; the smallest p-value is {share(rule.smallest_p)}",)),
        Fact(
            "Looks",
            (
                f"an e-process after every answer, and the exact sign test after {looks}; every "
                f"p-value is multiplied by {rule.tries:,} for it",
            ),
        ),
        Fact(
            "A match asks for",
            (f"p ≤ {share(rule.alpha)}, at any of these looks; the run ends there",),
        ),
        Fact(
            "Queries",
            (f"at most {rule.query_cap:,}, of one image of {line(run.dataset)} each, as it is",),
        ),
    )


def _mark_result(run: Run) -> tuple[Fact, ...]:
    return (
        Fact("Sum of evidence × sign", (f"{run.statistic:,} in units of 1/64",)),
        Fact("Questions asked", (f"{run.answered_probes:,} until the run was over",)),
        Fact("Key that fits best", (run.client or "the one that all callers share",)),
    )


def _trigger_meaning(run: Run, known: str) -> str:
    hits = (
        f"{run.statistic:,} of the suspect’s {run.answered_probes:,} answers are the labels that "
        "were drawn for images which nobody chose"
    )
    if known == "match":
        return (
            f"{hits}; a model that never met these images and labels gives so many with a "
            f"probability of at most {share(run.p_value)} ({odds(run.p_value)})."
        )
    return (
        f"{hits}, which is not rare enough by chance: this run gives no ground to say that the "
        "suspect depends on the marked model, and does not prove that it is independent."
    )


def _trigger_rule(run: Run, rule: TriggerRule) -> tuple[Fact, ...]:
    looks = ", ".join(f"{look:,}" for look in rule.looks)
    return (
        Fact(
            "Triggers",
            (
                f"up to {rule.probes:,} of {rule.triggers:,}, drawn from the run’s seed among the "
                f"{rule.triggers - len(rule.used):,} that no run had opened",
            ),
        ),
        Fact("Root of the triggers", (run.protection.settings["root"],), mono=True),
        Fact(
            "Looks",
            (
                f"the exact binomial test after {looks} answers; every p-value is multiplied by "
                f"{rule.tries:,} for the looks, for this being key {rule.registration:,} of the "
                f"owner and run {rule.run:,} under it",
            ),
        ),
        Fact(
            "A match asks for",
            (f"p ≤ {share(rule.alpha)}, at any of these looks; the run ends there",),
        ),
        Fact("Queries", (f"at most {rule.query_cap:,}, of one image each",)),
        Fact(
            "Null pool",
            (
                f"{rule.models:,} innocent models that the registry trained are asked about the "
                f"same triggers; with fewer than {rule.least_models:,}, or none of a kind, nothing "
                "is a match, and if one passes, the claim is void",
            ),
        ),
    )


def _trigger_result(run: Run) -> tuple[Fact, ...]:
    expected = run.answered_probes / run.rule["classes"]
    return (
        Fact("Hits", (f"{run.statistic:,} of {run.answered_probes:,} answers",)),
        Fact("By chance", (f"{expected:.1f} hits on average",)),
        Fact("Innocent models", (_innocents(run.findings or {}),)),
    )


def _innocents(found: Mapping[str, Any]) -> str:
    """What the null pool of a trigger run said."""
    if not found.get("models"):
        return "none was asked"
    void = ": the claim is void" if found["void"] else ""
    return f"{found['passed']:,} of {found['models']:,} would pass the same rule{void}"


def _pool_meaning(run: Run, known: str) -> str:
    found = run.findings or {}
    if known == "match":
        read = found.get("relation")
        reading = f" Its layers read like a copy that was {read}." if read else ""
        return (
            f"The suspect resembles the owner’s model more than {found['models']:,} independent "
            "models do, and more than the threshold allows that half of them set. For a suspect "
            f"that is as independent as they are, that happens with a probability of at most "
            f"{share(run.p_value)} ({odds(run.p_value)}).{reading} This is a lead, not a proof."
        )
    return (
        f"{found['atOrAbove']:,} of {found['models']:,} independent models resemble the owner’s "
        "model as much as the suspect does: this run gives no ground to say that the suspect is a "
        "copy, and does not prove that it is independent."
    )


def _feature_meaning(run: Run, known: str) -> str:
    found = run.findings or {}
    by_answers = run.method == FEATURE
    if known == "match":
        does = (
            "bears images in the owner’s secret style"
            if by_answers
            else "leans as the owner’s model does at images in the owner’s secret style"
        )
        return (
            f"The suspect {does} better than {found['models'] - found['atOrAbove']:,} of "
            f"{found['models']:,} independent models do, and better than the threshold allows. For "
            "a suspect that is as independent as they are, that happens with a probability of at "
            f"most {share(run.p_value)} ({odds(run.p_value)}). This is a lead, not a proof."
        )
    does = "bear the owner’s style" if by_answers else "lean as the owner’s model does"
    return (
        f"{found['atOrAbove']:,} of {found['models']:,} independent models {does} as well as the "
        "suspect does: this run gives no ground to say that the suspect is a copy, and does not "
        "prove that it is independent."
    )


def _feature_rule(run: Run, rule: FingerprintRule) -> tuple[Fact, ...]:
    pool, digest, asks_for, _ = _pool_rule(run, rule)
    queries = (
        f"{rule.probes:,} images of {line(run.dataset)}, each as it is, in the owner’s style and "
        "in one that nobody holds"
    )
    if rule.method == FEATURE:
        queries += (
            f": at most {rule.query_cap:,} of one image each; with fewer than "
            f"{rule.minimum_probes:,} answered in all three the run is inconclusive"
        )
    else:
        queries += ", put to the suspect’s file; no query is sent"
    return pool, digest, asks_for, Fact("Queries", (queries,))


def _feature_result(run: Run) -> tuple[Fact, ...]:
    wrong = (run.findings or {}).get("control")
    if wrong is None:
        return _pool_result(run)
    told = (
        f"{wrong['score']:.4f}, threshold {wrong['threshold']:.4f}, rank p = "
        f"{share(wrong['pValue'])}"
    )
    return (*_pool_result(run), Fact("In a wrong style", (told,)))


def _pool_rule(run: Run, rule: FingerprintRule) -> tuple[Fact, ...]:
    kinds = Counter(row["kind"] for row in run.pool or ())
    of = ", ".join(f"{kinds[kind]:,} of {kind}" for kind in KINDS)
    queries = "none: the suspect’s file is compared"
    if rule.query_cap:
        what = {WRONG: "that the owner’s model gets wrong", MIXED: "with a patch of another one"}
        which = what.get(rule.variant, "that were strongly compressed")
        queries = (
            f"at most {rule.query_cap:,}, of one image of {line(run.dataset)} each, {which}; "
            f"with fewer than {rule.minimum_probes:,} answered the run is inconclusive"
        )
    return (
        Fact("Null pool", (f"{of}; the platform trained {rule.of_a_kind:,} or more of each",)),
        Fact("Pool, SHA-256", (rule.pool_sha256,), mono=True),
        Fact(
            "A match asks for",
            (
                f"a rank of p ≤ {share(rule.alpha)}, a score above the threshold of the "
                "calibrating half, and no innocent model above it",
            ),
        ),
        Fact("Queries", (queries,)),
    )


def _pool_result(run: Run) -> tuple[Fact, ...]:
    found = run.findings or {}
    void = ("yes: it accuses an innocent model, so it may accuse nobody",) if found["void"] else ()
    right = found.get("ownerAccuracy")
    able = () if right is None else (f"right on {percent(right)} of the test images",)
    return tuple(
        fact
        for fact in (
            Fact("Owner’s model", able),
            Fact("Score", (f"{run.score:.4f}, threshold {found['threshold']:.4f}",)),
            Fact("As close or closer", (f"{found['atOrAbove']:,} of {found['models']:,} models",)),
            Fact("Closest kind", (found["closest"],)),
            Fact(
                "Innocents accused",
                (
                    f"{found['falsePositives']:,} of {found['tested']:,} that did not set the "
                    f"threshold: at most {percent(found['falsePositiveRateAtMost'])} (95 %)",
                ),
            ),
            Fact("Void", void),
            Fact("Layers changed", (", ".join(found.get("changed", ())),)),
        )
        if any(fact.lines)
    )


def _most_allowed(rule: DecisionRule) -> int:
    """How many decoys may do as well as the true key in a match."""
    allowed = int(rule.alpha * (rule.decoys + 1))
    while (1 + allowed) / (rule.decoys + 1) > rule.alpha:
        allowed -= 1
    return allowed


def _asked(run: Run) -> int:
    assert run.null_distribution is not None
    return len(run.null_distribution) - 1


def _at_or_above(run: Run) -> int:
    assert run.hits is not None and run.true_slot is not None
    return random_key_test(run.hits, run.true_slot).decoys_at_or_above


BY_METHOD = {
    KEYED_LABELS: Wording(_labels_meaning, _labels_rule, _labels_result, _labels_alone),
    RANDOM_KEY_TEST: Wording(_rank_meaning, _rank_rule, _rank_result, _labels_alone),
    DYNAMIC: Wording(_mark_meaning, _mark_rule, _mark_result, tuple),
    TRIGGER: Wording(_trigger_meaning, _trigger_rule, _trigger_result, _labels_alone),
    **dict.fromkeys(FINGERPRINTS, Wording(_pool_meaning, _pool_rule, _pool_result, tuple)),
    **dict.fromkeys(FEATURES, Wording(_feature_meaning, _feature_rule, _feature_result, tuple)),
}
