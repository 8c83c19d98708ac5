"""A guard from the slider to the server's file: the key stays in the browser all the way."""

import json
import os
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from protection.guards import guard_configuration
from protection.models import Protection
from spellmark.secrets import KeyFile
from tests import factories
from tests.browser.visitor import Visitor, bodies

pytestmark = pytest.mark.browser


def set_strength(page: Page, value: int) -> None:
    page.get_by_label("Strength").fill(str(value))


def test_a_guard_is_chosen_committed_and_measured(alice_visits: Visitor, alice_actor):
    page = alice_visits.page
    factories.published_version(alice_actor)
    alice_visits.go("/models/robin/versions/1")
    page.get_by_role("link", name="Guard its answers").first.click()
    alice_visits.sees("falls from 99 % to 94 %")
    set_strength(page, 100)
    alice_visits.sees("falls from 99 % to 89.1 %")
    expect(page.locator("#strength-shown")).to_have_text("100 ‰")
    sent = bodies(page)
    key = KeyFile.load(alice_visits.make_key())
    assert key.parameters == {"classes": 10, "strength": 100, "cells": 1, "label_margin": 0}
    page.get_by_label("I have the key file.").check()
    alice_visits.press("Register the commitment and go on")
    alice_visits.sees("Images to measure on")
    assert not [body for body in sent if json.loads(key.dumps())["secret"].encode() in body]
    page.set_input_files("[name=key_file]", alice_visits.downloads / "robin-v1.spellkey")
    alice_visits.press("Measure the guard")
    alice_visits.sees("waits for a worker")
    guard = Protection.objects.get()
    assert guard.commitment.digest == key.commitment()


def test_the_servers_file_is_made_in_the_browser(
    alice_visits: Visitor, alice_actor, tmp_path: Path
):
    page, guard = alice_visits.page, factories.finished_guard(alice_actor)
    factories.guard_client(alice_actor, guard)
    path = tmp_path / "robin.spellkey"
    path.write_text(factories.guard_key(8).dumps())
    alice_visits.go(f"/guards/{guard.id}")
    alice_visits.sees("the key is not sent")
    sent = bodies(page)
    field = page.locator("#configuration input[type=file]")
    field.set_input_files(path)
    alice_visits.press("Save guard-robin-v1.json")
    alice_visits.sees("does not open the registered commitment")
    path.write_text(factories.GUARD_KEY.dumps())
    field.set_input_files(path)
    with page.expect_download() as download:
        alice_visits.press("Save guard-robin-v1.json")
    told = json.loads(Path(download.value.path()).read_text())
    file = guard_configuration(actor=alice_actor, guard=guard, key=factories.GUARD_KEY)
    assert told == json.loads(file.dumps())
    assert download.value.suggested_filename == "guard-robin-v1.json"
    assert not any(sent)


@pytest.mark.skipif("SHOTS" not in os.environ, reason="pictures on demand")
def test_shots(alice_visits: Visitor, alice_actor):
    page = alice_visits.page
    version = factories.published_version(alice_actor)
    guard = factories.finished_guard(alice_actor, version=version)
    factories.guard_client(alice_actor, guard)
    factories.guard_client(alice_actor, guard, name="anna@example.org")
    folder = Path(os.environ["SHOTS"])
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        page.set_viewport_size({"width": 1280, "height": 900})
        for name, path in (
            ("wizard", "/models/robin/versions/1/guard"),
            ("more", "/models/robin/versions/1/guard?strength=120&cells=4&label_margin=100"),
            ("start", f"/models/robin/versions/1/guard/{guard.commitment_id}"),
            ("page", f"/guards/{guard.id}"),
            ("version", "/models/robin/versions/1"),
        ):
            alice_visits.go(path)
            page.screenshot(path=folder / f"{name}-{scheme}.png", full_page=True)
    page.set_viewport_size({"width": 420, "height": 900})
    for name, path in (
        ("wizard", "/models/robin/versions/1/guard"),
        ("page", f"/guards/{guard.id}"),
    ):
        alice_visits.go(path)
        page.screenshot(path=folder / f"{name}-phone.png", full_page=True)
