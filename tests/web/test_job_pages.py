import pytest
from django.urls import reverse

from jobs.models import Job
from jobs.services import job_fail, job_log, job_progress
from spellmark.suspects.base import SuspectError
from tests import factories
from verification.services import run_fail, run_grow

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


def test_the_evidence_grows_while_a_guards_run_asks(as_alice, alice_actor):
    guard = factories.finished_guard(alice_actor)
    run = factories.queued_run(
        alice_actor, protection=guard, key=factories.GUARD_KEY, method="dynamic-watermark"
    )
    job = factories.claimed(run.job)
    assert "<svg" not in text(as_alice.get(progress(job), headers=HTMX))
    run_grow(run=run, growth=[0.2, 1.5])
    for address in (progress(job), reverse("web:run", args=[run.id])):
        page = text(as_alice.get(address, headers=HTMX))
        assert page.count("<svg") == 1
        assert "After 2 answers the evidence stands at 1 in 32" in page
        assert "not reached" not in page
    run.refresh_from_db()
    error = SuspectError("It broke off.", kind="server-error", hint="Try again later.")
    run_fail(run=run, job=job, error=error)
    run_grow(run=run, growth=[0.2, 1.5, 3.0])
    run.refresh_from_db()
    assert run.growth is None


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
