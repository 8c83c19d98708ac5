"""A run against an external feature: the suspect and the whole pool in three styles, then the rank.

What a pool says is asked anew in every run, as the styles are the key's and the run's.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from jobs.sealing import unseal
from protection.models import Protection
from registry import storage
from spellmark.evidence import conduct
from spellmark.evidence.feature_replay import FeatureDisclosure, replay
from spellmark.evidence.feature_scores import access_of, whole_probes
from spellmark.evidence.fingerprint_rule import FEATURE_GRADIENTS, FingerprintRule
from spellmark.evidence.keyed_probes import Slots, as_it_is
from spellmark.evidence.null_pool import Reference
from spellmark.secrets import KeyFile, permutation, subkey
from spellmark.suspects.model_file import ModelFile
from spellmark.training import weights
from spellmark.training.datasets import Split
from spellmark.training.inference import predict_probabilities
from spellmark.watermarks.external_feature import Style
from spellmark.watermarks.external_feature.examine import (
    Answers,
    Images,
    gradient_score,
    gradient_signs,
    style_scores,
)
from tasks.feature import opened_style
from tasks.lock import data_for, model_path
from tasks.pool_growth import check_run_pool
from tasks.record import ask, no_usable_answer
from tasks.work import Work
from verification import services
from verification.fingerprints import fingerprint_run_finish
from verification.models import Run
from verification.references import run_pool

Said = TypeVar("Said")
Scores = dict[Reference, float | None]


def verify(run: Run, rule: FingerprintRule, work: Work) -> None:
    """Put the suspect and the pool to the owner's style and a wrong one, write the verdict."""
    assert run.protection is not None
    sealed = unseal(work.job)
    style = opened_style(run.protection, KeyFile.loads(sealed["key"]))
    owner_accuracy = check_run_pool(run)
    bench = _Bench(run, run.protection, rule, work, style)
    if rule.method == FEATURE_GRADIENTS:
        told, described, findings = bench.by_gradients()
    else:
        told, described, findings = bench.by_answers(sealed["headers"])
    fingerprint_run_finish(
        run=run,
        job=work.job,
        # From what is disclosed alone, as everybody else will.
        decision=replay(rule, told, services.run_exchanges(run)),
        disclosure=told,
        owner_accuracy=owner_accuracy,
        findings=findings,
        suspect_description=described,
    )


_Found = tuple[FeatureDisclosure, dict[str, Any], dict[str, Any]]


@dataclass(frozen=True)
class _Bench:
    run: Run
    protection: Protection
    rule: FingerprintRule
    work: Work
    style: Style

    @property
    def seed(self) -> bytes:
        """The run's, which draws images and the wrong style."""
        return bytes.fromhex(self.run.seed)

    @property
    def wrong(self) -> Style:
        """A style that nobody holds a key for."""
        return Style.control(self.style.parameters, self.seed)

    def by_gradients(self) -> _Found:
        """Scores of the suspect's file and of every model of the pool."""
        probes, _ = self.probes()
        asked = self.style(probes.images), self.wrong(probes.images)
        owner, card = weights.load(model_path(self.run.owners))
        owners = [gradient_signs(owner, card, images, probes.labels) for images in asked]

        def scores(sha256: str) -> tuple[float, float]:
            model, its_card = weights.load(storage.path_of(sha256))
            styled, wrong = (
                gradient_score(own, gradient_signs(model, its_card, images, probes.labels))
                for own, images in zip(owners, asked, strict=True)
            )
            return styled, wrong

        pool = self._each(scores)
        suspect = scores(self.run.suspect.sha256)
        self.work.check()
        told = FeatureDisclosure(
            self.seed,
            {one: styled for one, (styled, _) in pool.items()},
            {one: wrong for one, (_, wrong) in pool.items()},
            scores=suspect,
        )
        described = ModelFile(storage.path_of(self.run.suspect.sha256)).describe()
        return told, described, {}

    def by_answers(self, headers: dict[str, str]) -> _Found:
        """Scores from the suspect's answers, the pool seen through the same window."""
        probes, indices = self.probes()
        wrong = self.wrong
        pool = self._each(lambda sha256: _said(sha256, probes.images, self.style, wrong))
        questions = conduct.Questions(
            probes=probes,
            image_indices=indices,
            slots=Slots((as_it_is, self.style, wrong)),
            batch=1,
            with_probabilities=True,
        )
        exchanges, described = ask(self.run, self.work, headers, questions)
        heard = whole_probes(exchanges)
        if not heard:
            raise no_usable_answer()
        places, access = np.array(sorted(heard)), access_of(heard)
        labels = probes.labels[places]

        def scores(slot: int) -> Scores:
            found = style_scores(
                labels,
                [said[0][places] for said in pool.values()],
                [said[slot][places] for said in pool.values()],
                access,
            )
            return dict(zip(pool, found, strict=True))

        told = FeatureDisclosure(self.seed, scores(1), scores(2))
        return told, described, {}

    def probes(self) -> tuple[Split, list[int]]:
        """Images of the test half that no reference learns from, drawn by the run's seed."""
        data = data_for(self.protection.source, self.run.dataset).test
        half = len(data) // 2
        key = subkey(self.seed, binding=b"", scheme=self.run.method, purpose="probes")
        chosen = permutation(key, half)[: self.rule.probes]
        return Split(data.images[chosen], data.labels[chosen]), chosen

    def _each(self, score: Callable[[str], Said]) -> dict[Reference, Said]:
        pool = run_pool(self.run)
        found = {}
        for number, one in enumerate(pool):
            self.work.progress(0, f"reference {number + 1} of {len(pool)}")
            found[one] = score(one.sha256)
        return found


def _said(
    sha256: str, images: Images, style: Style, wrong: Style
) -> tuple[Answers, Answers, Answers]:
    """What a model says to the images as they are, in the style, and in the wrong one."""
    model, card = weights.load(storage.path_of(sha256))
    plain, styled, control = (
        # As transcripts tell them.
        np.round(predict_probabilities(model, card, shown), 6)
        for shown in (images, style(images), wrong(images))
    )
    return plain, styled, control
