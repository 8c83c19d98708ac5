"""Cases and reports."""

from typing import Any
from uuid import UUID

from django.http import FileResponse
from django.shortcuts import get_object_or_404
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers, status
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response

from api.endpoints import Endpoint, idempotent
from api.jobs import JobSerializer
from disputes.models import Case, Report
from disputes.selectors import case_list, report_list
from disputes.services import case_add_runs, case_create, report_create
from registry import storage
from verification.models import Run
from verification.selectors import run_list

PARTS = {
    "pdf": ("pdf_sha256", "application/pdf", "pdf"),
    "html": ("html_sha256", "text/html", "html"),
    "evidence": ("evidence_sha256", "application/zip", "zip"),
}


class CaseSerializer(serializers.ModelSerializer[Case]):
    """A case and the ids of its runs."""

    runs: Any = serializers.PrimaryKeyRelatedField(many=True, read_only=True)

    class Meta:
        model = Case
        fields = ["id", "title", "description", "state", "runs", "created_by", "created_at"]


class ReportSerializer(serializers.ModelSerializer[Report]):
    """A report; its files are at /reports/ID/pdf, /html and /evidence."""

    job = JobSerializer(read_only=True)

    class Meta:
        model = Report
        fields = [
            "id", "case_id", "number", "pdf_sha256", "html_sha256", "evidence_sha256", "job",
            "created_by", "created_at",
        ]  # fmt: skip


class CaseInput(serializers.Serializer[Any]):
    """A new case."""

    title = serializers.CharField(max_length=200)
    description = serializers.CharField(max_length=10_000, allow_blank=True, default="")
    runs = serializers.ListField(child=serializers.UUIDField(), default=list)


class RunsInput(serializers.Serializer[Any]):
    """Runs that join a case."""

    runs = serializers.ListField(child=serializers.UUIDField(), min_length=1)


class DisputeEndpoint(Endpoint):
    """Finds cases and runs within the actor's organisation."""

    def case(self, case_id: UUID) -> Case:
        """The case, or a 404."""
        return get_object_or_404(case_list(actor=self.actor), id=case_id)

    def runs(self, ids: list[UUID]) -> list[Run]:
        """All of the runs, or a 404."""
        found = list(run_list(actor=self.actor).filter(id__in=ids))
        if len(found) != len(set(ids)):
            raise NotFound("One of these runs is not here.")
        return found


class Cases(DisputeEndpoint):
    """/cases"""

    @extend_schema(operation_id="cases_list", responses=CaseSerializer(many=True))
    def get(self, request: Request) -> Response:
        """The organisation's cases, newest first."""
        return self.page(request, case_list(actor=self.actor), CaseSerializer)

    @extend_schema(request=CaseInput, responses={201: CaseSerializer})
    @idempotent
    def post(self, request: Request) -> Response:
        """Open a case."""
        data = self.read(CaseInput(data=request.data))
        case = case_create(actor=self.actor, **{**data, "runs": self.runs(data["runs"])})
        return Response(CaseSerializer(case).data, status=status.HTTP_201_CREATED)


class CaseDetail(DisputeEndpoint):
    """/cases/ID"""

    @extend_schema(responses=CaseSerializer)
    def get(self, request: Request, case_id: UUID) -> Response:
        """One case."""
        return Response(CaseSerializer(self.case(case_id)).data)


class CaseRuns(DisputeEndpoint):
    """/cases/ID/runs"""

    @extend_schema(request=RunsInput, responses=CaseSerializer)
    @idempotent
    def post(self, request: Request, case_id: UUID) -> Response:
        """Add runs to a case."""
        case = self.case(case_id)
        runs = self.runs(self.read(RunsInput(data=request.data))["runs"])
        case_add_runs(actor=self.actor, case=case, runs=runs)
        return Response(CaseSerializer(case).data)


class CaseReports(DisputeEndpoint):
    """/cases/ID/reports"""

    @extend_schema(operation_id="reports_list", responses=ReportSerializer(many=True))
    def get(self, request: Request, case_id: UUID) -> Response:
        """The case's reports, newest first."""
        rows = report_list(actor=self.actor).filter(case=self.case(case_id))
        return self.page(request, rows, ReportSerializer)

    @extend_schema(request=None, responses={202: ReportSerializer})
    @idempotent
    def post(self, request: Request, case_id: UUID) -> Response:
        """Write a report on the case."""
        report = report_create(actor=self.actor, case=self.case(case_id))
        return Response(ReportSerializer(report).data, status=status.HTTP_202_ACCEPTED)


class ReportDetail(DisputeEndpoint):
    """/reports/ID"""

    @extend_schema(responses=ReportSerializer)
    def get(self, request: Request, report_id: UUID) -> Response:
        """One report."""
        row = get_object_or_404(report_list(actor=self.actor), id=report_id)
        return Response(ReportSerializer(row).data)


class ReportPart(DisputeEndpoint):
    """/reports/ID/PART"""

    @extend_schema(
        operation_id="reports_download",
        parameters=[OpenApiParameter("part", str, location="path", enum=list(PARTS))],
        responses={(200, "application/octet-stream"): OpenApiTypes.BINARY},
    )
    def get(self, request: Request, report_id: UUID, part: str) -> FileResponse:
        """The report as pdf, as html, or its evidence zip."""
        row = get_object_or_404(report_list(actor=self.actor), id=report_id)
        if part not in PARTS:
            raise NotFound(f"A report has the parts {', '.join(PARTS)}.")
        field, content_type, ending = PARTS[part]
        sha256 = getattr(row, field)
        if not sha256:
            raise NotFound("This report is not written yet.")
        return FileResponse(
            storage.path_of(sha256).open("rb"),
            as_attachment=True,
            filename=f"report-{row.number}.{ending}",
            content_type=content_type,
        )
