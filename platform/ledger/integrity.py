"""What is publicly known about a SHA-256: its places in the log, and nothing of whose it is."""

from collections.abc import Iterable
from typing import Any

from ledger.models import Certificate, Revocation
from ledger.selectors import certificate_entry_of, checkpoint_latest, entry_proof
from spellmark.certificates.encoding import to_json
from spellmark.certificates.entries import CERTIFICATE_KIND

MAX_FOUND = 100


def digest_facts(digests: Iterable[str]) -> list[dict[str, Any]]:
    """Everything in the log about these digests (hex), oldest first, at most a hundred entries.

    A digest is known as a certificate's own or as a subject of certificates. What a certificate
    says is not told here, neither who holds it: only its kind, its place and whether it was
    revoked. What still waits for its place in the log is not yet known.
    """
    wanted = set(digests)
    found: dict[Any, tuple[Certificate, str]] = {}
    for certificate in Certificate.objects.filter(digest__in=wanted)[:MAX_FOUND]:
        found[certificate.id] = (certificate, "certificate")
    about = Certificate.objects.filter(subjects__digest__in=wanted)
    for certificate in about.order_by("created_at").prefetch_related("subjects")[:MAX_FOUND]:
        names = [one.name for one in certificate.subjects.all() if one.digest in wanted]
        found.setdefault(certificate.id, (certificate, names[0]))
    facts = [_facts(certificate, role) for certificate, role in found.values()]
    return sorted((fact for fact in facts if fact), key=lambda fact: fact["log_index"])[:MAX_FOUND]


def _facts(certificate: Certificate, role: str) -> dict[str, Any] | None:
    entry, checkpoint = certificate_entry_of(certificate), checkpoint_latest()
    if entry is None or checkpoint is None:
        return None
    revocation = Revocation.objects.filter(certificate=certificate).select_related("by").first()
    by = certificate_entry_of(revocation.by) if revocation else None
    return {
        "role": role,
        "kind": certificate.kind,
        "certificate_sha256": certificate.digest,
        "log_index": entry.index,
        "logged_at": entry.integrated_at,
        "entry": to_json({"kind": CERTIFICATE_KIND, "sha256": certificate.digest}).decode(),
        "proof": entry_proof(entry.index, checkpoint).dumps().decode(),
        "revoked_by_log_index": by.index if by else None,
    }
