"""Images that a locked model must not recognise: what makes it a lock."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from spellmark.locks.prompt_lock import image_operations, prompts
from spellmark.locks.prompt_lock.editors import BATCH
from spellmark.locks.prompt_lock.parameters import PROMPT, PromptLockError
from spellmark.locks.prompt_lock.policies import EXTRA, NONE, POLICIES, UNIFORM
from spellmark.locks.prompt_lock.prompt_key import PromptKey, blend
from spellmark.locks.prompt_lock.spells import Embedding
from spellmark.training.fit import one_hot

Images = npt.NDArray[np.uint8]

OPERATIONS_A_BATCH = SHARES_A_BATCH = 4
# So often a near text is drawn before a prompt counts as one that has none to train against.
TRIES = 20
_TRAINED = tuple(image_operations.TRAINED.values())


@dataclass(frozen=True)
class Negatives:
    """How many negatives a batch gets, of which kinds, and what the model shall answer to them.

    policy: `none` (as the abstract of 2405.16285 reads), an `extra-class` (as its checkpoint has
    one), a `random-label`, or the `uniform` answer. An extra class tells a thief which guess was
    right, and can be cut off; the uniform answer cannot.
    share: negatives for each edited image. plain, near, operations: the shares of them that are
    plain images, edits near the key's, and image operations; the rest are edits under wrong keys.
    nearest: the largest share of the embedding's variance that a near spell has in common with the
    key's, in [0, 1].
    pool: how many edits of wrong and near keys are made for each training image; batches draw from
    them.
    """

    policy: str = UNIFORM
    share: float = 0.45
    plain: float = 0.25
    near: float = 0.25
    operations: float = 0.2
    nearest: float = 0.6
    pool: float = 0.5

    def __post_init__(self) -> None:
        if self.policy not in POLICIES:
            raise PromptLockError(
                f"There are no “{self.policy}” negatives.",
                hint=f"Choose one of: {', '.join(POLICIES)}.",
            )

    def prepare(
        self,
        images: Images,
        key: PromptKey,
        generator: np.random.Generator,
        progress: Callable[[float, str], None] | None = None,
    ) -> "Pool":
        """Make the edits from which batches draw: `pool` of them for each image."""
        count = 0 if self.policy == NONE else max(1, round(len(images) * self.pool))
        source = images[generator.integers(len(images), size=count)]
        near = generator.random(count) < self.near / (1 - self.plain - self.operations)
        edited = np.empty_like(source)
        for start in range(0, count, BATCH):
            part = slice(start, start + BATCH)
            embeddings = [
                _near(self, key, generator) if is_near else _wrong(key, generator)
                for is_near in near[part]
            ]
            edited[part] = key.editor.edit(source[part], embeddings, key.parameters)
            if progress:
                done = min(start + BATCH, count)
                progress(done / count, f"{done:,} of {count:,} wrong edits")
        return Pool(self, key, images, source, edited, near)


def _wrong(key: PromptKey, generator: np.random.Generator) -> Embedding:
    if key.parameters.reading == PROMPT and generator.random() < 0.7:
        listed = key.editor.other_prompts(prompts.TRAINED, key.prompt)
        return key.editor.read(listed[generator.integers(len(listed))])
    return generator.standard_normal(key.editor.width)


def _near(negatives: Negatives, key: PromptKey, generator: np.random.Generator) -> Embedding:
    if key.parameters.reading == PROMPT:
        text = _near_text(key, generator)
        return key.editor.read(text) if text else _wrong(key, generator)
    true = key.transforms[generator.integers(len(key.transforms))].embedding
    share = generator.random() * negatives.nearest
    other = generator.standard_normal(true.shape)
    return np.asarray(np.sqrt(share) * true + np.sqrt(1 - share) * other)


def _near_text(key: PromptKey, generator: np.random.Generator) -> str | None:
    """A text near the key's prompt, of those that are not kept for the test."""
    for _ in range(TRIES):
        change = (prompts.typo, prompts.synonym)[generator.integers(2)]
        text = change(key.prompt, generator)
        if prompts.is_trained(text) and key.editor.other_prompts([text], key.prompt):
            return text
    return None


@dataclass(frozen=True)
class Pool:
    """Edits under wrong keys, from which the negatives of a batch are drawn.

    images: the plain training images. source, edited: plain images and what a wrong or near
    (`near`: bool (n,)) key's editor made of them.
    """

    negatives: Negatives
    key: PromptKey
    images: Images
    source: Images
    edited: Images
    near: npt.NDArray[np.bool_]

    def draw(self, count: int, generator: np.random.Generator) -> Images:
        """Negatives for a batch of `count` edited images: uint8 (n, C, H, W)."""
        kinds = self.negatives
        if kinds.policy == NONE:
            return self.images[:0]
        total = round(count * kinds.share)
        plain, operated = round(total * kinds.plain), round(total * kinds.operations)
        drawn = [self.images[generator.integers(len(self.images), size=plain)]]
        for part in np.array_split(np.arange(operated), OPERATIONS_A_BATCH):
            operation = _TRAINED[generator.integers(len(_TRAINED))]
            plainly = self.images[generator.integers(len(self.images), size=len(part))]
            drawn.append(operation(plainly, generator))
        chosen = generator.integers(len(self.source), size=total - plain - operated)
        alpha = self.key.parameters.alpha
        for some in np.array_split(chosen, SHARES_A_BATCH):
            # A wrong edit is wrong however strongly it is blended in.
            share = alpha + round(generator.uniform(-0.4, 0.4) * min(alpha, 100 - alpha))
            drawn.append(blend(self.source[some], self.edited[some], share))
        return np.concatenate(drawn)

    def targets(
        self,
        count: int,
        classes: int,
        generator: np.random.Generator,
        pixels: tuple[int, ...] = (),
    ) -> torch.Tensor:
        """What the model shall answer to `count` negatives: float32 (count, classes, *pixels).

        pixels: the height and width of a segmenter's masks; a classifier has none.
        """
        if self.negatives.policy == UNIFORM:
            return torch.full((count, classes, *pixels), 1 / classes)
        if self.negatives.policy == EXTRA:
            return one_hot(np.full((count, *pixels), classes - 1), classes)
        return one_hot(generator.integers(classes, size=(count, *pixels)), classes)
