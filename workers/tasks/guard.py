"""The guard job: where the cells are cut, what the guard costs, how copies lean without a mark."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from jobs.sealing import unseal
from protection.guards import guard_finish, opened_guard
from protection.models import Protection
from registry import storage
from spellmark.attacks.extract.training import Trainer, copy_card
from spellmark.model_files.card import ModelCard
from spellmark.secrets import KeyFile, permutation, subkey
from spellmark.training import weights
from spellmark.training.inference import predict_probabilities
from spellmark.watermarks.dynamic import SCHEME
from spellmark.watermarks.dynamic.guard import Guard, calibrate
from spellmark.watermarks.dynamic.report_card import report_card
from tasks.lock import data_for, model_path
from tasks.work import Work

Images = npt.NDArray[np.uint8]
PART = 2000
# Copies of the unmarked model: what suspects are compared with, beside the model itself.
NETWORKS = ("small-resnet", "small-mlp")
EPOCHS, LEAST_STEPS = 6, 300


def run(work: Work) -> None:
    """Measure the guard on the answers of the protection's source version."""
    guard = Protection.objects.select_related("source__model", "commitment").get(job=work.job)
    key = opened_guard(guard, KeyFile.loads(unseal(work.job)["key"]))
    data, settings = data_for(guard.source, guard.dataset), guard.settings
    model, card = weights.load(model_path(guard.source))

    def answers(images: Images, start: float, end: float) -> npt.NDArray[np.float64]:
        return _answers(
            lambda part: predict_probabilities(model, card, part),
            images,
            lambda share, step: work.progress(start + share * (end - start), step),
        )

    seed = bytes.fromhex(settings["referenceSeed"])
    drawn = permutation(_drawn(seed, "images"), len(data.train))[: settings["images"]]
    known = data.train.images[np.sort(drawn)]
    unmarked = answers(known, 0, 0.1)
    thresholds = calibrate(key, unmarked, known)
    if thresholds is not None:
        work.log(f"cut the inputs of each class into {key.parameters.cells} cells")
    with work.scratch() as scratch:
        references = [
            _clean_copy(work, card, known, unmarked, number, seed, scratch)
            for number in range(len(NETWORKS))
        ]
    report = report_card(
        Guard(key, thresholds=thresholds, decimals=settings["decimals"], top_k=settings["topK"]),
        answers(data.test.images, 0.9, 1),
        data.test.labels,
        data.test.images,
    )
    work.log(
        f"right on {report.accuracy_before:.1%} without the guard, on "
        f"{report.accuracy_after:.1%} with it"
    )
    work.check()
    guard_finish(
        guard=guard,
        job=work.job,
        thresholds=None if thresholds is None else thresholds.tolist(),
        references=references,
        report_card=report.as_dict(),
    )


def _clean_copy(
    work: Work,
    card: ModelCard,
    images: Images,
    unmarked: npt.NDArray[np.float64],
    number: int,
    seed: bytes,
    folder: Path,
) -> str:
    """The digest of a copy that was made from unmarked answers; the folder keeps it."""
    path, network = folder / f"reference-{number}.safetensors", NETWORKS[number]
    if not path.exists():
        own = int.from_bytes(_drawn(seed, network)[:4], "big")
        trainer = Trainer(copy_card(card, network), EPOCHS, LEAST_STEPS, seed=own)
        copy = trainer(
            images,
            unmarked,
            progress=lambda share, step: work.progress(
                0.1 + 0.8 * (number + share) / len(NETWORKS), f"a copy without a mark, {step}"
            ),
        )
        weights.save(copy, trainer.card, path)
        work.log(f"a {network} was copied from unmarked answers, to compare suspects with")
    return storage.put(path.read_bytes())


def _drawn(seed: bytes, purpose: str) -> bytes:
    return subkey(seed, binding=b"", scheme=SCHEME, purpose=f"references: {purpose}")


def _answers(
    ask: Callable[[Images], npt.NDArray[np.float64]],
    images: Images,
    progress: Callable[[float, str], Any],
) -> npt.NDArray[np.float64]:
    """The model's own answers, part by part."""
    parts = []
    for start in range(0, len(images), PART):
        parts.append(ask(images[start : start + PART]))
        done = min(start + PART, len(images))
        progress(done / len(images), f"answer {done:,} of {len(images):,}")
    return np.concatenate(parts)
