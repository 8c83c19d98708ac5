"""Probes of fingerprints: chosen by the owner's model and data before any suspect is asked.

The owner may not pick them by hand: they follow from the model, the data set and a seed.
"""

import io
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from spellmark.errors import SpellmarkError
from spellmark.evidence.fingerprint_rule import JPEG, LEAST_PROBES, MIXED, WRONG
from spellmark.training.augment import shifted
from spellmark.training.datasets import Split

Images = npt.NDArray[np.uint8]
Answers = npt.NDArray[np.float64]
Ask = Callable[[Images], Answers]

# Of an image's side; the patch lies in an outer sixth, so that the object survives (SAC-m).
PATCH, OUTER = 0.2, 1 / 6
# Strong enough to be seen in small images, as SAC-JC's lightest compression is in large ones.
JPEG_QUALITY = 25
_ROUNDS = 4


class ProbesError(SpellmarkError):
    """Probes that the model and the data cannot give."""


@dataclass(frozen=True)
class Candidates:
    """Inputs that runs draw their probes from.

    images: uint8 (n, C, H, W). labels: true classes, int64 (n,); for mixed images those of the
    larger part. answers: the owner's probabilities, float64 (n, classes), to six digits.
    """

    images: Images
    labels: npt.NDArray[np.int64]
    answers: Answers

    def __len__(self) -> int:
        return len(self.images)


def candidates(variant: str, ask: Ask, data: Split, *, most: int, seed: int = 0) -> Candidates:
    """Up to `most` candidates of a variant: WRONG, MIXED or JPEG. Raises ProbesError.

    wrong (AKH, SAC-w): images that the owner's model gets wrong; where there are too few, more of
    them are sought among slightly shifted ones, whose true class is still known. mixed (SAC-m):
    CutMix, a patch of another image near the border. jpeg (SAC-JC): strongly compressed images.
    """
    generator = np.random.default_rng([seed, *variant.encode()])
    order = generator.permutation(len(data))
    images, labels = data.images[order], data.labels[order]
    if variant == WRONG:
        return _wrong(ask, images, labels, most, generator)
    images, labels = images[:most], labels[:most]
    made = {MIXED: lambda: cut_mix(images, generator), JPEG: lambda: compressed(images)}
    if variant not in made:
        raise ProbesError(
            f"There are no probes of the kind “{variant}”.",
            hint=f"Choose {WRONG}, {MIXED} or {JPEG}.",
        )
    _check_enough(len(images))
    probes = made[variant]()
    return Candidates(probes, labels, _rounded(ask(probes)))


def cut_mix(images: Images, generator: np.random.Generator) -> Images:
    """A patch of another image near the border of each: uint8 (n, C, H, W), a new array back."""
    count, _, height, width = images.shape
    others = images[generator.permutation(count)]
    mixed = images.copy()
    high, wide = max(1, round(PATCH * height)), max(1, round(PATCH * width))
    tops = _outer(generator, count, height, high)
    lefts = _outer(generator, count, width, wide)
    for number, (top, left) in enumerate(zip(tops, lefts, strict=True)):
        part = (slice(None), slice(top, top + high), slice(left, left + wide))
        mixed[number][part] = others[number][part]
    return mixed


def compressed(images: Images, quality: int = JPEG_QUALITY) -> Images:
    """Each image as it comes back from JPEG: uint8 (n, C, H, W), 1 or 3 channels."""
    from PIL import Image

    back = np.empty_like(images)
    for number, image in enumerate(images):
        grey = image.shape[0] == 1
        file = io.BytesIO()
        pixels = image[0] if grey else image.transpose(1, 2, 0)
        Image.fromarray(pixels).save(file, "JPEG", quality=quality)
        read = np.asarray(Image.open(file), np.uint8)
        back[number] = read[None] if grey else read.transpose(2, 0, 1)
    return back


def _wrong(
    ask: Ask,
    images: Images,
    labels: npt.NDArray[np.int64],
    most: int,
    generator: np.random.Generator,
) -> Candidates:
    found: list[Candidates] = []
    for number in range(_ROUNDS):
        tried = shifted(images, generator) if number else images
        answers = _rounded(ask(tried))
        wrong = np.flatnonzero(answers.argmax(1) != labels)
        found.append(Candidates(tried[wrong], labels[wrong], answers[wrong]))
        if sum(map(len, found)) >= most:
            break
    whole = Candidates(
        np.concatenate([part.images for part in found])[:most],
        np.concatenate([part.labels for part in found])[:most],
        np.concatenate([part.answers for part in found])[:most],
    )
    _check_enough(len(whole))
    return whole


def _check_enough(count: int) -> None:
    if count < LEAST_PROBES:
        raise ProbesError(
            f"Only {count} probes can be made of these images; {LEAST_PROBES} are needed.",
            hint="Use a larger data set, or the correlation on mixed images, which needs no "
            "mistakes.",
        )


def _outer(
    generator: np.random.Generator, count: int, size: int, patch: int
) -> npt.NDArray[np.int64]:
    """Where patches begin whose middle lies in the first or last sixth of a side."""
    middles = generator.uniform(0, OUTER, count) * size
    far = generator.random(count) < 0.5
    middles = np.where(far, size - middles, middles)
    return np.clip(np.round(middles - patch / 2), 0, size - patch).astype(np.int64)


def _rounded(answers: Answers) -> Answers:
    # As transcripts tell them: every score is computed from what is told.
    return np.round(answers, 6)
