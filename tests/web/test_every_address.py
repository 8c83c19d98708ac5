"""Walks through all addresses of the dashboard as owner, stranger, auditor, viewer and nobody."""

import re

import pytest
from django.urls import reverse

from web.context import PLACES
from web.urls import urlpatterns

NAMES = [pattern.name for pattern in urlpatterns]
# No actor stands behind these.
OPEN = {"home", "login", "logout", "password", "verifier", "verifier-file"}
# Whoever has the link to a case is meant to see these: see test_rights_pages.
LINKED = {"shared", "shared-lodge", "shared-retest", "shared-bundle"}
ACTIONS = {
    "organisation", "member-remove", "token-revoke", "model-edit", "alias-set", "alias-delete",
    "version-new", "upload", "publish", "job-cancel", "case-runs", "case-close", "report-new",
    "prompt-lock-trials", "guard-client-end", "case-share", "share-end",
    "certificate-revoke",
}  # fmt: skip
UPLOADS = {"suspect-upload", "editor-upload"}
# The report of the world is not written yet, and no data set was chosen for the samples.
UNFINISHED = {"report-part", "lock-samples"}
PAGES = [name for name in NAMES if name not in OPEN | ACTIONS | UPLOADS | LINKED]
AUDITED = {
    "runs", "run", "run-protocol", "run-bundle", "run-transcript", "certificates", "certificate",
    "certificate-body", "certificate-proof", "certificate-bundle", "ledger", "entry", "entry-proof",
    "checkpoint", "trust", "revocations", "policy", "cases", "case", "report-part",
}  # fmt: skip
FORMS = {
    "model-new", "lock", "lock-samples", "lock-start", "prompt-lock", "prompt-lock-trial",
    "prompt-lock-sheet", "guard", "guard-start", "trigger", "trigger-start", "feature",
    "feature-start", "editor-new",
    "editor-file", "suspect-new", "run-new", "case-new", "fingerprint-new", "reference-new",
    "retest",
}  # fmt: skip
OWNERS = {"members", "tokens"}


def address(world, name):
    return reverse(f"web:{name}", kwargs=world.arguments(name))


def ask(client, world, name):
    if name in ACTIONS:
        return client.post(address(world, name))
    if name in UPLOADS:
        return client.put(address(world, name), b"bytes")
    return client.get(address(world, name))


def text(response):
    return b"".join(response).decode("latin-1") if response.streaming else response.content.decode()


def test_an_owner_sees_every_page(as_alice, world):
    found = {name: as_alice.get(address(world, name)).status_code for name in PAGES}
    expected = {name: 400 if name in UNFINISHED else 200 for name in PAGES}
    assert found == expected


def test_pages_hold_nothing_that_the_content_policy_forbids(as_alice, world):
    for name in PAGES:
        response = as_alice.get(address(world, name))
        assert "default-src 'none'" in response["Content-Security-Policy"], name
        if "text/html" in response["Content-Type"]:
            page = text(response)
            inline = re.findall(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son\w+=", page)
            assert not inline, name
            assert not re.findall(r"(?:src|href)=\"https?:", page), name


def test_pages_of_people_are_kept_by_no_cache(as_alice, world):
    for name in PAGES:
        assert "no-store" in as_alice.get(address(world, name))["Cache-Control"], name


def test_a_stranger_finds_nothing_of_acme(as_charlie, world):
    for name in [*PAGES, *ACTIONS]:
        response = ask(as_charlie, world, name)
        is_shared = name in {
            "entry",
            "entry-proof",
            "organisation",
        }  # the log is public, the switch ignores her
        if world.arguments(name) and not is_shared:
            assert response.status_code == 404, name
        elif response.status_code == 200:
            assert not re.search(r"robin|127\.0\.0\.1:9|nightly|alice@", text(response)), name


def test_a_stranger_changes_nothing_of_acme(as_charlie, world):
    for name in ACTIONS:
        ask(as_charlie, world, name)
    world.case.refresh_from_db()
    world.token.refresh_from_db()
    world.draft.refresh_from_db()
    assert (world.case.state, world.token.revoked_at) == ("open", None)
    assert world.draft.state == "draft"
    assert world.draft.model.aliases.count() == 1


def test_nobody_is_sent_to_the_login_page(client, world):
    for name in set(NAMES) - {"login", "logout", "verifier", "verifier-file"} - LINKED:
        response = ask(client, world, name)
        if name in UPLOADS:
            assert response.status_code == 401, name
        else:
            assert response.status_code == 302, name
            assert response["Location"].startswith(reverse("web:login")), name


def test_a_polling_page_of_nobody_is_sent_to_the_login_page(client, world):
    response = client.get(address(world, "job-progress"), headers={"HX-Request": "true"})
    assert response["HX-Redirect"] == reverse("web:login")


def test_an_auditor_sees_cases_runs_certificates_and_ledger_alone(as_auditor, world):
    seen = {name for name in PAGES if ask(as_auditor, world, name).status_code != 403}
    assert seen == AUDITED
    for name in ACTIONS - {"organisation"}:
        assert ask(as_auditor, world, name).status_code == 403, name


def test_a_viewer_sees_all_but_forms_and_changes_nothing(as_viewer, world):
    refused = {name for name in PAGES if ask(as_viewer, world, name).status_code == 403}
    assert refused == FORMS | OWNERS
    for name in (ACTIONS | UPLOADS) - {"organisation"}:
        assert ask(as_viewer, world, name).status_code == 403, name


@pytest.mark.parametrize("role", ["as_alice", "as_bob", "as_viewer", "as_auditor"])
def test_every_link_in_the_navigation_may_be_followed(request, world, role):
    browser = request.getfixturevalue(role)
    page = browser.get(reverse("web:home"), follow=True)
    places = {place["url"] for place in page.context["navigation"]}
    assert places
    for place in PLACES:
        status = browser.get(reverse(f"web:{place.name}")).status_code
        assert status == (200 if f"web:{place.name}" in places else 403), place


@pytest.mark.parametrize("role", ["as_viewer", "as_auditor"])
def test_pages_offer_no_button_that_would_be_refused(request, world, role):
    browser = request.getfixturevalue(role)
    draft = reverse("web:version", args=["robin", world.draft.number])
    for name in [*(address(world, name) for name in PAGES), draft]:
        response = browser.get(name)
        if response.status_code != 200 or "text/html" not in response["Content-Type"]:
            continue
        for link in set(re.findall(r'href="(/[^"#?]*)', text(response))):
            if not link.startswith(("/static/", "/api/")):
                assert browser.get(link).status_code != 403, (name, link)
        posts = re.findall(r'<form method="post" action="([^"]*)"', text(response))
        assert set(posts) <= {reverse("web:logout"), reverse("web:organisation")}, name


def test_buttons_answer_to_no_link(as_alice, world):
    for name in ACTIONS | UPLOADS:
        assert as_alice.get(address(world, name)).status_code == 405, name
