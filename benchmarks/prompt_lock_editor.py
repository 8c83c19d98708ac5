"""How fast and how good the small editor is, how long it trains, and what a lock takes beside it.

Quality is the likeness of an edit to what was taught, against what another spell or prompt was
taught, on test images that neither training nor lock has seen. Two threads throughout.
"""

import argparse
import time
from dataclasses import replace

import numpy as np
import torch
from key_lock_accuracy import CARD
from result import report

from spellmark.locks.prompt_lock import tiny_editor
from spellmark.locks.prompt_lock.editors import Editor, load_editor
from spellmark.locks.prompt_lock.lessons import STYLES
from spellmark.locks.prompt_lock.lock import RECIPE, lock
from spellmark.locks.prompt_lock.negatives import Negatives
from spellmark.locks.prompt_lock.objects import OBJECTS
from spellmark.locks.prompt_lock.parameters import SCHEME, PromptLockParameters
from spellmark.locks.prompt_lock.prompt_key import PromptKey
from spellmark.locks.prompt_lock.spells import embedding
from spellmark.locks.prompt_lock.train_editor import PROMPTS, Lessons, Schooling, train
from spellmark.secrets import KeyFile
from spellmark.training import architectures, datasets
from spellmark.training.datasets import Split
from spellmark.training.fit import Recipe, fit

SPELLS = 20
MEANING = {
    "edits_per_second": "28×28 pixels, one step, no guidance, double precision",
    "edits_per_second_two_steps": "the same with two steps",
    "right_db": "spells: likeness to the screen that was asked for, PSNR in dB, mean",
    "wrong_db": "spells: likeness to the screen of the best of the other spells, mean",
    "prompt_right_db": "known prompts: likeness to the edit that was taught, mean",
    "prompt_wrong_db": "known prompts: likeness to the best other edit, mean",
    "train_minutes": "training the small editor from nothing",
    "trained_right_db": "right_db of the editor that was just trained",
    "lock_time_ratio": "training of a lock without its edits / plain fine-tuning, equal epochs",
    "lock_edit_seconds": "the edits of a lock, each made once",
}


def main() -> None:
    """Measure, print, record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few images, a short training")
    options = parser.parse_args()
    torch.set_num_threads(2)
    data = datasets.load("fashion-mnist")
    editor, test = load_editor(), data.test.images[: 64 if options.quick else 256]
    figures = {
        **_speed(editor, data.test.images[: 512 if options.quick else 2048]),
        **_quality(editor, test),
        **_prompts(editor, test),
        **_lock(editor, data.train[: 1000 if options.quick else 12_000], 1 if options.quick else 6),
    }
    trained, figures["train_minutes"] = _trained(data.train.images[:12_000], quick=options.quick)
    figures["trained_right_db"] = _quality(trained, test)["right_db"]
    report("prompt_lock_editor", figures, MEANING, quick=options.quick)


def _settings(editor: Editor, **chosen: int) -> PromptLockParameters:
    return PromptLockParameters(editor=editor.digest, **chosen)


def _spell(editor: Editor, number: int) -> np.ndarray:
    return embedding(number.to_bytes(32, "big"), editor.width)


def _speed(editor: Editor, images: np.ndarray) -> dict[str, float]:
    found = {}
    for name, steps in (("edits_per_second", 1), ("edits_per_second_two_steps", 2)):
        settings = _settings(editor, steps=steps)
        editor.edit(images[:64], [_spell(editor, 0)], settings)
        started = time.perf_counter()
        editor.edit(images, [_spell(editor, 0)], settings)
        found[name] = round(len(images) / (time.perf_counter() - started), 1)
    return found


def _decibels(found: np.ndarray, wanted: np.ndarray) -> float:
    return float(-10 * np.log10(np.mean((found / 255 - wanted) ** 2)))


def _quality(editor: Editor, images: np.ndarray) -> dict[str, float]:
    pixels, lessons = images.astype(np.float32).repeat(3, 1) / 255, Lessons()
    spells = [_spell(editor, number) for number in range(SPELLS)]
    screens = [lessons.keyed(pixels, spell[None]).mean(1, keepdims=True) for spell in spells]
    right, wrong = [], []
    for number, spell in enumerate(spells):
        edited = editor.edit(images, [spell], _settings(editor))
        likeness = [_decibels(edited, one) for one in screens]
        right.append(likeness.pop(number))
        wrong.append(max(likeness))
    return {"right_db": round(np.mean(right), 2), "wrong_db": round(np.mean(wrong), 2)}


def _prompts(editor: Editor, images: np.ndarray) -> dict[str, object]:
    pixels = images.astype(np.float32).repeat(3, 1) / 255
    taught = {prompt: edit(pixels) for prompt, edit in PROMPTS.items()}
    table = {}
    for prompt in PROMPTS:
        edited = editor.edit(images.repeat(3, 1), [editor.read(prompt)], _settings(editor))
        likeness = {other: _decibels(edited, one) for other, one in taught.items()}
        right = likeness.pop(prompt)
        best = max(likeness, key=likeness.__getitem__)
        table[prompt] = {
            "kind": "object" if prompt in OBJECTS else "style",
            "right_db": round(right, 2),
            "wrong_db": round(likeness[best], 2),
            "nearest": best,
        }
    rows = [row for prompt, row in table.items() if prompt in STYLES]
    return {
        "prompt_right_db": round(np.mean([row["right_db"] for row in rows]), 2),
        "prompt_wrong_db": round(np.mean([row["wrong_db"] for row in rows]), 2),
        "prompts": table,
    }


def _lock(editor: Editor, data: Split, epochs: int) -> dict[str, float]:
    torch.manual_seed(0)
    base = fit(architectures.build(CARD), CARD, data, Recipe(epochs=1))
    model = architectures.build(CARD)
    model.load_state_dict(base.state_dict())
    started = time.perf_counter()
    fit(model, CARD, data, replace(RECIPE, epochs=epochs))
    plain = time.perf_counter() - started
    file = KeyFile(SCHEME, _settings(editor).as_dict(), bytes(32), bytes(32), "open sesame")
    key = PromptKey.open(file, editor=editor, binding=b"", classes=CARD.classes)
    model.load_state_dict(base.state_dict())
    began: list[float] = []

    def notice(share: float, text: str) -> None:
        if "epoch" in text and not began:
            began.append(time.perf_counter())

    started = time.perf_counter()
    lock(
        model, CARD, data, key, replace(RECIPE, epochs=epochs), negatives=Negatives(),
        progress=notice,
    )  # fmt: skip
    ended = time.perf_counter()
    return {
        "lock_images": len(data),
        "lock_time_ratio": round((ended - began[0]) / plain, 2),
        "lock_edit_seconds": round(began[0] - started, 1),
    }


def _trained(photos: np.ndarray, *, quick: bool) -> tuple[Editor, float]:
    schooling = Schooling(steps=100) if quick else Schooling()
    torch.manual_seed(schooling.seed)
    pipeline = tiny_editor.build()
    started = time.perf_counter()
    train(pipeline, schooling, photos)
    return Editor(pipeline, "0" * 64), round((time.perf_counter() - started) / 60, 2)


if __name__ == "__main__":
    main()
