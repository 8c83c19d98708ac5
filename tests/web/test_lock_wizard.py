import base64
import json

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse

from jobs.models import Job, SealedSecret
from protection.models import Protection
from registry.models import Commitment
from registry.services import commitment_create
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
        "wrong_keys": 20,
        **changes,
    }


def test_it_offers_the_blocks_that_fit_and_marks_half_the_side(as_bob, step1):
    blocks = as_bob.get(step1).context["blocks"]
    assert [block["size"] for block in blocks] == [8, 4, 2]
    assert [block["size"] for block in blocks if block["marked"]] == [4]
    assert all(block["help"] for block in blocks)


def test_it_registers_what_spellmark_commit_prints(as_bob, step1):
    response = as_bob.post(step1, {"commitment": commitment_of(KEY)})
    commitment = Commitment.objects.get()
    assert commitment.digest == KEY.commitment()
    assert commitment.parameters == {"block": 4}
    assert response["Location"] == reverse("web:lock-start", args=["robin", 1, commitment.id])


@pytest.mark.parametrize(
    "value",
    [
        "",
        "no json",
        "[]",
        "{}",
        "7",
        '{"digest": "ab", "scheme": "key-lock/shuffle/v1", "parameters": {"block": 4}}',
        '{"digest": "0x%s", "scheme": "key-lock/shuffle/v1", "parameters": {"block": 4}}'
        % ("0" * 62),
        '{"digest": 7, "scheme": "key-lock/shuffle/v1", "parameters": {"block": 4}}',
        '{"digest": "%s", "scheme": "key-lock/shuffle/v1", "parameters": [4]}' % ("0" * 64),
        '{"digest": "%s", "scheme": "key-lock/shuffle/v1", "parameters": {}}' % ("0" * 64),
        '{"digest": "%s", "scheme": "other/v1", "parameters": {"block": 4}}' % ("0" * 64),
        '{"digest": "%s", "scheme": ["x"], "parameters": {"block": 4}}' % ("0" * 64),
        '{"digest": "%s", "scheme": "key-lock/shuffle/v1", "parameters": {"block": 3}}'
        % ("0" * 64),
    ],
)
def test_it_registers_no_commitment_that_no_lock_can_use(as_bob, step1, value):
    response = as_bob.post(step1, {"commitment": value})
    assert response.status_code == 200
    assert 'role="alert"' in text(response) or "required" in text(response)
    assert not Commitment.objects.exists()


def test_a_committed_key_can_be_used_again(as_bob, step1, step2):
    assert step2 in text(as_bob.get(step1))


def test_it_starts_the_lock(as_bob, step2, commitment):
    response = as_bob.post(step2, sent(KEY))
    protection = Protection.objects.get()
    assert response["Location"] == reverse("web:job", args=[protection.job_id])
    assert protection.commitment == commitment
    assert protection.settings == {"block": 4, "epochs": 2, "images": 200, "wrongKeys": 20}
    assert SealedSecret.objects.filter(job=protection.job).exists()


def test_another_key_starts_nothing(as_bob, step2):
    page = text(as_bob.post(step2, sent(OTHER)))
    assert "does not open the registered commitment" in page
    assert not Job.objects.exists()


@pytest.mark.parametrize(
    "changes", [{"dataset": "unknown"}, {"epochs": 0}, {"images": "many"}, {"wrong_keys": ""}]
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
