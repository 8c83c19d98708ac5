"""How fast the key locks' transforms are, beside the reference program, on one thread.

The reference is the papers' own program (fugokidi/block_transform on GitHub): give a clone or its
bare git directory with --reference. Its transforms take float32 batches in [0, 1], as its eval.py
feeds them; ours take uint8 batches of the same shape. The `pipeline` figures end at the same thing,
normalised float32: ours from uint8, the reference from float32, which it gets for nothing. All
contenders take turns in one run, three calls each so that all find their own data in the cache, and
the shortest time of each counts: processor time, so that other programs on the machine matter less.
"""

import argparse
import io
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from result import report

from spellmark.locks.key_lock.legacy import LegacyTransform
from spellmark.locks.key_lock.lock_key import LockKey
from spellmark.locks.key_lock.parameters import Geometry, LockParameters, default_parameters
from spellmark.locks.key_lock.transforms import Transform
from spellmark.model_files.card import ModelCard
from spellmark.training import architectures, datasets
from spellmark.training.datasets import Split
from spellmark.training.fit import Batch, Recipe, fit, one_hot
from spellmark.training.inference import to_input

BLOCK = 4
# Images, their side, and how many turns.
SIZES = {"32": (128, 32, 300), "224": (32, 224, 30)}
STEPS = {
    "shuffle": "shuffle",
    "flip": "flip",
    "substitute": "substitute",
    "shuffle_flip": "shuffle+flip",
    "all": "shuffle+flip+substitute",
}
# The reference's classes; it does several steps one after another.
CLASSES = {"shuffle": "Shuffle", "flip": "NP", "substitute": "FFX"}
CONTENDERS = ("memcpy", "ours", "ours_pipeline", "legacy", "reference", "reference_pipeline")
MEAN, STD = (0.4914, 0.4822, 0.4465), (0.2471, 0.2435, 0.2616)
TRAINED = ModelCard(
    architecture="small-cnn", classes=10, channels=1, height=28, width=28,
    mean=(0.286,), std=(0.353,),
)  # fmt: skip
MEANING = {
    "threads": "of torch; the compiled loops use one in any case",
    "shuffle_32_ratio": "reference / ours in time, 128×3×32×32, M=4; float32 there, uint8 here",
    "shuffle_224_ratio": "the same for 32×3×224×224; so for every transform, `all` is all three",
    "shuffle_32_pipeline_ratio": "the same, both sides up to normalised float32",
    "shuffle_32_legacy_ratio": "our own legacy mode (float32) / ours in time",
    "shuffle_32_vs_memcpy": "ours / a plain copy of the same bytes in time",
    "legacy_parity": "legacy mode is the reference bit for bit, there and back, M = 2, 4, 8, 16",
    "legacy_max_difference": "the largest difference found",
    "training_overhead": "training time with the transform / without - 1, in turns",
    "transform_share_of_step": "time of the transform / time of a whole training step",
    "table": "the same for every transform and size, with the times in milliseconds",
}

Reference = Callable[..., torch.nn.Module]


def main() -> None:
    """Time every transform at both sizes, check the legacy mode, train with and without."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--reference", type=Path, metavar="PATH", help="the reference program")
    parser.add_argument("--quick", action="store_true", help="fewer turns")
    options = parser.parse_args()
    torch.set_num_threads(1)
    figures: dict[str, Any] = {"threads": torch.get_num_threads()}
    with _loaded(options.reference) as reference:
        table = dict(_table(reference, quick=options.quick))
        figures |= {f"{name}_ratio": row["ratio"] for name, row in table.items()}
        for name in ("shuffle_32", "shuffle_224"):
            for column in ("pipeline_ratio", "legacy_ratio", "vs_memcpy"):
                figures[f"{name}_{column}"] = table[name][column]
        figures |= _parity(reference)
    figures |= _training(turns=10 if options.quick else 60)
    report("key_lock_speed", {**figures, "table": table}, MEANING, quick=options.quick)


def _table(reference: Reference | None, *, quick: bool) -> Iterator[tuple[str, dict[str, Any]]]:
    print(f"{'milliseconds':<18}{''.join(f'{who:>20}' for who in CONTENDERS)}")
    for name, steps in STEPS.items():
        for size, (count, side, turns) in SIZES.items():
            contenders = _contenders(steps, count, side, reference)
            times = _race(contenders, turns // 10 if quick else turns)
            shown = (f"{times[who]:.3f}" if who in times else "-" for who in CONTENDERS)
            print(f"{name}_{size:<{17 - len(name)}}{''.join(f'{t:>20}' for t in shown)}")
            yield f"{name}_{size}", _row(times)


@contextmanager
def _loaded(path: Path | None) -> Iterator[Reference | None]:
    """What builds a transform of the reference program from its class name, side and block."""
    if path is None:
        yield None
        return
    with tempfile.TemporaryDirectory() as folder:
        if not (path / "cifar10" / "keydefense.py").exists():
            parts = ["cifar10/keydefense.py", "cifar10/pyffx"]
            command = ["git", "-C", str(path), "archive", "HEAD", *parts]
            archive = subprocess.run(command, check=True, capture_output=True).stdout
            with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
                tar.extractall(folder, filter="data")
            path = Path(folder)
        # It brings a package of its own, pyffx, which needs six; and it insists on a GPU.
        sys.path.insert(0, str(path / "cifar10"))
        import keydefense  # type: ignore[import-not-found]

        sys.path.pop(0)
        with patch.object(torch.Tensor, "cuda", lambda tensor: tensor):
            yield lambda name, side, block: getattr(keydefense, name)(
                SimpleNamespace(
                    block_size=block, height=side, width=side, mean=MEAN, std=STD,
                    seed=42, password="password",  # noqa: S106  (the published one)
                )
            )  # fmt: skip


def _contenders(
    steps: str, count: int, side: int, reference: Reference | None
) -> dict[str, Callable[[], object]]:
    """What takes turns; each call is one batch."""
    shape = (3, side, side)
    images = np.random.default_rng(0).integers(0, 256, (count, *shape), np.uint8)
    floats, copied = torch.from_numpy(images).float() / 255, np.empty_like(images)
    ours = Transform.from_key(
        bytes(32), Geometry(*shape, BLOCK), LockParameters(block=BLOCK, steps=steps)
    )
    card = ModelCard(
        architecture="none", classes=10, channels=3, height=side, width=side, mean=MEAN, std=STD
    )
    legacy = [LegacyTransform(step, shape, BLOCK) for step in steps.split("+")]
    contenders: dict[str, Callable[[], object]] = {
        "memcpy": lambda: np.copyto(copied, images),
        "ours": lambda: ours(images),
        "ours_pipeline": lambda: to_input(ours(images), card),
        "legacy": lambda: _after_another(legacy, floats),
    }
    if reference is not None:
        theirs = [reference(CLASSES[step], side, BLOCK) for step in steps.split("+")]
        contenders["reference"] = lambda: _after_another(theirs, floats)
        contenders["reference_pipeline"] = lambda: theirs[0].normalize(
            _after_another(theirs, floats)
        )
    return contenders


def _after_another(transforms: list[Any], batch: torch.Tensor) -> torch.Tensor:
    for transform in transforms:
        batch = transform(batch)
    return batch


def _race(contenders: Mapping[str, Callable[[], object]], turns: int) -> dict[str, float]:
    """The shortest time of each in milliseconds; they take turns, so all see the same machine."""
    for run in contenders.values():
        run()  # the first call compiles
    times = dict.fromkeys(contenders, float("inf"))
    for _ in range(turns):
        for name, run in contenders.items():
            for _ in range(3):
                start = time.process_time()
                run()
                times[name] = min(times[name], (time.process_time() - start) * 1000)
    return times


def _row(times: Mapping[str, float]) -> dict[str, Any]:
    def ratio(over: str, under: str) -> float | None:
        return round(times[over] / times[under], 2) if over in times else None

    return {
        "ratio": ratio("reference", "ours"),
        "pipeline_ratio": ratio("reference_pipeline", "ours_pipeline"),
        "legacy_ratio": ratio("legacy", "ours"),
        "vs_memcpy": ratio("ours", "memcpy"),
        "milliseconds": {who: round(taken, 4) for who, taken in times.items()},
    }


def _parity(reference: Reference | None) -> dict[str, bool | float | None]:
    """Legacy mode against the reference: three transforms, four block sizes, there and back."""
    if reference is None:
        return {"legacy_parity": None, "legacy_max_difference": None}
    pixels = np.random.default_rng(1).integers(0, 256, (8, 3, 32, 32)).astype(np.float32) / 255
    anything = np.random.default_rng(2).random((8, 3, 32, 32), np.float32)
    images = torch.from_numpy(np.concatenate([pixels, anything]))
    equal, largest = True, 0.0
    for step, name in CLASSES.items():
        for block in (2, 4, 8, 16):
            theirs = reference(name, 32, block)
            ours = LegacyTransform(step, (3, 32, 32), block)
            keyed = theirs(images.clone())
            back = theirs(keyed.clone(), decrypt=True)
            for wanted, found in ((keyed, ours(images)), (back, ours.inverse(keyed))):
                equal &= torch.equal(wanted, found)
                largest = max(largest, float((wanted - found).abs().max()))
    return {"legacy_parity": equal, "legacy_max_difference": largest}


def _training(turns: int) -> dict[str, float]:
    """Train with the transform and without, in turns: same batches, no negatives."""
    steps, recipe = 4, Recipe(epochs=1)
    data = datasets.load("fashion-mnist").train[: steps * recipe.batch]
    shape = (TRAINED.channels, TRAINED.height, TRAINED.width)
    key = LockKey.derive(
        bytes(32),
        binding=b"",
        shape=shape,
        classes=TRAINED.classes,
        parameters=default_parameters(*shape[1:], TRAINED.channels, TRAINED.classes),
    )

    def keyed(images: Any, labels: Any, _: np.random.Generator) -> Batch:
        return key(images), one_hot(key.encode(labels), TRAINED.classes)

    batch: Split = data[: recipe.batch]
    model = architectures.build(TRAINED)
    times = _race(
        {
            "without": lambda: fit(model, TRAINED, data, recipe),
            "with": lambda: fit(model, TRAINED, data, recipe, make_batch=keyed),
        },
        turns,
    )
    times |= _race({"transform": lambda: key(batch.images)}, 100)
    return {
        "training_overhead": round(times["with"] / times["without"] - 1, 4),
        "transform_share_of_step": round(times["transform"] * steps / times["without"], 5),
    }


if __name__ == "__main__":
    main()
