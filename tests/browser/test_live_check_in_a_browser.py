"""'Check it now' on a certificate's page."""

import pytest
from django.urls import reverse
from playwright.sync_api import expect

from ledger.services import ledger_sequence
from tests import factories
from tests.browser.visitor import Visitor
from tests.ledger.witnesses import witness

__all__ = ["witness"]

pytestmark = pytest.mark.browser


def test_it_asks_for_the_witnesses_and_tells_what_kept_it_from_checking(
    alice_visits: Visitor, alice_actor, witness
):
    version = factories.published_version(alice_actor)
    ledger_sequence()
    page = alice_visits.page
    alice_visits.go(reverse("web:certificate", args=[version.certificate_id]))
    alice_visits.press("Check it now")
    verdict = page.locator("[data-verdict]")
    expect(verdict).to_contain_text("Accepted")
    expect(page.locator("[data-check=witnesses]")).to_have_attribute("data-passed", "true")
    page.route("**/bundle", lambda route: route.fulfill(status=409))
    alice_visits.press("Check it now")
    expect(verdict).to_contain_text("the registry answers with 409. Reload this page")
    expect(verdict).to_have_class("notice bad")
    expect(page.locator("[data-check=witnesses]")).to_be_hidden()
