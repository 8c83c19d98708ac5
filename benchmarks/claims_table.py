"""What each method finds of each theft, and whom it accuses: copies and innocents, model by model.

Fashion-MNIST. Three owners with two models each, one that carries a trigger watermark and one with
an external feature; a null pool of 60 models as the platform makes it; and innocents of all kinds,
put to every method as suspects, that never stand in the pool. Thieves take each owner's models in
eleven ways. Every run draws its own probes or triggers, and the verdict is that of the platform's
own rules (by gradients one draw of images serves all suspects of an owner). `--make` only trains
what is missing.

Intervals count models, not runs: what one model says under three owners, or in a hundred draws of
the pool's halves, hangs together.
"""

import argparse
import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from claims_models import CARD, COARSE, COARSE_CARD, STYLE, TRIGGERS, Made, Makers, Size
from result import report
from scipy import stats

from spellmark.evidence.answer_access import Access
from spellmark.evidence.fingerprint_rule import (
    AGREEMENT,
    CORRELATION,
    FEATURE,
    FEATURE_GRADIENTS,
    FEATURE_QUESTIONS,
    JPEG,
    MIXED,
    WEIGHTS,
    WRONG,
    FingerprintDecision,
    FingerprintRule,
    decide,
)
from spellmark.evidence.null_pool import (
    CALIBRATE,
    KINDS,
    TEST,
    Ranking,
    Reference,
    Scored,
    digest,
    scored,
)
from spellmark.evidence.trigger_rule import TRIGGER
from spellmark.fingerprints.compare import as_shown, score_all
from spellmark.fingerprints.probes import Candidates, candidates
from spellmark.fingerprints.weights import compare_weights
from spellmark.secrets import permutation, subkey
from spellmark.training.inference import accuracy, predict_labels
from spellmark.watermarks.external_feature import Style
from spellmark.watermarks.external_feature.examine import (
    gradient_score,
    gradient_signs,
    style_scores,
)
from spellmark.watermarks.trigger.examine import examine, rule_for

# As runs on the platform draw them.
CANDIDATES = 1200
PROBES = 400
STYLED_PROBES = 100
KEYS = 20
MATCH, DOES_NOT_APPLY = "match", "does not apply"
PROBABILITIES, LABELS = Access("all"), Access("labels")
STYLE_PLAIN, STYLE_SHOWN = "plain", "in the style"


@dataclass(frozen=True)
class Method:
    """A method as a run may choose it. mark: which of the owner's two models it is about."""

    name: str
    method: str
    variant: str = WRONG
    access: Access = PROBABILITIES
    kernel: str = "cosine"
    probes: int = PROBES
    mark: str = TRIGGERS


# `agreement` is the baseline: it stands beside each method with as many questions.
METHODS = (
    Method(TRIGGER, TRIGGER, access=LABELS),
    Method("agreement, 64 probes", AGREEMENT, access=LABELS, probes=64),
    Method("agreement", AGREEMENT, access=LABELS),
    Method("correlation, mistakes", CORRELATION),
    Method("correlation, mistakes, rbf", CORRELATION, kernel="rbf"),
    Method("correlation, mixed", CORRELATION, MIXED),
    Method("correlation, jpeg", CORRELATION, JPEG),
    Method("correlation, mistakes, labels", CORRELATION, access=LABELS),
    Method("correlation, mixed, labels", CORRELATION, MIXED, LABELS),
    Method("weights", WEIGHTS),
    Method("external feature", FEATURE, probes=STYLED_PROBES, mark=STYLE),
    Method("external feature, labels", FEATURE, access=LABELS, probes=STYLED_PROBES, mark=STYLE),
    Method("external feature, gradients", FEATURE_GRADIENTS, probes=STYLED_PROBES, mark=STYLE),
    Method(
        "agreement, 300 probes", AGREEMENT, access=LABELS, probes=FEATURE_QUESTIONS * STYLED_PROBES,
        mark=STYLE,
    ),
)  # fmt: skip
FINE_TUNED = ("fine-tune all, gently", "fine-tune all, hard", "fine-tune last")
MEANING = {
    "innocents": "innocent models, each put to every method under every owner",
    "verified_false_positives": "matches of the trigger watermark among them",
    "trigger_null_rate_at_0.01": "share of its p-values at or below 0.01, over further keys",
    "trigger_finetune_tpr": "share of fine-tuned copies (all layers and last) that it finds",
    "trigger_finetune_low": "the same, lower end of the 95 % Clopper–Pearson interval",
    "trigger_prune60_tpr": "share of copies with 60 % pruned and fine-tuned that it finds",
    "trigger_prune60_low": "the same, lower end of the interval",
    "trigger_queries": "triggers asked about until the match, median",
    "trigger_accuracy_cost_points": "accuracy before less after embedding, mean of the owners",
    "style_accuracy_cost_points": "the same for the external feature",
    "indicative_false_positives": "the most matches of any fingerprint among the innocents' runs",
    "indicative_false_positive_rate": "the same as a share of them (stated rate: 0.05)",
    "indicative_accused_models": "the most innocent models that any fingerprint ever accuses",
    "test_half_false_positive_rate": "share of the pool's testing models that lie above the "
    "threshold of the others, over all runs; the most of any ranked method (stated rate: 0.05)",
    "test_half_false_positive_high": "the same, upper end of the interval over the pool's models",
    "query_budget": "the most questions of a run; fewer where the owner's mistakes are fewer",
}


def main() -> None:
    """Train, ask, count."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one owner, few models, five attacks")
    parser.add_argument("--make", action="store_true", help="only train what is missing")
    options = parser.parse_args()
    torch.set_num_threads(1 if options.make else 2)
    bench = _Bench(QUICK if options.quick else Size())
    if options.make:
        print(f"{len(bench.pool)} models of the pool, {len(bench.innocents)} other innocents")
        for owner in range(bench.size.owners):
            for mark in (TRIGGERS, STYLE):
                copies = len(list(bench.makers.thieves(owner, mark)))
                print(f"owner {owner}, {mark}: {copies} copies")
    else:
        figures = bench.figures()
        _show(figures)
        report("claims_table", figures, MEANING, quick=options.quick)


QUICK = Size(
    owners=1, images=600, epochs=2, pool=19, innocents=3, thieves=1,
    attacks=(
        "fine-tune all, gently", "prune 60 % + fine-tune", "extract by labels",
        "extract by probabilities", "transfer to five classes",
    ),
)  # fmt: skip


@dataclass(frozen=True)
class _Verdict:
    """by_pool: the verdicts that pools of one kind alone would give. tested: models of the testing
    half, by digest.
    """

    method: str
    suspect: str
    verdict: str
    queries: int = 0
    ranking: Ranking | None = None
    tested: frozenset[str] = frozenset()
    by_pool: Mapping[str, str] = field(default_factory=dict)

    @property
    def void(self) -> bool:
        return bool(self.ranking and self.ranking.void)


class _Bench:
    def __init__(self, size: Size) -> None:
        self.size, self.makers = size, Makers(size)

    @cached_property
    def pool(self) -> list[Made]:
        """The null pool: all of it trained before any suspect is looked at."""
        return list(self.makers.innocents("pool", self.size.pool, 10_000))

    @cached_property
    def innocents(self) -> list[Made]:
        """Suspects who took nothing."""
        return [
            *self.makers.innocents("innocent", self.size.innocents, 50_000),
            *self.makers.of_other_labels(90_000),
            *self.makers.with_more_data(95_000),
        ]

    def figures(self) -> dict[str, Any]:
        """All figures; what each method says of each attack and kind of innocents in `table`."""
        found: dict[tuple[str, str], list[_Verdict]] = defaultdict(list)
        accused: dict[str, set[str]] = defaultdict(set)
        owners = [_Owner(self, number) for number in range(self.size.owners)]
        for owner in owners:
            for mark in (TRIGGERS, STYLE):
                methods = [method for method in METHODS if method.mark == mark]
                for suspect in (*self.makers.thieves(owner.number, mark), *self.innocents):
                    for verdict in owner.verdicts(suspect, methods):
                        found[verdict.method, suspect.kind].append(verdict)
                        if verdict.verdict == MATCH:
                            accused[verdict.method].add(suspect.name)
        kinds = list(dict.fromkeys(one.kind for one in self.innocents))
        thefts = list(dict.fromkeys(kind for _, kind in found if kind not in kinds))
        names = {one.name for one in self.innocents}
        wrong = {method.name: _matches(_runs(found, method.name, kinds)) for method in METHODS[1:]}
        runs = {method.name: len(_runs(found, method.name, kinds)) for method in METHODS[1:]}
        worst = max(wrong, key=lambda name: (wrong[name] / max(runs[name], 1), runs[name]))
        halves = {
            method.name: _test_half(_runs(found, method.name, (*thefts, *kinds)))
            for method in METHODS[1:]
        }
        loosest = max(halves.values(), key=lambda half: half["rate"])
        tuned = _runs(found, TRIGGER, FINE_TUNED)
        pruned = _runs(found, TRIGGER, ["prune 60 % + fine-tune"])
        return {
            "innocents": len(self.innocents),
            "verified_false_positives": _matches(_runs(found, TRIGGER, kinds)),
            "trigger_null_rate_at_0.01": self._null_rate(),
            "trigger_finetune_tpr": round(_share(tuned), 4),
            "trigger_finetune_low": _interval(_share(tuned), _models(tuned))[0],
            "trigger_prune60_tpr": round(_share(pruned), 4),
            "trigger_prune60_low": _interval(_share(pruned), _models(pruned))[0],
            "trigger_queries": float(
                np.median([one.queries for one in (*tuned, *pruned) if one.verdict == MATCH] or [0])
            ),
            "trigger_accuracy_cost_points": self._cost((one.unmarked, one.made) for one in owners),
            "style_accuracy_cost_points": self._cost((one.unmarked, one.styled) for one in owners),
            "indicative_false_positives": wrong[worst],
            "indicative_false_positive_rate": round(wrong[worst] / max(runs[worst], 1), 4),
            "indicative_false_positive_method": worst,
            "indicative_accused_models": max(
                len(accused[method.name] & names) for method in METHODS[1:]
            ),
            "test_half_false_positive_rate": loosest["rate"],
            "test_half_false_positive_high": loosest["high"],
            "query_budget": {method.name: owners[0].budget(method) for method in METHODS},
            "test_half": halves,
            "pool": len(self.pool),
            "accuracy": {
                "owners": self._accuracies(one.made for one in owners),
                "owners, style": self._accuracies(one.styled for one in owners),
                **{
                    kind: self._accuracies(one for one in self.innocents if one.kind == kind)
                    for kind in kinds
                },
                **{
                    theft: self._accuracies(
                        one for one in self.makers.thieves(0) if one.kind == theft
                    )
                    for theft in thefts
                },
            },
            "table": {
                f"{method.name} | {kind}": _row(found[method.name, kind])
                for method in METHODS
                for kind in (*thefts, *kinds)
                if found[method.name, kind]
            },
        }

    def right(self, made: Made) -> float:
        """A model's accuracy on images that no probe is made of."""
        test = self.makers.test
        labels = COARSE[test.labels] if made.card == COARSE_CARD else test.labels
        return accuracy(made.model, made.card, test.images, labels)

    def _cost(self, pairs: Iterable[tuple[Made, Made]]) -> float:
        """Points of accuracy that are lost from the first to the second, on average."""
        lost = [100 * (self.right(before) - self.right(after)) for before, after in pairs]
        return round(float(np.mean(lost)), 2)

    def _accuracies(self, models: Iterable[Made]) -> float:
        return round(float(np.mean([self.right(one) for one in models])), 4)

    def _null_rate(self) -> float:
        """Under further keys that no model ever met, over all innocents of ten classes."""
        p_values = []
        for number in range(1, KEYS + 1):
            key = self.makers.key(0, number)
            for one in self.innocents:
                if one.card.classes == CARD.classes:
                    answers = predict_labels(one.model, one.card, key.images)
                    seed = _seed("null", str(number), one.name)
                    p_values.append(_trigger(answers, key, seed).p_value)
        return round(float((np.array(p_values) <= 0.01).mean()), 5)


class _Owner:
    """One owner's model with everything that its runs need."""

    def __init__(self, bench: _Bench, number: int) -> None:
        self.bench, self.number = bench, number
        self.made, self.unmarked = bench.makers.marked(number), bench.makers.unmarked(number)
        self.styled, self.style = bench.makers.styled(number), bench.makers.style(number)
        self.key = bench.makers.key(number)
        self.references = {one.name: Reference(one.kind, one.digest) for one in bench.pool}
        self._probes: dict[tuple[str, str], Candidates] = {}
        self._said: dict[tuple[str, str], npt.NDArray[np.float64]] = {}
        self._wrong: tuple[bytes, dict[str, npt.NDArray[np.float64]]] = b"", {}
        self._leans: dict[str, Any] = {}

    def verdicts(self, suspect: Made, methods: Sequence[Method]) -> Iterable[_Verdict]:
        """What each method says of a suspect."""
        for method in methods:
            if method.method == TRIGGER:
                yield self._asked_about_triggers(suspect)
            elif method.method == WEIGHTS:
                yield self._weighed(method, suspect)
            elif method.method == FEATURE:
                yield self._shown_the_style(method, suspect)
            elif method.method == FEATURE_GRADIENTS:
                yield self._leaned(method, suspect)
            else:
                yield self._fingerprinted(method, suspect)

    def budget(self, method: Method) -> int:
        """The most questions of a run."""
        rule = rule_for(self.key.parameters) if method.method == TRIGGER else self._rule(method)
        return rule.query_cap

    def _asked_about_triggers(self, suspect: Made) -> _Verdict:
        if suspect.card.classes != CARD.classes:
            return _Verdict(TRIGGER, suspect.name, DOES_NOT_APPLY)
        answers = predict_labels(suspect.model, suspect.card, self.key.images)
        found = _trigger(answers, self.key, _seed(str(self.number), suspect.name, TRIGGER))
        return _Verdict(TRIGGER, suspect.name, found.verdict, found.queries)

    def _fingerprinted(self, method: Method, suspect: Made) -> _Verdict:
        if method.method == AGREEMENT and suspect.card.classes != CARD.classes:
            return _Verdict(method.name, suspect.name, DOES_NOT_APPLY)
        known = self._candidates(method)
        nonce = _seed(str(self.number), suspect.name, method.name)
        key = subkey(nonce, binding=b"", scheme=method.method, purpose="probes")
        chosen = np.array(permutation(key, len(known))[: method.probes], np.int64)
        rule = self._rule(method, len(chosen))
        pool = [self._answers(one, method)[chosen] for one in self.bench.pool]
        asked = self._answers(suspect, method)[chosen]
        score, *others = score_all(rule, known.answers[chosen], [asked, *pool], method.access)
        return _ranked(
            method, suspect, rule, score, self._scored(others, nonce), answered=len(chosen),
            access=str(method.access), classes_seen=len(set(asked.argmax(1).tolist())),
        )  # fmt: skip

    def _weighed(self, method: Method, suspect: Made) -> _Verdict:
        scores = [self._weights_of_pool[one.name] for one in self.bench.pool]
        found = compare_weights(self.made.tensors(), suspect.tensors())
        nonce = _seed(str(self.number), suspect.name, WEIGHTS)
        rule = self._rule(method)
        return _ranked(method, suspect, rule, found.score, self._scored(scores, nonce))

    def _rule(self, method: Method, probes: int | None = None) -> FingerprintRule:
        return FingerprintRule(
            method=method.method, of_a_kind=self.bench.size.pool, probes=probes or method.probes,
            pool_sha256=digest(self.references.values()), variant=method.variant,
            kernel=method.kernel, classes=CARD.classes,
        )  # fmt: skip

    def _shown_the_style(self, method: Method, suspect: Made) -> _Verdict:
        if suspect.card.classes != CARD.classes:
            return _Verdict(method.name, suspect.name, DOES_NOT_APPLY)
        nonce = _seed(str(self.number), suspect.name, FEATURE)
        key = subkey(nonce, binding=b"", scheme=FEATURE, purpose="probes")
        chosen = np.array(permutation(key, CANDIDATES)[:STYLED_PROBES], np.int64)
        probes, models = self.bench.makers.asked[chosen], [suspect, *self.bench.pool]
        wrong = Style.control(self.style.parameters, nonce)(probes.images)
        plain = [self._seen(one, STYLE_PLAIN)[chosen] for one in models]
        styled = [self._seen(one, STYLE_SHOWN)[chosen] for one in models]
        control = [self._under(nonce, one, wrong) for one in models]
        score, *pool = style_scores(probes.labels, plain, styled, method.access)
        apart, *apart_pool = style_scores(probes.labels, plain, control, method.access)
        right = min(
            float((as_shown(answers[0], method.access).argmax(1) == probes.labels).mean())
            for answers in (plain, styled)
        )
        return _ranked(
            method, suspect, self._rule(method), score, self._scored(pool, nonce),
            control=(apart, self._scored(apart_pool, nonce)), right=right,
            answered=STYLED_PROBES, access=str(method.access),
            classes_seen=len(set(plain[0].argmax(1).tolist())),
        )  # fmt: skip

    def _leaned(self, method: Method, suspect: Made) -> _Verdict:
        if suspect.card.classes != CARD.classes:
            return _Verdict(method.name, suspect.name, DOES_NOT_APPLY)
        own = self._signs(self.styled)
        score = gradient_score(own, self._signs(suspect))
        pool = [gradient_score(own, self._signs(one)) for one in self.bench.pool]
        nonce = _seed(str(self.number), suspect.name, FEATURE_GRADIENTS)
        return _ranked(
            method, suspect, self._rule(method), score, self._scored(pool, nonce),
            answered=STYLED_PROBES, classes_seen=CARD.classes,
        )  # fmt: skip

    def _scored(self, scores: Sequence[float | None], nonce: bytes) -> list[Scored]:
        return scored(dict(zip(self.references.values(), scores, strict=True)), nonce)

    def _seen(self, made: Made, shown: str) -> npt.NDArray[np.float64]:
        """What a model says to all images that a run may draw, plain or in the owner's style."""
        if (made.name, shown) not in self._said:
            images = self.bench.makers.asked.images[:CANDIDATES]
            given = self.style(images) if shown == STYLE_SHOWN else images
            self._said[made.name, shown] = np.round(made(given), 6)
        return self._said[made.name, shown]

    def _under(self, nonce: bytes, made: Made, wrong: Any) -> npt.NDArray[np.float64]:
        """What a model says in one run's wrong style; the next run has another."""
        if self._wrong[0] != nonce:
            self._wrong = nonce, {}
        if made.name not in self._wrong[1]:
            self._wrong[1][made.name] = np.round(made(wrong), 6)
        return self._wrong[1][made.name]

    def _signs(self, made: Made) -> Any:
        if made.name not in self._leans:
            probes = self.bench.makers.asked[:STYLED_PROBES]
            styled = self.style(probes.images)
            self._leans[made.name] = gradient_signs(made.model, made.card, styled, probes.labels)
        return self._leans[made.name]

    @cached_property
    def _weights_of_pool(self) -> dict[str, float | None]:
        own = self.made.tensors()
        return {one.name: compare_weights(own, one.tensors()).score for one in self.bench.pool}

    def _candidates(self, method: Method) -> Candidates:
        place = method.mark, method.variant
        if place not in self._probes:
            own = self.styled if method.mark == STYLE else self.made
            asked = self.bench.makers.asked
            self._probes[place] = candidates(method.variant, own, asked, most=CANDIDATES)
        return self._probes[place]

    def _answers(self, made: Made, method: Method) -> npt.NDArray[np.float64]:
        place = made.name, f"{method.mark}, {method.variant}"
        if place not in self._said:
            self._said[place] = np.round(made(self._candidates(method).images), 6)
        return self._said[place]


def _trigger(answers: npt.NDArray[np.int64], key: Any, seed: bytes) -> Any:
    """The owner's test of a suspect that gives all triggers these answers."""
    rule = rule_for(key.parameters)
    place = {image.tobytes(): number for number, image in enumerate(key.images)}
    return examine(
        lambda images: answers[[place[image.tobytes()] for image in images]], key, rule, seed=seed
    )


def _ranked(
    method: Method,
    suspect: Made,
    rule: FingerprintRule,
    score: float | None,
    pool: Sequence[Scored],
    *,
    control: tuple[float, Sequence[Scored]] | None = None,
    **said: Any,
) -> _Verdict:
    """The verdict in the whole pool, and those in pools of one kind alone."""

    def decided(kinds: Sequence[str]) -> FingerprintDecision:
        apart = (control[0], _of(control[1], kinds)) if control else None
        return decide(rule, score, _of(pool, kinds), control=apart, **said)

    whole, known = decided(KINDS), [one for one in pool if one.score is not None]
    calibrating = {one.reference.kind for one in known if one.half == CALIBRATE}
    return _Verdict(
        method.name, suspect.name, whole.verdict, rule.query_cap, whole.outcome.ranking,
        frozenset(one.reference.sha256 for one in known if one.half == TEST),
        {kind: decided([kind]).verdict for kind in KINDS if kind in calibrating},
    )  # fmt: skip


def _of(pool: Sequence[Scored], kinds: Sequence[str]) -> list[Scored]:
    return [one for one in pool if one.reference.kind in kinds]


def _seed(*parts: str) -> bytes:
    return hashlib.sha256(" | ".join(parts).encode()).digest()


def _runs(
    found: dict[tuple[str, str], list[_Verdict]], method: str, kinds: Sequence[str]
) -> list[_Verdict]:
    """The runs that could be made, of these kinds of suspects."""
    return [one for kind in kinds for one in found[method, kind] if one.verdict != DOES_NOT_APPLY]


def _matches(runs: Sequence[_Verdict]) -> int:
    return sum(one.verdict == MATCH for one in runs)


def _share(runs: Sequence[_Verdict]) -> float:
    return _matches(runs) / len(runs) if runs else 0.0


def _models(runs: Iterable[_Verdict]) -> int:
    """How many models they are about."""
    return len({one.suspect for one in runs})


def _row(runs: Sequence[_Verdict]) -> dict[str, Any]:
    applied = [one for one in runs if one.verdict != DOES_NOT_APPLY]
    low, high = _interval(_share(applied), _models(applied))
    kinds = [kind for kind in KINDS if any(kind in one.by_pool for one in applied)]
    return {
        "runs": len(applied), "models": _models(applied), "matches": _matches(applied),
        "low": low, "high": high, "void": sum(one.void for one in applied),
        "verdicts": dict(Counter(one.verdict for one in runs)),
        "matches_by_pool": {
            kind: sum(one.by_pool.get(kind) == MATCH for one in applied) for kind in kinds
        },
    }  # fmt: skip


def _test_half(runs: Sequence[_Verdict]) -> dict[str, Any]:
    """How often a threshold accuses innocents of the half of the pool that had no part in it."""
    rankings = [one.ranking for one in runs if one.ranking]
    wrong = sum(one.false_positives for one in rankings)
    tested = sum(one.tested for one in rankings)
    models = len(set[str]().union(*(one.tested for one in runs)))
    low, high = _interval(wrong / max(tested, 1), models)
    return {
        "false_positives": wrong, "tested": tested, "rate": round(wrong / max(tested, 1), 5),
        "models": models, "low": low, "high": high,
    }  # fmt: skip


def _interval(share: float, models: int) -> tuple[float, float]:
    """Clopper and Pearson, 95 %, as if each model had been asked once: runs of one hang together.

    Where the share is no whole number of models, the interval lies between those of its neighbours.
    """
    if not models:
        return 0.0, 1.0
    hits = share * models
    low = stats.beta.ppf(0.025, hits, models - hits + 1) if hits > 0 else 0.0
    high = stats.beta.ppf(0.975, hits + 1, models - hits) if hits < models else 1.0
    return round(float(low), 4), round(float(high), 4)


def _show(figures: Mapping[str, Any]) -> None:
    """The table for people: matches, the interval over models, and each kind of pool alone."""
    print(f"\n{'':<62}{'match':>6}{'runs':>5}{'models':>7}{'95 %':>17}  void  pools of one kind")
    for name, row in figures["table"].items():
        interval = f"{row['low']:.3f} to {row['high']:.3f}"
        alone = ", ".join(f"{kind} {count}" for kind, count in row["matches_by_pool"].items())
        print(
            f"{name:<62}{row['matches']:>6}{row['runs']:>5}{row['models']:>7}{interval:>17}"
            f"{row['void']:>6}  {alone}"
        )
    print("\nfalse positives in the testing halves of the pool (stated rate: 0.05)")
    for name, half in figures["test_half"].items():
        print(
            f"{name:<32}{half['false_positives']:>6} of {half['tested']:>7}, interval over "
            f"{half['models']} models {half['low']:.3f} to {half['high']:.3f}"
        )
    print()


if __name__ == "__main__":
    main()
