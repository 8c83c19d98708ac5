"""The dashboard as people use it: in a real browser, with JavaScript and without."""

import json
import re
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote_to_bytes

import numpy as np
import pytest
from playwright.sync_api import Page, expect
from safetensors.numpy import save_file

from jobs.services import job_finish, job_log, job_progress
from registry.models import Commitment, File, Version
from spellmark.locks.key_lock.parameters import SCHEME, LockParameters, default_parameters
from spellmark.secrets import KeyFile
from tests import factories
from tests.browser.visitor import Visitor, bodies

pytestmark = pytest.mark.browser

KEYS = [
    factories.KEY,
    factories.key_file(block=2, steps="scramble+substitute", tables="position", subkeys=32),
    KeyFile("key-lock/v0", {"block": 14}, bytes(32), bytes(32)),
    KeyFile("other/v2", {}, bytes(range(32)), b"\xff" * 32),
    replace(factories.KEY, prompt="öffne dich, Sésame 𝄞 \u2028"),
    # Names out of order, and every sign that the two JSON writers could spell in two ways.
    KeyFile(
        'quote"\\/v1',
        {"b": 0, "a": -7, "B": 2**53 - 1, "text": "é€𝄞\u007f\u2028\x00\x1f\n\t<&>"},
        bytes(range(100, 132)),
        bytes(range(200, 232)),
    ),
]


def leaks(sent: list[bytes], key: KeyFile) -> bool:
    """Whether a request held the secret or its nonce, however it is spelt."""
    text = json.loads(key.dumps())
    spellings = [
        spelling.encode()
        for name, value in (("secret", key.secret), ("nonce", key.nonce))
        for spelling in (value.hex(), text[name].rstrip("="))
    ]
    bodies_read = [form for body in sent for form in (body, unquote_to_bytes(body))]
    return any(spelling in body for spelling in spellings for body in bodies_read)


@pytest.fixture
def model_file(tmp_path: Path) -> Path:
    path = tmp_path / "model.safetensors"
    path.write_bytes(factories.model_file())
    return path


@pytest.fixture
def step1(alice_visits: Visitor, alice_actor) -> Visitor:
    """Alice at step 1 of the lock wizard, for a model of 8×8 pixels."""
    factories.published_version(alice_actor)
    alice_visits.go("/models/robin/versions/1/lock")
    return alice_visits


def test_an_owner_registers_publishes_and_commits_to_a_key(alice_visits: Visitor, model_file: Path):
    sent = bodies(alice_visits.page)
    alice_visits.register_model("robin")
    alice_visits.upload(model_file)
    alice_visits.publish()
    version = Version.objects.get()
    assert version.state == "published"

    alice_visits.page.get_by_role("link", name="Lock this version").first.click()
    path = alice_visits.make_key()
    assert path.name == "robin-v1.spellkey"
    alice_visits.commit()

    # The file is what the library would have written, and the commitment is its commitment.
    key = KeyFile.load(path)
    assert path.read_text() == key.dumps()
    assert key.scheme == SCHEME
    assert key.parameters == default_parameters(8, 8, 1, 10).as_dict()
    commitment = Commitment.objects.get()
    assert commitment.digest == key.commitment()
    assert (commitment.scheme, commitment.parameters) == (key.scheme, dict(key.parameters))
    assert commitment.version == version
    # Nothing but the commitment left the browser.
    assert any(key.commitment().encode() in body for body in sent)
    assert not leaks(sent, key)


def test_the_options_are_those_that_were_chosen(step1: Visitor):
    page = step1.page
    page.get_by_text("More settings").click()
    for name in ("Move whole blocks", "Flip chosen values", "Shuffle the values in a block"):
        page.get_by_label(name).set_checked(not name.startswith("Shuffle"))
    page.get_by_label("2 pixels").check()
    page.get_by_label("Share of values").fill("30")
    page.get_by_label("Each block its own").check()
    page.get_by_label("Plain", exact=False).check()
    page.get_by_label("Sub-keys").fill("3")
    step1.sees("Chosen: scramble + flip in blocks of 2 pixels")
    chosen = LockParameters(
        block=2, steps="scramble+flip", masked=30, keys="block", labels="plain", subkeys=3
    )
    key = KeyFile.load(step1.make_key())
    step1.commit()
    assert key.parameters == chosen.as_dict()
    commitment = Commitment.objects.get()
    assert (commitment.digest, commitment.parameters) == (key.commitment(), chosen.as_dict())


def test_options_that_make_no_lock_make_no_key(step1: Visitor):
    page = step1.page
    page.get_by_text("More settings").click()
    page.get_by_label("Shuffle the values in a block").uncheck()
    page.get_by_label("Flip chosen values").uncheck()
    step1.sees("A key lock cannot do “”.")
    step1.press("Make the key and save it")
    step1.sees("these make no lock for this model")
    expect(page.locator("#made")).to_be_hidden()
    page.get_by_label("Flip chosen values").check()
    step1.sees("Chosen: flip in blocks")
    assert KeyFile.load(step1.make_key()).parameters["steps"] == "flip"


def test_a_number_that_is_none_is_pointed_at(step1: Visitor):
    step1.page.get_by_text("More settings").click()
    step1.page.get_by_label("Share of values").fill("0")
    step1.page.get_by_text("More settings").click()
    step1.press("Make the key and save it")
    expect(step1.page.get_by_label("Share of values")).to_be_focused()
    expect(step1.page.locator("#made")).to_be_hidden()


def test_sample_images_follow_the_options(alice_visits: Visitor, alice_actor, monkeypatch):
    """Fashion-MNIST's own, for a model of its size."""
    monkeypatch.setattr(factories, "CARD", replace(factories.CARD, height=28, width=28))
    factories.published_version(alice_actor)
    page = alice_visits.page
    alice_visits.go("/models/robin/versions/1/lock")
    page.get_by_label("Above, images of").select_option("fashion-mnist")
    picture = page.locator("#samples")
    drawn = "(image) => image.complete && image.naturalWidth > 500"
    page.wait_for_function(drawn, arg=picture.element_handle())
    before = picture.get_attribute("src")
    page.get_by_text("More settings").click()
    page.get_by_label("14 pixels").check()
    expect(picture).not_to_have_attribute("src", before)
    assert "block=14" in picture.get_attribute("src")
    page.wait_for_function(drawn, arg=picture.element_handle())
    expect(page.locator("#samples-error")).to_be_hidden()


def test_samples_that_cannot_be_drawn_say_why(step1: Visitor):
    step1.sees("the model takes (1, 8, 8). Choose the data set that the model was trained for.")


def test_every_key_is_new(step1: Visitor):
    first = KeyFile.load(step1.make_key())
    step1.page.reload()
    second = KeyFile.load(step1.make_key())
    assert len({first.secret, first.nonce, second.secret, second.nonce}) == 4


def test_a_key_that_one_has_is_read_in_the_browser_and_stays_there(step1: Visitor, tmp_path: Path):
    key = KeyFile.generate(SCHEME, factories.KEY.parameters)
    path = tmp_path / "mine.spellkey"
    key.save(path)
    sent = bodies(step1.page)
    step1.page.get_by_label("Key file", exact=True).set_input_files(path)
    field = step1.page.get_by_label("Commitment", exact=True)
    expect(field).to_have_value(re.compile(key.commitment()))
    step1.press("Register the commitment and go on")
    step1.sees("Training images")
    assert Commitment.objects.get().digest == key.commitment()
    assert not leaks(sent, key)


def test_a_file_that_is_no_key_is_told(step1: Visitor, tmp_path: Path):
    path = tmp_path / "wrong.spellkey"
    path.write_text('{"format": "spellmark-key/v1", "scheme": "x", "parameters": [1]}')
    step1.page.get_by_label("Key file", exact=True).set_input_files(path)
    step1.sees("The key file's scheme or parameters are damaged.")


@pytest.mark.parametrize("key", KEYS, ids=range(len(KEYS)))
def test_the_browser_commits_to_a_key_as_the_library_does(alice_visits: Visitor, key: KeyFile):
    read = """async (text) => {
        const keys = await import("/static/keys.js");
        const key = keys.loads(text);
        return [await keys.commitment(key), keys.dumps(key)];
    }"""
    commitment, text = alice_visits.page.evaluate(read, key.dumps())
    assert commitment == key.commitment()
    assert json.loads(text) == json.loads(key.dumps())
    assert KeyFile.loads(text) == key


def test_an_upload_shows_how_far_it_is(alice_visits: Visitor, tmp_path: Path):
    path = tmp_path / "large.safetensors"
    save_file({"weights": np.zeros(2_000_000, np.float32)}, path)
    alice_visits.register_model("robin")
    page = alice_visits.page
    slow = page.context.new_cdp_session(page)
    slow.send(
        "Network.emulateNetworkConditions",
        {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": 4_000_000},
    )
    page.evaluate(
        """() => {
            window.seen = [];
            setInterval(() => {
                const bar = document.querySelector(".uploads progress");
                if (bar) sessionStorage.setItem("seen", JSON.stringify(seen.concat(bar.value)));
                if (bar) seen.push(bar.value);
            }, 20);
        }"""
    )
    alice_visits.upload(path)
    seen = json.loads(page.evaluate("sessionStorage.getItem('seen')"))
    assert seen == sorted(seen)
    assert any(0 < share < 1 for share in seen)
    assert File.objects.get().size == path.stat().st_size


def test_a_file_that_is_refused_is_explained_in_place(alice_visits: Visitor, tmp_path: Path):
    wrong, right = tmp_path / "model.pt", tmp_path / "model.safetensors"
    wrong.write_bytes(b"\x80\x04 a pickle by its first bytes")
    right.write_bytes(factories.model_file())
    alice_visits.register_model("robin")
    page = alice_visits.page
    page.get_by_label("Choose files").set_input_files([wrong, right])
    alice_visits.press("Upload")
    alice_visits.sees("a Python pickle")
    alice_visits.sees("not kept")
    expect(page.locator(".uploads li").nth(1)).to_contain_text("kept")
    assert File.objects.get().name == "model.safetensors"


def test_a_job_moves_without_a_reload_and_ends_with_its_result(alice_visits: Visitor, alice_actor):
    job = factories.claimed(factories.queued_run(alice_actor).job)
    alice_visits.go(f"/jobs/{job.id}")
    alice_visits.page.evaluate("window.isStillHere = true")
    job_log(job=job, text="the suspect answers")
    job_progress(job=job, share=0.25, step="asking: request 4 of 16")
    alice_visits.sees("asking: request 4 of 16")
    alice_visits.sees("the suspect answers")
    assert alice_visits.page.evaluate("window.isStillHere")
    job_finish(job=job)
    alice_visits.sees("succeeded")
    assert not alice_visits.page.evaluate("window.isStillHere")


def test_searching_narrows_the_list_while_typing(alice_visits: Visitor, alice_actor):
    for name in ("robin", "wren"):
        factories.published_version(alice_actor, name=name)
    alice_visits.go("/models")
    alice_visits.page.get_by_label("Search by name").press_sequentially("wr")
    expect(alice_visits.page.get_by_role("link", name="robin")).to_be_hidden()
    expect(alice_visits.page.get_by_role("link", name="wren")).to_be_visible()
    assert alice_visits.page.url.endswith("/models?q=wr")


def test_what_cannot_be_undone_asks_first(alice_visits: Visitor, model_file: Path):
    alice_visits.register_model("robin")
    alice_visits.upload(model_file)
    alice_visits.page.once("dialog", lambda dialog: dialog.dismiss())
    alice_visits.press("Publish version")
    assert Version.objects.get().state == "draft"


def test_a_digest_is_copied_whole(alice_visits: Visitor, alice_actor):
    version = factories.published_version(alice_actor)
    alice_visits.go("/models/robin/versions/1")
    digest = alice_visits.page.locator(".seal .digest").first
    digest.click()
    assert alice_visits.page.evaluate("String(getSelection())") == version.root_digest
    alice_visits.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    digest.click()
    expect(digest).to_have_class("digest copied")
    assert alice_visits.page.evaluate("navigator.clipboard.readText()") == version.root_digest


def test_the_keyboard_reaches_the_content_first(alice_visits: Visitor):
    alice_visits.go("/models")
    page = alice_visits.page
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()


def test_a_phone_gets_the_menu_behind_a_button(alice_visits: Visitor):
    page = alice_visits.page
    page.set_viewport_size({"width": 390, "height": 800})
    link = page.get_by_role("link", name="Ledger")
    expect(link).to_be_hidden()
    page.locator("label", has_text="Menu").click()
    link.click()
    expect(page.get_by_role("heading", name="Ledger")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") == 390


def test_everything_works_without_javascript(
    plain_page: Page, live_server, acme, model_file: Path, tmp_path: Path
):
    key = KeyFile.generate(SCHEME, factories.KEY.parameters)
    text = json.dumps(
        {"digest": key.commitment(), "scheme": key.scheme, "parameters": dict(key.parameters)}
    )
    alice = Visitor(plain_page, live_server.url, tmp_path)
    alice.log_in("alice@example.org", "correct horse battery")
    alice.register_model("robin")
    alice.upload(model_file)
    alice.press("Publish version")
    alice.sees("Root digest")
    alice.page.get_by_role("link", name="Lock this version").first.click()
    expect(alice.page.get_by_role("button", name="Make the key")).to_be_hidden()
    alice.page.get_by_text("More settings").click()
    alice.page.get_by_label("2 pixels").check()
    alice.press("Show this lock")
    expect(alice.page.locator("#keygen")).to_contain_text("--block 2 --steps shuffle")
    alice.page.get_by_label("Commitment", exact=True).fill(text)
    alice.press("Register the commitment and go on")
    alice.sees("Training images")
    assert Commitment.objects.get().digest == key.commitment()
