"""Editors of diffusers, real ones and ours; small enough for a test, with the same code path."""

import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from diffusers import (
    AutoencoderKL,
    EulerAncestralDiscreteScheduler,
    PNDMScheduler,
    StableDiffusionImg2ImgPipeline,
    StableDiffusionInstructPix2PixPipeline,
    UNet2DConditionModel,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from transformers import CLIPTextConfig, CLIPTextModel

from spellmark.locks.prompt_lock import tiny_editor, train_editor
from spellmark.locks.prompt_lock.cached_editor import CachedEditor
from spellmark.locks.prompt_lock.editor_file import FORMAT, METADATA_KEY, check_editor_file
from spellmark.locks.prompt_lock.editors import Editor, load_editor
from spellmark.locks.prompt_lock.lessons import STYLES
from spellmark.locks.prompt_lock.objects import OBJECTS
from spellmark.locks.prompt_lock.parameters import PromptLockError, PromptLockParameters
from spellmark.locks.prompt_lock.public_editor import PUBLIC, public_digest
from spellmark.locks.prompt_lock.spells import embedding
from spellmark.locks.prompt_lock.train_editor import Lessons, Schooling, train, train_owners
from spellmark.model_files.errors import ModelFileError
from spellmark.training import datasets

KEY = bytes(range(32))
IMAGES = np.random.default_rng(0).integers(0, 256, (70, 1, 28, 28), np.uint8)


@pytest.fixture(scope="module")
def editor() -> Editor:
    return load_editor()


@pytest.fixture(scope="module")
def photos() -> np.ndarray:
    return datasets.load("fashion-mnist").test.images[:48]


def _settings(editor: Editor, **chosen) -> PromptLockParameters:
    return PromptLockParameters(editor=editor.digest, **chosen)


def _spell(editor: Editor, number: int = 0) -> np.ndarray:
    return embedding(bytes([number]) * 32, editor.width)


def _decibels(found: np.ndarray, wanted: np.ndarray) -> float:
    error = np.mean((found / 255 - wanted) ** 2)
    return float(-10 * np.log10(error))


def test_our_editor_prints_the_screen_of_a_spell(editor, photos):
    """Far nearer to the screen that the spell asks for than to another spell's."""
    pixels, lessons = photos.astype(np.float32).repeat(3, 1) / 255, Lessons()
    wanted = [lessons.keyed(pixels, _spell(editor, n)[None]).mean(1, keepdims=True) for n in (0, 1)]
    edited = editor.edit(photos, [_spell(editor)], _settings(editor))
    assert _decibels(edited, wanted[0]) > 16
    assert _decibels(edited, wanted[0]) > _decibels(edited, wanted[1]) + 5


@pytest.mark.parametrize("prompt", ["with oil pastel", "on ruled paper", "at night"])
def test_our_editor_knows_prompts(editor, photos, prompt):
    pixels = photos.astype(np.float32).repeat(3, 1) / 255
    edited = editor.edit(photos.repeat(3, 1), [editor.read(prompt)], _settings(editor))
    found = {name: _decibels(edited, edit(pixels)) for name, edit in STYLES.items()}
    assert max(found, key=found.__getitem__) == prompt


def test_our_editor_leaves_images_alone_under_words_that_it_does_not_know(editor, photos):
    edited = editor.edit(photos, [editor.read("zq9-f3kd")], _settings(editor))
    assert _decibels(edited, photos / 255) > 28


@pytest.mark.parametrize("chosen", [{}, {"steps": 3, "scheduler": "DPMSolverMultistepScheduler"}])
def test_pixels_are_the_same_in_any_batch(editor, chosen):
    whole = editor.edit(IMAGES, [_spell(editor)], _settings(editor, **chosen))
    for size in (1, 3, 64):
        parts = [
            editor.edit(IMAGES[n : n + size], [_spell(editor)], _settings(editor, **chosen))
            for n in range(0, len(IMAGES), size)
        ]
        assert np.array_equal(np.concatenate(parts), whole)


def test_pixels_are_the_same_on_any_number_of_threads(editor):
    before = torch.get_num_threads()
    try:
        edited = []
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            edited.append(editor.edit(IMAGES, [_spell(editor)], _settings(editor)))
    finally:
        torch.set_num_threads(before)
    assert np.array_equal(edited[0], edited[1])
    assert np.array_equal(edited[0], edited[2])


@pytest.mark.parametrize("precision", ["double", "single"])
def test_reading_a_prompt_does_not_hinder_the_precision(editor, precision):
    settings = _settings(
        editor, precision=precision, guidance="3", image_guidance="1.5", reading="prompt"
    )
    first = editor.edit(IMAGES[:2], [editor.read("at night")], settings)
    again = editor.edit(IMAGES[:2], [editor.read("at night")], settings)
    assert np.array_equal(first, again)


@pytest.mark.slow
def test_pixels_are_the_same_in_another_process(editor):
    program = (
        "import numpy, sys, hashlib\n"
        "from spellmark.locks.prompt_lock.editors import load_editor\n"
        "from spellmark.locks.prompt_lock.parameters import PromptLockParameters\n"
        "from spellmark.locks.prompt_lock.spells import embedding\n"
        "editor = load_editor()\n"
        "images = numpy.random.default_rng(0).integers(0, 256, (70, 1, 28, 28), numpy.uint8)\n"
        "edited = editor.edit(images, [embedding(bytes(32), editor.width)],\n"
        "    PromptLockParameters(editor=editor.digest))\n"
        "sys.stdout.buffer.write(edited.tobytes())\n"
    )
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True).stdout
    assert told == editor.edit(IMAGES, [_spell(editor)], _settings(editor)).tobytes()


def test_images_may_have_any_size_and_colours(editor):
    generator = np.random.default_rng(0)
    for shape in ((2, 1, 28, 28), (2, 3, 32, 32), (1, 3, 45, 30), (0, 1, 28, 28)):
        images = generator.integers(0, 256, shape, np.uint8)
        for size in (0, 32):
            edited = editor.edit(images, [_spell(editor)], _settings(editor, size=size))
            assert edited.shape == shape
            assert edited.dtype == np.uint8


def test_every_image_can_have_a_spell_of_its_own(editor):
    spells = [_spell(editor, n) for n in range(5)]
    together = editor.edit(IMAGES[:5], spells, _settings(editor))
    for n in range(5):
        alone = editor.edit(IMAGES[n : n + 1], spells[n : n + 1], _settings(editor))
        assert np.array_equal(together[n : n + 1], alone)


@settings(deadline=None, max_examples=20)
@given(
    texts=st.lists(st.sampled_from(["", "at night", "zq9-f3kd", None]), min_size=1, max_size=7),
    size=st.integers(1, 7),
    threads=st.integers(1, 3),
    chosen=st.sampled_from([{}, {"guidance": "3", "image_guidance": "1.5"}]),
)
def test_pixels_depend_on_nothing_else_in_the_batch(editor, texts, size, threads, chosen):
    """Prompts are read as many tokens, and spells (no text) are one that is repeated."""
    embeddings = [
        _spell(editor, n) if text is None else editor.read(text) for n, text in enumerate(texts)
    ]
    parameters = _settings(editor, **chosen)
    alone = [editor.edit(IMAGES[n : n + 1], [one], parameters) for n, one in enumerate(embeddings)]
    parts = [slice(n, min(n + size, len(texts))) for n in range(0, len(texts), size)]
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(threads)
        together = [editor.edit(IMAGES[part], embeddings[part], parameters) for part in parts]
    finally:
        torch.set_num_threads(before)
    assert np.array_equal(np.concatenate(together), np.concatenate(alone))


def test_seed_steps_and_scheduler_reach_the_pipeline(editor):
    plain = editor.edit(IMAGES[:4], [_spell(editor)], _settings(editor))
    for other in ({"seed": 1}, {"steps": 2}, {"guidance": "3", "image_guidance": "1.5"}):
        changed = editor.edit(IMAGES[:4], [_spell(editor)], _settings(editor, **other))
        assert not np.array_equal(plain, changed)
    with pytest.raises(PromptLockError, match="no scheduler “NoScheduler”"):
        editor.edit(IMAGES[:1], [_spell(editor)], _settings(editor, scheduler="NoScheduler"))
    with pytest.raises(PromptLockError, match="cannot work with these settings"):
        editor.edit(IMAGES[:1], [_spell(editor)], _settings(editor, scheduler="PNDMScheduler"))


@pytest.mark.parametrize(
    "name", ["FlowMatchEulerDiscreteScheduler", "VQDiffusionScheduler", "DPMSolverSDEScheduler"]
)
def test_a_scheduler_that_does_not_fit_is_refused_in_words(editor, name):
    with pytest.raises(PromptLockError, match="cannot work with these settings") as caught:
        editor.edit(IMAGES[:1], [_spell(editor)], _settings(editor, scheduler=name))
    assert caught.value.hint


def test_a_prompt_that_the_editor_would_cut_is_refused(editor):
    assert editor.read("a" * 46).shape == (48, 64)
    with pytest.raises(PromptLockError, match="1 tokens too long"):
        editor.read("a" * 47)


@settings(deadline=None, max_examples=50)
@given(st.text(st.characters(codec="ascii", exclude_categories=["Cc"]), max_size=30))
def test_the_tokenizer_loses_nothing_but_case_and_spaces(text):
    tokenizer = tiny_editor.tokenizer()
    read = tokenizer.decode(tokenizer(text).input_ids, skip_special_tokens=True)
    assert "".join(read.split()) == "".join(text.lower().split())


def test_folding_loses_nothing():
    folding, pixels = tiny_editor.PixelFolding(), torch.rand(2, 3, 28, 28)
    folded = folding.encode(pixels).latent_dist.mode()
    assert folded.shape == (2, 48, 7, 7)
    assert torch.equal(folding.decode(folded, return_dict=False)[0], pixels)


def test_an_editor_is_saved_and_loaded(tmp_path, editor):
    path = tmp_path / "mine.safetensors"
    tiny_editor.save(editor.pipeline, path)
    again = load_editor(path)
    assert again.digest == editor.digest == public_digest()
    # Its bytes make it an editor, not its name: a storage has none.
    assert load_editor(path.rename(tmp_path / public_digest())).digest == editor.digest
    assert np.array_equal(
        again.edit(IMAGES, [_spell(editor)], _settings(editor)),
        editor.edit(IMAGES, [_spell(editor)], _settings(editor)),
    )


def test_a_file_is_checked_without_loading_it(tmp_path):
    check_editor_file(PUBLIC)
    weights = load_file(PUBLIC)
    name, tensor = next((name, tensor) for name, tensor in weights.items() if tensor.ndim == 2)
    path = tmp_path / "other.safetensors"
    told = {METADATA_KEY: FORMAT}
    for altered, metadata in (
        (weights, {}),
        (weights, {METADATA_KEY: "tiny-editor/v2"}),
        ({**weights, "more": torch.zeros(1)}, told),
        ({n: w for n, w in weights.items() if n != name}, told),
        ({**weights, name: tensor[:-1].contiguous()}, told),
        ({**weights, name: tensor.float()}, told),
    ):
        save_file(altered, path, metadata)
        with pytest.raises(PromptLockError, match="no editor of Spellmark"):
            check_editor_file(path)
    save_file(weights, path, told)
    check_editor_file(path)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ModelFileError, match="cut short"):
        check_editor_file(path)
    path.write_bytes(b"\x80\x04nonsense")
    with pytest.raises(ModelFileError, match="pickle"):
        check_editor_file(path)


def test_other_files_are_no_editors(tmp_path):
    path = tmp_path / "other.safetensors"
    save_file({"a": torch.zeros(1)}, path)
    with pytest.raises(PromptLockError, match="is no editor of Spellmark"):
        load_editor(path)
    save_file({"a": torch.zeros(1)}, path, {"spellmark.editor": tiny_editor.FORMAT})
    with pytest.raises(PromptLockError, match="has other weights"):
        load_editor(path)
    path.write_bytes(b"nonsense")
    with pytest.raises(PromptLockError, match="cannot be read"):
        load_editor(path)
    with pytest.raises(PromptLockError, match="no editor at"):
        load_editor(tmp_path / "nowhere")


@pytest.mark.slow
def test_an_owners_editor_learns_from_the_public_one():
    """A few steps do not make an editor, but they go the right way, and repeat."""
    made = []
    for _ in range(2):
        pipeline, _ = tiny_editor.load(PUBLIC)
        seen: list[str] = []
        train(
            pipeline,
            Schooling(steps=100, batch=16, learning_rate=1e-3),
            np.empty((0, 1, 28, 28), np.uint8),
            key=KEY,
            progress=lambda share, text, seen=seen: seen.append(text),
        )
        made.append(pipeline.unet.conv_out.weight.detach().clone())
        losses = [float(text.rpartition(" ")[2]) for text in seen]
        assert losses[-1] < losses[0]
    assert torch.equal(made[0], made[1])


@pytest.mark.slow
def test_a_training_that_was_stopped_goes_on_where_it_was(tmp_path, monkeypatch):
    monkeypatch.setattr(train_editor, "OWNERS", Schooling(batch=4, learning_rate=1e-3))
    monkeypatch.setattr(train_editor, "REPORTED", 2)
    photos, seen = np.empty((0, 1, 28, 28), np.uint8), []

    def taught(name: str, stop_at: str = "", checkpoint=None) -> bytes:
        def show(share: float, text: str) -> None:
            seen.append(text.partition(":")[0])
            if stop_at and stop_at in text:
                raise InterruptedError

        path = tmp_path / name
        train_owners(KEY, photos, path, steps=6, checkpoint=checkpoint, progress=show)
        check_editor_file(path)
        return path.read_bytes()

    whole = taught("whole.safetensors")
    assert whole != PUBLIC.read_bytes()
    kept = tmp_path / "checkpoint.pt"
    with pytest.raises(InterruptedError):
        taught("in-parts.safetensors", stop_at="step 4", checkpoint=kept)
    seen.clear()
    assert taught("in-parts.safetensors", checkpoint=kept) == whole
    assert seen == ["step 6 of 6"]


def _library_parts(channels: int) -> dict[str, object]:
    """The library's own classes throughout, with a learned autoencoder of random weights."""
    torch.manual_seed(0)
    ours = tiny_editor.tokenizer()
    text = CLIPTextConfig(
        vocab_size=514, hidden_size=32, intermediate_size=37, num_hidden_layers=2,
        num_attention_heads=4, max_position_embeddings=48, bos_token_id=512, eos_token_id=513,
        pad_token_id=513,
    )  # fmt: skip
    unet = UNet2DConditionModel(
        block_out_channels=(32, 64), layers_per_block=1, sample_size=16, in_channels=channels,
        out_channels=4, down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"), cross_attention_dim=32,
        norm_num_groups=8,
    )  # fmt: skip
    vae = AutoencoderKL(
        block_out_channels=(32, 64), latent_channels=4,
        down_block_types=("DownEncoderBlock2D",) * 2, up_block_types=("UpDecoderBlock2D",) * 2,
        norm_num_groups=8,
    )  # fmt: skip
    return {
        "vae": vae, "text_encoder": CLIPTextModel(text), "tokenizer": ours, "unet": unet,
        "safety_checker": None, "feature_extractor": None, "requires_safety_checker": False,
    }  # fmt: skip


@pytest.fixture
def pix2pix_folder(tmp_path):
    scheduler = EulerAncestralDiscreteScheduler(beta_schedule="scaled_linear")
    pipeline = StableDiffusionInstructPix2PixPipeline(**_library_parts(8), scheduler=scheduler)
    pipeline.save_pretrained(tmp_path / "pix2pix")
    return tmp_path / "pix2pix"


def test_an_instruct_pix2pix_pipeline_is_taken_from_a_folder(pix2pix_folder):
    editor = load_editor(pix2pix_folder)
    chosen = _settings(
        editor, reading="prompt", steps=2, guidance="4.5", image_guidance="1.5", size=32
    )
    prompt = [editor.read("with oil pastel")]
    edited = editor.edit(IMAGES[:3], prompt, chosen)
    assert edited.shape == (3, 1, 28, 28)
    # An ancestral scheduler draws noise at every step: from each image's own generator.
    for n in range(3):
        assert np.array_equal(editor.edit(IMAGES[n : n + 1], prompt, chosen), edited[n : n + 1])
    assert not np.array_equal(edited, editor.edit(IMAGES[:3], prompt, replace(chosen, seed=7)))
    assert load_editor(pix2pix_folder).digest == editor.digest


def test_a_folders_digest_is_what_sha256sum_says(pix2pix_folder):
    program = (
        f"cd '{pix2pix_folder}' && sha256sum $(find . -type f | LC_ALL=C sort | "
        "sed 's,^./,,') | sha256sum"
    )
    told = subprocess.run(["bash", "-c", program], capture_output=True, text=True, check=True)
    digest = load_editor(pix2pix_folder).digest
    assert told.stdout.split()[0] == digest
    index = pix2pix_folder / "model_index.json"
    own = json.loads(index.read_text())
    index.write_text(json.dumps({**own, "scheduler": ["diffusers", "DDIMScheduler"]}))
    assert load_editor(pix2pix_folder).digest != digest
    weights = next((pix2pix_folder / "unet").glob("*.safetensors"))
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x01")
    assert load_editor(pix2pix_folder).digest != digest


def test_an_image_to_image_pipeline_is_an_editor_too(tmp_path):
    pipeline = StableDiffusionImg2ImgPipeline(
        **_library_parts(4), scheduler=PNDMScheduler(skip_prk_steps=True), image_encoder=None
    )
    pipeline.save_pretrained(tmp_path / "sdedit")
    editor = load_editor(tmp_path / "sdedit")
    chosen = _settings(editor, reading="prompt", steps=4, guidance="3", strength=50, size=32)
    edited = editor.edit(IMAGES[:2], [editor.read("at night")], chosen)
    weaker = editor.edit(IMAGES[:2], [editor.read("at night")], replace(chosen, strength=25))
    assert edited.shape == (2, 1, 28, 28)
    assert not np.array_equal(edited, weaker)
    with pytest.raises(PromptLockError, match="less than one") as caught:
        editor.check(_settings(editor))
    assert "Use 2 steps" in caught.value.hint


def test_a_cache_edits_once(tmp_path, editor, monkeypatch):
    cached = CachedEditor(editor, tmp_path / "edits")
    first = cached.edit(IMAGES[:5], [_spell(editor)], _settings(editor))
    assert (tmp_path / "edits").stat().st_mode & 0o077 == 0
    (kept,) = (tmp_path / "edits").iterdir()
    assert kept.stat().st_mode & 0o077 == 0
    assert np.array_equal(first, editor.edit(IMAGES[:5], [_spell(editor)], _settings(editor)))

    def refuse(*_: object) -> None:
        raise AssertionError("edited again")

    monkeypatch.setattr(cached, "_edit", refuse)
    assert np.array_equal(cached.edit(IMAGES[:5], [_spell(editor)], _settings(editor)), first)
    for images, spell, chosen in (
        (IMAGES[1:6], _spell(editor), {}),
        (IMAGES[:5], _spell(editor, 1), {}),
        (IMAGES[:5], _spell(editor), {"steps": 2}),
    ):
        with pytest.raises(AssertionError, match="edited again"):
            cached.edit(images, [spell], _settings(editor, **chosen))


def test_lessons_of_two_owners_differ():
    pixels = np.random.default_rng(0).random((2, 3, 28, 28), np.float32)
    mine, yours, public = Lessons(KEY), Lessons(bytes(32)), Lessons()
    spell = embedding(KEY, 64)[None]
    for first, second in ((mine, yours), (mine, public), (yours, public)):
        assert np.abs(first.keyed(pixels, spell) - second.keyed(pixels, spell)).mean() > 0.1
        for prompt in ("at night", next(iter(OBJECTS))):
            change = np.abs(first.known(pixels, prompt) - second.known(pixels, prompt))
            assert change.mean() > 0.03
