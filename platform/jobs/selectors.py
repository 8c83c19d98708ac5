"""Reading jobs, always within one organisation."""

import uuid

from django.db.models import QuerySet

from jobs.models import Job


def job_list(*, organisation_id: uuid.UUID) -> QuerySet[Job]:
    """The organisation's jobs, newest first."""
    return Job.objects.filter(organisation_id=organisation_id)
