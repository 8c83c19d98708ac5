import base64
import io
import json

import numpy as np
import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse
from PIL import Image

from jobs.models import Job, SealedSecret
from protection.models import Protection
from registry.models import Commitment
from registry.services import commitment_create
from spellmark.locks.key_lock.parameters import default_parameters
from spellmark.secrets import KeyFile
from tests import factories

KEY = factories.KEY
OTHER = KeyFile.generate(KEY.scheme, KEY.parameters)


def text(response):
    return response.content.decode()


def commitment_of(key: KeyFile) -> str:
    """What `spellmark commit` prints."""
    return json.dumps(
        {"digest": key.commitment(), "scheme": key.scheme, "parameters": dict(key.parameters)}
    )


def spoilt(**changes) -> str:
    """A commitment of which something is wrong."""
    return json.dumps({**json.loads(commitment_of(KEY)), **changes})


def key_file(key: KeyFile) -> SimpleUploadedFile:
    return SimpleUploadedFile("robin.spellkey", key.dumps().encode())


def shows(page: str, key: KeyFile) -> bool:
    """Whether a page gives away any spelling of the secret or its nonce."""
    spellings = [
        spelling
        for value in (key.secret, key.nonce)
        for spelling in (value.hex(), base64.b64encode(value).decode())
    ]
    return any(spelling in page for spelling in spellings)


@pytest.fixture
def version(alice_actor):
    return factories.published_version(alice_actor)


@pytest.fixture
def step1(version):
    return reverse("web:lock", args=["robin", 1])


@pytest.fixture
def commitment(version, alice_actor) -> Commitment:
    return commitment_create(
        actor=alice_actor,
        version=version,
        digest=KEY.commitment(),
        scheme=KEY.scheme,
        parameters=KEY.parameters,
    )


@pytest.fixture
def step2(commitment):
    return reverse("web:lock-start", args=["robin", 1, commitment.id])


def sent(key: KeyFile, **changes):
    return {
        "key_file": key_file(key),
        "dataset": "fashion-mnist",
        "epochs": 2,
        "images": 200,
        "wrong_keys": 2000,
        "seeds": 1,
        **changes,
    }


@pytest.fixture
def birds(tmp_path, monkeypatch) -> str:
    """A data set that fits the version's model."""
    images, labels = np.arange(30 * 64, dtype=np.uint8).reshape(30, 8, 8), np.arange(30) % 10
    np.savez(
        tmp_path / "birds.npz",
        train_images=images, train_labels=labels, test_images=images, test_labels=labels,
    )  # fmt: skip
    monkeypatch.setenv("SPELLMARK_DATA", str(tmp_path))
    return "birds"


def test_the_recommended_lock_is_preselected(as_bob, step1):
    response = as_bob.get(step1)
    page = text(response)
    best = default_parameters(8, 8, 1, 10)
    for option in response.context["options"]:
        for choice in option.choices:
            assert choice.is_chosen == choice.is_recommended, (option, choice)
    assert response.context["is_recommended"]
    assert f'id="block-{best.block}" value="{best.block}" checked' in page
    assert "Recommended:" in page
    assert "p = 2.76 × 10⁻⁷" in page
    assert '<details class="fold">' in page


def test_the_page_tells_the_command_for_the_chosen_options(as_bob, step1):
    page = text(as_bob.get(step1, {"block": 2, "steps": ["scramble", "flip"], "masked": 30}))
    assert "Chosen:" in page
    assert "--height 8 --width 8 --channels 1 --classes 10 --block 2" in page
    assert "--steps scramble+flip --masked 30" in page
    assert 'value="scramble" checked' in page
    assert 'value="shuffle" checked' not in page


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ({"block": 3, "steps": "flip"}, "do not divide"),
        ({"block": 4}, "cannot do"),
        ({"block": 4, "steps": "scramble"}, "Moving 4 blocks about"),
        ({"block": 7, "steps": "flip", "padding": "edge"}, "Padding makes the images 14×14"),
        ({"block": "<b>", "steps": "flip"}, "is a whole number"),
    ],
)
def test_options_that_make_no_lock_are_told_in_place(as_bob, step1, query, told):
    response = as_bob.get(step1, query)
    assert told in text(response)
    assert 'role="alert"' in text(response)
    assert "<b>" not in text(response)


def test_sample_images_show_what_the_options_do(as_bob, version, birds):
    url = reverse("web:lock-samples", args=["robin", 1])
    response = as_bob.get(url, {"dataset": birds, "block": 2, "steps": "flip"})
    assert response["Content-Type"] == "image/png"
    assert "no-store" in response["Cache-Control"]
    picture = Image.open(io.BytesIO(response.content))
    assert picture.width > 3 * picture.height / 2


def test_samples_that_cannot_be_drawn_are_told(as_bob, version, birds):
    url = reverse("web:lock-samples", args=["robin", 1])
    for query in (
        {},
        {"dataset": birds, "block": 3, "steps": "flip"},
        {"dataset": "fashion-mnist"},
    ):
        response = as_bob.get(url, query, headers={"Accept": "application/json"})
        assert response.status_code == 400
        assert response.json()["message"]


def test_it_registers_what_spellmark_commit_prints(as_bob, step1):
    response = as_bob.post(step1, {"commitment": commitment_of(KEY)})
    commitment = Commitment.objects.get()
    assert commitment.digest == KEY.commitment()
    assert commitment.parameters == KEY.parameters
    assert response["Location"] == reverse("web:lock-start", args=["robin", 1, commitment.id])


@pytest.mark.parametrize(
    "value",
    [
        "",
        "no json",
        "[]",
        "{}",
        "7",
        spoilt(digest="ab"),
        spoilt(digest="0x" + "0" * 62),
        spoilt(digest=7),
        spoilt(parameters=[4]),
        spoilt(parameters={}),
        spoilt(parameters={"block": 4}),
        spoilt(parameters={**KEY.parameters, "block": 3}),
        spoilt(parameters={**KEY.parameters, "block": "4"}),
        spoilt(parameters={**KEY.parameters, "block": 7, "padding": "edge"}),
        spoilt(scheme="other/v1"),
        spoilt(scheme=["x"]),
    ],
)
def test_it_registers_no_commitment_that_no_lock_can_use(as_bob, step1, value):
    response = as_bob.post(step1, {"commitment": value})
    assert response.status_code == 200
    assert 'role="alert"' in text(response) or "required" in text(response)
    assert not Commitment.objects.exists()


def test_a_committed_key_can_be_used_again(as_bob, step1, step2):
    assert step2 in text(as_bob.get(step1))


def test_a_commitment_that_no_lock_can_use_is_not_offered(as_bob, alice_actor, version, step1):
    """The API takes commitments of any kind."""
    commitment_create(
        actor=alice_actor,
        version=version,
        digest=KEY.commitment(),
        scheme=KEY.scheme,
        parameters={"block": "red"},
    )
    response = as_bob.get(step1)
    assert response.status_code == 200
    assert response.context["commitments"] == []


def test_it_starts_the_lock(as_bob, step2, commitment):
    response = as_bob.post(step2, sent(KEY))
    protection = Protection.objects.get()
    assert response["Location"] == reverse("web:job", args=[protection.job_id])
    assert protection.commitment == commitment
    assert protection.settings == {"epochs": 2, "images": 200, "wrongKeys": 2000, "seeds": 1}
    assert SealedSecret.objects.filter(job=protection.job).exists()


def test_rounds_left_empty_are_as_many_as_the_images_ask_for(as_bob, step2):
    page = as_bob.get(step2)
    assert page.context["form"]["epochs"].value() is None
    assert "some minutes a training" in text(page)
    as_bob.post(step2, sent(KEY, epochs="", images=30_000))
    assert Protection.objects.get().settings["epochs"] == 24


def test_another_key_starts_nothing(as_bob, step2):
    page = text(as_bob.post(step2, sent(OTHER)))
    assert "does not open the registered commitment" in page
    assert not Job.objects.exists()


@pytest.mark.parametrize(
    "changes",
    [
        {"dataset": "unknown"},
        {"epochs": 0},
        {"images": "many"},
        {"wrong_keys": "999"},
        {"seeds": 0},
    ],
)
def test_the_key_is_not_shown_again_beside_an_error(as_bob, step2, changes):
    response = as_bob.post(step2, sent(KEY, **changes))
    assert response.status_code == 200
    assert "error" in text(response)
    assert not shows(text(response), KEY)


def test_no_error_quotes_a_damaged_key_file(as_bob, step2):
    damaged = KEY.dumps().replace("spellmark-key/v1", "spellmark-key/v9")
    file = SimpleUploadedFile("robin.spellkey", damaged.encode())
    page = text(as_bob.post(step2, sent(KEY, key_file=file)))
    assert "not a Spellmark key file" in page
    assert not shows(page, KEY)


def test_a_file_that_is_too_large_is_no_key(as_bob, step2):
    file = SimpleUploadedFile("robin.spellkey", b" " * 100_000)
    assert "too large to be a key file" in text(as_bob.post(step2, sent(KEY, key_file=file)))


def test_no_later_page_shows_the_key(as_bob, step1, step2):
    as_bob.post(step2, sent(KEY))
    job = reverse("web:job", args=[Job.objects.get().id])
    for url in (step1, step2, job, "/jobs", reverse("web:version", args=["robin", 1])):
        assert not shows(text(as_bob.get(url)), KEY)


def test_a_draft_cannot_be_locked(as_bob, world):
    url = reverse("web:lock", args=["robin", world.draft.number])
    assert as_bob.get(url).status_code == 404


def test_a_commitment_belongs_to_its_version(as_bob, world):
    url = reverse("web:lock-start", args=["robin", 2, world.protection.commitment_id])
    assert as_bob.get(url).status_code == 404
