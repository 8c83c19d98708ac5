import pytest
from django.core.cache import cache
from django.urls import reverse

from accounts.services import organisation_create
from web.throttle import MOST_FAILURES

PASSWORD = "correct horse battery"
LOGIN = "/login"


@pytest.fixture(autouse=True)
def no_failures_yet():
    cache.clear()


def log_in(client, email="alice@example.org", password=PASSWORD, **extra):
    return client.post(LOGIN, {"username": email, "password": password}, **extra)


def test_it_logs_in_by_address_in_any_case(client, acme):
    assert log_in(client, "Alice@Example.org")["Location"] == reverse("web:home")
    assert client.get("/")["Location"] == reverse("web:models")


def test_it_leads_back_to_the_page_that_was_asked_for(client, acme):
    asked = client.get("/runs")["Location"]
    response = client.post(asked, {"username": "alice@example.org", "password": PASSWORD,
                                   "next": "/runs"})  # fmt: skip
    assert response["Location"] == "/runs"


def test_it_leads_to_no_other_site(client, acme):
    response = client.post(
        LOGIN,
        {"username": "alice@example.org", "password": PASSWORD, "next": "https://evil.example/"},
    )
    assert response["Location"] == reverse("web:home")


def test_an_unknown_address_and_a_wrong_password_look_the_same(client, acme):
    def told(response):
        return response.context["form"].non_field_errors()

    unknown = log_in(client, "nobody@example.org")
    wrong = log_in(client, password="wrong")
    assert list(told(unknown)) == list(told(wrong)) != []


def test_an_inactive_person_looks_unknown(client, acme, alice):
    alice.is_active = False
    alice.save()
    assert "do not belong together" in log_in(client).content.decode()


def test_the_password_is_not_shown_again(client, acme):
    assert "wr0ng-secret" not in log_in(client, password="wr0ng-secret").content.decode()


def test_after_some_failures_even_the_right_password_waits(client, acme):
    for _ in range(MOST_FAILURES):
        log_in(client, password="wrong")
    assert "Too many failed attempts" in log_in(client).content.decode()


def test_the_pause_is_for_one_address_from_one_place(client, acme):
    for _ in range(MOST_FAILURES):
        log_in(client, password="wrong")
    assert log_in(client, "bob@example.org").status_code == 302
    client.post(reverse("web:logout"))
    assert log_in(client, REMOTE_ADDR="192.0.2.7").status_code == 302


def test_a_login_forgets_the_failures(client, acme):
    for _ in range(MOST_FAILURES - 1):
        log_in(client, password="wrong")
    log_in(client)
    client.post(reverse("web:logout"))
    log_in(client, password="wrong")
    assert log_in(client).status_code == 302


def test_logging_out_needs_a_button(as_alice):
    assert as_alice.get(reverse("web:logout")).status_code == 405
    assert as_alice.post(reverse("web:logout"))["Location"] == reverse("web:login")
    assert as_alice.get("/models").status_code == 302


def test_a_person_without_organisation_is_told_what_to_do(client, alice):
    client.force_login(alice)
    page = client.get("/", follow=True)
    assert page.status_code == 403
    assert "Ask an owner" in page.content.decode()
    assert client.get("/models").status_code == 403


def test_an_auditor_starts_at_what_they_may_see(as_auditor):
    assert as_auditor.get("/")["Location"] == reverse("web:runs")


def test_it_changes_the_password(as_alice, alice):
    new = "a quite different battery"
    response = as_alice.post(
        reverse("web:password"),
        {"old_password": PASSWORD, "new_password1": new, "new_password2": new},
    )
    assert response.status_code == 302
    alice.refresh_from_db()
    assert alice.check_password(new)
    assert as_alice.get("/models").status_code == 200


def test_it_switches_the_organisation(as_alice, alice, world):
    second = organisation_create(name="Second", owner=alice)
    assert "robin" in as_alice.get("/models").content.decode()
    as_alice.post(reverse("web:organisation"), {"organisation": second.id})
    assert "robin" not in as_alice.get("/models").content.decode()
    assert as_alice.get("/models/robin").status_code == 404


def test_it_switches_to_no_organisation_of_others(as_charlie, acme, world):
    as_charlie.post(reverse("web:organisation"), {"organisation": acme.id})
    assert as_charlie.get("/models/robin").status_code == 404
