"""An owner's way through the dashboard: upload, lock, verdict. The key is made in the browser."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from config.supervisor import Platform
from demo.client import Client
from demo.people import Sizes, steal, train_owner
from demo.story import DATA
from spellmark.secrets import KeyFile
from spellmark.training import datasets
from tests.story.counting_suspect import CountingSuspect

pytestmark = [pytest.mark.slow, pytest.mark.browser]

SHOTS = Path(__file__).parent / "artifacts"
SIZES = Sizes(owner_images=4000, owner_epochs=3, thief_images=1000, thief_epochs=1)
MINUTES = 60_000


@pytest.fixture(scope="module")
def page(chromium: Browser) -> Iterator[Page]:
    window = chromium.new_page(viewport={"width": 1280, "height": 900})
    yield window
    window.close()


@pytest.fixture(scope="module")
def password(platform: Platform, owner: Client) -> str:
    """A known password for alice, set as an operator would."""
    code = (
        "from accounts.models import User; u = User.objects.get(email='alice@example.org'); "
        "u.set_password('a browser types this'); u.save()"
    )
    platform.manage("shell", "--command", code)
    return "a browser types this"


def _shot(page: Page, name: str) -> None:
    SHOTS.mkdir(exist_ok=True)
    page.screenshot(path=SHOTS / f"{name}.png", full_page=True)


def test_from_upload_to_verdict(
    page: Page, platform: Platform, owner: Client, password: str, tmp_path: Path
):
    data = datasets.load("fashion-mnist", folders=[DATA])
    plain = tmp_path / "model.safetensors"
    train_owner(data, SIZES, plain, lambda share, step: None)

    page.goto(platform.url)
    page.get_by_label("E-mail address").fill("alice@example.org")
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Log in").click()

    page.goto(f"{platform.url}/new/model")
    page.get_by_label("Name").fill("garments")
    page.get_by_role("button", name="Register").click()
    expect(page.get_by_role("heading", name="garments")).to_be_visible()
    page.get_by_role("button", name="Open a draft").click()
    page.set_input_files("#files", plain)
    page.get_by_role("button", name="Upload").click()
    expect(page.get_by_role("link", name="model.safetensors")).to_be_visible()
    _shot(page, "draft")
    page.once("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Publish").click()
    page.get_by_role("link", name="Lock this version").first.click()

    with page.expect_download() as saved:
        page.get_by_role("button", name="Make the key and save it").click()
    key_file = tmp_path / "garments.spellkey"
    saved.value.save_as(key_file)
    _shot(page, "key")
    shown = page.locator("#made-digest").inner_text()
    assert KeyFile.load(key_file).commitment() == shown
    page.get_by_label("I have the key file.").check()
    page.locator("#made").get_by_role("button", name="Register the commitment").click()

    page.set_input_files("input[type=file]", key_file)
    page.get_by_label("Training images").select_option("fashion-mnist")
    page.get_by_text("More settings").click()
    page.get_by_label("Rounds of training").fill("12")
    page.get_by_label("Images to train on").fill("3000")
    page.get_by_label("Trainings").fill("1")
    page.get_by_role("button", name="Start locking").click()
    _shot(page, "locking")
    # htmx shows the progress; the page needs no reload to come to its end.
    expect(page.get_by_text("succeeded").first).to_be_visible(timeout=5 * MINUTES)
    _shot(page, "locked")

    stolen, copy = tmp_path / "stolen.safetensors", tmp_path / "copy.safetensors"
    owner.download("models/garments/versions/2/files/model.safetensors", stolen)
    steal(stolen, data, SIZES, copy, lambda share, step: None)
    page.goto(f"{platform.url}/models/garments/versions/2")
    _shot(page, "report-card")
    assert "Right key" in page.inner_text("main")

    with CountingSuspect(copy) as server:
        page.goto(f"{platform.url}/new/suspect")
        page.get_by_label("Name").first.fill("Copycat")
        page.locator("input[name=url]").fill(server.url)
        page.locator("input[name=model]").fill("m")
        page.locator("input[name=classes]").fill("10")
        page.get_by_role("button", name="Name this suspect").click()

        page.goto(f"{platform.url}/new/run")
        page.locator("select[name=suspect]").select_option(index=1)
        page.locator("select[name=protection]").select_option(index=1)
        page.set_input_files("input[type=file]", key_file)
        page.get_by_text("How strict the test is").click()
        page.locator("input[name=alpha]").fill("0.005")
        page.get_by_role("button", name="Start the run").click()
        _shot(page, "asking")
        expect(page.get_by_text("depends on your key")).to_be_visible(timeout=3 * MINUTES)
    _shot(page, "verdict")
    assert page.locator("svg").count() >= 1
    page.get_by_role("link", name="Certificate", exact=True).click()
    _shot(page, "certificate")
    assert KeyFile.load(key_file).secret.hex() not in page.content()
