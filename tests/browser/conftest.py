"""A browser window against the dashboard in a thread of the tests."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.db import connection
from playwright.sync_api import Browser, Page

from accounts.models import Organisation
from tests.browser.visitor import Visitor

WAIT_MILLISECONDS = 15_000


@pytest.fixture(autouse=True, scope="module")
def own_session(django_db_setup, django_db_blocker) -> Iterator[None]:
    """What `emptied` sets ends with the module."""
    yield
    with django_db_blocker.unblock():
        connection.close()


@pytest.fixture(autouse=True)
def emptied(own_session, transactional_db) -> Iterator[None]:
    """What the server commits is truncated afterwards, which the log's triggers would refuse."""
    with connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = origin")
    yield
    with connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")


@pytest.fixture
def page(chromium: Browser) -> Iterator[Page]:
    """A fresh browser window. What its pages complain about fails the test."""
    context = chromium.new_context(accept_downloads=True)
    context.set_default_timeout(WAIT_MILLISECONDS)
    window = context.new_page()
    complaints: list[str] = []
    window.on("pageerror", lambda error: complaints.append(str(error)))
    window.on("console", lambda line: line.type == "error" and complaints.append(line.text))
    yield window
    context.close()
    # The browser notes a refusal by itself; the page tells it in words.
    assert [text for text in complaints if not re.search("status of 4(00|09)", text)] == []


@pytest.fixture
def plain_page(chromium: Browser) -> Iterator[Page]:
    """A browser window without JavaScript."""
    context = chromium.new_context(java_script_enabled=False)
    context.set_default_timeout(WAIT_MILLISECONDS)
    yield context.new_page()
    context.close()


@pytest.fixture
def alice_visits(page: Page, live_server, acme: Organisation, tmp_path: Path) -> Visitor:
    """Alice at the dashboard, logged in."""
    visitor = Visitor(page, live_server.url, tmp_path)
    visitor.log_in("alice@example.org", "correct horse battery")
    return visitor
