"""Suspects and runs."""

from typing import Any
from uuid import UUID

from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response

from api.endpoints import Endpoint, download, idempotent
from api.jobs import JobSerializer
from api.protection import key_from
from api.uploads import BINARY, body_chunks, content_length
from disputes.report.protocol import DOES_NOT_APPLY, MET, NOT_MET, protocol_of
from protection.selectors import protection_list
from spellmark.evidence.fingerprint_rule import FINGERPRINTS
from verification.methods import METHODS
from verification.models import Run, Suspect
from verification.selectors import run_bundle, run_list, suspect_list
from verification.services import run_create, suspect_endpoint_create, suspect_file_create


class SuspectSerializer(serializers.ModelSerializer[Suspect]):
    """A suspect."""

    class Meta:
        model = Suspect
        fields = ["id", "name", "kind", "config", "sha256", "created_by", "created_at"]


class EndpointInput(serializers.Serializer[Any]):
    """An endpoint that speaks the Open Inference Protocol V2."""

    name = serializers.CharField(max_length=100)
    url = serializers.URLField(max_length=500)
    model = serializers.CharField(max_length=200)
    classes = serializers.IntegerField(min_value=2, max_value=100_000)
    input_name = serializers.CharField(max_length=100, default="input")
    datatype = serializers.ChoiceField(["UINT8", "FP32"], default="UINT8")
    value_range = serializers.ChoiceField(["0-255", "0-1"], default="0-255")
    output_name = serializers.CharField(max_length=100, allow_null=True, default=None)


class RunSerializer(serializers.ModelSerializer[Run]):
    """A run with its verdict."""

    suspect = SuspectSerializer(read_only=True)
    version = serializers.SerializerMethodField()
    job = JobSerializer(read_only=True)

    class Meta:
        model = Run
        fields = [
            "id", "suspect", "protection_id", "version", "method", "evidence_class", "rule",
            "smallest_p", "verdict", "reason", "statistic", "p_value", "answered_probes", "hits",
            "true_slot", "null_distribution", "growth", "client", "score", "pool", "findings",
            "access_level", "transcript_sha256",
            "certificate_id", "registration_index", "job", "created_by", "created_at",
            "finished_at",
        ]  # fmt: skip

    def get_version(self, row: Run) -> str | None:
        """The version that a fingerprint compares with, as `model/number`."""
        return f"{row.version.model.name}/{row.version.number}" if row.version else None


class DemandSerializer(serializers.Serializer[Any]):
    """A demand of the protocol, and how a run met it."""

    number = serializers.IntegerField()
    demand = serializers.CharField()
    state = serializers.ChoiceField([MET, NOT_MET, DOES_NOT_APPLY])
    how = serializers.CharField()


class ProtocolSerializer(serializers.Serializer[Any]):
    """The twelve demands of the protocol."""

    demands = DemandSerializer(many=True)


class RunInput(serializers.Serializer[Any]):
    """A run and its decision rule. The key file and the headers are sealed, then erased.

    Without a method, a lock with keyed labels is tested by them, and a guard by its mark; without
    alpha, it is the strictest of 1e-6, 0.001, 0.01 and 0.05 that the method can show. Without
    probes, 64 for a lock and at most 256 for a guard. Decoys are for the random-key test. Against
    an external feature alpha is 0.05 unless it is said otherwise, and the verdict is indicative.
    """

    suspect = serializers.UUIDField()
    protection = serializers.UUIDField()
    key_file = serializers.JSONField(write_only=True)
    method = serializers.ChoiceField(
        [name for name in METHODS if name not in FINGERPRINTS], allow_blank=True, default=""
    )
    alpha = serializers.FloatField(allow_null=True, default=None)
    decoys = serializers.IntegerField(min_value=19, max_value=1_000_000, default=999)
    probes = serializers.IntegerField(min_value=10, max_value=10_000, allow_null=True, default=None)
    batch = serializers.IntegerField(min_value=1, max_value=10_000, default=1000)
    query_cap = serializers.IntegerField(min_value=1, allow_null=True, default=None)
    headers = serializers.DictField(
        child=serializers.CharField(max_length=5000), write_only=True, default=dict
    )


class Suspects(Endpoint):
    """/suspects"""

    @extend_schema(operation_id="suspects_list", responses=SuspectSerializer(many=True))
    def get(self, request: Request) -> Response:
        """The organisation's suspects, newest first."""
        return self.page(request, suspect_list(actor=self.actor), SuspectSerializer)

    @extend_schema(request=EndpointInput, responses={201: SuspectSerializer})
    @idempotent
    def post(self, request: Request) -> Response:
        """Name an endpoint as a suspect."""
        data = self.read(EndpointInput(data=request.data))
        row = suspect_endpoint_create(actor=self.actor, name=data.pop("name"), config=data)
        return Response(SuspectSerializer(row).data, status=status.HTTP_201_CREATED)


class SuspectFile(Endpoint):
    """/suspects/files/NAME"""

    @extend_schema(request=BINARY, responses={201: SuspectSerializer})
    def put(self, request: Request, name: str) -> Response:
        """Upload a model file as a suspect: the body is the file."""
        row = suspect_file_create(
            actor=self.actor,
            name=name,
            chunks=body_chunks(request),
            expected_size=content_length(request),
        )
        return Response(SuspectSerializer(row).data, status=status.HTTP_201_CREATED)


class Runs(Endpoint):
    """/runs"""

    @extend_schema(operation_id="runs_list", responses=RunSerializer(many=True))
    def get(self, request: Request) -> Response:
        """The organisation's runs, newest first."""
        return self.page(request, run_list(actor=self.actor), RunSerializer)

    @extend_schema(request=RunInput, responses={202: RunSerializer})
    @idempotent
    def post(self, request: Request) -> Response:
        """Start a run."""
        data = self.read(RunInput(data=request.data))
        suspect = get_object_or_404(suspect_list(actor=self.actor), id=data.pop("suspect"))
        protection = get_object_or_404(protection_list(actor=self.actor), id=data.pop("protection"))
        key = key_from(data.pop("key_file"))
        run = run_create(actor=self.actor, suspect=suspect, protection=protection, key=key, **data)
        return Response(RunSerializer(run).data, status=status.HTTP_202_ACCEPTED)


class RunDetail(Endpoint):
    """/runs/ID"""

    @extend_schema(responses=RunSerializer)
    def get(self, request: Request, run_id: UUID) -> Response:
        """One run."""
        return Response(
            RunSerializer(get_object_or_404(run_list(actor=self.actor), id=run_id)).data
        )


class RunProtocol(Endpoint):
    """/runs/ID/protocol"""

    @extend_schema(operation_id="runs_protocol", responses=ProtocolSerializer)
    def get(self, request: Request, run_id: UUID) -> Response:
        """The protocol's twelve demands, and how the run met each."""
        run = get_object_or_404(run_list(actor=self.actor), id=run_id)
        return Response(ProtocolSerializer({"demands": protocol_of(run)}).data)


class RunBundle(Endpoint):
    """/runs/ID/bundle"""

    @extend_schema(responses={(200, "application/zip"): OpenApiTypes.BINARY})
    def get(self, request: Request, run_id: UUID) -> HttpResponse:
        """The run's evidence bundle, for `spellmark verify`."""
        run = get_object_or_404(run_list(actor=self.actor), id=run_id)
        bundle = run_bundle(run).dumps()
        return download(bundle, name=f"run-{run.id}.zip", content_type="application/zip")
