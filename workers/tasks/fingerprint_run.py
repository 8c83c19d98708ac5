"""A run by fingerprint: the pool's answers once for all runs, then the suspect's, then the rank."""

import io
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from jobs.sealing import unseal
from registry import storage
from spellmark.errors import SpellmarkError
from spellmark.evidence import conduct
from spellmark.evidence.fingerprint_replay import (
    FingerprintDisclosure,
    access_of,
    answers_of,
    replay,
)
from spellmark.evidence.fingerprint_rule import WEIGHTS, FingerprintRule
from spellmark.evidence.keyed_probes import Slots, as_it_is
from spellmark.evidence.null_pool import Reference
from spellmark.fingerprints.compare import score_all
from spellmark.fingerprints.probes import Candidates, candidates
from spellmark.fingerprints.weights import compare_weights, read_tensors
from spellmark.secrets import permutation, subkey
from spellmark.suspects.model_file import ModelFile
from spellmark.training import weights
from spellmark.training.datasets import Split
from spellmark.training.inference import predict_probabilities
from tasks.lock import data_for, model_path
from tasks.pool_growth import check_run_pool
from tasks.record import ask
from tasks.work import Work
from verification.fingerprints import fingerprint_run_finish
from verification.models import ProbeSet, ReferenceAnswers, Run
from verification.models import Reference as ReferenceRow
from verification.references import run_pool

Answers = npt.NDArray[np.float64]
Images = npt.NDArray[np.uint8]

# Runs draw from so many, so that no suspect can learn the probes of the next run from the last.
CANDIDATES = 1200


def verify(run: Run, rule: FingerprintRule, work: Work) -> None:
    """Compare the suspect with the owner's version, rank it in the pool, write the verdict."""
    by = _weigh if rule.method == WEIGHTS else _ask
    by(run, rule, work, check_run_pool(run))


def _weigh(run: Run, rule: FingerprintRule, work: Work, owner_accuracy: float) -> None:
    own = read_tensors(model_path(run.source))
    pool = run_pool(run)
    scores: dict[Reference, float | None] = {}
    for number, one in enumerate(pool):
        work.progress(number / (len(pool) + 1), f"reference {number + 1} of {len(pool)}")
        scores[one] = compare_weights(own, read_tensors(storage.path_of(one.sha256))).score
    found = compare_weights(own, read_tensors(storage.path_of(run.suspect.sha256)))
    work.check()
    told = FingerprintDisclosure(
        bytes.fromhex(run.seed), scores, score=found.score, layers=found.as_rows()
    )
    fingerprint_run_finish(
        run=run,
        job=work.job,
        decision=replay(rule, told, []),
        disclosure=told,
        owner_accuracy=owner_accuracy,
        findings={
            "relation": found.relation,
            "permuted": found.permuted,
            "changed": list(found.changed),
            "layers": found.as_rows(),
        },
        suspect_description=ModelFile(storage.path_of(run.suspect.sha256)).describe(),
    )


def _ask(run: Run, rule: FingerprintRule, work: Work, owner_accuracy: float) -> None:
    bench = _Bench(run, work)
    probe_set, known = bench.probe_set(rule.variant)
    answers = bench.pool_answers(probe_set, known)
    chosen = _chosen(run, rule, len(known))
    questions = conduct.Questions(
        probes=Split(known.images[chosen], known.labels[chosen]),
        image_indices=chosen.tolist(),
        slots=Slots((as_it_is,)),
        batch=1,
        with_probabilities=True,
    )
    exchanges, described = ask(run, work, unseal(work.job)["headers"], questions)
    heard = answers_of(exchanges, 2)
    places = sorted(heard)
    asked = chosen[places]
    # The pool as the suspect shows itself: on the probes that were answered, no more than it shows.
    scores = score_all(
        rule,
        known.answers[asked],
        [said[asked] for said in answers.values()],
        access_of(heard[place] for place in places),
    )
    told = FingerprintDisclosure(
        bytes.fromhex(run.seed),
        dict(zip(answers, scores, strict=True)),
        owner=known.answers[chosen].tolist(),
    )
    fingerprint_run_finish(
        run=run,
        job=work.job,
        # From what is disclosed alone, as everybody else will.
        decision=replay(rule, told, exchanges),
        disclosure=told,
        owner_accuracy=owner_accuracy,
        findings={"candidates": len(known), "probeSet": probe_set.sha256},
        suspect_description=described,
    )


@dataclass(frozen=True)
class _Bench:
    """What is asked of the owner's model and of the pool, once for all runs."""

    run: Run
    work: Work

    def probe_set(self, variant: str) -> tuple[ProbeSet, Candidates]:
        """The candidates of this version and data set, made when the first run needs them."""
        version = self.run.source
        known = ProbeSet.objects.filter(
            version=version, dataset=self.run.dataset, variant=variant
        ).first()
        if known is None:
            data = data_for(version, self.run.dataset)
            model, card = weights.load(model_path(version))
            made = candidates(
                variant,
                lambda images: predict_probabilities(model, card, images),
                data.test[: len(data.test) // 2],
                most=CANDIDATES,
            )
            self.work.log(f"made {len(made):,} {variant} probes to draw from")
            # Of two runs at once the first one's stay.
            known, _ = ProbeSet.objects.get_or_create(
                version=version,
                dataset=self.run.dataset,
                variant=variant,
                defaults={"sha256": storage.put(_packed(made)), "count": len(made)},
            )
        return known, _unpacked(storage.get(known.sha256))

    def pool_answers(self, probe_set: ProbeSet, known: Candidates) -> dict[Reference, Answers]:
        """What every model of the run's pool says to the candidates."""
        pool = run_pool(self.run)
        rows = {
            row.sha256: row
            for row in ReferenceRow.objects.filter(
                organisation=self.run.organisation, sha256__in=[one.sha256 for one in pool]
            )
        }
        asked = dict(
            ReferenceAnswers.objects.filter(
                probe_set=probe_set, reference__in=rows.values()
            ).values_list("reference__sha256", "sha256")
        )
        answers, missing = {}, len(pool) - len(asked)
        if missing:
            self.work.log(f"{missing} models of the pool are asked for the first time")
        for number, one in enumerate(pool):
            self.work.progress(0, f"reference {number + 1} of {len(pool)}")
            if one.sha256 not in rows:
                raise SpellmarkError(
                    "A model of this run's null pool is gone.", hint="Start the run again."
                )
            if one.sha256 not in asked:
                asked[one.sha256] = _ask_reference(rows[one.sha256], probe_set, known.images)
            answers[one] = np.load(io.BytesIO(storage.get(asked[one.sha256])), allow_pickle=False)
        return answers


def _ask_reference(row: ReferenceRow, probe_set: ProbeSet, images: Images) -> str:
    said = predict_probabilities(*weights.load(storage.path_of(row.sha256)), images)
    file = io.BytesIO()
    np.save(file, np.round(said, 6))
    kept, _ = ReferenceAnswers.objects.get_or_create(
        probe_set=probe_set, reference=row, defaults={"sha256": storage.put(file.getvalue())}
    )
    return kept.sha256


def _chosen(run: Run, rule: FingerprintRule, count: int) -> npt.NDArray[np.int64]:
    """Places of the run's probes among the candidates, drawn by the run's seed."""
    seed = bytes.fromhex(run.seed)
    drawn = permutation(subkey(seed, binding=b"", scheme=run.method, purpose="probes"), count)
    return np.array(drawn[: rule.probes], np.int64)


def _packed(made: Candidates) -> bytes:
    file = io.BytesIO()
    np.savez_compressed(file, images=made.images, labels=made.labels, answers=made.answers)
    return file.getvalue()


def _unpacked(data: bytes) -> Candidates:
    with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
        parts: dict[str, Any] = {name: arrays[name] for name in ("images", "labels", "answers")}
    return Candidates(**parts)
