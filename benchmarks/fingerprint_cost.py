"""What a fingerprint costs beside the suspect's own inference: seconds on one core.

A run over 400 probes with a null pool of 60 models: the scores of the pool and of the suspect, the
ranking, and the verdict as outsiders redo it from the transcript with the standard library alone.
"""

import argparse
import json
import os
import statistics
import time
from dataclasses import asdict
from hashlib import sha256
from typing import Any

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")

import numpy as np
import torch
from result import report

from spellmark.evidence.answer_access import Access
from spellmark.evidence.fingerprint_replay import FingerprintDisclosure, replay
from spellmark.evidence.fingerprint_rule import AGREEMENT, CORRELATION, FingerprintRule
from spellmark.evidence.null_pool import KINDS, Reference, digest
from spellmark.evidence.transcript import Exchange
from spellmark.fingerprints.compare import score_all
from spellmark.fingerprints.weights import compare_weights
from spellmark.model_files.card import ModelCard
from spellmark.training.architectures import fresh

PROBES, CLASSES, OF_A_KIND = 400, 10, 20
CARD = ModelCard(architecture="small-resnet", classes=10, channels=1, height=28, width=28)
MEANING = {
    "seconds_400_probes": "the slower method: pool, suspect and verdict, one core, median",
    "agreement_seconds": "agreement on the owner's mistakes",
    "correlation_seconds": "correlation of samples, cosine",
    "correlation_pool_seconds": "of that, the scores of the 60 models and the suspect with numpy",
    "rbf_seconds": "correlation of samples, RBF",
    "weights_seconds": "one comparison of two small residual networks, layer by layer",
    "turns": "repetitions that the medians are over",
}


def main() -> None:
    """Time every method on answers that are made up, as their content costs nothing."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer repetitions")
    options = parser.parse_args()
    torch.set_num_threads(1)
    turns = 3 if options.quick else 15
    agreement, _ = _timed(turns, AGREEMENT, "cosine")
    cosine, pool = _timed(turns, CORRELATION, "cosine")
    rbf, _ = _timed(turns, CORRELATION, "rbf")
    figures: dict[str, Any] = {
        "seconds_400_probes": max(agreement, cosine, rbf),
        "agreement_seconds": agreement,
        "correlation_seconds": cosine,
        "correlation_pool_seconds": pool,
        "rbf_seconds": rbf,
        "weights_seconds": _weights(turns),
        "turns": turns,
    }
    report("fingerprint_cost", figures, MEANING, quick=options.quick)


def _timed(turns: int, method: str, kernel: str) -> tuple[float, float]:
    draw = np.random.default_rng(0)
    owner, suspect, *models = (
        draw.dirichlet(np.full(CLASSES, 0.3), PROBES).round(6) for _ in range(3 * OF_A_KIND + 2)
    )
    references = [
        Reference(kind, sha256(f"{kind}{number}".encode()).hexdigest())
        for kind in KINDS
        for number in range(OF_A_KIND)
    ]
    rule = FingerprintRule(
        method=method, of_a_kind=OF_A_KIND, pool_sha256=digest(references), probes=PROBES,
        kernel=kernel, classes=CLASSES,
    )  # fmt: skip
    lines = [json.loads(json.dumps(asdict(_exchange(n, row)))) for n, row in enumerate(suspect)]
    whole, scoring = [], []
    for _ in range(turns):
        begin = time.process_time()
        scores = score_all(rule, owner, [suspect, *models], Access("all"))
        scoring.append(time.process_time() - begin)
        pool = dict(zip(references, scores[1:], strict=True))
        told = FingerprintDisclosure(bytes(32), pool, owner=owner.tolist())
        decision = replay(rule, told, [Exchange.of(line) for line in lines])
        whole.append(time.process_time() - begin)
        assert abs(decision.outcome.score - scores[0]) < 1e-6
    return round(statistics.median(whole), 4), round(statistics.median(scoring), 4)


def _exchange(number: int, row: Any) -> Exchange:
    return Exchange(
        number=number, probe=number, image_index=number, image_sha256="0" * 64, label=0,
        first_slot=0, request_sha256="0" * 64, state="answered", level="probabilities",
        labels=(int(row.argmax()),), probabilities=tuple(row.tolist()),
    )  # fmt: skip


def _weights(turns: int) -> float:
    one, other = (
        {name: tensor.numpy() for name, tensor in fresh(CARD, seed).state_dict().items()}
        for seed in (0, 1)
    )
    taken = []
    for _ in range(turns):
        begin = time.process_time()
        compare_weights(one, other)
        taken.append(time.process_time() - begin)
    return round(statistics.median(taken), 4)


if __name__ == "__main__":
    main()
