import pytest
from django.urls import reverse

from disputes.models import Case, Report
from disputes.services import case_create, report_create, report_finish
from tests import factories


def text(response):
    return response.content.decode()


@pytest.fixture
def run(alice_actor):
    return factories.finished_run(alice_actor)


@pytest.fixture
def case(alice_actor) -> Case:
    return case_create(actor=alice_actor, title="Robin was copied")


def test_it_opens_a_case_with_a_run(as_bob, run):
    url = reverse("web:case-new")
    assert f'value="{run.id}"' in text(as_bob.get(f"{url}?run={run.id}"))
    sent = {"title": "Copied?", "description": "They said so.", "runs": [run.id]}
    response = as_bob.post(url, sent)
    case = Case.objects.get()
    assert response["Location"] == reverse("web:case", args=[case.id])
    assert list(case.runs.all()) == [run]


def test_no_run_of_others_joins_a_case(as_charlie, charlie_actor, run):
    case = case_create(actor=charlie_actor, title="Mine")
    sent = {"runs": [run.id]}
    assert as_charlie.post(reverse("web:case-runs", args=[case.id]), sent).status_code == 400
    assert as_charlie.post(reverse("web:case-new"), {"title": "x", **sent}).status_code == 200
    assert not case.runs.exists()
    assert Case.objects.filter(title="x").count() == 0


def test_it_adds_runs_until_the_case_is_closed(as_bob, case, run):
    url = reverse("web:case-runs", args=[case.id])
    as_bob.post(url, {"runs": [run.id]})
    assert list(case.runs.all()) == [run]
    as_bob.post(reverse("web:case-close", args=[case.id]))
    case.refresh_from_db()
    assert case.state == "closed"
    response = as_bob.post(url, {"runs": [run.id]})
    assert response.status_code == 400
    assert "This case is closed" in text(response)


def test_a_report_needs_a_run(as_bob, case):
    assert "needs at least one run" in text(as_bob.get(reverse("web:case", args=[case.id])))
    assert as_bob.post(reverse("web:report-new", args=[case.id])).status_code == 400
    assert not Report.objects.exists()


def test_a_report_waits_for_runs_that_go_on(as_bob, alice_actor, case):
    case.runs.add(factories.queued_run(alice_actor))
    page = text(as_bob.get(reverse("web:case", args=[case.id])))
    assert "still going on" in page
    assert reverse("web:report-new", args=[case.id]) not in page


def test_a_report_is_asked_for_and_watched(as_bob, case, run):
    case.runs.add(run)
    as_bob.post(reverse("web:report-new", args=[case.id]))
    job = Report.objects.get().job
    page = text(as_bob.get(reverse("web:case", args=[case.id])))
    assert f"{reverse('web:job-progress', args=[job.id])}?small=1" in page


def test_the_files_of_a_report_are_downloads(as_auditor, alice_actor, case, run):
    case.runs.add(run)
    report = report_create(actor=alice_actor, case=case)
    files = {"pdf": b"%PDF", "html": b"<p>", "evidence": b"PK"}
    report_finish(report=report, job=factories.claimed(report.job), **files)
    for part, data in files.items():
        response = as_auditor.get(reverse("web:report-part", args=[report.id, part]))
        assert b"".join(response) == data
        assert response["Content-Disposition"].startswith("attachment")
    other = reverse("web:report-part", args=[report.id, "secret"])
    assert as_auditor.get(other).status_code == 404


def test_an_auditor_is_offered_nothing_to_change(as_auditor, case, run):
    case.runs.add(run)
    page = text(as_auditor.get(reverse("web:case", args=[case.id])))
    assert "Robin was copied" in page
    assert reverse("web:case-close", args=[case.id]) not in page
    assert reverse("web:report-new", args=[case.id]) not in page
