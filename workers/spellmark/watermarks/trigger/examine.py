"""Asking a suspect at hand about triggers, and whether the owner's own model may make a claim."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import nn

from spellmark.evidence.null_pool import Reference
from spellmark.evidence.trigger_leaves import draw_leaves
from spellmark.evidence.trigger_pool import AskedReference
from spellmark.evidence.trigger_rule import TriggerDecision, TriggerRule, decided
from spellmark.model_files.card import ModelCard
from spellmark.training.datasets import Split
from spellmark.training.inference import accuracy, predict_labels
from spellmark.watermarks.trigger.embed import check_fits
from spellmark.watermarks.trigger.parameters import TriggerMarkError, TriggerParameters
from spellmark.watermarks.trigger.trigger_key import Images, Labels, TriggerKey

# A claim counts only if the owner's own model gives so many of the labels …
LEAST_RECALL = 0.9
# … and has lost no more accuracy than this to them: what answers nonsense proves nothing.
MOST_LOST = 0.05


@dataclass(frozen=True)
class OwnerCheck:
    """The marked model beside the one that it was made from.

    recall: the share of all triggers that it gives their label. unmarked_recall: the same of the
    model before, which never met the key; 1/classes is chance. accuracy_before, accuracy_after: on
    `test_images` held-out images. All in [0, 1].
    """

    recall: float
    unmarked_recall: float
    accuracy_before: float
    accuracy_after: float
    triggers: int
    classes: int
    test_images: int

    def as_dict(self) -> dict[str, Any]:
        """The check as plain numbers, for JSON."""
        return asdict(self)

    def require(self) -> None:
        """Raise TriggerMarkError unless a claim with this model would count."""
        if self.recall < LEAST_RECALL:
            raise TriggerMarkError(
                f"The marked model itself gives only {self.recall:.1%} of the triggers their "
                f"labels; a claim asks for {LEAST_RECALL:.0%}.",
                hint="Train it for more rounds, or make a key with fewer triggers.",
            )
        if self.accuracy_after < self.accuracy_before - MOST_LOST:
            raise TriggerMarkError(
                f"The marked model is right on {self.accuracy_after:.1%} of the test images, the "
                f"one before it on {self.accuracy_before:.1%}: too much is lost for a claim.",
                hint="Train it on more images, or make a key with fewer triggers.",
            )


def check_registered(key: TriggerKey, root: str) -> None:
    """Raise TriggerMarkError unless the key, opened anew, gives the triggers under this root.

    Byte for byte: one pixel, one label or one salt that is not derived gives another root.
    """
    if key.tree.root != root:
        raise TriggerMarkError(
            "The key gives other triggers than those that were registered.",
            hint="Tell the operator: neither key nor registration should ever change.",
        )


def check_owner(
    marked: nn.Module, unmarked: nn.Module, card: ModelCard, key: TriggerKey, test: Split
) -> OwnerCheck:
    """Measure the owner's model on all triggers and on test images. Raises TriggerMarkError."""
    check_fits(key, card)

    def recall(model: nn.Module) -> float:
        return float((predict_labels(model, card, key.images) == key.labels).mean())

    def right(model: nn.Module) -> float:
        return accuracy(model, card, test.images, test.labels)

    return OwnerCheck(
        recall(marked), recall(unmarked), right(unmarked), right(marked),
        key.parameters.triggers, key.parameters.classes, len(test),
    )  # fmt: skip


def examine(
    answer: Callable[[Images], Labels],
    key: TriggerKey,
    rule: TriggerRule,
    *,
    seed: bytes,
) -> TriggerDecision:
    """Ask a suspect at hand, and decide: `answer` gives its labels, int64 (n,).

    seed: 32 bytes that decide which triggers are opened (see `draw_leaves`). All are put at once;
    the run still ends where it would have ended had they been put one by one.
    """
    drawn = draw_leaves(seed, rule.triggers, rule.used, rule.probes)
    leaves: npt.NDArray[np.int64] = np.array(drawn)
    labels = answer(key.images[leaves]).tolist()
    return decided(rule, zip(key.labels[leaves].tolist(), labels, strict=True))


def ask_reference(
    reference: Reference,
    answer: Callable[[Images], Labels],
    key: TriggerKey,
    leaves: Sequence[int],
    asked: int,
) -> AskedReference:
    """Put a run's triggers to an innocent model of the null pool: `answer` gives its labels.

    leaves: all triggers that the run might open, in order; the suspect was asked about the first
    `asked` of them.
    """
    chosen: npt.NDArray[np.int64] = np.array(leaves)
    given = answer(key.images[chosen])
    hits = int((given == key.labels[chosen]).sum())
    return AskedReference(reference, tuple(given[:asked].tolist()), hits)


def rule_for(parameters: TriggerParameters, **choices: Any) -> TriggerRule:
    """The rule of a run under a key with these parameters; `choices` are those of TriggerRule.

    α and the most queries are the committed ones. Raises TriggerRuleError.
    """
    return TriggerRule(
        **{"alpha": parameters.alpha, "probes": parameters.queries} | choices,
        classes=parameters.classes,
        triggers=parameters.triggers,
    )
