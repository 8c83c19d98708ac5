import pytest
from django.urls import reverse

from jobs.models import Job
from jobs.services import job_fail, job_log, job_progress
from tests import factories

HTMX = {"HX-Request": "true"}


def text(response):
    return response.content.decode()


@pytest.fixture
def job(alice_actor) -> Job:
    factories.finished_protection(alice_actor)
    return factories.queued_run(alice_actor).job


def progress(job):
    return reverse("web:job-progress", args=[job.id])


def test_a_running_job_is_polled_and_shows_how_far_it_is(as_alice, job):
    job = factories.claimed(job)
    job_progress(job=job, share=0.37, step="asking: request 6 of 16")
    job_log(job=job, text="the suspect answers")
    page = text(as_alice.get(progress(job), headers=HTMX))
    assert "asking: request 6 of 16" in page
    assert "the suspect answers" in page
    assert 'value="0.370"' in page
    assert f'hx-get="{progress(job)}"' in page
    assert "<html" not in page


def test_the_page_is_drawn_anew_when_the_job_is_over(as_alice, job):
    job_fail(job=factories.claimed(job), error="It broke.", hint="Mend it.")
    assert as_alice.get(progress(job), headers=HTMX)["HX-Refresh"] == "true"
    page = text(as_alice.get(reverse("web:job", args=[job.id])))
    assert "It broke." in page
    assert "Mend it." in page
    assert "hx-trigger" not in page


def test_without_javascript_a_running_page_reloads_itself(as_alice, job):
    assert 'http-equiv="refresh"' in text(as_alice.get(reverse("web:job", args=[job.id])))


def test_it_cancels(as_bob, job):
    as_bob.post(reverse("web:job-cancel", args=[job.id]))
    job.refresh_from_db()
    assert job.state == Job.State.CANCELLED


def test_a_job_that_is_over_is_not_cancelled(as_bob, job):
    as_bob.post(reverse("web:job-cancel", args=[job.id]))
    response = as_bob.post(reverse("web:job-cancel", args=[job.id]))
    assert response.status_code == 400
    assert "This job is over" in text(response)


def test_jobs_are_chosen_by_state(as_alice, job):
    shown = as_alice.get("/jobs?state=queued").context["jobs"]
    assert [row.id for row in shown] == [job.id]


def test_a_job_leads_to_what_it_makes(as_alice, job):
    page = text(as_alice.get(reverse("web:job", args=[job.id])))
    assert reverse("web:run", args=[job.run.id]) in page
