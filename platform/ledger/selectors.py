"""Reading the log: entries, checkpoints, proofs, certificates, the trust file.

The log itself is public within the installation; certificates belong to organisations.
"""

import dataclasses
import uuid
from collections.abc import Iterable
from typing import Any

from cryptography.hazmat.primitives.serialization import load_pem_public_key
from django.conf import settings
from django.db import connection
from django.db.models import QuerySet

from ledger.models import (
    Certificate,
    Checkpoint,
    Entry,
    Revocation,
    SigningKey,
    Timestamp,
)
from spellmark.certificates import keys, merkle, revocations
from spellmark.certificates.bundle import Bundle
from spellmark.certificates.certificate import dumps, loads
from spellmark.certificates.cosignatures import HAS_ML_DSA
from spellmark.certificates.encoding import to_time
from spellmark.certificates.notes import ED25519, ML_DSA_44, Verifier
from spellmark.certificates.notes import parse as parse_note
from spellmark.certificates.policy import NONE, Policy, PolicyLog
from spellmark.certificates.statements import Statement, parse
from spellmark.certificates.tlog_proof import TlogProof
from spellmark.certificates.trust import CertificateKey, LogKey, Trust
from spellmark.errors import SpellmarkError

SUCCESSION = "succession"


class NotYetLoggedError(SpellmarkError):
    """A proof of something that waits for its place in the log."""


def log_size() -> int:
    """How many entries there are, published or not."""
    last = Entry.objects.order_by("-index").values_list("index", flat=True).first()
    return 0 if last is None else last + 1


def checkpoint_latest() -> Checkpoint | None:
    """The newest published checkpoint."""
    return Checkpoint.objects.order_by("-size").first()


def checkpoint_list() -> QuerySet[Checkpoint]:
    """All checkpoints, newest first."""
    return Checkpoint.objects.order_by("-size")


def entry_list() -> QuerySet[Entry]:
    """All entries under the newest checkpoint, newest first."""
    checkpoint = checkpoint_latest()
    return Entry.objects.filter(index__lt=checkpoint.size if checkpoint else 0).order_by("-index")


def certificate_list(*, organisation_id: uuid.UUID) -> QuerySet[Certificate]:
    """The organisation's certificates, newest first."""
    return Certificate.objects.filter(organisation_id=organisation_id)


def certificate_entry_of(certificate: Certificate) -> Entry | None:
    """The certificate's place in the log, or None while it waits."""
    return certificate_entries([certificate], checkpoint_latest()).get(certificate.id)


def certificate_entries(
    certificates: Iterable[Certificate], checkpoint: Checkpoint | None
) -> dict[uuid.UUID, Entry]:
    """The places under a checkpoint of those that are there, by certificate, in one query."""
    ids = {bytes(one.leaf_hash): one.id for one in certificates}
    rows = Entry.objects.filter(index__lt=checkpoint.size if checkpoint else 0)
    # Of two equal entries the first one stays.
    found = rows.filter(leaf_hash__in=list(ids)).order_by("-index")
    return {ids[bytes(entry.leaf_hash)]: entry for entry in found}


def certificate_statement(certificate: Certificate) -> Statement:
    """What the certificate says."""
    return parse(loads(bytes(certificate.body)).payload)


def certificate_proof(certificate: Certificate) -> TlogProof:
    """The proof that the certificate stands in the log. Raises NotYetLoggedError."""
    found = certificate_proofs([certificate])
    if certificate.id not in found:
        raise NotYetLoggedError(
            "This certificate waits for its place in the log.", hint="Try again in a few seconds."
        )
    return found[certificate.id]


def certificate_proofs(certificates: Iterable[Certificate]) -> dict[uuid.UUID, TlogProof]:
    """The proofs of those that stand in the log, by certificate, in three queries."""
    checkpoint = checkpoint_latest()
    if checkpoint is None:
        return {}
    entries = certificate_entries(certificates, checkpoint)
    proofs = entry_proofs((entry.index for entry in entries.values()), checkpoint)
    return {id_: proofs[entry.index] for id_, entry in entries.items()}


def certificate_bundle(certificate: Certificate) -> Bundle:
    """The certificate with its proof, for the hand of a verifier. Raises NotYetLoggedError."""
    return Bundle(
        certificate=certificate_file(certificate),
        proof=certificate_proof(certificate).dumps(),
        revocations=certificate_revocations(certificate),
    )


def certificate_file(certificate: Certificate) -> bytes:
    """`certificate.sigstore.json`, with its timestamp once there is one."""
    timestamp = Timestamp.objects.filter(certificate=certificate).first()
    body = bytes(certificate.body)
    return dumps(loads(body), [bytes(timestamp.response)]) if timestamp else body


def certificate_revocations(certificate: Certificate) -> bytes | None:
    """The list of this certificate's revocation, or None for one that holds."""
    found = revocation_of(certificate)
    if found is None:
        return None
    return revocations.dumps([_revoked(found.by, certificate_proof(found.by))])


def revocation_of(certificate: Certificate) -> Revocation | None:
    """What withdrew the certificate, or None for one that holds."""
    return Revocation.objects.filter(certificate=certificate).select_related("by").first()


def succession_of(keyid: str) -> Certificate | None:
    """Where the certificate key before this one vouches for it, or None for a first key."""
    return Certificate.objects.filter(kind=SUCCESSION, subjects__digest=keyid).first()


def revocation_list() -> bytes:
    """The list of all revocations that stand in the log, for verifiers."""
    rows = Revocation.objects.select_related("by").order_by("by__created_at")
    listed = [row.by for row in rows]
    proofs = certificate_proofs(listed)
    return revocations.dumps([_revoked(by, proofs[by.id]) for by in listed if by.id in proofs])


def _revoked(by: Certificate, proof: TlogProof) -> revocations.Revoked:
    return revocations.Revoked(bytes(by.body), proof.dumps())


def entry_proof(index: int, checkpoint: Checkpoint) -> TlogProof:
    """The proof that the entry at `index` is under the checkpoint."""
    return entry_proofs([index], checkpoint)[index]


def entry_proofs(indexes: Iterable[int], checkpoint: Checkpoint) -> dict[int, TlogProof]:
    """The proofs that entries are under the checkpoint, by index, in one query."""
    size, wanted = checkpoint.size, list(indexes)
    nodes = {node for index in wanted for node in merkle.inclusion_nodes(index, size)}
    read, note = merkle.reader(nodes_get(nodes)), bytes(checkpoint.note)
    return {
        index: TlogProof(index, tuple(merkle.inclusion_proof(index, size, read)), note)
        for index in wanted
    }


def inclusion_proof(index: int, size: int) -> list[bytes]:
    """The hashes that lead from the entry at `index` to the root of the first `size` entries."""
    nodes = nodes_get(merkle.inclusion_nodes(index, size))
    return merkle.inclusion_proof(index, size, merkle.reader(nodes))


def consistency_proof(old_size: int, new_size: int) -> list[bytes]:
    """The proof that the log of `new_size` entries begins with that of `old_size`."""
    nodes = nodes_get(merkle.consistency_nodes(old_size, new_size))
    return merkle.consistency_proof(old_size, new_size, merkle.reader(nodes))


def nodes_get(wanted: Iterable[merkle.Node]) -> dict[merkle.Node, bytes]:
    """Stored subtree hashes by (level, index), in one query."""
    keys = list(wanted)
    if not keys:
        return {}
    levels, indexes = zip(*keys, strict=True)
    with connection.cursor() as cursor:
        # One look into the index for each node: left to itself the planner may read the whole
        # table, as long as it has no statistics of it.
        cursor.execute(
            "SELECT wanted.level, wanted.index, node.hash"
            " FROM unnest(%s::smallint[], %s::bigint[]) AS wanted (level, index)"
            " CROSS JOIN LATERAL (SELECT hash FROM ledger_node"
            " WHERE level = wanted.level AND index = wanted.index OFFSET 0) AS node",
            # As PostgreSQL writes arrays: the driver would take as long for them as for the rest.
            [_array(levels), _array(indexes)],
        )
        return {(level, index): bytes(value) for level, index, value in cursor.fetchall()}


def _array(numbers: Iterable[int]) -> str:
    return "{" + ",".join(map(str, numbers)) + "}"


def trust() -> Trust:
    """The trust file of this installation, to be handed to verifiers.

    Of the log's keys it names those of Ed25519, which every verifier understands.
    """
    certificate_keys, log_keys = [], []
    for key in SigningKey.objects.all():
        if key.purpose == SigningKey.Purpose.CERTIFICATE:
            public = keys.load_public_p256(key.public_pem)
            certificate_keys.append(CertificateKey(public, key.valid_from, key.valid_until))
        elif key.purpose == SigningKey.Purpose.LOG:
            verifier = key_verifier(key)
            log_keys.append(LogKey(settings.LOG_ORIGIN, verifier, key.valid_from, key.valid_until))
    return Trust(tuple(certificate_keys), tuple(log_keys), settings.TIMESTAMP_AUTHORITIES)


def key_verifier(key: SigningKey) -> Verifier:
    """A log key as the verifier of its signatures."""
    public: Any = load_pem_public_key(key.public_pem.encode())
    kind = ML_DSA_44 if key.purpose == SigningKey.Purpose.LOG_ML_DSA else ED25519
    return Verifier(settings.LOG_ORIGIN, public.public_bytes_raw(), kind)


def log_verifiers() -> list[tuple[SigningKey, Verifier]]:
    """All keys that the log ever signed with, of every kind that can be checked here."""
    rows = SigningKey.objects.exclude(purpose=SigningKey.Purpose.CERTIFICATE)
    if not HAS_ML_DSA:
        rows = rows.exclude(purpose=SigningKey.Purpose.LOG_ML_DSA)
    return [(row, key_verifier(row)) for row in rows]


def policy() -> Policy:
    """The log's own keys with the witnesses and the quorum that the operator set.

    Raises FormatError for a policy file that does not read.
    """
    logs = tuple(
        PolicyLog(verifier, f"{settings.PUBLIC_URL}/log") for _, verifier in log_verifiers()
    )
    if not settings.LOG_POLICY.exists():
        return Policy(logs=logs)
    return dataclasses.replace(Policy.loads(settings.LOG_POLICY.read_bytes()), logs=logs)


def cosigners_of(checkpoint: Checkpoint) -> list[str]:
    """The names of the witnesses of the present policy whose cosignatures it carries."""
    return [witness.name for witness in policy().cosigners(parse_note(bytes(checkpoint.note)))]


def witnessed_policy() -> Policy | None:
    """The policy, where it asks for witnesses and they cosigned what proofs rest on now.

    Verifiers are told of it then: what was published before it stood does not meet it.
    """
    checkpoint, rules = checkpoint_latest(), policy()
    if checkpoint is None or rules.quorum == NONE:
        return None
    return rules if rules.is_met(cosigners_of(checkpoint)) else None


def key_set() -> dict[str, Any]:
    """The published key set: every key with its purpose and its time of validity."""
    return {
        "origin": settings.LOG_ORIGIN,
        "keys": [
            {
                "keyid": key.keyid,
                "purpose": key.purpose,
                "publicKey": key.public_pem,
                "vkey": (
                    None
                    if key.purpose == SigningKey.Purpose.CERTIFICATE
                    else key_verifier(key).vkey
                ),
                "validFrom": to_time(key.valid_from),
                "validUntil": None if key.valid_until is None else to_time(key.valid_until),
            }
            for key in SigningKey.objects.all()
        ],
    }
