"""What a prompt lock is worth: accuracy under the spell, without it, and near it."""

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import betaincinv
from torch import nn

from spellmark.locks.prompt_lock import image_operations, prompts
from spellmark.locks.prompt_lock.parameters import SPELL
from spellmark.locks.prompt_lock.prompt_key import PromptKey, SpellEdit, blend
from spellmark.locks.prompt_lock.spells import embedding, spell_key
from spellmark.model_files.card import ModelCard
from spellmark.training.datasets import Split
from spellmark.training.inference import predict_probabilities
from spellmark.training.segmentation import SegmentationSplit

Images = npt.NDArray[np.uint8]
Labels = npt.NDArray[np.int64]

ALPHAS = (10, 25, 40, 60, 75, 100)
# A spell unlocks when it comes as near as this to the right one.
UNLOCKS_WITHIN = 0.05
# How often each image operation is drawn.
TIMES = 8


@dataclass(frozen=True)
class Marking:
    """How models of a kind answer, and how their answers are marked.

    answers: the most likely of so many classes, for a model, its card and images. score: in [0, 1],
    of answers against the labels, for so many classes.
    """

    answers: Callable[[nn.Module, ModelCard, Images, int], Labels]
    score: Callable[[Labels, Labels, int], float]


def _classes(model: nn.Module, card: ModelCard, images: Images, classes: int) -> Labels:
    answers: Labels = predict_probabilities(model, card, images)[:, :classes].argmax(1)
    return answers


ACCURACY = Marking(_classes, lambda found, labels, _: float((found == labels).mean()))


@dataclass(frozen=True)
class PromptReportCard:
    """Accuracies in [0, 1], or a segmenter's mean IoUs. Answers without the spell are read with
    the owner's label permutation, as if the thief knew it, and over the real classes only.

    published: the unprotected model on edited images: how much the edit itself hides.
    plain: the locked model on images as they are. geometry: on images that went the editor's way
    without an edit, and were blended in like one: in the key's squares, and in squares of half the
    images' height; by their side in pixels, 0 for none. Neither must unlock.
    wrong: one for each random embedding. near: one for each text near the spell; the texts would
    tell the spell, so they are not kept. prompts: for listed prompts, read by the editor's text
    encoder: beside a spell each by itself, beside a readable prompt by families (see `_listed`).
    operations: for each image operation, those that the lock was trained against and those
    that it was not. alphas: under the right spell, blended more or less. bits: random embeddings
    hold at least so many bits against guessing (95 % confidence); None for prompts that the editor
    reads, for people choose those.
    """

    unprotected: float
    published: float
    right: float
    plain: float
    geometry: dict[str, float]
    wrong: tuple[float, ...]
    near: tuple[float, ...]
    prompts: dict[str, tuple[float, ...]]
    trained_operations: dict[str, float]
    held_out_operations: dict[str, float]
    alphas: dict[str, float]
    bits: float | None
    test_images: int
    wrong_key_images: int

    def as_dict(self) -> dict[str, Any]:
        """The report card as plain numbers, for JSON, with means and the tail of each list."""
        listed = [one for found in self.prompts.values() for one in found]
        return {
            **asdict(self),
            "wrong": list(self.wrong),
            "wrong_keys": len(self.wrong),
            "near": list(self.near),
            **_summary("wrong", self.wrong),
            **_summary("near", self.near),
            "prompts": {
                name: round(float(np.mean(found)), 4) for name, found in self.prompts.items()
            },
            "prompts_tried": len(listed),
            **_summary("prompts", listed),
        }


def report_card(
    locked: nn.Module,
    unprotected: nn.Module,
    card: ModelCard,
    test: Split | SegmentationSplit,
    key: PromptKey,
    near: Sequence[SpellEdit],
    *,
    wrong_keys: int = 300,
    wrong_key_images: int = 200,
    seed: int = 0,
    marking: Marking = ACCURACY,
    progress: Callable[[float, str], None] | None = None,
) -> PromptReportCard:
    """Measure a locked model on held-out images, beside the model it was made from.

    near: the edits of texts near the spell (see `near_edits`). marking: for other models than
    classifiers (see `segmentation`).
    """
    generator, part = np.random.default_rng(seed), test[:wrong_key_images]
    listed = _listed(key)
    total, done = wrong_keys + len(near) + sum(map(len, listed.values())), 0

    def reached(images: Images, labels: Labels = part.labels) -> float:
        """What a thief reads from the locked model: under the sub-key that suits best."""
        found = marking.answers(locked, card, images, key.classes)
        return max(
            round(marking.score(found, key.encode(labels, j), key.classes), 4)
            for j in range(len(key.labels))
        )

    def unlocked(images: Images) -> float:
        found = marking.answers(unprotected, card, images, key.classes)
        return marking.score(found, test.labels, key.classes)

    def under(edit: SpellEdit) -> float:
        nonlocal done
        done += 1
        if progress:
            progress(done / total, f"wrong key {done:,} of {total:,}")
        return reached(edit(part.images))

    def operated(operations: dict[str, image_operations.Operation]) -> dict[str, float]:
        return {
            name: round(
                float(np.mean([reached(do(part.images, generator)) for _ in range(TIMES)])), 4
            )
            for name, do in operations.items()
        }

    rights, published = [], []
    for j in range(len(key.transforms)):
        images = key(test.images, j)
        answers = marking.answers(locked, card, images, key.classes)
        rights.append(marking.score(key.decode(answers, j), test.labels, key.classes))
        published.append(unlocked(images))
    edited = key.transforms[0].edited(part.images)
    right, wrong = (
        float(np.mean(rights)),
        tuple(under(key.drawn(generator)) for _ in range(wrong_keys)),
    )
    return PromptReportCard(
        unprotected=unlocked(test.images),
        published=float(np.mean(published)),
        right=right,
        plain=reached(test.images, test.labels),
        geometry={
            str(size): reached(_by_geometry(key, part.images, size))
            for size in (key.parameters.size, part.images.shape[2] // 2)
        },
        wrong=wrong,
        near=tuple(under(edit) for edit in near),
        prompts={
            name: tuple(under(key.under(text)) for text in texts) for name, texts in listed.items()
        },
        trained_operations=operated(image_operations.TRAINED),
        held_out_operations=operated(image_operations.HELD_OUT),
        alphas={str(alpha): reached(blend(part.images, edited, alpha)) for alpha in ALPHAS},
        bits=guessing_bits(sum(one >= right - UNLOCKS_WITHIN for one in wrong), wrong_keys)
        if key.parameters.reading == SPELL
        else None,
        test_images=len(test),
        wrong_key_images=len(part),
    )


def near_edits(
    key: PromptKey, secret: bytes, *, binding: bytes, count: int = 50, seed: int = 1
) -> list[SpellEdit]:
    """The edits of texts near the spell (see `prompts.near`), for who has the key file open."""
    # Some of them an editor reads as the prompt itself, or not to their end.
    texts = prompts.near(key.prompt, 2 * count, np.random.default_rng(seed))
    if key.parameters.reading != SPELL:
        others = key.editor.other_prompts(texts, key.prompt)[:count]
        return [key.under(text) for text in others]
    width = key.editor.width
    return [
        SpellEdit(
            key.editor, key.parameters, embedding(spell_key(secret, text, binding=binding), width)
        )
        for text in texts[:count]
    ]


def _by_geometry(key: PromptKey, images: Images, size: int) -> Images:
    """The control: an edit that changes nothing, in squares of this side."""
    parameters = replace(key.parameters, size=size)
    return blend(images, key.editor.unedited(images, parameters), parameters.alpha)


def _listed(key: PromptKey) -> dict[str, list[str]]:
    """The listed prompts to try, by the name under which the report card tells them.

    A readable prompt may be on the list, and the one name that is missing would give it away. So
    only families have names, and each leaves one prompt out, the key's own or its last.
    """
    if key.parameters.reading == SPELL:
        return {text: [text] for text in key.editor.readable(prompts.HELD_OUT)}
    return {
        name: key.editor.other_prompts(texts, key.prompt)[: len(texts) - 1]
        for name, texts in prompts.FAMILIES.items()
    }


def guessing_bits(unlocked: int, tried: int) -> float:
    """At the least so many bits does a random key hold, with 95 % confidence (Clopper–Pearson).

    Counted, never inferred from the length of a text: more random keys tried give a higher bound.
    """
    if unlocked >= tried:
        return 0.0
    return round(-math.log2(float(betaincinv(unlocked + 1, tried - unlocked, 0.95))), 2)


def _summary(name: str, values: Sequence[float]) -> dict[str, float]:
    if not values:
        return {}
    return {
        f"{name}_mean": round(float(np.mean(values)), 4),
        f"{name}_p95": round(float(np.percentile(values, 95)), 4),
        f"{name}_max": max(values),
    }
