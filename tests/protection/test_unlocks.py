import io
from datetime import timedelta

import pytest
from django.utils import timezone

from accounts.actors import Actor, ForbiddenError
from jobs.models import Job, SealedSecret
from jobs.sealing import unseal
from protection import unlocks
from protection.errors import ProtectionError
from protection.models import Protection, Unlock
from protection.selectors import unlock_list
from protection.services import key_lock_create
from protection.unlocks import changes, unlock_create, unlocks_forget
from spellmark.model_files.pictures import PictureError
from spellmark.secrets import KeyFile
from tests import factories

KEY = factories.KEY
OTHER = KeyFile(KEY.scheme, KEY.parameters, bytes(32), KEY.nonce)


@pytest.fixture
def protection(alice_actor) -> Protection:
    made = factories.finished_protection(alice_actor)
    made.refresh_from_db()
    return made


def ask(actor, protection, key=KEY, image=None) -> Unlock:
    file = io.BytesIO(image or factories.image_file())
    return unlock_create(actor=actor, protection=protection, key=key, image=file)


def test_whoever_may_read_may_ask(alice_actor, protection):
    viewer = Actor(alice_actor.organisation, "victor", frozenset({"read"}))
    unlock = ask(viewer, protection)
    assert (unlock.job.kind, unlock.job.queue, unlock.created_by) == ("unlock", "gpu", "victor")
    nobody = Actor(alice_actor.organisation, "dora", frozenset({"audit"}))
    with pytest.raises(ForbiddenError):
        ask(nobody, protection)


def test_key_and_image_are_sealed_and_erased_with_the_job(alice_actor, protection):
    image = factories.image_file()
    unlock = ask(alice_actor, protection, image=image)
    sealed = SealedSecret.objects.get(job=unlock.job)
    for secret in (KEY.secret, b"key-lock", b"PNG"):
        assert secret not in bytes(sealed.ciphertext)
    assert set(unseal(unlock.job)) == {"key", "image"}
    rows = str([*Unlock.objects.values(), *Job.objects.values()])
    assert KEY.secret.hex() not in rows
    assert "PNG" not in rows
    unlocks.unlock_finish(
        unlock=unlock, job=factories.claimed(unlock.job), picture=image, with_key=[0.2, 0.8],
        without_key=[0.6, 0.4],
    )  # fmt: skip
    assert not SealedSecret.objects.exists()


def test_a_key_that_is_not_this_locks_is_told_in_one_sentence(alice_actor, protection):
    with pytest.raises(ProtectionError, match="does not open the registered commitment"):
        ask(alice_actor, protection, key=OTHER)
    assert not Unlock.objects.exists()


def test_what_is_no_image_is_told(alice_actor, protection):
    with pytest.raises(PictureError, match="no image that can be read"):
        ask(alice_actor, protection, image=b"text")


def test_a_lock_that_is_not_finished_cannot_be_used(alice_actor, protection):
    waiting = key_lock_create(
        actor=alice_actor, commitment=protection.commitment, key=KEY, dataset="fashion-mnist"
    )
    with pytest.raises(ProtectionError, match="is not finished"):
        ask(alice_actor, waiting)


def test_nobody_fills_the_queue(alice_actor, protection, monkeypatch):
    monkeypatch.setattr(unlocks, "MOST_WAITING", 2)
    first = ask(alice_actor, protection)
    ask(alice_actor, protection)
    with pytest.raises(ProtectionError, match="2 images of your organisation wait"):
        ask(alice_actor, protection)
    Job.objects.filter(id=first.job_id).update(state=Job.State.CANCELLED)
    ask(alice_actor, protection)


@pytest.mark.parametrize(
    ("image", "told"),
    [
        (factories.image_file(), []),
        (factories.image_file(16, 16), ["It was 16×16 pixels; the model takes 8×8, so it was res"]),
        (factories.image_file(30, 40), ["so it was resized, not in proportion."]),
        (factories.image_file(8, 8, "RGB"), ["Its colours were turned into grey"]),
    ],
)
def test_it_is_said_how_an_image_was_converted(alice_actor, protection, image, told):
    found = changes(ask(alice_actor, protection, image=image))
    assert len(found) == len(told)
    for sentence, part in zip(found, told, strict=True):
        assert part in sentence


def test_the_likeliest_classes_are_kept(alice_actor, protection):
    unlock = factories.finished_unlock(alice_actor, protection)
    unlock.refresh_from_db()
    assert unlock.with_key[:2] == [
        {"label": 0, "name": "class 0", "probability": 0.9},
        {"label": 1, "name": "class 1", "probability": 0.05},
    ]
    assert len(unlock.with_key) == len(unlock.without_key) == 5


def test_classes_have_the_names_of_the_card(alice_actor, protection):
    protection.result.card["label_names"] = list("abcdefghij")
    assert factories.finished_unlock(alice_actor, protection).with_key[0]["name"] == "a"


def test_answers_are_nobody_elses_and_not_kept(alice_actor, charlie_actor, protection):
    done = factories.finished_unlock(alice_actor, protection)
    waiting = ask(alice_actor, protection)
    assert not unlock_list(actor=charlie_actor).exists()
    unlocks_forget()
    assert Unlock.objects.count() == 2
    long_ago = timezone.now() - timedelta(hours=2)
    Unlock.objects.update(created_at=long_ago)
    Job.objects.filter(id=done.job_id).update(finished_at=long_ago)
    unlocks_forget()
    # One that still waits for a worker is not forgotten before it is answered.
    assert Unlock.objects.get() == waiting
