"""A run against a trigger watermark: fresh triggers, one a request, until enough is known."""

import numpy as np
import numpy.typing as npt
from torch import nn

from jobs.sealing import unseal
from protection.triggers import opened_trigger
from registry import storage
from spellmark.evidence import conduct
from spellmark.evidence.keyed_probes import Slots, as_it_is
from spellmark.evidence.transcript import Exchange
from spellmark.evidence.trigger_leaves import draw_leaves
from spellmark.evidence.trigger_pool import AskedReference
from spellmark.evidence.trigger_replay import TriggerDisclosure, replay
from spellmark.evidence.trigger_rule import TriggerRule, TriggerRun
from spellmark.model_files.card import ModelCard
from spellmark.secrets import KeyFile
from spellmark.training import weights
from spellmark.training.datasets import Split
from spellmark.training.inference import predict_labels
from spellmark.watermarks.trigger import TriggerKey
from spellmark.watermarks.trigger.examine import ask_reference, check_owner, check_registered
from tasks.lock import data_for, model_path
from tasks.record import ask
from tasks.work import Work
from verification import services
from verification.models import Run
from verification.references import run_pool

Images = npt.NDArray[np.uint8]
Labels = npt.NDArray[np.int64]


def verify(run: Run, rule: TriggerRule, work: Work) -> None:
    """Ask the suspect about triggers that no run has opened, test its answers, write the verdict.

    Raises TriggerMarkError where the key gives other triggers than were registered, or the owner's
    own model may not claim: then nobody is asked.
    """
    sealed = unseal(work.job)
    key = opened_trigger(run.protection, KeyFile.loads(sealed["key"]))
    _check_claim(run, key, work)
    leaves = draw_leaves(bytes.fromhex(run.seed), rule.triggers, rule.used, rule.probes)
    chosen: npt.NDArray[np.int64] = np.array(leaves)
    questions = conduct.Questions(
        probes=Split(key.images[chosen], key.labels[chosen]),
        image_indices=leaves,
        slots=Slots((as_it_is,)),
        batch=1,
    )
    so_far = TriggerRun(rule)
    exchanges, described = ask(
        run, work, sealed["headers"], questions, enough=lambda one: _heard(so_far, one)
    )
    pool = _ask_pool(run, key, leaves, len(exchanges), work)
    told = TriggerDisclosure(
        seed=bytes.fromhex(run.seed),
        root=key.tree.root,
        owner=key.owner,
        # Of the triggers that nobody was asked about nothing is told: later runs need them.
        openings={one.image_index: key.opening(one.image_index) for one in exchanges},
        pool=tuple(pool),
    )
    # From what is disclosed alone, as everybody else will.
    decision, found = replay(rule, told, exchanges)
    work.log(f"{len(found.passed)} of {found.models} innocent reference models would pass")
    services.run_finish(
        run=run,
        job=work.job,
        decision=decision,
        disclosure=told,
        pool=found,
        suspect_description=described,
    )


def _heard(so_far: TriggerRun, exchange: Exchange) -> bool:
    """Gives the test one more answer, and says whether enough is known."""
    so_far.add(exchange.label, exchange.labels[0])
    return so_far.decided


def _ask_pool(
    run: Run, key: TriggerKey, leaves: tuple[int, ...], asked: int, work: Work
) -> list[AskedReference]:
    """What the innocent models that were fixed with the rule say to the same triggers."""
    answers = []
    for number, one in enumerate(run_pool(run)):
        work.progress(1 - 1 / (number + 2), f"reference model {number + 1}")
        model, card = weights.load(storage.path_of(one.sha256))

        def labels(images: Images, model: nn.Module = model, card: ModelCard = card) -> Labels:
            return predict_labels(model, card, images)

        answers.append(ask_reference(one, labels, key, leaves, asked))
    return answers


def _check_claim(run: Run, key: TriggerKey, work: Work) -> None:
    """The triggers are the registered ones, and the owner's model knows them and its task."""
    protection = run.protection
    check_registered(key, protection.settings["root"])
    (marked, card), (unmarked, _) = (
        weights.load(model_path(version)) for version in (protection.result, protection.source)
    )
    data = data_for(protection.source, run.dataset)
    check = check_owner(marked, unmarked, card, key, data.test)
    work.log(
        f"the owner’s model gives {check.recall:.1%} of the triggers their labels, and is right "
        f"on {check.accuracy_after:.1%} of the test images"
    )
    check.require()
