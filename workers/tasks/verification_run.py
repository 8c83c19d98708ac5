"""The run job: ask the suspect under the run's keys, test the answers, write the verdict."""

from jobs.sealing import unseal
from protection.services import card_of
from spellmark.errors import SpellmarkError
from spellmark.evidence import draws, keyed_probes
from spellmark.evidence.conduct import Questions
from spellmark.evidence.decision import KEYED_LABELS, decide
from spellmark.evidence.fingerprint_rule import FEATURES, FingerprintRule
from spellmark.evidence.keyed_label_test import probe_classes
from spellmark.evidence.mark_rule import MarkRule
from spellmark.evidence.trigger_rule import TriggerRule
from spellmark.secrets import KeyFile
from spellmark.training import datasets
from tasks import feature_run, fingerprint_run, mark_run, trigger_run
from tasks.lock import check_fits, opened_key
from tasks.record import ask
from tasks.work import Work
from verification import services
from verification.models import Run


def run(work: Work) -> None:
    """Verify the run's suspect against its protection."""
    run = Run.objects.select_related(
        "suspect",
        "organisation",
        "protection__source__model",
        "protection__commitment",
        "protection__result__model",
        "version__model",
    ).get(job=work.job)
    try:
        _verify(run, work)
    except SpellmarkError as error:
        services.run_fail(run=run, job=work.job, error=error)


def _verify(run: Run, work: Work) -> None:
    rule, seed = services.run_rule(run), bytes.fromhex(run.seed)
    if isinstance(rule, MarkRule):
        mark_run.verify(run, rule, work)
        return
    if isinstance(rule, TriggerRule):
        trigger_run.verify(run, rule, work)
        return
    if isinstance(rule, FingerprintRule):
        by = feature_run if rule.method in FEATURES else fingerprint_run
        by.verify(run, rule, work)
        return
    sealed = unseal(work.job)
    assert run.protection is not None  # only fingerprints do without
    source, file = run.protection.source, KeyFile.loads(sealed["key"])
    key, card = opened_key(source, run.protection.commitment, file), card_of(source)
    data = datasets.load(run.dataset)
    check_fits(data, card["classes"], (card["channels"], card["height"], card["width"]))
    keyed = rule.method == KEYED_LABELS
    indices = draws.choose_probes(
        seed,
        data.test.labels.tolist(),
        wanted=rule.probes,
        classes=probe_classes(rule.classes, rule.probes) if keyed else None,
    )
    questions = Questions(
        probes=datasets.Split(data.test.images[indices], data.test.labels[indices]),
        image_indices=indices,
        slots=keyed_probes.slots_of(key, rule, seed),
        batch=run.batch,
    )
    exchanges, described = ask(run, work, sealed["headers"], questions)
    disclosure = keyed_probes.disclosure(key, rule, seed)
    services.run_finish(
        run=run,
        job=work.job,
        decision=decide(rule, disclosure, exchanges),
        disclosure=disclosure,
        suspect_description=described,
    )
