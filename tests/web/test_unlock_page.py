from dataclasses import replace

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse

from jobs.models import Job, SealedSecret
from jobs.services import job_fail
from protection.models import Protection, Unlock
from protection.services import key_lock_create
from protection.unlocks import unlock_finish
from tests import factories

KEY = factories.KEY
HTMX = {"HX-Request": "true"}


def text(response):
    return response.content.decode()


@pytest.fixture
def protection(alice_actor) -> Protection:
    made = factories.finished_protection(alice_actor)
    made.refresh_from_db()
    return made


@pytest.fixture
def address(protection) -> str:
    return reverse("web:unlock", args=[protection.id])


def sent(image: bytes = factories.image_file(16, 16, "RGB"), key=KEY):
    return {
        "image": SimpleUploadedFile("boot.png", image),
        "key_file": SimpleUploadedFile("robin.spellkey", key.dumps().encode()),
    }


def finished(unlock: Unlock) -> None:
    unlock_finish(
        unlock=unlock, job=factories.claimed(unlock.job), picture=factories.image_file(),
        with_key=[0.07, 0.931], without_key=[0.52, 0.48],
    )  # fmt: skip


def test_the_report_card_leads_to_it(as_viewer, protection, address):
    assert address in text(as_viewer.get(reverse("web:protection", args=[protection.id])))
    page = text(as_viewer.get(address))
    assert "The model takes 8×8 pixels, grey" in page
    assert f"--binding {protection.commitment.binding}" in page
    assert "--editor" not in page


def test_an_answer_is_shown_live(as_viewer, address):
    response = as_viewer.post(address, sent(), headers=HTMX)
    unlock = Unlock.objects.get()
    answer = reverse("web:unlock-answer", args=[unlock.id])
    assert "Waits for a worker" in text(response)
    assert f'hx-get="{answer}"' in text(response)
    assert "<h1>" not in text(response)
    picture = reverse("web:unlock-picture", args=[unlock.id])
    assert as_viewer.get(picture).status_code == 404
    finished(unlock)
    page = text(as_viewer.get(answer, headers=HTMX))
    assert "hx-get" not in page
    for told in (
        "With the key: class 1", "Without the key: class 0", "93.1%", "52.0%", picture,
        "It was 16×16 pixels; the model takes 8×8", "turned into grey",
    ):  # fmt: skip
        assert told in page, told
    response = as_viewer.get(picture)
    assert response.content == factories.image_file()
    assert "no-store" in response["Cache-Control"]


def test_it_has_a_page_of_its_own_without_script(as_viewer, address):
    response = as_viewer.post(address, sent())
    unlock = Unlock.objects.get()
    assert response.url == reverse("web:unlock-answer", args=[unlock.id])
    assert '<meta http-equiv="refresh"' in text(as_viewer.get(response.url))
    finished(unlock)
    page = text(as_viewer.get(response.url))
    assert "http-equiv" not in page
    assert "With the key: class 1" in page
    assert response.url in text(as_viewer.get(reverse("web:job", args=[unlock.job_id])))


def test_image_and_key_go_sealed(as_viewer, address):
    response = as_viewer.post(address, sent(), headers=HTMX)
    rows = text(response) + str([*Unlock.objects.values(), *Job.objects.values()])
    assert KEY.secret.hex() not in rows
    assert "boot" not in rows
    assert KEY.secret not in bytes(SealedSecret.objects.get().ciphertext)


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (sent(key=replace(KEY, secret=bytes(32))), "does not open the registered commitment"),
        (sent(image=b"text"), "This is no image that can be read."),
        ({"image": SimpleUploadedFile("boot.png", b"x")}, "Key file: This field is required."),
    ],
)
def test_what_cannot_be_answered_is_told_in_place(as_viewer, address, data, told):
    files = {name: file.read() for name, file in data.items()}

    def again():
        return {name: SimpleUploadedFile(name, bytes_) for name, bytes_ in files.items()}

    page = text(as_viewer.post(address, again(), headers=HTMX))
    assert told in page
    assert 'role="alert"' in page
    assert told.rpartition(": ")[2] in text(as_viewer.post(address, again()))
    assert not Unlock.objects.exists()


def test_a_very_large_file_is_refused_unread(as_viewer, address, monkeypatch):
    monkeypatch.setattr("web.forms.MAX_IMAGE_BYTES", 100 << 10)
    assert "at most" in text(as_viewer.post(address, sent(image=bytes(101 << 10)), headers=HTMX))


def test_a_job_that_failed_says_why(as_viewer, address):
    as_viewer.post(address, sent(), headers=HTMX)
    unlock = Unlock.objects.get()
    job = factories.claimed(unlock.job)
    job_fail(job=job, error="It broke.", hint="Try again.")
    page = text(as_viewer.get(reverse("web:unlock-answer", args=[unlock.id]), headers=HTMX))
    assert "It broke." in page
    assert "hx-get" not in page


def test_strangers_auditors_and_unfinished_locks_get_nowhere(
    as_charlie, as_auditor, as_bob, alice_actor, protection, address
):
    unlock = factories.finished_unlock(alice_actor, protection)
    addresses = [
        address,
        reverse("web:unlock-answer", args=[unlock.id]),
        reverse("web:unlock-picture", args=[unlock.id]),
    ]
    for one in addresses:
        assert as_charlie.get(one).status_code == 404
        assert as_auditor.get(one).status_code == 403
    assert as_charlie.post(address, sent()).status_code == 404
    waiting = key_lock_create(
        actor=alice_actor, commitment=protection.commitment, key=KEY, dataset="fashion-mnist"
    )
    assert as_bob.get(reverse("web:unlock", args=[waiting.id])).status_code == 404
