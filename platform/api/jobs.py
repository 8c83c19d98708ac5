"""Jobs."""

from typing import Any
from uuid import UUID

from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.actors import READ, WRITE
from api.endpoints import Endpoint
from jobs.models import Job
from jobs.selectors import job_list
from jobs.services import job_cancel


class JobSerializer(serializers.ModelSerializer[Job]):
    """A job with the end of its log."""

    lines = serializers.SerializerMethodField()

    class Meta:
        model = Job
        fields = [
            "id", "kind", "title", "state", "progress", "step", "error", "hint", "attempts",
            "lines", "created_by", "created_at", "started_at", "finished_at",
        ]  # fmt: skip

    def get_lines(self, job: Job) -> list[str]:
        """The last twenty lines of the log."""
        return [line.text for line in job.lines.order_by("-id")[:20]][::-1]


class JobEndpoint(Endpoint):
    """Finds a job within the actor's organisation."""

    def job(self, job_id: UUID) -> Job:
        """The job, or a 404."""
        self.actor.require(READ)
        jobs = job_list(organisation_id=self.actor.organisation.id)
        return get_object_or_404(jobs, id=job_id)


class Jobs(Endpoint):
    """/jobs"""

    @extend_schema(operation_id="jobs_list", responses=JobSerializer(many=True))
    def get(self, request: Request) -> Response:
        """The organisation's jobs, newest first."""
        self.actor.require(READ)
        rows = job_list(organisation_id=self.actor.organisation.id)
        return self.page(request, rows, JobSerializer)


class JobDetail(JobEndpoint):
    """/jobs/ID"""

    @extend_schema(responses=JobSerializer)
    def get(self, request: Request, job_id: UUID) -> Response:
        """One job."""
        return Response(JobSerializer(self.job(job_id)).data)


class JobCancel(JobEndpoint):
    """/jobs/ID/cancel"""

    @extend_schema(request=None, responses=JobSerializer)
    def post(self, request: Request, job_id: UUID, **kwargs: Any) -> Response:
        """Ask a job to stop."""
        self.actor.require(WRITE)
        job = self.job(job_id)
        job_cancel(job=job, by=self.actor.name)
        job.refresh_from_db()
        return Response(JobSerializer(job).data)
