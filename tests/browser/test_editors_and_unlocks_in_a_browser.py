"""An editor is trained from a key that the browser made, and a locked model answers an image."""

from pathlib import Path

import pytest

from jobs.sealing import unseal
from protection.models import Editor, Unlock
from protection.unlocks import unlock_finish
from spellmark.locks.prompt_lock.editor_file import FORMAT
from spellmark.secrets import KeyFile
from tests import factories
from tests.browser.visitor import Visitor

pytestmark = pytest.mark.browser


def test_an_editor_is_trained_from_a_key_made_in_the_browser(alice_visits: Visitor):
    page = alice_visits.page
    alice_visits.go("/editors")
    page.get_by_role("link", name="Get one of your own").first.click()
    page.get_by_label("Name").fill("Editor of the shop")
    with page.expect_download() as download:
        alice_visits.press("Make a new key and save it")
    path = alice_visits.downloads / download.value.suggested_filename
    download.value.save_as(path)
    alice_visits.sees("Keep Editor-of-the-shop.spellkey safe")
    alice_visits.press("Start the training")
    alice_visits.sees("waits for a worker")
    editor, key = Editor.objects.get(), KeyFile.load(path)
    assert (path.name, key.scheme) == ("Editor-of-the-shop.spellkey", FORMAT)
    assert unseal(editor.job)["key"] == key.dumps() == path.read_text()
    assert editor.settings["commitment"] == key.commitment()


def test_an_editors_file_is_uploaded(alice_visits: Visitor, tmp_path: Path):
    path = tmp_path / "ours.safetensors"
    path.write_bytes(factories.editor_file())
    alice_visits.go("/new/editor?kind=file")
    alice_visits.page.get_by_label("Editor file").set_input_files(path)
    alice_visits.press("Upload")
    alice_visits.sees("can be chosen for prompt locks now")
    with alice_visits.page.expect_download() as download:
        alice_visits.page.get_by_role("link", name="Download").click()
    assert Path(download.value.path()).read_bytes() == factories.editor_file()


def test_a_locked_model_answers_live(alice_visits: Visitor, alice_actor, tmp_path: Path):
    page, protection = alice_visits.page, factories.finished_protection(alice_actor)
    alice_visits.go(f"/protections/{protection.id}")
    page.get_by_role("link", name="Use it with the key").click()
    image, key = tmp_path / "boot.png", tmp_path / "robin.spellkey"
    image.write_bytes(factories.image_file(30, 40, "RGB"))
    key.write_text(factories.key_file(block=2).dumps())
    page.get_by_label("Image", exact=True).set_input_files(image)
    page.get_by_label("Key file", exact=True).set_input_files(key)
    alice_visits.press("Ask the model")
    alice_visits.sees("This key file does not open the registered commitment.")
    key.write_text(factories.KEY.dumps())
    page.get_by_label("Key file", exact=True).set_input_files(key)
    alice_visits.press("Ask the model")
    alice_visits.sees("Waits for a worker")
    unlock = Unlock.objects.get()
    unlock_finish(
        unlock=unlock, job=factories.claimed(unlock.job), picture=factories.image_file(),
        with_key=[0.07, 0.931], without_key=[0.52, 0.48],
    )  # fmt: skip
    alice_visits.sees("With the key: class 1")
    alice_visits.sees("It was 40×30 pixels; the model takes 8×8")
    drawn = "(image) => image.complete && image.naturalWidth === 8"
    page.wait_for_function(drawn, arg=page.locator(".taken img").element_handle())
