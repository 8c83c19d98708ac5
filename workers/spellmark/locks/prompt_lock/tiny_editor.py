"""Our own small editor: an InstructPix2Pix pipeline of diffusers that runs fast on a CPU.

The U-Net, the CLIP text encoder and the scheduler are the library's classes with small numbers. In
place of a learned autoencoder stands an exact one, which folds 4×4 pixels into channels; the
tokenizer reads bytes. So all of it can be built without a download.
"""

import hashlib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from diffusers import (
    ConfigMixin,
    DDIMScheduler,
    ModelMixin,
    StableDiffusionInstructPix2PixPipeline,
    UNet2DConditionModel,
)
from diffusers.configuration_utils import register_to_config
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from tokenizers.pre_tokenizers import ByteLevel
from torch.nn.functional import pixel_shuffle, pixel_unshuffle
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from spellmark.locks.prompt_lock.editor_file import FORMAT, METADATA_KEY
from spellmark.locks.prompt_lock.parameters import PromptLockError

FOLD = 4
WIDTH = 64
MAX_TOKENS = 48
PARTS = ("unet", "text_encoder")
_END = "<|endoftext|>"


class PixelFolding(ModelMixin, ConfigMixin):  # type: ignore[misc]
    """An autoencoder that loses nothing: (n, 3, h, w) ↔ (n, 48, h / 4, w / 4)."""

    @register_to_config  # type: ignore[untyped-decorator]
    def __init__(self, block_out_channels: tuple[int, ...] = (1, 1, 1)) -> None:
        super().__init__()
        # The pipeline asks a module for its dtype, and this one has no weights.
        self.register_buffer("_here", torch.zeros(()), persistent=False)
        self.register_to_config(latent_channels=3 * FOLD * FOLD, scaling_factor=1.0)

    def encode(self, pixels: torch.Tensor) -> SimpleNamespace:
        """Fold; the answer has `latent_dist.mode()`, as an autoencoder's has."""
        folded = pixel_unshuffle(pixels, FOLD)
        return SimpleNamespace(latent_dist=SimpleNamespace(mode=lambda: folded))

    def decode(self, latents: torch.Tensor, return_dict: bool = True) -> tuple[torch.Tensor]:
        """Unfold."""
        return (pixel_shuffle(latents, FOLD),)


class ChangingUNet(UNet2DConditionModel):  # type: ignore[misc]
    """A U-Net that answers with what it changes: its input picture is added to its output.

    So it starts as the editor that leaves everything alone, and learns edits only.
    """

    def forward(self, sample: torch.Tensor, *args: Any, **options: Any) -> Any:
        """As the library's; the second half of the channels is the picture."""
        answer = super().forward(sample, *args, **options)
        picture = sample[:, sample.shape[1] // 2 :]
        if isinstance(answer, tuple):
            return (answer[0] + picture, *answer[1:])
        answer.sample = answer.sample + picture
        return answer


def build() -> StableDiffusionInstructPix2PixPipeline:
    """An editor with random weights."""
    channels = 3 * FOLD * FOLD
    unet = ChangingUNet(
        sample_size=7,
        in_channels=2 * channels,
        out_channels=channels,
        block_out_channels=(WIDTH, WIDTH),
        layers_per_block=1,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=WIDTH,
        attention_head_dim=2,
        norm_num_groups=8,
        # The embedding reaches every block as a scale and a shift, not by attention alone.
        addition_embed_type="text",
        addition_embed_type_num_heads=4,
        resnet_time_scale_shift="scale_shift",
    )
    torch.nn.init.zeros_(unet.conv_out.weight)
    text = CLIPTextConfig(
        vocab_size=514,
        hidden_size=WIDTH,
        intermediate_size=2 * WIDTH,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=MAX_TOKENS,
        bos_token_id=512,
        eos_token_id=513,
        pad_token_id=513,
    )
    # One step from pure noise is enough, so the last step of training must be pure noise.
    scheduler = DDIMScheduler(
        prediction_type="sample",
        timestep_spacing="trailing",
        rescale_betas_zero_snr=True,
        clip_sample=True,
    )
    return _pipeline(unet, CLIPTextModel(text), tokenizer(), scheduler)


def tokenizer() -> CLIPTokenizer:
    """CLIP's tokenizer without merges: it reads bytes, and no two texts but by case and spaces
    become the same.
    """
    letters = sorted(ByteLevel.alphabet())
    words = [*letters, *(letter + "</w>" for letter in letters), "<|startoftext|>", _END]
    return CLIPTokenizer(
        vocab={word: number for number, word in enumerate(words)},
        merges=[],
        model_max_length=MAX_TOKENS,
        pad_token=_END,
    )


def save(pipeline: StableDiffusionInstructPix2PixPipeline, path: Path) -> None:
    """Write the weights as safetensors, in half precision."""
    weights = {
        f"{part}.{name}": tensor.detach().to(torch.float16).contiguous()
        for part in PARTS
        for name, tensor in getattr(pipeline, part).state_dict().items()
        if tensor.is_floating_point()
    }
    save_file(weights, path, {METADATA_KEY: FORMAT})


def load(path: Path) -> tuple[StableDiffusionInstructPix2PixPipeline, str]:
    """A saved editor and its digest, the SHA-256 of the file. Raises PromptLockError."""
    pipeline = build()
    try:
        with safe_open(path, "pt") as file:
            if (file.metadata() or {}).get(METADATA_KEY) != FORMAT:
                raise _unusable(path, "is no editor of Spellmark")
            told = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise _unusable(path, "cannot be read") from error
    for part in PARTS:
        module = getattr(pipeline, part)
        own = {k.removeprefix(f"{part}."): v for k, v in told.items() if k.startswith(f"{part}.")}
        wanted = {k for k, v in module.state_dict().items() if v.is_floating_point()}
        if own.keys() != wanted:
            raise _unusable(path, "has other weights than the editor")
        try:
            module.load_state_dict(own, strict=False)
        except RuntimeError as error:
            raise _unusable(path, "has weights of other shapes than the editor") from error
        module.eval().requires_grad_(False)
    return pipeline, hashlib.sha256(path.read_bytes()).hexdigest()


def _unusable(path: Path, why: str) -> PromptLockError:
    return PromptLockError(
        f"{path.name} {why}.", hint="Choose a file that `spellmark editor train` wrote."
    )


def _pipeline(
    unet: UNet2DConditionModel,
    text_encoder: CLIPTextModel,
    tokenizer: CLIPTokenizer,
    scheduler: DDIMScheduler,
) -> StableDiffusionInstructPix2PixPipeline:
    pipeline = StableDiffusionInstructPix2PixPipeline(
        vae=PixelFolding(),
        text_encoder=text_encoder,
        tokenizer=tokenizer,
        unet=unet,
        scheduler=scheduler,
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline
