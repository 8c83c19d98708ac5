"""The log and the certificates in it."""

import json
import re
from typing import Any, ClassVar
from uuid import UUID

from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.exceptions import NotFound
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.actors import AUDIT, READ, WRITE
from api.endpoints import Endpoint, download
from ledger.integrity import digest_facts
from ledger.models import Certificate, Entry
from ledger.results import certificate_result
from ledger.revocations import certificate_revoke
from ledger.selectors import (
    certificate_file,
    certificate_list,
    certificate_proof,
    checkpoint_latest,
    consistency_proof,
    entry_list,
    entry_proof,
    inclusion_proof,
    revocation_list,
    trust,
)
from registry.selectors import file_root_digests
from spellmark.certificates.trusted_root import trusted_root

TEXT = {(200, "text/plain"): OpenApiTypes.STR}


class CertificateSerializer(serializers.ModelSerializer[Certificate]):
    """A certificate; its body is at /certificates/ID/body."""

    class Meta:
        model = Certificate
        fields = ["id", "kind", "title", "digest", "created_at"]


class EntrySerializer(serializers.ModelSerializer[Entry]):
    """An entry of the log."""

    body = serializers.SerializerMethodField()
    leaf_hash = serializers.SerializerMethodField()

    class Meta:
        model = Entry
        fields = ["index", "body", "leaf_hash", "queued_at", "integrated_at"]

    def get_body(self, entry: Entry) -> str:
        """The entry's bytes, which are JSON."""
        return bytes(entry.body).decode()

    def get_leaf_hash(self, entry: Entry) -> str:
        """SHA-256 of 0x00 and the entry's bytes, hex."""
        return bytes(entry.leaf_hash).hex()


class ConsistencySerializer(serializers.Serializer[Any]):
    """That the log of the new size begins with the log of the old size."""

    old_size = serializers.IntegerField()
    new_size = serializers.IntegerField()
    hashes = serializers.ListField(child=serializers.CharField())


class ConsistencyInput(serializers.Serializer[Any]):
    """Two sizes of the log."""

    old_size = serializers.IntegerField(min_value=0)
    new_size = serializers.IntegerField(min_value=0)


class InclusionSerializer(serializers.Serializer[Any]):
    """That the entry at the index stands in the log of the size."""

    index = serializers.IntegerField()
    size = serializers.IntegerField()
    hashes = serializers.ListField(child=serializers.CharField())


class InclusionInput(serializers.Serializer[Any]):
    """An entry, and a size of the log."""

    index = serializers.IntegerField(min_value=0)
    size = serializers.IntegerField(min_value=1)


class LedgerEndpoint(Endpoint):
    """Members and auditors read the log."""

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Check the actor before anything else."""
        super().initial(request, *args, **kwargs)
        self.actor.require(READ, AUDIT)


class Entries(LedgerEndpoint):
    """/ledger/entries"""

    @extend_schema(operation_id="entries_list", responses=EntrySerializer(many=True))
    def get(self, request: Request) -> Response:
        """The log's entries, newest first."""
        return self.page(request, entry_list(), EntrySerializer)


class LatestCheckpoint(LedgerEndpoint):
    """/ledger/checkpoint"""

    @extend_schema(responses=TEXT)
    def get(self, request: Request) -> HttpResponse:
        """The newest signed checkpoint, a C2SP signed note."""
        checkpoint = checkpoint_latest()
        if checkpoint is None:
            raise NotFound("The log has no entries yet.")
        return HttpResponse(bytes(checkpoint.note), content_type="text/plain; charset=utf-8")


class Consistency(LedgerEndpoint):
    """/ledger/consistency"""

    @extend_schema(
        parameters=[OpenApiParameter("old_size", int), OpenApiParameter("new_size", int)],
        responses=ConsistencySerializer,
    )
    def get(self, request: Request) -> Response:
        """A consistency proof between two sizes (RFC 6962)."""
        sizes = self.read(ConsistencyInput(data=request.query_params))
        checkpoint = checkpoint_latest()
        if checkpoint is None or sizes["new_size"] > checkpoint.size:
            raise NotFound("The log is not that long.")
        hashes = [node.hex() for node in consistency_proof(**sizes)]
        return Response({**sizes, "hashes": hashes})


class Inclusion(LedgerEndpoint):
    """/ledger/inclusion"""

    @extend_schema(
        parameters=[OpenApiParameter("index", int), OpenApiParameter("size", int)],
        responses=InclusionSerializer,
    )
    def get(self, request: Request) -> Response:
        """An inclusion proof of an entry under the root at a size (RFC 6962)."""
        asked = self.read(InclusionInput(data=request.query_params))
        checkpoint = checkpoint_latest()
        if checkpoint is None or not asked["index"] < asked["size"] <= checkpoint.size:
            raise NotFound("The log is not that long.")
        hashes = [node.hex() for node in inclusion_proof(**asked)]
        return Response({**asked, "hashes": hashes})


class EntryProof(LedgerEndpoint):
    """/ledger/entries/INDEX/proof"""

    @extend_schema(responses=TEXT)
    def get(self, request: Request, index: int) -> HttpResponse:
        """The proof that an entry stands under the newest checkpoint, a C2SP .tlog-proof."""
        checkpoint = checkpoint_latest()
        if checkpoint is None or index >= checkpoint.size:
            raise NotFound("The log is not that long.")
        proof = entry_proof(index, checkpoint).dumps()
        return download(proof, name=f"entry-{index}.tlog-proof", content_type="text/plain")


class TrustFile(LedgerEndpoint):
    """/ledger/trust"""

    @extend_schema(responses={(200, "application/json"): OpenApiTypes.OBJECT})
    def get(self, request: Request) -> HttpResponse:
        """The trust file: the keys to check certificates and checkpoints with."""
        return download(trust().dumps(), name="trust.json", content_type="application/json")


class Certificates(LedgerEndpoint):
    """/certificates"""

    @extend_schema(operation_id="certificates_list", responses=CertificateSerializer(many=True))
    def get(self, request: Request) -> Response:
        """The organisation's certificates, newest first."""
        rows = certificate_list(organisation_id=self.actor.organisation.id)
        return self.page(request, rows, CertificateSerializer)


class CertificateEndpoint(LedgerEndpoint):
    """Finds a certificate within the actor's organisation."""

    def certificate(self, certificate_id: UUID) -> Certificate:
        """The certificate, or a 404."""
        rows = certificate_list(organisation_id=self.actor.organisation.id)
        return get_object_or_404(rows, id=certificate_id)


class CertificateDetail(CertificateEndpoint):
    """/certificates/ID"""

    @extend_schema(responses=CertificateSerializer)
    def get(self, request: Request, certificate_id: UUID) -> Response:
        """One certificate."""
        return Response(CertificateSerializer(self.certificate(certificate_id)).data)


class CertificateBody(CertificateEndpoint):
    """/certificates/ID/body"""

    @extend_schema(responses={(200, "application/json"): OpenApiTypes.OBJECT})
    def get(self, request: Request, certificate_id: UUID) -> HttpResponse:
        """The certificate itself: a Sigstore bundle v0.3."""
        body = certificate_file(self.certificate(certificate_id))
        return download(body, name="certificate.sigstore.json", content_type="application/json")


class CertificateProof(CertificateEndpoint):
    """/certificates/ID/proof"""

    @extend_schema(responses=TEXT)
    def get(self, request: Request, certificate_id: UUID) -> HttpResponse:
        """The proof that the certificate stands in the log, a C2SP .tlog-proof."""
        proof = certificate_proof(self.certificate(certificate_id)).dumps()
        return download(proof, name="certificate.tlog-proof", content_type="text/plain")


class CertificateResult(CertificateEndpoint):
    """/certificates/ID/svr"""

    @extend_schema(responses={(200, "application/json"): OpenApiTypes.OBJECT})
    def get(self, request: Request, certificate_id: UUID) -> HttpResponse:
        """The certificate as a simple verification result (in-toto svr v0.2), signed."""
        body = certificate_result(self.certificate(certificate_id))
        return download(body, name="certificate.svr.json", content_type="application/json")


class RevocationInput(serializers.Serializer[Any]):
    """Why a certificate is withdrawn, and what replaces it."""

    reason = serializers.CharField(max_length=1000)
    replaced_by = serializers.UUIDField(required=False, allow_null=True)


class CertificateRevocation(CertificateEndpoint):
    """/certificates/ID/revocation"""

    @extend_schema(request=RevocationInput, responses={201: CertificateSerializer})
    def post(self, request: Request, certificate_id: UUID) -> Response:
        """Withdraw a certificate, or replace it by a later one."""
        self.actor.require(WRITE)
        certificate = self.certificate(certificate_id)
        asked = self.read(RevocationInput(data=request.data))
        replaced_by = asked.get("replaced_by")
        by = certificate_revoke(
            organisation_id=self.actor.organisation.id,
            certificate=certificate,
            reason=asked["reason"],
            replaced_by=self.certificate(replaced_by) if replaced_by else None,
        )
        return Response(CertificateSerializer(by).data, status=201)


class Public(Endpoint):
    """What verifiers outside need, without an account."""

    authentication_classes: ClassVar[Any] = []
    permission_classes: ClassVar[Any] = [AllowAny]


class RevocationList(Public):
    """/ledger/revocations"""

    @extend_schema(responses={(200, "application/json"): OpenApiTypes.OBJECT}, auth=[])
    def get(self, request: Request) -> HttpResponse:
        """All revocations, each with its proof: for `spellmark verify --revocations`."""
        return download(revocation_list(), name="revocations.json", content_type="application/json")


class TrustedRoot(Public):
    """/ledger/trusted-root"""

    @extend_schema(responses={(200, "application/json"): OpenApiTypes.OBJECT}, auth=[])
    def get(self, request: Request) -> HttpResponse:
        """The log's keys and timestamp authorities as Sigstore's clients read them."""
        body = json.dumps(trusted_root(trust()), indent=2).encode()
        return download(body, name="trusted_root.json", content_type="application/json")


class FactSerializer(serializers.Serializer[Any]):
    """A place in the log that a digest leads to."""

    role = serializers.CharField(help_text="What the digest is to the certificate.")
    kind = serializers.CharField()
    certificate_sha256 = serializers.CharField()
    log_index = serializers.IntegerField()
    logged_at = serializers.DateTimeField()
    entry = serializers.CharField(help_text="The log entry's bytes.")
    proof = serializers.CharField(help_text="A C2SP .tlog-proof of that entry.")
    revoked_by_log_index = serializers.IntegerField(allow_null=True)


class IntegritySerializer(serializers.Serializer[Any]):
    """What is publicly known about a digest."""

    sha256 = serializers.CharField()
    facts = FactSerializer(many=True)


class Integrity(Public):
    """/integrity/SHA256"""

    @extend_schema(responses=IntegritySerializer, auth=[])
    def get(self, request: Request, sha256: str) -> Response:
        """Everything that is publicly known about a file's, version's or certificate's SHA-256."""
        if not re.fullmatch("[0-9a-f]{64}", sha256):
            raise NotFound("This is not a SHA-256: 64 digits and lower-case letters from a to f.")
        facts = digest_facts([sha256, *file_root_digests(sha256)])
        return Response(IntegritySerializer({"sha256": sha256, "facts": facts}).data)
