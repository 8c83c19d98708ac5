"""Certificates, and the log in which they stand."""

import json
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import messages
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render

from accounts.actors import AUDIT, READ, WRITE, Actor
from ledger.models import Certificate, Entry
from ledger.revocations import certificate_revoke, is_revocable
from ledger.selectors import (
    certificate_bundle,
    certificate_entry_of,
    certificate_file,
    certificate_list,
    certificate_proof,
    certificate_statement,
    checkpoint_latest,
    checkpoint_list,
    cosigners_of,
    entry_list,
    entry_proof,
    log_size,
    policy,
    revocation_list,
    revocation_of,
    trust,
    witnessed_policy,
)
from registry.selectors import commitment_list, version_list
from spellmark.certificates.certificate import loads
from spellmark.certificates.statements import Verdict, kind_of
from verification.selectors import run_bundle, run_list
from web.forms import submit
from web.plots import path_picture, proof_steps
from web.uploads import download
from web.viewer import action, page, paginate

# The newest ones; all of them are in the database, and any two are provably of one log.
CHECKPOINTS = 10


class RevocationForm(forms.Form):
    """Why a certificate is withdrawn, and what takes its place."""

    reason = forms.CharField(
        max_length=1000,
        help_text="One line. It is signed and stands in the revocation, which everybody may read.",
    )
    replaced_by = forms.ModelChoiceField(
        Certificate.objects.none(),
        required=False,
        label="Replaced by",
        empty_label="nothing: it is withdrawn",
        help_text="A later certificate of the same kind, where there is one.",
    )

    def __init__(self, *args: Any, successors: QuerySet[Certificate], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["replaced_by"].queryset = successors
        if not self.is_bound and not successors.exists():
            del self.fields["replaced_by"]


@page(READ, AUDIT)
def certificates(request: HttpRequest, actor: Actor) -> HttpResponse:
    """The organisation's certificates."""
    kind = request.GET.get("kind", "")
    rows = _certificates(actor)
    if kind:
        rows = rows.filter(kind=kind)
    context = {"certificates": paginate(request, rows), "kind": kind}
    return render(request, "ledger/certificates.html", context)


@page(READ, AUDIT)
def certificate_page(request: HttpRequest, actor: Actor, certificate_id: UUID) -> HttpResponse:
    """One certificate: what it says, and how to check that without us."""
    return _show(request, actor, _certificate(actor, certificate_id))


@action(WRITE)
def certificate_revocation(
    request: HttpRequest, actor: Actor, certificate_id: UUID
) -> HttpResponse:
    """Withdraw a certificate, or replace it by a later one."""
    certificate = _certificate(actor, certificate_id)
    form = RevocationForm(request.POST, successors=_successors(actor, certificate))
    if submit(
        form, certificate_revoke, organisation_id=actor.organisation.id, certificate=certificate
    ):
        messages.success(
            request, "The certificate is revoked. In a few seconds the ledger says so."
        )
        return redirect("web:certificate", certificate_id=certificate.id)
    return _show(request, actor, certificate, form)


def _show(
    request: HttpRequest,
    actor: Actor,
    certificate: Certificate,
    form: RevocationForm | None = None,
) -> HttpResponse:
    statement, revocation = certificate_statement(certificate), revocation_of(certificate)
    if form is None and actor.may(WRITE) and is_revocable(certificate, revocation):
        form = RevocationForm(successors=_successors(actor, certificate))
    envelope = loads(bytes(certificate.body))
    context = {
        "certificate": certificate,
        "statement": statement,
        "is_verdict": isinstance(statement, Verdict),
        "entry": certificate_entry_of(certificate),
        "keyid": envelope.keyid,
        "kind": kind_of(statement),
        "revocation": revocation,
        "revocation_form": form,
        "predicate_type": json.loads(envelope.payload)["predicateType"],
        "raw": json.dumps(json.loads(envelope.payload), indent=2, ensure_ascii=False),
        "is_witnessed": witnessed_policy() is not None,
        **_subject(actor, certificate),
    }
    return render(request, "ledger/certificate.html", context)


@page(READ, AUDIT)
def certificate_body(request: HttpRequest, actor: Actor, certificate_id: UUID) -> HttpResponse:
    """The certificate itself: a Sigstore bundle v0.3."""
    body = certificate_file(_certificate(actor, certificate_id))
    return download(body, name="certificate.sigstore.json", content_type="application/json")


@page(READ, AUDIT)
def certificate_proof_file(
    request: HttpRequest, actor: Actor, certificate_id: UUID
) -> HttpResponse:
    """The proof that the certificate stands in the log, a C2SP .tlog-proof."""
    proof = certificate_proof(_certificate(actor, certificate_id)).dumps()
    return download(proof, name="certificate.tlog-proof", content_type="text/plain")


@page(READ, AUDIT)
def certificate_bundle_file(
    request: HttpRequest, actor: Actor, certificate_id: UUID
) -> HttpResponse:
    """All that an outsider needs, in one zip; a verdict brings its transcript and answers."""
    certificate = _certificate(actor, certificate_id)
    run = run_list(actor=actor).filter(certificate_id=certificate.id).first()
    bundle = run_bundle(run) if run else certificate_bundle(certificate)
    return download(bundle.dumps(), name="bundle.zip", content_type="application/zip")


@page(READ, AUDIT)
def ledger(request: HttpRequest, actor: Actor) -> HttpResponse:
    """The log: its newest checkpoint and its entries."""
    checkpoint = checkpoint_latest()
    entries = paginate(request, entry_list())
    context = {
        "checkpoint": checkpoint,
        "note": bytes(checkpoint.note).decode() if checkpoint else "",
        "root": bytes(checkpoint.root).hex() if checkpoint else "",
        "entries": entries,
        "rows": _rows(actor, list(entries)),
        "checkpoints": [
            {"row": row, "cosigners": cosigners_of(row)} for row in checkpoint_list()[:CHECKPOINTS]
        ],
        "policy": policy(),
        "waiting": log_size() - (checkpoint.size if checkpoint else 0),
    }
    return render(request, "ledger/ledger.html", context)


@page(READ, AUDIT)
def entry_page(request: HttpRequest, actor: Actor, index: int) -> HttpResponse:
    """One entry, and how it leads to the root that the checkpoint signs."""
    entry = get_object_or_404(entry_list(), index=index)
    checkpoint = checkpoint_latest()
    assert checkpoint is not None
    proof = entry_proof(entry.index, checkpoint)
    row = _rows(actor, [entry])[0]
    context = {
        **row,
        "text": bytes(entry.body).decode(),
        "leaf": bytes(entry.leaf_hash).hex(),
        "checkpoint": checkpoint,
        "root": bytes(checkpoint.root).hex(),
        "steps": proof_steps(bytes(entry.leaf_hash), index, checkpoint.size, proof.hashes),
        "picture": path_picture(index, checkpoint.size),
    }
    return render(request, "ledger/entry.html", context)


@page(READ, AUDIT)
def entry_proof_file(request: HttpRequest, actor: Actor, index: int) -> HttpResponse:
    """The proof that an entry stands in the log, a C2SP .tlog-proof."""
    entry = get_object_or_404(entry_list(), index=index)
    checkpoint = checkpoint_latest()
    assert checkpoint is not None
    proof = entry_proof(entry.index, checkpoint).dumps()
    return download(proof, name=f"entry-{index}.tlog-proof", content_type="text/plain")


@page(READ, AUDIT)
def checkpoint_file(request: HttpRequest, actor: Actor) -> HttpResponse:
    """The newest checkpoint, a C2SP signed note."""
    checkpoint = checkpoint_latest()
    if checkpoint is None:
        raise Http404
    return download(bytes(checkpoint.note), name="checkpoint.txt", content_type="text/plain")


@page(READ, AUDIT)
def trust_file(request: HttpRequest, actor: Actor) -> HttpResponse:
    """The keys to check certificates and checkpoints with."""
    return download(trust().dumps(), name="trust.json", content_type="application/json")


@page(READ, AUDIT)
def revocations_file(request: HttpRequest, actor: Actor) -> HttpResponse:
    """All revocations, for verifiers."""
    return download(revocation_list(), name="revocations.json", content_type="application/json")


@page(READ, AUDIT)
def policy_file(request: HttpRequest, actor: Actor) -> HttpResponse:
    """The tlog-policy: which witnesses must have cosigned the log."""
    return download(policy().dumps(), name="policy.txt", content_type="text/plain")


def _certificates(actor: Actor) -> Any:
    return certificate_list(organisation_id=actor.organisation.id)


def _certificate(actor: Actor, certificate_id: UUID) -> Certificate:
    return get_object_or_404(_certificates(actor), id=certificate_id)


def _successors(actor: Actor, certificate: Certificate) -> QuerySet[Certificate]:
    """What may take the certificate's place."""
    later = {"kind": certificate.kind, "created_at__gt": certificate.created_at}
    rows: QuerySet[Certificate] = _certificates(actor).filter(**later)
    return rows


def _subject(actor: Actor, certificate: Certificate) -> dict[str, Any]:
    """What the certificate is about, as far as the actor may see it."""
    found: dict[str, Any] = {
        "run": run_list(actor=actor).filter(certificate_id=certificate.id).first()
    }
    if actor.may(READ):
        commitment = commitment_list(actor=actor).filter(certificate_id=certificate.id).first()
        version = version_list(actor=actor).filter(certificate_id=certificate.id).first()
        found["version"] = commitment.version if commitment else version
    return found


def _rows(actor: Actor, entries: list[Entry]) -> list[dict[str, Any]]:
    """Each entry with its JSON and, where it is the organisation's own, its certificate."""
    leaves = [bytes(entry.leaf_hash) for entry in entries]
    ours = {bytes(c.leaf_hash): c for c in _certificates(actor).filter(leaf_hash__in=leaves)}
    return [
        {
            "entry": entry,
            "body": json.loads(bytes(entry.body)),
            "certificate": ours.get(bytes(entry.leaf_hash)),
        }
        for entry in entries
    ]
