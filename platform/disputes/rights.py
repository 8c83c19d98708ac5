"""What those who are accused may do: lodge an earlier registration, ask for a new test."""

import hashlib
import secrets
from collections.abc import Mapping
from typing import Any

from django.db import IntegrityError, transaction
from django.utils import timezone

from accounts.actors import VERIFY, Actor
from config.validation import validate
from disputes.models import Case, Lodged, Retest, Share
from disputes.selectors import shared_runs
from disputes.services import DisputeError, case_add_runs
from disputes.standing import Record, record_of_bundle, record_of_certificate
from ledger.models import Certificate
from ledger.selectors import trust
from registry import storage
from spellmark.certificates.bundle import Bundle
from spellmark.certificates.certificate import loads
from spellmark.certificates.entries import certificate_digest
from spellmark.certificates.trust import MAX_TRUST_BYTES
from spellmark.evidence.decision import RANDOM_KEY_TEST
from spellmark.evidence.fingerprint_rule import FINGERPRINTS
from spellmark.evidence.trigger_rule import TRIGGER
from spellmark.secrets import KeyFile
from verification.fingerprints import fingerprint_run_create
from verification.models import Run
from verification.services import run_create

MAX_BUNDLE_BYTES = 1 << 20
MOST_LODGED = 20


def share_create(*, actor: Actor, case: Case) -> tuple[Share, str]:
    """A new link to a case, and its token, which is shown once and not kept."""
    actor.require(VERIFY)
    token = secrets.token_urlsafe(32)
    share = Share.objects.create(case=case, digest=_digest(token), created_by=actor.name)
    return share, token


def share_end(*, actor: Actor, share: Share) -> None:
    """End a link: who has it sees nothing any more. What was lodged stays."""
    actor.require(VERIFY)
    Share.objects.filter(id=share.id, ended_at=None).update(ended_at=timezone.now())


def share_use(*, token: str, actor: Actor | None) -> Share | None:
    """The link with this token, unless it was ended; notes when a stranger first used it."""
    share = (
        Share.objects.filter(digest=_digest(token), ended_at=None)
        .select_related("case__organisation")
        .first()
    )
    if share is not None and share.opened_at is None and not _is_owner(share.case, actor):
        share.opened_at = timezone.now()
        share.save(update_fields=["opened_at"])
    return share


def lodge_certificate(
    *, actor: Actor, share: Share, certificate: Certificate, statement: str = ""
) -> Lodged:
    """Lodge a registration of the actor's organisation in this log. Raises DisputeError."""
    actor.require(VERIFY)
    _refuse_owner(share.case, actor)
    if certificate.organisation_id != actor.organisation.id:
        raise DisputeError(
            "This registration belongs to another organisation.",
            hint="Choose one of your own organisation’s.",
        )
    _require_sound(record_of_certificate(certificate))
    return _lodge(
        share=share,
        organisation=actor.organisation,
        name=actor.organisation.name,
        statement=statement,
        certificate_id=certificate.id,
    )


def lodge_bundle(
    *,
    share: Share,
    name: str,
    bundle: bytes,
    trust_file: bytes = b"",
    statement: str = "",
    actor: Actor | None = None,
) -> Lodged:
    """Lodge a registration that another log holds, as an evidence bundle with its trust file.

    Whoever has the link may; `name` says who that is. Raises DisputeError, FormatError.
    """
    if actor is not None:
        actor.require(VERIFY)
    _refuse_owner(share.case, actor)
    if len(bundle) > MAX_BUNDLE_BYTES or len(trust_file) > MAX_TRUST_BYTES:
        raise DisputeError(
            f"A bundle has at most {MAX_BUNDLE_BYTES >> 20} MiB and a trust file "
            f"{MAX_TRUST_BYTES // 1_000_000} MB.",
            hint="The bundle of a registration is much smaller: it holds no answers.",
        )
    digest = certificate_digest(loads(Bundle.loads(bundle).certificate))
    if (ours := Certificate.objects.filter(digest=digest).first()) is not None:
        if actor is None:
            raise DisputeError(
                "This registration stands in this registry’s own log.",
                hint="Log in as the organisation that made it, open the link again and choose it.",
            )
        return lodge_certificate(actor=actor, share=share, certificate=ours, statement=statement)
    trust_file = trust_file or trust().dumps()
    record = record_of_bundle(bundle, trust_file)
    _require_sound(record)
    assert record.registration is not None
    owner = share.case.organisation.name.casefold()
    if record.registration.organisation.strip().casefold() == owner:
        raise DisputeError(
            "This registration is the owner’s own.", hint="Lodge one that you made yourself."
        )
    return _lodge(
        share=share,
        organisation=actor.organisation if actor else None,
        name=name,
        statement=statement,
        bundle_sha256=storage.put(bundle),
        trust_sha256=storage.put(trust_file),
    )


def retest_request(
    *, share: Share, run: Run, name: str, reason: str, actor: Actor | None = None
) -> Retest:
    """Ask for a new test of what a run of the case tested. Raises DisputeError."""
    if actor is not None:
        actor.require(VERIFY)
    _refuse_owner(share.case, actor)
    if not shared_runs(share).filter(id=run.id).exists():
        raise DisputeError("This run is not over.", hint="Wait for it, then ask for a new test.")
    retest = Retest(
        case=share.case,
        share=share,
        run=run,
        organisation=actor.organisation if actor else None,
        name=actor.organisation.name if actor else name,
        reason=reason,
    )
    validate(retest, DisputeError, exclude=["case", "share", "run", "organisation", "again"])
    try:
        with transaction.atomic():
            retest.save()
    except IntegrityError:
        raise DisputeError(
            "A new test of this run was asked for already.", hint="Wait for the owner to start it."
        ) from None
    return retest


@transaction.atomic
def retest_start(
    *,
    actor: Actor,
    retest: Retest,
    key: KeyFile | None = None,
    headers: Mapping[str, str] | None = None,
) -> Run:
    """Start the new test: the same rule with a fresh seed, counted as a further try.

    It joins the case like every run. Raises DisputeError and what the run's parts raise.
    """
    actor.require(VERIFY)
    retest = Retest.objects.select_for_update(of=["self"]).select_related("case").get(id=retest.id)
    if retest.again_id is not None:
        raise DisputeError("This test was started already.", hint="Look at its run.")
    run = retest.run
    if run.method in FINGERPRINTS:
        assert run.version is not None
        again = fingerprint_run_create(
            actor=actor, suspect=run.suspect, version=run.version, dataset=run.dataset,
            headers=headers, **_choices(run),
        )  # fmt: skip
    elif key is None or run.protection is None:
        raise DisputeError(
            "This test needs the key of the protection.", hint="Give its key file, as for a run."
        )
    else:
        again = run_create(
            actor=actor, suspect=run.suspect, protection=run.protection, key=key, batch=run.batch,
            headers=headers, **_choices(run),
        )  # fmt: skip
    case_add_runs(actor=actor, case=retest.case, runs=[again])
    retest.again = again
    retest.save(update_fields=["again"])
    return again


def _choices(run: Run) -> dict[str, Any]:
    """What the owner had chosen, so that nothing but the seed is new."""
    rule = run.rule
    if run.method == TRIGGER:
        # α was committed to; how many triggers are left decides how many can be opened.
        return {"method": run.method}
    kept = {"method": run.method, "alpha": rule["alpha"], "probes": rule["probes"]}
    if run.method in FINGERPRINTS:
        return kept | {"variant": rule["variant"], "kernel": rule["kernel"]}
    return kept | ({"decoys": rule["decoys"]} if run.method == RANDOM_KEY_TEST else {})


def _lodge(*, share: Share, **values: Any) -> Lodged:
    if share.lodged.count() >= MOST_LODGED:
        raise DisputeError(
            f"{MOST_LODGED} registrations were lodged by this link already.",
            hint="Ask the owner for another link.",
        )
    same = ("certificate_id", "bundle_sha256")
    known = {name: values[name] for name in same if values.get(name)}
    if share.case.lodged.filter(**known).exists():
        raise DisputeError("This registration was lodged already.", hint="It stands in the case.")
    row = Lodged(case=share.case, share=share, **values)
    validate(row, DisputeError, exclude=["case", "share", "organisation"])
    row.save()
    return row


def _require_sound(record: Record) -> None:
    if record.registration is None:
        raise DisputeError(
            f"The registration does not hold: {record.problem}",
            hint="Lodge the bundle as the other log gave it, with that log’s trust file.",
        )


def _refuse_owner(case: Case, actor: Actor | None) -> None:
    if _is_owner(case, actor):
        raise DisputeError(
            "This case is your own organisation’s.", hint="Give the link to those you accuse."
        )


def _is_owner(case: Case, actor: Actor | None) -> bool:
    return actor is not None and actor.organisation.id == case.organisation_id


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
