"""A run against a guard's mark: one input a request, until enough is known."""

import time
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from jobs.sealing import unseal
from spellmark.evidence import conduct
from spellmark.evidence.keyed_probes import Slots, as_it_is
from spellmark.evidence.mark_evidence import Question
from spellmark.evidence.mark_replay import MarkDisclosure, hear, replay
from spellmark.evidence.mark_rule import MarkRule, MarkRun
from spellmark.evidence.transcript import Exchange
from spellmark.evidence.verdicts import MATCH
from spellmark.secrets import KeyFile, permutation, subkey
from spellmark.training.datasets import Split
from spellmark.watermarks.dynamic.examine import Questions, signs_of
from spellmark.watermarks.dynamic.mark_key import MarkKey
from tasks.lock import data_for
from tasks.mark_questions import keys_of, questions_of
from tasks.record import ask
from tasks.work import Work
from verification import services
from verification.models import Run

# The owner's model answers so many images, of which the questions are chosen.
POOL = 5000
# How often the run's page gets to know of the evidence so far, at the most.
GROWTH_SECONDS = 1.0


def verify(run: Run, rule: MarkRule, work: Work) -> None:
    """Ask the suspect, test its answers, write the verdict."""
    sealed = unseal(work.job)
    # The clients that there were when the rule was fixed.
    keys = keys_of(run.protection, KeyFile.loads(sealed["key"]), rule.clients)
    asked = _questions(run, rule, keys[""])
    questions = conduct.Questions(
        probes=Split(asked.images, _best_classes(asked)),
        image_indices=asked.indices,
        slots=Slots((as_it_is,)),
        batch=1,
        with_probabilities=True,
    )
    signs = {client: signs_of(key) for client, key in keys.items()}
    so_far = MarkRun(rule, signs)
    exchanges, described = ask(
        run, work, sealed["headers"], questions, enough=_Listener(run, so_far, asked.asked)
    )
    # Of the other clients nothing is told, for their marks are in use; without a match, of none.
    decision = so_far.decide()
    fits = decision.client if decision.verdict == MATCH else ""
    told = MarkDisclosure.of(rule, asked.asked, {fits: signs[fits]})
    services.run_finish(
        run=run,
        job=work.job,
        # From what is disclosed alone, as everybody else will.
        decision=replay(rule, told, exchanges),
        disclosure=told,
        suspect_description=described,
    )


class _Listener:
    """Hears every answer, says whether enough is known, and keeps the evidence so far."""

    def __init__(self, run: Run, so_far: MarkRun, asked: Sequence[Question]) -> None:
        self._run, self._so_far, self._asked = run, so_far, asked
        self._kept = 0.0

    def __call__(self, exchange: Exchange) -> bool:
        is_enough = hear(self._so_far, self._asked, exchange)
        now = time.monotonic()
        if now - self._kept >= GROWTH_SECONDS:
            self._kept = now
            services.run_grow(run=self._run, growth=self._so_far.growth)
        return is_enough


def _questions(run: Run, rule: MarkRule, key: MarkKey) -> Questions:
    seed, data = bytes.fromhex(run.seed), data_for(run.protection.source, run.dataset)
    drawn = permutation(
        subkey(seed, binding=b"", scheme=run.method, purpose="pool"), len(data.test)
    )
    pool = np.sort(drawn[:POOL])
    images = data.test.images[pool]
    chosen = questions_of(run.protection, key, images, seed=seed, wanted=rule.probes)
    places = tuple(int(pool[place]) for place in chosen.indices)
    return Questions(places, chosen.images, chosen.asked)


def _best_classes(asked: Questions) -> npt.NDArray[np.int64]:
    return np.array([question.reference for question in asked.asked]).argmax(1)
