"""Editors: diffusion pipelines behind one small face."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import numpy.typing as npt
import torch
from diffusers import (
    DiffusionPipeline,
    StableDiffusionImg2ImgPipeline,
    StableDiffusionInstructPix2PixPipeline,
)
from torch import nn

from spellmark.locks.prompt_lock import tiny_editor
from spellmark.locks.prompt_lock.parameters import PromptLockError, PromptLockParameters
from spellmark.locks.prompt_lock.public_editor import PUBLIC
from spellmark.locks.prompt_lock.spells import Embedding

Images = npt.NDArray[np.uint8]

BATCH = 64
_PARTS = {".json", ".txt", ".safetensors"}
_DTYPES = {"double": torch.float64, "single": torch.float32}


def load_editor(source: str | Path = PUBLIC) -> "Editor":
    """An editor from a file of ours, a folder that diffusers saved, or a name at a hub.

    No pickle is opened and no code runs but that of the libraries. Raises PromptLockError.
    """
    # A storage knows files by their digest, without an ending.
    if Path(source).suffix == ".safetensors" or Path(source).is_file():
        return Editor(*tiny_editor.load(Path(source)))
    try:
        folder = Path(source)
        if not folder.is_dir():
            folder = Path(DiffusionPipeline.download(source, use_safetensors=True))
        pipeline = DiffusionPipeline.from_pretrained(
            folder, use_safetensors=True, safety_checker=None, requires_safety_checker=False
        )
    except (OSError, ValueError) as error:
        raise PromptLockError(
            f"There is no editor at “{source}”, or it has no safetensors.",
            hint="Give a folder that save_pretrained wrote, or the name of a pipeline at the hub.",
        ) from error
    return Editor(pipeline, folder_digest(folder))


def folder_digest(folder: Path) -> str:
    """SHA-256 over the list of a pipeline's files, as `sha256sum` writes it: 64 hex digits."""
    # The index says which class reads a part, so it counts too.
    index = folder / "model_index.json"
    files = [index]
    for part in json.loads(index.read_text()):
        if (folder / part).is_dir():
            files += (path for path in (folder / part).iterdir() if path.suffix in _PARTS)
    lines = []
    for name, path in sorted((path.relative_to(folder).as_posix(), path) for path in files):
        with path.open("rb") as file:
            lines.append(f"{hashlib.file_digest(file, 'sha256').hexdigest()}  {name}\n")
    return hashlib.sha256("".join(lines).encode()).hexdigest()


class Editor:
    """A text-guided diffusion editor: InstructPix2Pix (2211.09800) or SDEdit (2108.01073).

    `digest` tells one editor from another: SHA-256 over its configuration and weights, 64 hex
    digits. `multiple` is what the sides of its images must be divisible by, in pixels; `width` is
    the width of its embeddings.
    """

    def __init__(self, pipeline: DiffusionPipeline, digest: str) -> None:
        if not isinstance(
            pipeline, StableDiffusionInstructPix2PixPipeline | StableDiffusionImg2ImgPipeline
        ):
            raise PromptLockError(
                f"A {type(pipeline).__name__} is no editor of images.",
                hint="Use an InstructPix2Pix or an image-to-image pipeline.",
            )
        pipeline.set_progress_bar_config(disable=True)
        self.pipeline, self.digest = pipeline, digest
        self.width: int = pipeline.unet.config.cross_attention_dim
        self.multiple: int = pipeline.vae_scale_factor
        self._own_scheduler = pipeline.scheduler

    def read(self, prompt: str) -> Embedding:
        """The text encoder's embedding of a prompt: float64 (tokens, width).

        Raises PromptLockError where the encoder would not read all of it.
        """
        tokenizer, encoder = self.pipeline.tokenizer, self.pipeline.text_encoder
        too_many = len(self.tokens(prompt)) - tokenizer.model_max_length
        if too_many > 0:
            raise PromptLockError(
                f"The prompt is {too_many} tokens too long for the editor, which would not read "
                "its end.",
                hint="Shorten it.",
            )
        tokens = tokenizer(prompt, padding="max_length", return_tensors="pt").input_ids
        with torch.inference_mode():
            return np.asarray(
                nn.Module.to(encoder, torch.float64)(tokens)[0][0].numpy(), np.float64
            )

    def tokens(self, prompt: str) -> list[int]:
        """What the text encoder knows of a prompt: capitals and some spaces are lost."""
        return list(self.pipeline.tokenizer(prompt).input_ids)

    def readable(self, texts: Iterable[str]) -> list[str]:
        """Those of the texts that it reads to their end."""
        return [text for text, _ in self._read_whole(texts)]

    def other_prompts(self, texts: Iterable[str], than: str) -> list[str]:
        """Those of the texts that it reads to their end, and not as it reads `than`."""
        own = self.tokens(than)
        return [text for text, tokens in self._read_whole(texts) if tokens != own]

    def _read_whole(self, texts: Iterable[str]) -> Iterator[tuple[str, list[int]]]:
        most = self.pipeline.tokenizer.model_max_length
        for text in texts:
            if len(tokens := self.tokens(text)) <= most:
                yield text, tokens

    def check(self, parameters: PromptLockParameters) -> None:
        """Raise PromptLockError for settings under which it cannot edit anything."""
        if isinstance(self.pipeline, StableDiffusionInstructPix2PixPipeline):
            return
        if parameters.steps * parameters.strength < 100:
            raise PromptLockError(
                f"An image-to-image editor goes {parameters.strength} % of {parameters.steps} "
                f"step{'s' if parameters.steps > 1 else ''}, which is less than one.",
                hint=f"Use {-(-100 // parameters.strength)} steps or more.",
            )

    def edit(
        self,
        images: Images,
        embeddings: Sequence[Embedding],
        parameters: PromptLockParameters,
    ) -> Images:
        """Images as the editor changes them: uint8 (n, 1 or 3, height, width), the same shape back.

        embeddings: one for all, or one for each image; float64 (tokens, width), or (width,) for a
        spell, which stands for every token.
        """
        if len(images) == 0:
            return images.copy()
        each = list(embeddings) if len(embeddings) == len(images) else [*embeddings] * len(images)
        edited = np.empty_like(images)
        for alike in self._alike(each, parameters):
            for start in range(0, len(alike), BATCH):
                chosen = alike[start : start + BATCH]
                edited[chosen] = self._edit(images[chosen], [each[n] for n in chosen], parameters)
        return edited

    def _alike(
        self, embeddings: Sequence[Embedding], parameters: PromptLockParameters
    ) -> list[list[int]]:
        """The numbers of the embeddings that go in as equally many tokens.

        A batch has one number of tokens, and an editor may heed how often a spell is repeated: so
        what is in a batch beside a spell must not decide it.
        """
        groups: dict[int, list[int]] = {}
        for number, one in enumerate(embeddings):
            groups.setdefault(self._tokens_of(one, parameters), []).append(number)
        return list(groups.values())

    def _tokens_of(self, embedding: Embedding, parameters: PromptLockParameters) -> int:
        """As how many tokens an embedding goes into the editor."""
        if float(parameters.guidance) > 1:
            # Guidance sets it beside the empty prompt's, which has the full length.
            return int(self.pipeline.tokenizer.model_max_length)
        return len(np.atleast_2d(embedding))

    def _edit(
        self, images: Images, embeddings: Sequence[Embedding], parameters: PromptLockParameters
    ) -> Images:
        dtype = _DTYPES[parameters.precision]
        pipeline = self._ready(parameters, dtype)
        options: dict[str, Any] = {
            "prompt_embeds": self._stacked(embeddings, parameters).to(dtype),
            "image": self._taken_in(images, parameters),
            "num_inference_steps": parameters.steps,
            "guidance_scale": float(parameters.guidance),
            # One for each image: the same noise, whatever else is in the batch.
            "generator": [torch.Generator().manual_seed(parameters.seed) for _ in embeddings],
            "output_type": "pt",
        }
        if isinstance(pipeline, StableDiffusionInstructPix2PixPipeline):
            options["image_guidance_scale"] = float(parameters.image_guidance)
        else:
            options["strength"] = parameters.strength / 100
        try:
            edited = pipeline(**options).images
        # Schedulers and sizes that do not fit an editor fail in all kinds of ways.
        except Exception as error:
            raise _unfit(error) from error
        return _given_back(edited, images.shape, parameters)

    def unedited(self, images: Images, parameters: PromptLockParameters) -> Images:
        """What an edit that changes nothing gives back: uint8 (n, 1 or 3, height, width).

        Only the size of the editor's squares, or the padding of images that it cannot take as they
        are, has passed over them.
        """
        given_back = np.empty_like(images)
        for start in range(0, len(images), BATCH):
            some = images[start : start + BATCH]
            given_back[start : start + BATCH] = _given_back(
                self._taken_in(some, parameters), some.shape, parameters
            )
        return given_back

    def _taken_in(self, images: Images, parameters: PromptLockParameters) -> torch.Tensor:
        """Images in colour and in the size that it edits: (n, 3, h, w) in [0, 1]."""
        pixels = torch.from_numpy(images.copy()).to(_DTYPES[parameters.precision]).div(255)
        return fitted(pixels.expand(-1, 3, -1, -1), self.multiple, parameters.size)

    def _stacked(
        self, embeddings: Sequence[Embedding], parameters: PromptLockParameters
    ) -> torch.Tensor:
        """(n, tokens, width), of equally many tokens; a spell's stands for every one of them."""
        tokens = self._tokens_of(embeddings[0], parameters)
        repeated = [np.broadcast_to(one, (tokens, one.shape[-1])) for one in embeddings]
        return torch.from_numpy(np.stack(repeated))

    def _ready(self, parameters: PromptLockParameters, dtype: torch.dtype) -> DiffusionPipeline:
        """The pipeline with the scheduler and the arithmetic that the parameters name."""
        if parameters.scheduler == "own":
            self.pipeline.scheduler = self._own_scheduler
        else:
            kind = getattr(diffusers, parameters.scheduler, None)
            if not parameters.scheduler.endswith("Scheduler") or kind is None:
                raise PromptLockError(
                    f"diffusers has no scheduler “{parameters.scheduler}”.",
                    hint="Use “own”, or a name such as DDIMScheduler.",
                )
            try:
                self.pipeline.scheduler = kind.from_config(self._own_scheduler.config)
            except Exception as error:
                raise _unfit(error) from error
        for part in (self.pipeline.unet, self.pipeline.vae, self.pipeline.text_encoder):
            # Each for itself: reading a prompt leaves the text encoder in double precision.
            if part.dtype != dtype:
                # Not the library's own `to`, which warns of what it cannot know here.
                nn.Module.to(part, dtype)
        return self.pipeline


def _given_back(
    pixels: torch.Tensor, shape: tuple[int, ...], parameters: PromptLockParameters
) -> Images:
    """The editor's pixels (n, 3, h, w) in the shape of the images: uint8 (n, 1 or 3, h, w)."""
    _, channels, height, width = shape
    if parameters.size:
        pixels = _resized(pixels, (height, width))
    pixels = pixels[:, :, :height, :width]
    if channels == 1:
        pixels = pixels.mean(1, keepdim=True)
    rounded: Images = pixels.mul(255).round_().clamp_(0, 255).to(torch.uint8).numpy()
    return rounded


def _unfit(error: Exception) -> PromptLockError:
    lines = str(error).splitlines() or [type(error).__name__]
    return PromptLockError(
        f"The editor cannot work with these settings: {lines[0][:200].rstrip('.')}.",
        hint="Choose other steps, another scheduler or another size.",
    )


def fitted(pixels: torch.Tensor, multiple: int, size: int) -> torch.Tensor:
    """Resized to the square, or padded at its edges until the sides divide."""
    if size:
        return _resized(pixels, (size, size))
    _, _, height, width = pixels.shape
    more = (0, -width % multiple, 0, -height % multiple)
    return torch.nn.functional.pad(pixels, more, "replicate") if any(more) else pixels


def _resized(pixels: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    resized = torch.nn.functional.interpolate(
        pixels, size, mode="bicubic", antialias=True, align_corners=False
    )
    return resized.clamp_(0, 1)
