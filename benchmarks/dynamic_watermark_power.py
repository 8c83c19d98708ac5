"""What a guard's mark finds and whom it accuses: thefts, removals, innocents, and what it costs.

Fashion-MNIST. The owner's model stands behind a guarded API. Thieves with images of their own steal
it in several ways, with several networks, and some try to lose the mark. Every copy is put to the
owner's test, one question after the other, with the usual rule. So is every innocent, under the
guards' keys and under many others, and once more with shortened answers. What copies and innocents
answered before is taken from benchmarks/cache; `--seed` fills it, so that seeds can be measured
side by side.
"""

import argparse
import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache, cached_property, partial
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from kept import CACHE, kept
from key_lock_accuracy import CARD
from prompt_locks import unprotected
from result import report
from scipy import stats

from spellmark.attacks.attack import Answer, Answers, Images
from spellmark.attacks.extract.answers import labels_only, largest, rounded
from spellmark.attacks.extract.api import changed, guarded
from spellmark.attacks.extract.catalogue import BUDGETS, NETWORKS, REMOVALS
from spellmark.attacks.extract.result import TheftResult
from spellmark.attacks.extract.suite import run_suite
from spellmark.attacks.extract.training import Trainer, copy_card
from spellmark.evidence.mark_rule import MarkDecision, MarkRule, MarkRun
from spellmark.evidence.sign_draws import drawn_p_value
from spellmark.evidence.sign_test import sign_test
from spellmark.secrets import KeyFile
from spellmark.training import datasets, weights
from spellmark.training.datasets import Split
from spellmark.training.inference import predict_probabilities
from spellmark.watermarks.dynamic.examine import Questions, choose_questions, rule_for, signs_of
from spellmark.watermarks.dynamic.guard import Guard
from spellmark.watermarks.dynamic.mark_key import MarkKey
from spellmark.watermarks.dynamic.parameters import SCHEME, MarkParameters
from spellmark.watermarks.dynamic.report_card import report_card

OWNERS = 12_000
# Of the test images: the first half is asked about, the other half measures accuracy.
ASKED = 5_000
# Copies of the seeds below the first were looked at while the test was made, or after it: what it
# finds is told on others, with networks and keys that it had not met.
FIRST_SEED, SEEDS = 9, 3
# The other thefts and the removals tell a pattern, which fewer seeds show.
OTHER_SEEDS = 2
# Thefts by probabilities, of which the copies must carry the mark, and with which networks.
SOFT = ("soft-answers", "adaptive-queries", "other-images")
OTHERS = ("averaged-queries", "few-calls", "labels-only")
# The number of a key, and a seed, that no copy had when the test was made.
FRESH = 100
STRENGTHS = (10, 20, 50, 100)
MARGINS = (0, 50, 100, 200)
COPY_QUERIES, LABEL_QUERIES = 8_000, 20_000
LABEL_QUESTIONS = 2_000
# As the guard's job makes them.
REFERENCES = ("small-resnet", "small-mlp")
# What is kept of an answer.
DIGITS = 8
# The first of the keys that no guard here has.
STRANGE = 10_000
# How innocents show their answers.
SHOWN: dict[str, Callable[[Answers], Answers]] = {
    "whole": lambda answers: answers,
    "rounded": partial(rounded, decimals=2),
    "top_3": partial(largest, count=3),
}
# The test counts keys, and drawing them cannot show less than one over their number: they are held
# together at this p-value, which a part of the mark has.
WEAK_P = 1e-3
PARTS = np.geomspace(1e-3, 1, 31)
COMPARED = 64
FAMILIES = (
    "the owner's data", "the thief's data", "a copy of the API without a mark",
    "a copy of an API under another key", "the owner's own model",
)  # fmt: skip
MEANING = {
    "soft_thefts": "copies made from probabilities that the test was not shaped on",
    "soft_tpr_at_1e-6": "share of them that the test finds at alpha = 1e-6",
    "soft_tpr_low": "the same, lower end of the 95 % Clopper–Pearson interval",
    "median_queries": "questions until the decision, median of those found",
    "p90_queries": "the same, ninth decile",
    "innocents": "innocent models of five families",
    "innocents_accused": "how many the test accuses, at 1e-6 under any key, shortened or not",
    "innocents_accused_high": "the share, upper end of its 95 % interval (models, not keys)",
    "null_rate_at_0.01": "share of the innocents' p-values at or below 0.01, over all keys",
    "null_rate_at_0.01_high": "the same, upper end of a 95 % interval over models",
    "null_rate_at_0.01_own_keys": "the same under the keys of the guards that are stolen from",
    "null_rate_at_0.01_rounded": "the same from answers rounded to two decimals",
    "null_rate_at_0.01_top_3": "the same from the three largest probabilities",
    "worst_model_at_0.01": "the same for the model with the highest share",
    "top1_changed": "labels that the guard changes on 10,000 test images",
    "null_table": "by family; `accused_high` is the Clopper–Pearson end of 95 % over its models",
    "exact_and_drawn": "p-values counted, and from drawn keys; `part` of the mark in the answers",
}


@dataclass(frozen=True)
class Size:
    """How much is trained and tried. innocents: of each family but the last, which has one."""

    seeds: int = SEEDS
    networks: tuple[str, ...] = NETWORKS
    innocents: int = 15
    keys: int = 200
    images: int = 5_000
    epochs: int = 4
    strengths: tuple[int, ...] = STRENGTHS
    margins: tuple[int, ...] = MARGINS
    draws: int = 1_000_000


QUICK = Size(1, ("small-mlp",), 2, 40, 1_500, 2, (), (), 100_000)


def main() -> None:
    """Steal, test, count."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one seed, one network, few innocents")
    parser.add_argument("--seed", type=int, help="measure this seed's thefts only, for the cache")
    parser.add_argument("--innocents", action="store_true", help="only these, for the cache")
    options = parser.parse_args()
    torch.set_num_threads(1 if options.seed is not None or options.innocents else 2)
    CACHE.mkdir(exist_ok=True)
    bench = _Bench(QUICK if options.quick else Size(), options.quick)
    if options.seed is not None:
        bench.thefts(options.seed)
    elif options.innocents:
        bench.innocents()
    else:
        report("dynamic_watermark_power", bench.figures(), MEANING, quick=options.quick)


class _Bench:
    def __init__(self, size: Size, quick: bool) -> None:
        self.size, self.quick = size, quick
        data = datasets.load("fashion-mnist")
        self.owners, self.thiefs = data.train[:OWNERS], data.train[OWNERS:]
        if quick:
            self.thiefs = self.thiefs[:2_000]
        self.asked, self.test = data.test[:ASKED], data.test[ASKED:]
        self.model = unprotected(self.owners[: 1_500 if quick else OWNERS], 0, quick=quick)
        self.budget = "quick"
        # What innocents and single copies depend on, beside their own settings.
        self.trained = (self.size.images, self.size.epochs, quick, torch.__version__)

    @cached_property
    def reference(self) -> Answers:
        """The owner's unmarked answers about the images that can be asked about."""
        return predict_probabilities(self.model, CARD, self.asked.images)

    @cached_property
    def others(self) -> list[Answers]:
        """What two copies without a mark answer, which the guard's job makes too."""
        images = self.owners.images[: self.size.images]
        answers = []
        for seed, network in enumerate(REFERENCES):
            card = copy_card(CARD, network)
            path = CACHE / f"clean-{network}-{seed}-{len(images)}-{self.quick}.safetensors"
            if not path.exists():
                weights.save(Trainer(card, 6, 300, seed)(images, self.clean(images)), card, path)
            model, _ = weights.load(path)
            answers.append(predict_probabilities(model, card, self.asked.images))
        return answers

    def questions(self, key: MarkKey, wanted: int) -> Questions:
        """As a run asks them. Without cells they are the same for every key."""
        return choose_questions(
            key, None, self.reference, self.asked.images, seed=bytes(32), wanted=wanted,
            others=self.others,
        )  # fmt: skip

    def decided(
        self, key: MarkKey, table: Sequence[Sequence[float]], **choices: int
    ) -> MarkDecision:
        """The owner's test on what a suspect answered, with the usual rule but for `choices`."""
        run = MarkRun(rule_for(key.parameters, **choices), {"": signs_of(key)})
        for question, row in zip(self.questions(key, run.rule.probes).asked, table, strict=True):
            run.add(question, row)
            if run.decided:
                break
        return run.decide()

    def clean(self, images: Images) -> Answers:
        """The API without a mark."""
        return predict_probabilities(self.model, CARD, images)

    def figures(self) -> dict[str, Any]:
        """All figures; the rows of the table under `table`."""
        seeds = range(FIRST_SEED, FIRST_SEED + self.size.seeds)
        thefts = [row for seed in seeds for row in self.thefts(seed)]
        soft = [row for row in thefts if row["name"] in SOFT]
        found = [row for row in soft if row["verdict"] == "match"]
        questions = [row["questions"] for row in found]
        innocents = self.innocents()
        for row in innocents:
            row["p"] = self._null(np.array(row.pop("answers")))
        p = {name: np.array([row["p"][name] for row in innocents]) for name in innocents[0]["p"]}
        whole, accused = p["whole"], _accused(innocents)
        return {
            "soft_thefts": len(soft),
            "soft_tpr_at_1e-6": round(len(found) / len(soft), 4),
            "soft_tpr_low": round(_interval(len(found), len(soft))[0], 4),
            "median_queries": float(np.median(questions)) if found else None,
            "p90_queries": float(np.quantile(questions, 0.9)) if found else None,
            "innocents": len(innocents),
            "innocents_accused": accused,
            "innocents_accused_high": round(_interval(accused, len(innocents))[1], 4),
            "null_keys": whole.shape[1],
            "null_rate_at_0.01": _rate(whole, 0.01),
            "null_rate_at_0.01_high": round(_highest_mean((whole <= 0.01).mean(1)), 5),
            **{
                f"null_rate_at_0.01_{name}": _rate(values, 0.01)
                for name, values in p.items()
                if name != "whole"
            },
            "null_rate_at_0.05": _rate(whole, 0.05),
            "worst_model_at_0.01": round(float((whole <= 0.01).mean(1).max()), 4),
            "smallest_null_p": min(float(values.min()) for values in p.values()),
            "null_table": _null_table(innocents),
            **self._utility(),
            "exact_and_drawn": self._drawn(),
            "strengths": [self._strength(strength) for strength in self.size.strengths],
            "label_channel": [self._label_channel(margin) for margin in self.size.margins],
            "table": _table(thefts),
        }

    def thefts(self, seed: int) -> list[dict[str, Any]]:
        """Every theft of one seed, with a guard's key of its own, as a row."""
        rows = []
        for network in self.size.networks:
            names = list(SOFT)
            if self.quick:
                names += ["labels-only"]
            elif network == NETWORKS[0] and seed < FIRST_SEED + OTHER_SEEDS:
                names += [*OTHERS, *REMOVALS]
            rows += [row for name in names for row in self._theft(name, network, seed)]
        return rows

    def innocents(self) -> list[dict[str, Any]]:
        """Every innocent, with its answers to the questions."""
        rows = []
        for family in FAMILIES:
            count = 1 if family == FAMILIES[-1] else self.size.innocents
            rows += [self._innocent(family, number) for number in range(count)]
        return rows

    def _theft(self, name: str, network: str, seed: int) -> list[dict[str, Any]]:
        key, tables = key_of(seed), []
        images = self.questions(key, rule_for(key.parameters).probes).images

        def examined(answer: Answer) -> MarkDecision:
            tables.append(answer(images).round(DIGITS).tolist())
            return self.decided(key, tables[-1])

        def measure() -> list[dict[str, Any]]:
            found = run_suite(
                guarded(self.model, CARD, Guard(key)), CARD, self.thiefs, self.test[:2_000],
                examined, architecture=network, attacks=[name], budget=self.budget,
                other_api=guarded(self.model, CARD, Guard(key_of(1000 + seed))), seed=seed,
                folder=self._folder(network, seed),
            )  # fmt: skip
            for row in found:
                print(_line(seed, row), flush=True)
            return [
                {"seed": seed, **asdict(row), "answers": table}
                for row, table in zip(found, tables, strict=True)
            ]

        settings = (name, network, seed, self.quick, BUDGETS[self.budget], torch.__version__, 2)
        rows = list(kept("theft-", settings, measure))
        for row in rows:
            # The test may have been bettered since the copy was made.
            decision = self.decided(key, row.pop("answers"))
            row |= {
                "verdict": decision.verdict,
                "p_value": decision.p_value,
                "questions": decision.queries,
                "access": decision.access,
            }
        return rows

    def _folder(self, network: str, seed: int) -> Any:
        folder = CACHE / f"copy-{network}-{seed}-{self.quick}-1"
        folder.mkdir(exist_ok=True)
        return folder

    def _innocent(self, family: str, number: int) -> dict[str, Any]:
        def measure() -> dict[str, Any]:
            suspect, network, accuracy = self._innocent_model(family, number)
            images = self.questions(key_of(0), rule_for(key_of(0).parameters).probes).images
            print(f"{family} {number} ({network}): accuracy {accuracy:.3f}", flush=True)
            told = {"family": family, "network": network, "accuracy": accuracy}
            return {**told, "answers": suspect(images).round(DIGITS).tolist()}

        settings = (family, number, *self.trained)
        return dict(kept("innocent-", settings, measure))

    def _innocent_model(self, family: str, number: int) -> tuple[Answer, str, float]:
        network = self.size.networks[number % len(self.size.networks)]
        trainer = Trainer(copy_card(CARD, network), self.size.epochs, 300, 100 + number)
        generator = np.random.default_rng([7, number])
        whose = self.owners if family == FAMILIES[0] else self.thiefs
        part = whose.images, whose.labels
        chosen = generator.permutation(len(whose))[: self.size.images]
        images, labels = (values[chosen] for values in part)
        if family == FAMILIES[4]:
            answer: Answer = self.clean
        else:
            targets = np.eye(CARD.classes)[labels]
            if family == FAMILIES[2]:
                targets = self.clean(images)
            elif family == FAMILIES[3]:
                targets = guarded(self.model, CARD, Guard(key_of(5_000 + number)))(images)
            model = trainer(images, targets)
            answer = partial(predict_probabilities, model, trainer.card)
        right = answer(self.test.images[:2_000]).argmax(1) == self.test.labels[:2_000]
        return answer, network, round(float(right.mean()), 4)

    def _null(self, table: Answers) -> dict[str, list[float]]:
        """An innocent's p-values: by how its answers are shown, and under the guards' keys."""
        found = {
            name: self._p_values(shown(table), STRANGE, self.size.keys)
            for name, shown in SHOWN.items()
        }
        return {**found, "own_keys": self._p_values(table, FIRST_SEED, self.size.seeds)}

    def _p_values(self, table: Answers, first: int, count: int) -> list[float]:
        """The p-value of a whole run under each of so many keys, from the same answers."""
        keys = {str(n): key_of(first + n) for n in range(count)}
        one = rule_for(keys["0"].parameters)
        run = MarkRun(
            replace(one, clients=count), {name: signs_of(key) for name, key in keys.items()}
        )
        asked = self.questions(keys["0"], one.probes).asked
        for question, row in zip(asked, table, strict=True):
            run.add(question, row.tolist())
        return [one.p_value_of(run.evidence_for(name)) for name in keys]

    def _utility(self) -> dict[str, Any]:
        whole = Split(
            np.concatenate([self.asked.images, self.test.images]),
            np.concatenate([self.asked.labels, self.test.labels]),
        )
        answers = self.clean(whole.images)
        found = report_card(Guard(key_of(0)), answers, whole.labels, whole.images)
        marked = Guard(key_of(0))(answers)
        return {
            "top1_changed": int((marked.argmax(1) != answers.argmax(1)).sum()),
            "utility": {
                name: round(value, 5) if isinstance(value, float) else value
                for name, value in found.as_dict().items()
            },
        }

    def _drawn(self) -> dict[str, dict[str, float]]:
        """An innocent's and a weak copy's p-value as counted, beside that of drawn keys.

        The copy is the innocent with a part of the mark, by which its p-value is nearest to WEAK_P.
        """
        own, chance = key_of(0), np.random.default_rng(0)
        asked = self.questions(own, COMPARED).asked
        plain = np.array(self._innocent(FAMILIES[1], 0)["answers"][:COMPARED])
        marked = Guard(own)(plain)

        def evidence(key: MarkKey, part: float) -> tuple[list[int], list[int]]:
            signs = signs_of(key)
            run = MarkRun(rule_for(key.parameters), {"": signs})
            for question, row in zip(asked, (1 - part) * plain + part * marked, strict=True):
                run.add(question, row.tolist())
            units = run.units()
            return list(units.values()), [signs(place) for place in units]

        def counted(key: MarkKey, part: float) -> float:
            return sign_test(*evidence(key, part)).p_value

        def compared(key: MarkKey, part: float) -> dict[str, float]:
            drawn = drawn_p_value(*evidence(key, part), draws=self.size.draws, generator=chance)
            return {"part": part, "exact": counted(key, part), "drawn": drawn}

        # Where the sum is not above zero, the count says one and nothing can be compared.
        strange = next(key for key in map(key_of, itertools.count(STRANGE)) if counted(key, 0) < 1)
        weak = min(PARTS, key=lambda part: abs(math.log(counted(own, part) / WEAK_P)))
        return {"an innocent": compared(strange, 0.0), "a weak copy": compared(own, float(weak))}

    def _strength(self, strength: int) -> dict[str, Any]:
        """What a strength costs, and how soon a copy is found."""
        key = key_of(FRESH, strength=strength)
        api = guarded(self.model, CARD, Guard(key))
        copy = self._copied("strength-copy-", strength, api, key, COPY_QUERIES)
        return {"strength": strength, **self._found(key, copy)}

    def _label_channel(self, margin: int) -> dict[str, Any]:
        """What a label channel costs, and what it shows in a copy made from labels."""
        key = key_of(FRESH, label_margin=margin)
        api = changed(guarded(self.model, CARD, Guard(key)), labels_only)
        copy = self._copied("label-copy-", margin, api, key, LABEL_QUERIES, probes=LABEL_QUESTIONS)
        copy["answers"] = labels_only(np.array(copy["answers"])).tolist()
        return {"label_margin": margin, **self._found(key, copy, probes=LABEL_QUESTIONS)}

    def _copied(
        self, kind: str, value: int, api: Answer, key: MarkKey, queries: int, **choices: int
    ) -> dict[str, Any]:
        """A plain copy of a guarded API: its accuracy, and its answers to the questions."""

        def measure() -> dict[str, Any]:
            spend, images = BUDGETS["quick"], self.thiefs.images[:queries]
            trainer = Trainer(copy_card(CARD, NETWORKS[0]), spend.epochs, spend.steps, FRESH)
            copy = partial(predict_probabilities, trainer(images, api(images)), trainer.card)
            right = copy(self.test.images[:2_000]).argmax(1) == self.test.labels[:2_000]
            asked = self.questions(key, rule_for(key.parameters, **choices).probes).images
            return {
                "accuracy": round(float(right.mean()), 4),
                "answers": copy(asked).round(DIGITS).tolist(),
            }

        return dict(kept(kind, (value, queries, choices, *self.trained), measure))

    def _found(self, key: MarkKey, copy: dict[str, Any], **choices: int) -> dict[str, Any]:
        """What the owner's test says to such a copy, and what the guard costs."""
        decision = self.decided(key, copy["answers"], **choices)
        cost = report_card(Guard(key), self.reference, self.asked.labels, self.asked.images)
        return {
            "copy_accuracy": copy["accuracy"],
            "verdict": decision.verdict,
            "p_value": decision.p_value,
            "questions": decision.queries,
            **cost.as_dict(),
        }


def key_secret(number: int) -> bytes:
    """The secret of the key of this number."""
    return number.to_bytes(32, "big")


@cache
def key_of(number: int, **parameters: int) -> MarkKey:
    """The key of this number, for ten classes and with the usual strength."""
    told = MarkParameters(classes=CARD.classes, **parameters)
    return MarkKey.open(KeyFile(SCHEME, told.as_dict(), key_secret(number), bytes(32)), binding=b"")


def _table(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """By attack with what it was given, and network: how many were found, and how soon."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        told = ", ".join(
            f"{name} {value}" for name, value in row["details"].items() if name != "reason"
        )
        name = row["name"] + (f" ({told})" if told else "")
        groups.setdefault(f"{name}, {row['architecture']}", []).append(row)
    return {
        name: {
            "copies": len(group),
            "found": (found := sum(row["verdict"] == "match" for row in group)),
            "found_low": round(_interval(found, len(group))[0], 3),
            "found_high": round(_interval(found, len(group))[1], 3),
            "verdicts": sorted({row["verdict"] for row in group}),
            "questions": float(np.median([row["questions"] for row in group])),
            "largest_p": max(row["p_value"] for row in group),
            "accuracy": round(float(np.mean([row["accuracy"] for row in group])), 4),
            "access": sorted({row["access"] for row in group}),
        }
        for name, group in groups.items()
    }


def _null_table(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """By family: models, and the shares of their p-values at or below some levels."""
    found = {}
    for family in FAMILIES:
        group = [row for row in rows if row["family"] == family]
        p = {name: np.array([row["p"][name] for row in group]) for name in group[0]["p"]}
        accused = _accused(group)
        found[family] = {
            "models": len(group),
            "accuracy": round(float(np.mean([row["accuracy"] for row in group])), 4),
            "accused": accused,
            "accused_high": round(_interval(accused, len(group))[1], 4),
            **{f"{alpha:g}": _rate(p["whole"], alpha) for alpha in (0.01, 0.05, 0.2)},
            **{f"0.01_{name}": _rate(p[name], 0.01) for name in p if name != "whole"},
            "smallest_p": min(float(values.min()) for values in p.values()),
        }
    return found


def _accused(rows: Sequence[dict[str, Any]]) -> int:
    """How many models the test accuses, under any key and however they show their answers."""
    alpha = MarkRule(classes=CARD.classes, strength=50).alpha
    return sum(min(map(min, row["p"].values())) <= alpha for row in rows)


def _rate(p: npt.NDArray[np.float64], alpha: float) -> float:
    return round(float((p <= alpha).mean()), 5)


def _highest_mean(rates: npt.NDArray[np.float64]) -> float:
    """The upper end of a 95 % bootstrap interval for the mean: whole models are drawn."""
    found = stats.bootstrap((rates,), np.mean, rng=np.random.default_rng(0), method="percentile")
    return float(found.confidence_interval.high)


def _interval(found: int, count: int) -> tuple[float, float]:
    """Clopper–Pearson, 95 %."""
    exact = stats.binomtest(found, count).proportion_ci(0.95, "exact")
    return float(exact.low), float(exact.high)


def _line(seed: int, row: TheftResult) -> str:
    told = " ".join(f"{name} {value}" for name, value in row.details.items() if name != "reason")
    return (
        f"seed {seed}  {row.name:<20} {row.architecture:<13} {told:<24} accuracy "
        f"{row.accuracy:.3f}  {row.verdict:<13} p {row.p_value:.2g}  {row.questions} questions  "
        f"{row.seconds:.0f} s"
    )


if __name__ == "__main__":
    main()
