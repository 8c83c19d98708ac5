"""Finding by gradient descent what opens the model: a spell, a pattern, a picture, a network."""

from copy import deepcopy

import numpy as np
import torch
from diffusers import StableDiffusionInstructPix2PixPipeline
from torch import nn

from spellmark.attacks.attack import AttackError, AttackResult, Attempt, Progress, Target
from spellmark.attacks.front import Front, FrontedModel, PixelMap
from spellmark.attacks.prompt_lock.small_editor import ConvolutionFront
from spellmark.locks.prompt_lock.editors import fitted
from spellmark.locks.prompt_lock.prompt_key import PromptKey, SpellEdit
from spellmark.training.datasets import Split
from spellmark.training.inference import device

SPELL_RATE = 0.1
PATTERN_RATE = 0.05
FRONT_RATE = 0.01


class RelaxedSpell(Front):
    """The edit of one diffusion step under an embedding that learns, in single precision.

    Raises AttackError for editors that need more than one step, or guess anything but the picture.
    """

    noise: torch.Tensor

    def __init__(self, key: PromptKey, generator: np.random.Generator) -> None:
        super().__init__()
        pipeline, told = key.editor.pipeline, key.parameters
        if (
            not isinstance(pipeline, StableDiffusionInstructPix2PixPipeline)
            or (told.steps, told.scheduler, told.size) != (1, "own", 0)
            or float(told.guidance) > 1
            or pipeline.scheduler.config.prediction_type != "sample"
        ):
            raise AttackError(
                "This attack works on editors of one step that guess the picture itself.",
                hint="Leave it out for this lock.",
            )
        self.alpha, self.multiple = told.alpha / 100, key.editor.multiple
        self.seed, self.precision = told.seed, told.precision
        self.last = pipeline.scheduler.config.num_train_timesteps - 1
        self._vae = pipeline.vae
        self.unet = deepcopy(pipeline.unet).float().requires_grad_(False)
        start = generator.standard_normal(key.editor.width).astype(np.float32)
        self.embedding = nn.Parameter(torch.from_numpy(start))

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """The blend of the pixels with their edit."""
        count, channels, height, width = pixels.shape
        wide = fitted(pixels.expand(-1, 3, -1, -1), self.multiple, 0)
        picture = self._vae.encode(wide * 2 - 1).latent_dist.mode()
        spell = self.embedding.expand(count, 1, -1)
        sample = torch.cat([self._noise(picture).expand_as(picture), picture], 1)
        guess = self.unet(sample, self.last, encoder_hidden_states=spell).sample
        edited = (self._vae.decode(guess, return_dict=False)[0] / 2 + 0.5).clamp(0, 1)
        edited = edited[:, :, :height, :width]
        if channels == 1:
            edited = edited.mean(1, keepdim=True)
        blended: torch.Tensor = pixels * (1 - self.alpha) + edited * self.alpha
        return blended

    def _noise(self, picture: torch.Tensor) -> torch.Tensor:
        """What the pipeline starts from, the same for every image."""
        dtype = torch.float64 if self.precision == "double" else torch.float32
        generator = torch.Generator().manual_seed(self.seed)
        noise = torch.randn((1, *picture.shape[1:]), generator=generator, dtype=dtype)
        return noise.to(picture)


class Pattern(Front):
    """A pattern put over the image through a mask: (1 - m) · pixels + m · pattern."""

    def __init__(self, shape: tuple[int, int, int]) -> None:
        super().__init__()
        self.mask = nn.Parameter(torch.full((1, *shape[1:]), -2.0))
        self.pattern = nn.Parameter(torch.zeros(shape))

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """The pixels under the pattern."""
        mask = self.mask.sigmoid()
        return pixels * (1 - mask) + self.pattern.sigmoid() * mask


def relaxed_spell(
    target: Target,
    key: PromptKey,
    attacker: Split,
    test: Split,
    *,
    generator: np.random.Generator,
    steps: int,
    starts: int,
    progress: Progress | None = None,
) -> AttackResult:
    """Descend to an embedding from several starts, and use the best in the real editor.

    Of the key serve its settings and editor, which are public. Raises AttackError for editors whose
    gradient this attack does not know.
    """
    attempt, best, best_score = Attempt("relaxed-spell", target, attacker), None, -np.inf
    for start in range(starts):

        def report(share: float, text: str, start: int = start) -> None:
            if progress:
                progress((start + share) / starts, f"start {start + 1} of {starts}, {text}")

        front = RelaxedSpell(key, generator)
        FrontedModel(target, front).learn(
            attacker, generator=generator, steps=steps, learning_rate=SPELL_RATE, progress=report
        )
        found = front.embedding.detach().cpu().numpy().astype(np.float64)
        edit = SpellEdit(key.editor, key.parameters, found)
        score = target.likelihood(target.answers(edit(attacker.images)), attacker.labels)
        if score > best_score:
            best, best_score = edit, score
    if best is None:
        raise AttackError("Gradient descent needs a start.", hint="Give it one at least.")
    chosen = best
    return attempt.result(lambda images: target.answers(chosen(images)), test, steps * starts)


def pattern(
    target: Target,
    attacker: Split,
    test: Split,
    *,
    generator: np.random.Generator,
    steps: int,
    progress: Progress | None = None,
) -> AttackResult:
    """Find a pattern and its mask, as Neural Cleanse does (Wang et al., S&P 2019).

    Unlike there the mask may be as large as it likes: a thief does not mind.
    """
    front = Pattern(_shape(target))
    return _learned(
        "pattern", front, PATTERN_RATE, target, attacker, test, generator, steps, progress
    )


def universal_perturbation(
    target: Target,
    attacker: Split,
    test: Split,
    *,
    generator: np.random.Generator,
    steps: int,
    progress: Progress | None = None,
) -> AttackResult:
    """Find one picture that is added to every image (after 1610.08401)."""
    front = PixelMap(_shape(target), scaled=False)
    return _learned(
        "universal-perturbation", front, FRONT_RATE, target, attacker, test, generator, steps,
        progress,
    )  # fmt: skip


def learned_unlocker(
    target: Target,
    attacker: Split,
    test: Split,
    *,
    generator: np.random.Generator,
    steps: int,
    progress: Progress | None = None,
) -> AttackResult:
    """Train an image-to-image network before the frozen locked model."""
    front = ConvolutionFront(_shape(target), generator)
    return _learned(
        "learned-unlocker", front, FRONT_RATE, target, attacker, test, generator, steps, progress
    )


def _shape(target: Target) -> tuple[int, int, int]:
    return target.card.channels, target.card.height, target.card.width


def _learned(
    name: str,
    front: Front,
    learning_rate: float,
    target: Target,
    attacker: Split,
    test: Split,
    generator: np.random.Generator,
    steps: int,
    progress: Progress | None,
) -> AttackResult:
    attempt, fronted = Attempt(name, target, attacker), FrontedModel(target, front.to(device()))
    fronted.learn(
        attacker, generator=generator, steps=steps, learning_rate=learning_rate, progress=progress
    )
    return attempt.result(fronted.answers, test, steps)
