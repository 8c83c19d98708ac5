"""The models of the claims' table: owners with a mark, innocents, thieves.

Fashion-MNIST. Every model is trained once and kept in benchmarks/cache, so that a stopped run goes
on. Owners, pool and innocents are never trained with a look at any thief.
"""

import hashlib
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from kept import CACHE
from key_lock_accuracy import CARD
from torch import nn

from spellmark.attacks.attack import Answers, Images
from spellmark.attacks.extract.answers import labels_only
from spellmark.attacks.extract.removals import fine_tuned, quantised
from spellmark.attacks.extract.training import Trainer
from spellmark.attacks.fine_tune import HeadOnly
from spellmark.attacks.prune import prune_and_tune
from spellmark.evidence.null_pool import KINDS, OTHER_DATA, SAME_ARCHITECTURE
from spellmark.model_files.card import ModelCard
from spellmark.secrets import KeyFile
from spellmark.training import datasets, weights
from spellmark.training.architectures import fresh
from spellmark.training.datasets import Split
from spellmark.training.fit import Recipe, fit
from spellmark.training.inference import predict_probabilities, to_input
from spellmark.watermarks import external_feature
from spellmark.watermarks.external_feature import Style
from spellmark.watermarks.external_feature.embed import embed as embed_style
from spellmark.watermarks.trigger.embed import embed
from spellmark.watermarks.trigger.parameters import SCHEME, recommended
from spellmark.watermarks.trigger.trigger_key import TriggerKey

OTHER_LABELS = "another label space"
# Of innocents that are more accurate than the owner: they have so many times as many images.
MORE_DATA, MORE = "three times as much other data", 3
# Tops, trousers, coats, shoes, bags.
COARSE = np.array([0, 1, 0, 2, 2, 3, 0, 3, 4, 3])
COARSE_CARD = replace(CARD, classes=5)
# As the pool's job varies them.
ARCHITECTURES: tuple[tuple[str, dict[str, Any]], ...] = (
    ("small-resnet", {"width": 12}), ("small-cnn", {"width": 16}), ("small-mlp", {"width": 256}),
    ("small-resnet", {"width": 20}), ("small-cnn", {"width": 24}), ("small-mlp", {"width": 128}),
)  # fmt: skip
RATES = (4e-3, 2e-3, 3e-3)
# What an owner's model carries, and so what its copies may be told by.
TRIGGERS, STYLE = "triggers", "style"
# Of each batch that is restyled, in percent.
SHARE = 20
GENTLY, HARD = 1e-3, 4e-3
# An adversary's step and reach, in shares of the range (as SAC has them), and rounds.
REACH, STEP, STEPS = 4 / 256, 1 / 256, 8


@dataclass(frozen=True)
class Size:
    """images: that each model learns from. epochs: of every training. pool, innocents: of each
    kind; innocents of the other label space: half as many; with more data: a fifth. thieves: of
    each owner's model with triggers, by attack; of the one with a style there is one.
    """

    owners: int = 3
    images: int = 4_000
    epochs: int = 5
    pool: int = 20
    innocents: int = 20
    thieves: int = 3
    attacks: tuple[str, ...] = ()

    @property
    def of_other_labels(self) -> int:
        return self.innocents // 2

    @property
    def with_more_data(self) -> int:
        return -(-self.innocents // 5)


@dataclass(frozen=True)
class Made:
    """A model with its card, and how right it is. kind: of innocents, or a thief's attack."""

    kind: str
    name: str
    model: nn.Module = field(repr=False)
    card: ModelCard = field(repr=False)

    @property
    def digest(self) -> str:
        """64 hex digits that stand for its weights, as a file's digest does in the pool."""
        whole = hashlib.sha256(self.name.encode())
        for tensor in self.model.state_dict().values():
            whole.update(tensor.numpy().tobytes())
        return whole.hexdigest()

    def tensors(self) -> dict[str, npt.NDArray[Any]]:
        """Its weights by name."""
        return {name: part.numpy() for name, part in self.model.state_dict().items()}

    def __call__(self, images: Images) -> Answers:
        return predict_probabilities(self.model, self.card, images)


class Makers:
    """Makes all models of a size."""

    def __init__(self, size: Size) -> None:
        self.size = size
        data = datasets.load("fashion-mnist")
        count = size.images
        self.owners_images, self.thiefs = data.train[:count], data.train[count : 2 * count]
        self.rest = data.train[2 * count :]
        half = len(data.test) // 2
        self.asked, self.test = data.test[:half], data.test[half:]

    def key(self, owner: int, number: int = 0) -> TriggerKey:
        """A trigger key; the owner's own is number 0."""
        shape = (CARD.channels, CARD.height, CARD.width)
        secret = hashlib.sha256(f"{owner} {number}".encode()).digest()
        file = KeyFile(SCHEME, recommended(CARD.classes, *shape).as_dict(), secret, bytes(32))
        return TriggerKey.open(file, owner=str(owner), binding=b"drawn by the registry")

    def unmarked(self, owner: int) -> Made:
        """The owner's model before the watermark."""
        return self._kept("owner", f"owner-{owner}", CARD, lambda: self._plain(CARD, owner))

    def marked(self, owner: int) -> Made:
        """The owner's model."""
        return self._kept(
            "owner", f"marked-{owner}", CARD,
            lambda: embed(
                deepcopy(self.unmarked(owner).model), CARD, self.owners_images, self.key(owner)
            ),
        )  # fmt: skip

    def style(self, owner: int) -> Style:
        """The owner's secret style."""
        chosen = external_feature.recommended(CARD.classes, CARD.channels, CARD.height, CARD.width)
        secret = hashlib.sha256(f"style {owner}".encode()).digest()
        file = KeyFile(external_feature.SCHEME, chosen.as_dict(), secret, bytes(32))
        return Style.open(file, owner=str(owner), binding=b"drawn by the registry")

    def styled(self, owner: int) -> Made:
        """The owner's model with the external feature in place of triggers."""
        return self._kept(
            "owner", f"styled-{owner}", CARD,
            lambda: embed_style(
                deepcopy(self.unmarked(owner).model), CARD, self.owners_images, self.style(owner),
                share=SHARE,
            ),
        )  # fmt: skip

    def innocents(self, use: str, of_a_kind: int, first_seed: int) -> Iterator[Made]:
        """Independent models, so many of each kind."""
        for place, kind in enumerate(KINDS):
            for number in range(of_a_kind):
                seed = first_seed + 1000 * place + number
                # The pool's other-data models are all built like the owner's, for the weights.
                alike = kind == SAME_ARCHITECTURE or (
                    kind == OTHER_DATA and (use == "pool" or number % 2 == 0)
                )
                card = CARD
                if not alike:
                    architecture, config = ARCHITECTURES[number % len(ARCHITECTURES)]
                    card = replace(CARD, architecture=architecture, config=config)
                data = self._other_data(seed) if kind == OTHER_DATA else self.owners_images
                rate = RATES[number % len(RATES)]
                yield self._kept(
                    kind, f"{use}-{kind}-{number}", card,
                    lambda card=card, seed=seed, data=data, rate=rate: self._plain(
                        card, seed, data, rate
                    ),
                )  # fmt: skip

    def of_other_labels(self, first_seed: int) -> Iterator[Made]:
        """Independent models of five classes, half of them trained on the owner's images."""
        for number in range(self.size.of_other_labels):
            seed = first_seed + number
            data = self.owners_images if number % 2 else self._other_data(seed)
            yield self._kept(
                OTHER_LABELS, f"innocent-{OTHER_LABELS}-{number}", COARSE_CARD,
                lambda seed=seed, data=data: self._plain(COARSE_CARD, seed, coarse(data)),
            )  # fmt: skip

    def with_more_data(self, first_seed: int) -> Iterator[Made]:
        """Independent models that know more than the owner's, built alike."""
        for number in range(self.size.with_more_data):
            seed = first_seed + number
            yield self._kept(
                MORE_DATA, f"innocent-{MORE_DATA}-{number}", CARD,
                lambda seed=seed: self._plain(CARD, seed, self._other_data(seed, MORE)),
            )  # fmt: skip

    def thieves(self, owner: int, mark: str = TRIGGERS) -> Iterator[Made]:
        """Copies, by every attack, of the owner's model that carries this mark."""
        made, copies, prefix = self.marked, self.size.thieves, "thief"
        if mark == STYLE:
            made, copies, prefix = self.styled, 1, "style-thief"
        for name, (card, make) in ATTACKS.items():
            for number in range(copies):
                if not self.size.attacks or name in self.size.attacks:
                    yield self._kept(
                        name, f"{prefix}-{owner}-{name}-{number}", card,
                        lambda make=make, number=number: make(
                            self, made(owner), 100 * owner + number
                        ),
                    )  # fmt: skip

    def _plain(
        self, card: ModelCard, seed: int, data: Split | None = None, rate: float = RATES[0]
    ) -> nn.Module:
        recipe = Recipe(self.size.epochs, learning_rate=rate, seed=seed)
        return fit(fresh(card, seed), card, self.owners_images if data is None else data, recipe)

    def _other_data(self, seed: int, times: int = 1) -> Split:
        count = times * self.size.images
        drawn = np.random.default_rng(seed).choice(len(self.rest), count, replace=False)
        return Split(self.rest.images[drawn], self.rest.labels[drawn])

    def _kept(self, kind: str, name: str, card: ModelCard, make: Callable[[], nn.Module]) -> Made:
        # A name stands for one card; a card's own fields may come to be more.
        settings = repr((name, self.size.images, self.size.epochs, torch.__version__))
        number = hashlib.sha256(settings.encode()).hexdigest()[:24]
        path = CACHE / f"claims-{number}.safetensors"
        if not path.exists():
            weights.save(make(), card, path)
        model, _ = weights.load(path)
        return Made(kind, name, model.eval(), card)


def coarse(data: Split) -> Split:
    """The same images with five classes."""
    return Split(data.images, COARSE[data.labels])


def _tuned(makers: Makers, owner: Made, seed: int, rate: float) -> nn.Module:
    return fine_tuned(
        owner.model, CARD, makers.thiefs, epochs=makers.size.epochs, learning_rate=rate, seed=seed
    )


def _tuned_last(makers: Makers, owner: Made, seed: int) -> nn.Module:
    head = HeadOnly(deepcopy(owner.model))
    recipe = Recipe(makers.size.epochs, learning_rate=GENTLY, seed=seed)
    fit(head, CARD, makers.thiefs, recipe)
    return head.model


def _pruned(makers: Makers, owner: Made, seed: int, share: float) -> nn.Module:
    return prune_and_tune(
        owner.model, CARD, makers.thiefs, share=share, epochs=makers.size.epochs, seed=seed
    )


def _extracted(
    makers: Makers, owner: Made, seed: int, change: Callable[[Answers], Answers]
) -> nn.Module:
    trainer = Trainer(CARD, makers.size.epochs, 0, 500 + seed)
    return trainer(makers.thiefs.images, change(owner(makers.thiefs.images)))


def _extracted_adversarially(makers: Makers, owner: Made, seed: int) -> nn.Module:
    """By labels, then two rounds on images that the copy itself was led astray on (SAC)."""
    copy = _extracted(makers, owner, seed, labels_only)
    for turn in range(2):
        images = _led_astray(copy, makers.thiefs.images)
        recipe = Recipe(1, learning_rate=GENTLY, seed=seed + turn)
        fit(copy, CARD, Split(images, owner(images).argmax(1)), recipe)
    return copy


def _transferred(makers: Makers, owner: Made, seed: int) -> nn.Module:
    """Fine-tuned to five classes under a fresh head."""
    copy, learnt = fresh(COARSE_CARD, seed), owner.model.state_dict()
    new = copy.state_dict()
    same = {name: part for name, part in learnt.items() if part.shape == new[name].shape}
    copy.load_state_dict(new | same)
    recipe = Recipe(makers.size.epochs, learning_rate=GENTLY, seed=seed)
    return fit(copy, COARSE_CARD, coarse(makers.thiefs), recipe)


def _led_astray(model: nn.Module, images: Images) -> Images:
    """Projected gradient steps against the model's own labels (1706.06083)."""
    model.eval()
    made = []
    for start in range(0, len(images), 500):
        clean = to_input(images[start : start + 500], CARD)
        # One grey level is this much of what the network takes.
        level = float(to_input(np.full((1, 1, 1, 1), 255, np.uint8), CARD).max()) - float(
            to_input(np.zeros((1, 1, 1, 1), np.uint8), CARD).max()
        )
        with torch.no_grad():
            labels = model(clean).argmax(1)
        moved = clean.clone()
        for _ in range(STEPS):
            moved.requires_grad_(True)
            loss = nn.functional.cross_entropy(model(moved), labels)
            (slope,) = torch.autograd.grad(loss, moved)
            with torch.no_grad():
                moved = moved + STEP * level * slope.sign()
                moved = clean + (moved - clean).clamp(-REACH * level, REACH * level)
        shift = ((moved - clean) / level * 255).round().numpy()
        made.append(np.clip(images[start : start + 500] + shift, 0, 255).astype(np.uint8))
    return np.concatenate(made)


_Make = Callable[[Makers, Made, int], nn.Module]
ATTACKS: dict[str, tuple[ModelCard, _Make]] = {
    "fine-tune all, gently": (CARD, lambda m, o, s: _tuned(m, o, s, GENTLY)),
    "fine-tune all, hard": (CARD, lambda m, o, s: _tuned(m, o, s, HARD)),
    "fine-tune last": (CARD, _tuned_last),
    "prune 30 % + fine-tune": (CARD, lambda m, o, s: _pruned(m, o, s, 0.3)),
    "prune 60 % + fine-tune": (CARD, lambda m, o, s: _pruned(m, o, s, 0.6)),
    "prune 85 % + fine-tune": (CARD, lambda m, o, s: _pruned(m, o, s, 0.85)),
    "quantise to 4 bits, fine-tuned": (
        CARD, lambda m, o, s: quantised(_tuned(m, o, 50 + s, GENTLY), 4),
    ),
    "extract by labels": (CARD, lambda m, o, s: _extracted(m, o, s, labels_only)),
    "extract by probabilities": (CARD, lambda m, o, s: _extracted(m, o, s, lambda given: given)),
    "extract adversarially": (CARD, _extracted_adversarially),
    "transfer to five classes": (COARSE_CARD, _transferred),
}  # fmt: skip
