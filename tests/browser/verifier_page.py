"""The single-page verifier from a disk, beside `spellmark verify`: both must say the same."""

from pathlib import Path

import pytest
from django.test import Client
from playwright.sync_api import Page

from spellmark.certificates.policy import Policy
from spellmark.certificates.revocations import Revoked
from spellmark.certificates.trust import Trust
from spellmark.certificates.verify import verify_bundle
from tests.spellmark.certificates.certificate_samples import TRUST


@pytest.fixture
def emptied() -> None:
    """No server and no database: the page is one file."""


@pytest.fixture(scope="module")
def own_session() -> None:
    """Likewise."""


@pytest.fixture
def verifier(page: Page, tmp_path: Path) -> Page:
    """The saved page, with no network behind it."""
    saved = Client().get("/verifier/file")
    (tmp_path / "verifier.html").write_bytes(saved.content)
    page.context.set_offline(True)
    page.goto((tmp_path / "verifier.html").as_uri())
    TRUST.save(tmp_path / "trust.json")
    return page


def told_by_page(page: Page, folder: Path, data: bytes, *more: str) -> tuple[bool, dict]:
    """Whether the page accepts a bundle, and whether each of its checks passed."""
    (folder / "bundle.zip").write_bytes(data)
    page.evaluate("document.querySelector('[data-verdict]').removeAttribute('data-passed')")
    names = ["trust.json", *more, "bundle.zip"]
    page.set_input_files("input[type=file]", [folder / name for name in names])
    verdict = page.locator("[data-verdict]")
    page.wait_for_selector("[data-verdict][data-passed]")
    rows = page.locator("[data-check]").evaluate_all(
        "rows => rows.map(row => [row.dataset.check, JSON.parse(row.dataset.passed)])"
    )
    return verdict.get_attribute("data-passed") == "true", dict(rows)


def agree(
    page: Page,
    folder: Path,
    data: bytes,
    revoked: list[Revoked] | None = None,
    policy: Policy | None = None,
    trust: Trust = TRUST,
) -> set[str]:
    """What failed, by the page, after it said the same as the command."""
    more = ["revocations.json"] if revoked else []
    if policy:
        (folder / "policy.txt").write_bytes(policy.dumps())
        more.append("policy.txt")
    trust.save(folder / "trust.json")
    passed, found = told_by_page(page, folder, data, *more)
    report = verify_bundle(folder / "bundle.zip", trust, revoked, policy)
    assert found == {check.name: check.passed for check in report.checks}, report.checks
    assert passed == report.passed
    return {name for name, one in found.items() if one is False}


def changed(data: bytes, place: int) -> bytes:
    """The bytes with one bit of another value."""
    altered = bytearray(data)
    altered[place] ^= 1
    return bytes(altered)


def accepts(page: Page, folder: Path, data: bytes, trust: Trust = TRUST) -> bool:
    """Whether the page accepts a bundle; of strange ones it may refuse more than the command."""
    trust.save(folder / "trust.json")
    passed, _ = told_by_page(page, folder, data)
    assert verify_bundle(folder / "bundle.zip", trust).passed or not passed
    return passed
