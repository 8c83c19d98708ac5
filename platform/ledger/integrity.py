"""What is publicly known about a SHA-256: its places in the log, and nothing of whose it is."""

from collections.abc import Iterable
from typing import Any

from ledger.models import Certificate
from ledger.selectors import certificate_entries, checkpoint_latest, entry_proofs

MAX_FOUND = 100


def digest_facts(digests: Iterable[str]) -> list[dict[str, Any]]:
    """Everything in the log about these digests (hex), oldest first, at most a hundred entries.

    A digest is known as a certificate's own or as a subject of certificates. What a certificate
    says is not told here, neither who holds it: only its kind, its place and whether it was
    revoked. What still waits for its place in the log is not yet known.
    """
    checkpoint = checkpoint_latest()
    if checkpoint is None:
        return []
    found = _find(set(digests))
    by = {one.id: one.revocation.by for one, _ in found if hasattr(one, "revocation")}
    entries = certificate_entries([*(one for one, _ in found), *by.values()], checkpoint)
    logged = [(one, role, entries[one.id]) for one, role in found if one.id in entries]
    logged = sorted(logged, key=lambda place: place[2].index)[:MAX_FOUND]
    proofs = entry_proofs((entry.index for _, _, entry in logged), checkpoint)
    revoked = {id_: entries[one.id].index for id_, one in by.items() if one.id in entries}
    return [
        {
            "role": role,
            "kind": certificate.kind,
            "certificate_sha256": certificate.digest,
            "log_index": entry.index,
            "logged_at": entry.integrated_at,
            "entry": bytes(entry.body).decode(),
            "proof": proofs[entry.index].dumps().decode(),
            "revoked_by_log_index": revoked.get(certificate.id),
        }
        for certificate, role, entry in logged
    ]


def _find(wanted: set[str]) -> list[tuple[Certificate, str]]:
    """The certificates that the digests lead to, each with what the digest is to it."""
    rows = Certificate.objects.select_related("revocation__by")
    found = {one.id: (one, "certificate") for one in rows.filter(digest__in=wanted)[:MAX_FOUND]}
    about = rows.filter(subjects__digest__in=wanted).order_by("created_at")
    for one in about.prefetch_related("subjects")[:MAX_FOUND]:
        names = [subject.name for subject in one.subjects.all() if subject.digest in wanted]
        found.setdefault(one.id, (one, names[0]))
    return list(found.values())
