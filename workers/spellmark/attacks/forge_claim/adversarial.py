"""Transferable adversarial images: what models err on alike, though none copied another.

False Claims against Model Ownership Resolution (arXiv 2304.06607): iterated fast-gradient-sign
steps against the accuser's model and references that he trained himself; the images on which most
of these agree are handed in as triggers. It works on innocents that he never saw, even on models
that do not exist yet, so that an early commitment does not stop it.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch.nn import functional as F

from spellmark.attacks.attack import Progress
from spellmark.attacks.forge_claim.court import Model
from spellmark.attacks.forge_claim.forgery import Forgery
from spellmark.attacks.forge_claim.hand_picked import handed_in
from spellmark.attacks.forge_claim.world import HANDED_IN, World
from spellmark.training.inference import device
from spellmark.watermarks.trigger.trigger_key import Images, Labels

STRENGTHS = (0.1, 0.2, 0.3)


def forge(world: World, progress: Progress) -> list[Forgery]:
    """Every strength, targeted and not; per strength the images that most models agree on."""
    found: list[Forgery] = []
    models = [world.claim.unmarked, *world.references]
    classes = world.claim.marked.card.classes
    chosen = world.own[: world.sizes.candidates]
    for is_targeted in (False, True):
        for strength in STRENGTHS:
            generator = np.random.default_rng([world.seed, int(strength * 10), is_targeted])
            variant = f"{'targeted' if is_targeted else 'untargeted'}, eps {strength}"
            progress(len(found) / (2 * len(STRENGTHS)), variant)
            wanted = (chosen.labels + generator.integers(1, classes, len(chosen))) % classes
            images = i_fgsm(
                models, chosen.images, wanted if is_targeted else chosen.labels,
                strength=strength, steps=world.sizes.steps, is_targeted=is_targeted,
            )  # fmt: skip
            said = np.stack([model.labels(images) for model in models])
            labels = wanted if is_targeted else _most_frequent(said)
            agreeing = (said == labels).sum(0)
            best = np.argsort(-agreeing, kind="stable")[:HANDED_IN]
            found.append(
                handed_in(
                    world, "adversarial images", variant, images[best], labels[best],
                    wrong_on=round(float((labels[best] != chosen.labels[best]).mean()), 3),
                )
            )  # fmt: skip
    return found


def i_fgsm(
    models: Sequence[Model],
    images: Images,
    labels: Labels,
    *,
    strength: float,
    steps: int,
    is_targeted: bool,
) -> Images:
    """Move images against all models at once, uint8 (n, C, H, W).

    strength: by how much a pixel of [0, 1] moves at most. labels: int64 (n,), the classes to reach
    (targeted) or to leave. Steps of 1.5 × strength / steps along the sign of the summed gradient.
    """
    start = torch.from_numpy(np.array(images, copy=True)).to(device()).float() / 255
    wanted = torch.from_numpy(labels).to(device())
    stride = (1 if not is_targeted else -1) * 1.5 * strength / steps
    moved = start.clone()
    for model in models:
        model.net.to(device()).eval()
    for _ in range(steps):
        moved.requires_grad_(True)
        loss = torch.stack([_loss(model, moved, wanted) for model in models]).sum()
        (gradient,) = torch.autograd.grad(loss, moved)
        with torch.no_grad():
            moved = moved + stride * gradient.sign()
            moved = start + (moved - start).clamp(-strength, strength)
            moved = moved.clamp(0, 1)
    return np.asarray((moved * 255).round().byte().cpu().numpy())


def _loss(model: Model, pixels: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    shape = (1, model.card.channels, 1, 1)
    mean = torch.tensor(model.card.mean, device=pixels.device).view(shape)
    std = torch.tensor(model.card.std, device=pixels.device).view(shape)
    return F.cross_entropy(model.net((pixels - mean) / std), labels)


def _most_frequent(said: Labels) -> Labels:
    """The class that most models give to each image."""
    counts = np.apply_along_axis(np.bincount, 0, said, minlength=said.max() + 1)
    return np.asarray(counts.argmax(0), np.int64)
