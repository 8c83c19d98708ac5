"""The rule of a run against a trigger watermark: fresh triggers, a share of the committed α, and
the innocent models that are asked the same.
"""

from django.db.models import QuerySet

from jobs.models import Job
from protection.models import Protection
from protection.triggers import trigger_parameters
from registry.models import Commitment, File, Version
from spellmark.evidence.null_pool import TRAINED, Reference
from spellmark.evidence.trigger_leaves import draw_leaves
from spellmark.evidence.trigger_pool import pool_digest
from spellmark.evidence.trigger_rule import TRIGGER, TriggerRule, TriggerRuleError
from spellmark.watermarks.trigger import SCHEME
from verification.models import Run
from verification.references import pool_of

FEWEST = 8


def trigger_rule(
    protection: Protection,
    *,
    method: str = "",
    alpha: float | None = None,
    probes: int | None = None,
    query_cap: int | None = None,
) -> TriggerRule:
    """The rule of the next run against this watermark. Raises TriggerRuleError.

    α and the most queries were committed to with the key; fewer queries can be chosen.
    """
    if protection.kind != Protection.Kind.TRIGGER or method not in ("", TRIGGER):
        raise TriggerRuleError(
            f"A {protection.kind} and the method “{method}” do not belong together.",
            hint="Leave the method open: then it suits the protection.",
        )
    commitment = protection.commitment
    parameters = trigger_parameters(protection.source, commitment)
    if alpha not in (None, parameters.alpha):
        raise TriggerRuleError(
            f"The key was committed to with alpha = {parameters.alpha:g}, which stays.",
            hint="Leave alpha empty.",
        )
    used = used_triggers(commitment)
    left = parameters.triggers - len(used)
    most = min(parameters.queries, left)
    if left < FEWEST:
        raise TriggerRuleError(
            f"{left} of {parameters.triggers} triggers are still unopened: too few for a run.",
            hint="Embed a watermark with a new key.",
        )
    asked = most if probes is None else probes
    if asked > most or (query_cap is not None and asked > query_cap):
        raise TriggerRuleError(
            f"A run under this key opens at most {most} triggers, and the cap is "
            f"{most if query_cap is None else query_cap}; {asked} are too many.",
            hint="Ask for fewer.",
        )
    pool = trigger_pool(protection)
    return TriggerRule(
        alpha=parameters.alpha,
        probes=asked,
        minimum_probes=min(FEWEST, asked),
        classes=parameters.classes,
        registration=registration_number(commitment),
        run=_runs(commitment).count() + 1,
        triggers=parameters.triggers,
        used=used,
        models=len(pool),
        pool_sha256=pool_digest(pool),
    )


def trigger_pool(protection: Protection) -> list[Reference]:
    """The innocent models that a run's triggers are put to, in order: those trained here alone.

    One that somebody brought may be a copy, and would void every true claim.
    """
    versions = [one for one in (protection.source, protection.result) if one is not None]
    pools = [pool_of(version, protection.dataset) for version in versions]
    own = set(File.objects.filter(version__in=versions).values_list("sha256", flat=True))
    found = {one for pool in pools for one in pool}
    return sorted(one for one in found if one.source == TRAINED and one.sha256 not in own)


def hold_triggers(protection: Protection) -> None:
    """Keep other runs from drawing triggers until this transaction ends."""
    # Commitments can only be read and added, so the version stands for them.
    Version.objects.select_for_update().get(id=protection.source_id)


def registration_number(commitment: Commitment) -> int:
    """Which of the organisation's trigger keys this is, from 1, in the order of commitment."""
    return Commitment.objects.filter(
        version__model__organisation=commitment.version.model.organisation_id,
        scheme=SCHEME,
        created_at__lte=commitment.created_at,
    ).count()


def used_triggers(commitment: Commitment) -> tuple[int, ...]:
    """What all runs under this key opened, or may open yet, in order."""
    found: set[int] = set()
    for run in _runs(commitment).select_related("job"):
        if run.job.state in (Job.State.QUEUED, Job.State.RUNNING):
            rule = TriggerRule(**run.rule)
            drawn = draw_leaves(bytes.fromhex(run.seed), rule.triggers, rule.used, rule.probes)
            found.update(drawn)
        # A request that was not answered may have shown its trigger all the same.
        found.update(run.exchanges.values_list("line__image_index", flat=True))
    return tuple(sorted(found))


def _runs(commitment: Commitment) -> QuerySet[Run]:
    return Run.objects.filter(protection__commitment=commitment, method=TRIGGER)
