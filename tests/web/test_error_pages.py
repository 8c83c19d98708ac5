import pytest
from django.test import Client, RequestFactory
from django.urls import reverse

from accounts.actors import ForbiddenError
from ledger.selectors import NotYetLoggedError
from spellmark.errors import SpellmarkError
from web.middleware import ErrorPages

ERROR = SpellmarkError("It <broke>.", hint="Mend it.")


def text(response):
    return response.content.decode()


def answer(error, **extra):
    request = RequestFactory().get("/", **extra)
    request.htmx = extra.get("HTTP_HX_REQUEST") == "true"
    return ErrorPages(lambda request: None).process_exception(request, error)


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (ERROR, 400),
        (ForbiddenError("No.", hint="Ask."), 403),
        (NotYetLoggedError("Wait.", hint="Try again."), 409),
    ],
)
def test_an_error_becomes_a_page_with_its_hint(error, status):
    response = answer(error)
    assert response.status_code == status
    assert error.hint in text(response)
    assert "<html" in text(response)


def test_an_error_becomes_a_fragment_for_htmx():
    response = answer(ERROR, HTTP_HX_REQUEST="true")
    assert "It &lt;broke&gt;." in text(response)
    assert "<html" not in text(response)


def test_an_error_becomes_json_for_a_script():
    response = answer(ERROR, HTTP_ACCEPT="application/json")
    assert response.content == b'{"message": "It <broke>.", "hint": "Mend it."}'


def test_errors_of_ours_stay_errors():
    assert answer(ValueError("a bug")) is None


def test_an_address_that_leads_nowhere(as_alice, client):
    for browser in (as_alice, client):
        response = browser.get("/nothing/here")
        assert response.status_code == 404
        assert "There is nothing at this address" in text(response)


def test_a_bug_shows_a_page_without_details(as_alice, monkeypatch):
    def broken(**arguments):
        raise RuntimeError("a wire came loose")

    monkeypatch.setattr("web.jobs.job_list", broken)
    as_alice.raise_request_exception = False
    response = as_alice.get("/jobs")
    assert response.status_code == 500
    assert "Something broke on our side" in text(response)
    assert "a wire came loose" not in text(response)


def test_a_form_without_its_token_changes_nothing(alice, acme):
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(alice)
    response = browser.post(reverse("web:model-new"), {"name": "wren"})
    assert response.status_code == 403
    assert "Please try again" in text(response)
    upload = browser.put(reverse("web:suspect-upload", args=["x"]), b"bytes")
    assert upload.status_code == 403
