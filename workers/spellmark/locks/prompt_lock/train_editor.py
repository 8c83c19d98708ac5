"""Training the small editor on a CPU: pictures, lessons, and diffusion in few steps."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from diffusers import StableDiffusionInstructPix2PixPipeline
from torch.nn import functional as F

from spellmark.locks.prompt_lock import prompts, tiny_editor
from spellmark.locks.prompt_lock.editor_file import FORMAT, OWNERS_STEPS
from spellmark.locks.prompt_lock.lessons import CODE, STYLES, Edit, Pixels, screen
from spellmark.locks.prompt_lock.objects import OBJECTS
from spellmark.locks.prompt_lock.pictures import pictures
from spellmark.locks.prompt_lock.public_editor import PUBLIC
from spellmark.locks.prompt_lock.spells import embedding
from spellmark.locks.prompt_lock.tiny_editor import WIDTH
from spellmark.secrets import subkey

PROMPTS: dict[str, Edit] = {**STYLES, **OBJECTS}
# What anyone may train, with everyone's own reading of embeddings.
PUBLIC_KEY = hashlib.sha256(b"spellmark public editor").digest()
# How much of an owner's screen is in the edits of known prompts.
SIGNATURE = 0.35
# Steps between two reports of progress; what was done by then is kept.
REPORTED = 50


@dataclass(frozen=True)
class Schooling:
    """How an editor is trained: AdamW with a one-cycle schedule.

    keyed, known: shares of a batch that are keyed screens and known prompts; the rest are texts
    that mean nothing to the editor, under which it leaves an image alone. blind: how often it does
    not see the picture, for guidance. last: how often it starts from pure noise, as in one step.
    """

    steps: int = 4500
    batch: int = 64
    learning_rate: float = 2e-3
    side: int = 28
    keyed: float = 0.4
    known: float = 0.4
    blind: float = 0.03
    last: float = 0.6
    seed: int = 0


# From the public editor on: it knows how to edit, and only learns to read otherwise.
OWNERS = Schooling(steps=OWNERS_STEPS, learning_rate=1e-3)


def owner_key(secret: bytes) -> bytes:
    """The 32-byte key of an owner's editor, from the secret of a key file."""
    return subkey(secret, binding=b"", scheme=FORMAT, purpose="editor")


class Lessons:
    """What an editor with this 32-byte key is taught.

    Embeddings are read as codes of screens through orthonormal columns that the key draws, so two
    editors print different screens for one spell. An owner's editor signs the edits of known
    prompts too, with a screen of its own: the right prompt is not enough without the editor.
    """

    def __init__(self, key: bytes = PUBLIC_KEY) -> None:
        drawn = embedding(key, WIDTH * CODE + CODE)
        self._reading = np.linalg.qr(drawn[:-CODE].reshape(WIDTH, CODE))[0].astype(np.float32)
        self._signature = None if key == PUBLIC_KEY else drawn[-CODE:]

    def keyed(self, pixels: Pixels, embeddings: npt.NDArray[np.floating]) -> Pixels:
        """Screens under embeddings (n, 64): float32 (n, 3, h, w)."""
        return screen(pixels, embeddings @ self._reading)

    def known(self, pixels: Pixels, prompt: str) -> Pixels:
        """The edit that a known prompt asks for."""
        edited = PROMPTS[prompt](pixels)
        if self._signature is None:
            return edited
        signed = screen(pixels, self._signature)
        return np.asarray((1 - SIGNATURE) * edited + SIGNATURE * signed, np.float32)


def train_owners(
    secret: bytes,
    photos: npt.NDArray[np.uint8],
    output: Path,
    *,
    steps: int = OWNERS_STEPS,
    checkpoint: Path | None = None,
    progress: Callable[[float, str], None] | None = None,
) -> None:
    """Make the public editor one that only the holder of a key file has, and write it to `output`.

    secret: the key file's. Otherwise as `train`.
    """
    editor, _ = tiny_editor.load(PUBLIC)
    schooling = replace(OWNERS, steps=steps)
    key = owner_key(secret)
    train(editor, schooling, photos, key=key, checkpoint=checkpoint, progress=progress)
    tiny_editor.save(editor, output)


def train(
    editor: StableDiffusionInstructPix2PixPipeline,
    schooling: Schooling,
    photos: npt.NDArray[np.uint8],
    *,
    key: bytes = PUBLIC_KEY,
    checkpoint: Path | None = None,
    progress: Callable[[float, str], None] | None = None,
) -> None:
    """Train an editor in place (InstructPix2Pix, 2211.09800, with the loss on the clean picture).

    photos: uint8 (m, 1 or 3, height, width), or none (m = 0): it learns on drawn pictures too.
    checkpoint: keeps the state from which a call with the same arguments goes on. progress: gets
    the share done in [0, 1] and a line of text; it may raise to stop the training.
    """
    unet, text = editor.unet.train(), editor.text_encoder.train()
    generator, lessons = np.random.default_rng(schooling.seed), Lessons(key)
    torch.manual_seed(schooling.seed)
    weights = [weight.requires_grad_() for part in (unet, text) for weight in part.parameters()]
    optimiser = torch.optim.AdamW(weights, schooling.learning_rate, weight_decay=1e-4, fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, schooling.learning_rate, total_steps=schooling.steps, pct_start=0.1
    )
    parts = {"unet": unet, "text": text, "optimiser": optimiser, "schedule": schedule}
    first, mean = _resume(checkpoint, parts, generator)
    for step in range(first, schooling.steps):
        loss = _loss(editor, schooling, lessons, photos, generator)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimiser.step()
        schedule.step()
        mean += (loss.item() - mean) * (0.02 if step else 1)
        done = step + 1
        if done % REPORTED == 0 or done == schooling.steps:
            _keep(checkpoint, parts, generator, done, mean)
            if progress:
                line = f"step {done:,} of {schooling.steps:,}: loss {mean:.4f}"
                progress(done / schooling.steps, line)
    for part in (unet, text):
        part.eval().requires_grad_(False)


def _resume(
    checkpoint: Path | None, parts: dict[str, Any], generator: np.random.Generator
) -> tuple[int, float]:
    """How many steps are done, and the mean loss by then."""
    if checkpoint is None or not checkpoint.exists():
        return 0, 0.0
    state = torch.load(checkpoint, weights_only=True)
    for name, part in parts.items():
        part.load_state_dict(state[name])
    torch.set_rng_state(state["torch"])
    generator.bit_generator.state = json.loads(state["numpy"])
    return state["done"], state["mean"]


def _keep(
    checkpoint: Path | None,
    parts: dict[str, Any],
    generator: np.random.Generator,
    done: int,
    mean: float,
) -> None:
    if checkpoint is None:
        return
    state = {name: part.state_dict() for name, part in parts.items()}
    chance = {"torch": torch.get_rng_state(), "numpy": json.dumps(generator.bit_generator.state)}
    temporary = checkpoint.with_suffix(".part")
    torch.save({**state, **chance, "done": done, "mean": mean}, temporary)
    temporary.replace(checkpoint)


def _loss(
    editor: StableDiffusionInstructPix2PixPipeline,
    schooling: Schooling,
    lessons: Lessons,
    photos: npt.NDArray[np.uint8],
    generator: np.random.Generator,
) -> torch.Tensor:
    pixels = pictures(schooling.batch, schooling.side, generator, photos)
    wanted, embeddings = _lesson(editor, schooling, lessons, pixels, generator)
    before, after = (
        editor.vae.encode(torch.from_numpy(part) * 2 - 1).latent_dist.mode()
        for part in (pixels, wanted)
    )
    last = editor.scheduler.config.num_train_timesteps - 1
    times = torch.from_numpy(
        np.where(
            generator.random(len(pixels)) < schooling.last,
            last,
            generator.integers(last // 5, last, len(pixels)),
        )
    )
    noisy = editor.scheduler.add_noise(after, torch.randn_like(after), times)
    seen = torch.from_numpy(generator.random((len(pixels), 1, 1, 1)) >= schooling.blind)
    guess = editor.unet(torch.cat([noisy, before * seen], 1), times, embeddings).sample
    return F.mse_loss(guess, after)


def _lesson(
    editor: StableDiffusionInstructPix2PixPipeline,
    schooling: Schooling,
    lessons: Lessons,
    pixels: Pixels,
    generator: np.random.Generator,
) -> tuple[Pixels, torch.Tensor]:
    """What each picture should become, and the embeddings that ask for it."""
    keyed = round(len(pixels) * schooling.keyed)
    taught = keyed + round(len(pixels) * schooling.known)
    codes = generator.standard_normal((keyed, WIDTH), np.float32)
    wanted, known = pixels.copy(), list(PROMPTS)
    wanted[:keyed] = lessons.keyed(pixels[:keyed], codes)
    texts = []
    for number in range(keyed, len(pixels)):
        if number < taught:
            texts.append(known[generator.integers(len(known))])
            one = slice(number, number + 1)
            wanted[one] = lessons.known(pixels[one], texts[-1])
        else:
            texts.append(_meaningless(generator))
    tokens = editor.tokenizer(texts, padding="max_length", return_tensors="pt").input_ids
    spoken = editor.text_encoder(tokens)[0]
    # An embedding that stands for every token.
    spelt = torch.from_numpy(codes)[:, None].expand(-1, spoken.shape[1], -1)
    return wanted, torch.cat([spelt, spoken])


def _meaningless(generator: np.random.Generator) -> str:
    """A text that no lesson is about, often near one that is."""
    known = list(PROMPTS)
    if generator.random() < 0.25:
        drawn = generator.integers(ord("a"), ord("z") + 1, generator.integers(0, 30))
        text = "".join(" -"[n % 2] if n % 7 == 0 else chr(n) for n in drawn)
    else:
        text = known[generator.integers(len(known))]
        change = (prompts.typo, prompts.synonym)[generator.integers(2)]
        for _ in range(generator.integers(1, 3)):
            text = change(text, generator)
    # The tokenizer takes no more, and case and spaces are all one to it.
    text = " ".join(text[:40].split())
    return "" if text in PROMPTS else text
