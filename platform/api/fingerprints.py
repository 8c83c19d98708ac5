"""The null pool, and runs that need no key."""

from typing import Any
from uuid import UUID

from django.http import FileResponse
from django.shortcuts import get_object_or_404
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response

from api.endpoints import Endpoint, idempotent
from api.jobs import JobSerializer
from api.uploads import BINARY, body_chunks, content_length
from api.verification import RunSerializer
from registry import storage
from registry.models import Version
from registry.selectors import version_list
from spellmark.evidence.fingerprint_rule import FINGERPRINTS, LEAST_PROBES, PROBES, WRONG
from spellmark.evidence.fingerprint_scores import COSINE, KERNELS
from spellmark.evidence.null_pool import KINDS
from verification.fingerprints import fingerprint_run_create
from verification.models import Reference
from verification.references import (
    MOST_EPOCHS,
    MOST_OF_A_KIND,
    USUAL_EPOCHS,
    USUAL_OF_A_KIND,
    pool_grow,
    reference_upload,
)
from verification.selectors import reference_list, suspect_list


class ReferenceSerializer(serializers.ModelSerializer[Reference]):
    """A model of the null pool. Without a version it stands against all that take such images."""

    version = serializers.SerializerMethodField()

    class Meta:
        model = Reference
        fields = [
            "id", "name", "kind", "source", "version", "dataset", "card", "settings", "sha256",
            "accuracy", "job_id", "created_by", "created_at",
        ]  # fmt: skip

    def get_version(self, row: Reference) -> str | None:
        """The version that it stands against, as `model/number`."""
        return f"{row.version.model.name}/{row.version.number}" if row.version else None


class GrowInput(serializers.Serializer[Any]):
    """What the job trains. Without `images`, the owner's model has seen all training images."""

    version = serializers.RegexField(r"^[-\w]+/\d+$", help_text="As `model/number`.")
    dataset = serializers.CharField(max_length=100)
    images = serializers.IntegerField(min_value=100, allow_null=True, default=None)
    of_a_kind = serializers.IntegerField(
        min_value=1, max_value=MOST_OF_A_KIND, default=USUAL_OF_A_KIND
    )
    epochs = serializers.IntegerField(min_value=1, max_value=MOST_EPOCHS, default=USUAL_EPOCHS)
    organisation_wide = serializers.BooleanField(default=False)


class ReferenceUploadInput(serializers.Serializer[Any]):
    """What is said of an uploaded reference, in the query."""

    kind = serializers.ChoiceField(KINDS)
    dataset = serializers.CharField(max_length=100)
    version = serializers.RegexField(r"^[-\w]+/\d+$", required=False)


class FingerprintRunInput(serializers.Serializer[Any]):
    """A run by fingerprint and its rule. Headers are sealed, then erased.

    Variant and kernel count for the correlation alone. alpha is 0.05 unless it is said otherwise.
    """

    suspect = serializers.UUIDField()
    version = serializers.RegexField(r"^[-\w]+/\d+$", help_text="As `model/number`.")
    dataset = serializers.CharField(max_length=100)
    method = serializers.ChoiceField(FINGERPRINTS)
    variant = serializers.ChoiceField(PROBES, default=WRONG)
    kernel = serializers.ChoiceField(KERNELS, default=COSINE)
    alpha = serializers.FloatField(allow_null=True, default=None)
    probes = serializers.IntegerField(
        min_value=LEAST_PROBES, max_value=10_000, allow_null=True, default=None
    )
    query_cap = serializers.IntegerField(min_value=1, allow_null=True, default=None)
    headers = serializers.DictField(
        child=serializers.CharField(max_length=5000), write_only=True, default=dict
    )


class References(Endpoint):
    """/references"""

    @extend_schema(operation_id="references_list", responses=ReferenceSerializer(many=True))
    def get(self, request: Request) -> Response:
        """The models of the null pool, newest first."""
        return self.page(request, reference_list(actor=self.actor), ReferenceSerializer)

    @extend_schema(request=GrowInput, responses={202: JobSerializer})
    @idempotent
    def post(self, request: Request) -> Response:
        """Grow the pool: a job trains innocent models of every kind."""
        data = self.read(GrowInput(data=request.data))
        version = _version(self, data.pop("version"))
        job = pool_grow(actor=self.actor, version=version, **data)
        return Response(JobSerializer(job).data, status=status.HTTP_202_ACCEPTED)


class ReferenceUpload(Endpoint):
    """/references/files/NAME"""

    @extend_schema(
        request=BINARY, parameters=[ReferenceUploadInput], responses={201: ReferenceSerializer}
    )
    def put(self, request: Request, name: str) -> Response:
        """Bring a model that is known to be innocent: the body is the file."""
        told = self.read(ReferenceUploadInput(data=request.query_params))
        named = told.pop("version", None)
        row = reference_upload(
            actor=self.actor,
            name=name,
            version=_version(self, named) if named else None,
            chunks=body_chunks(request),
            expected_size=content_length(request),
            **told,
        )
        return Response(ReferenceSerializer(row).data, status=status.HTTP_201_CREATED)


class ReferenceFile(Endpoint):
    """/references/ID/file"""

    @extend_schema(responses={(200, "application/octet-stream"): OpenApiTypes.BINARY})
    def get(self, request: Request, reference_id: UUID) -> FileResponse:
        """A reference's file, for those who want to score it themselves."""
        row = get_object_or_404(reference_list(actor=self.actor), id=reference_id)
        return FileResponse(
            storage.path_of(row.sha256).open("rb"),
            as_attachment=True,
            filename=f"reference-{row.sha256[:12]}.safetensors",
            content_type="application/octet-stream",
            headers={"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"},
        )


class FingerprintRuns(Endpoint):
    """/runs/fingerprint"""

    @extend_schema(request=FingerprintRunInput, responses={202: RunSerializer})
    @idempotent
    def post(self, request: Request) -> Response:
        """Start a run that needs no key. Its verdict is indicative, never proof by itself."""
        data = self.read(FingerprintRunInput(data=request.data))
        suspect = get_object_or_404(suspect_list(actor=self.actor), id=data.pop("suspect"))
        version = _version(self, data.pop("version"))
        run = fingerprint_run_create(actor=self.actor, suspect=suspect, version=version, **data)
        return Response(RunSerializer(run).data, status=status.HTTP_202_ACCEPTED)


def _version(endpoint: Endpoint, named: str) -> Version:
    name, _, number = named.partition("/")
    rows = version_list(actor=endpoint.actor)
    return get_object_or_404(rows, model__name=name, number=int(number))
