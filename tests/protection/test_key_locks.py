from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from accounts.actors import ForbiddenError
from jobs.models import Job, SealedSecret
from jobs.sealing import unseal
from jobs.services import LeaseLostError
from ledger.models import Certificate
from ledger.selectors import certificate_statement
from protection.models import Protection
from protection.selectors import protection_list
from protection.services import (
    ProtectionError,
    key_lock_create,
    lock_finish,
    lock_parameters,
)
from registry.models import Commitment, File, Version
from registry.services import (
    commitment_create,
    file_upload,
    model_create,
    version_create,
    version_publish,
)
from spellmark.errors import SpellmarkError
from spellmark.locks.key_lock.parameters import SCHEME, KeyLockError, LockParameters
from spellmark.secrets import KeyFile
from tasks.lock import opened_key
from tests.factories import (
    KEY,
    REPORT_CARD,
    claimed,
    finished_protection,
    key_file,
    model_file,
    published_version,
)


def _commit(actor, version, key: KeyFile = KEY, **choices):
    asked = {"digest": key.commitment(), "scheme": key.scheme, "parameters": key.parameters}
    return commitment_create(actor=actor, version=version, **(asked | choices))


@pytest.fixture
def commitment(alice_actor):
    return _commit(alice_actor, published_version(alice_actor))


@pytest.fixture
def locked(tmp_path) -> Path:
    path = tmp_path / "locked.safetensors"
    path.write_bytes(model_file(description="locked"))
    return path


def _lock(actor, commitment, key: KeyFile = KEY) -> Protection:
    return key_lock_create(actor=actor, commitment=commitment, key=key, dataset="fashion-mnist")


def test_a_lock_starts_as_a_job_with_the_key_sealed(alice_actor, acme, commitment):
    protection = _lock(alice_actor, commitment)
    job = protection.job
    assert (job.kind, job.queue, job.state) == ("key-lock", "gpu", "queued")
    assert job.organisation_id == acme.id
    assert job.payload == {"protection": str(protection.id)}
    assert KeyFile.loads(unseal(job)["key"]) == KEY
    assert protection.source == commitment.version
    assert (protection.result, protection.report_card) == (None, None)
    assert protection.settings == {"epochs": 119, "images": 6000, "wrongKeys": 1000, "seeds": 3}


def test_it_refuses_a_report_card_on_few_wrong_keys(alice_actor, commitment):
    with pytest.raises(KeyLockError, match="999 wrong keys are too few") as refused:
        key_lock_create(
            actor=alice_actor, commitment=commitment, key=KEY, dataset="x", wrong_keys=999
        )
    assert "1,000 or more" in refused.value.hint
    assert not Job.objects.exists()


@pytest.mark.parametrize(
    "wrong",
    [
        replace(KEY, secret=bytes(32)),
        replace(KEY, nonce=bytes(32)),
        replace(KEY, scheme="key-lock/v2"),
        replace(KEY, parameters=key_file(block=2).parameters),
    ],
    ids=["secret", "nonce", "scheme", "parameters"],
)
def test_it_refuses_another_key_file_than_was_committed(alice_actor, commitment, wrong):
    with pytest.raises(ProtectionError, match="does not open the registered commitment") as refused:
        _lock(alice_actor, commitment, wrong)
    assert commitment.digest[:12] in refused.value.hint
    for secret in (wrong.secret.hex(), wrong.nonce.hex()):
        assert secret not in str(refused.value)
    assert (Protection.objects.count(), Job.objects.count()) == (0, 0)


def test_it_refuses_a_commitment_whose_parameters_are_not_the_keys(alice_actor):
    """The digest covers the key's own parameters; what was written beside it must say the same."""
    version = published_version(alice_actor)
    commitment = _commit(alice_actor, version, parameters=key_file(block=2).parameters)
    with pytest.raises(ProtectionError, match="does not open"):
        _lock(alice_actor, commitment)


@pytest.mark.parametrize("block", [3, 16])
def test_it_refuses_blocks_that_do_not_fit_the_images(alice_actor, block):
    key = key_file(block=block)
    commitment = _commit(alice_actor, published_version(alice_actor), key)
    with pytest.raises(KeyLockError, match="do not divide") as refused:
        _lock(alice_actor, commitment, key)
    assert refused.value.hint
    assert not Job.objects.exists()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"block": "4"}, "block is a whole number"),
        ({"steps": "flip+shuffle"}, "cannot do"),
        ({"masked": 0}, "from 1 to 100"),
        ({"colour": 1}, "unknown “colour”"),
        ({"labels": None}, "lack “labels”"),
    ],
)
def test_it_refuses_parameters_that_make_no_lock(alice_actor, changes, said):
    values = {**KEY.parameters, **changes}
    key = replace(KEY, parameters={name: v for name, v in values.items() if v is not None})
    commitment = _commit(alice_actor, published_version(alice_actor), key)
    with pytest.raises(KeyLockError, match=said):
        _lock(alice_actor, commitment, key)


def test_it_refuses_padding_that_the_architecture_does_not_take(alice_actor):
    """The poolings of a small-cnn leave 8 pixels two wide, but the 10 of padded ones too."""
    version = published_version(alice_actor)
    for block, fits in ((5, True), (7, False), (12, False)):
        key = key_file(block=block, padding="edge")
        commitment = Commitment(version=version, scheme=SCHEME, parameters=key.parameters)
        if fits:
            assert lock_parameters(version, commitment).block == block
        else:
            with pytest.raises(KeyLockError, match="Padding makes the images .* does not take"):
                lock_parameters(version, commitment)


def test_it_refuses_a_commitment_of_another_scheme(alice_actor):
    key = replace(KEY, scheme="watermark/trigger/v1")
    commitment = _commit(alice_actor, published_version(alice_actor), key)
    with pytest.raises(ProtectionError, match="which is no lock") as refused:
        _lock(alice_actor, commitment, key)
    assert SCHEME in refused.value.hint


def test_it_refuses_a_version_without_a_model_card(alice_actor):
    model = model_create(actor=alice_actor, name="robin")
    version = version_create(actor=alice_actor, model=model)
    File.objects.create(version=version, name="m.onnx", sha256="a" * 64, size=1, format="onnx")
    commitment = _commit(alice_actor, version_publish(actor=alice_actor, version=version))
    with pytest.raises(ProtectionError, match="carries no model card"):
        _lock(alice_actor, commitment)


def test_locking_needs_the_permission_to_write(alice_actor, acme, commitment):
    verifier = type(alice_actor)(acme, "verifier", frozenset({"read", "verify"}))
    with pytest.raises(ForbiddenError):
        _lock(verifier, commitment)


def test_the_finished_lock_is_a_registered_version_with_a_report_card(alice_actor):
    protection = finished_protection(alice_actor)
    protection.refresh_from_db()
    result = protection.result
    assert (result.number, result.state, result.parent) == (2, "published", protection.source)
    assert (result.derivation, protection.report_card) == ("key-lock", REPORT_CARD)
    assert result.card["description"] == "locked"
    assert protection.job.state == "succeeded"
    assert not SealedSecret.objects.exists()
    statement = certificate_statement(Certificate.objects.get(id=result.certificate_id))
    commitment = protection.commitment
    assert statement.model_digest == result.root_digest != protection.source.root_digest
    assert (statement.commitment, statement.binding) == (commitment.digest, commitment.binding)


def test_a_worker_that_lost_its_lease_registers_nothing(alice_actor, commitment, locked):
    protection = _lock(alice_actor, commitment)
    slow = claimed(protection.job)
    Job.objects.update(lease="00000000-0000-4000-8000-000000000000")
    with pytest.raises(LeaseLostError):
        lock_finish(protection=protection, job=slow, locked=locked, report_card=REPORT_CARD)
    assert Version.objects.count() == 1
    protection.refresh_from_db()
    assert (protection.result, protection.report_card) == (None, None)


def test_a_result_that_is_no_model_file_leaves_the_job_running(alice_actor, commitment, locked):
    protection = _lock(alice_actor, commitment)
    job = claimed(protection.job)
    locked.write_bytes(b"half a file")
    with pytest.raises(SpellmarkError):
        lock_finish(protection=protection, job=job, locked=locked, report_card=REPORT_CARD)
    assert Version.objects.count() == 1
    assert Job.objects.get().state == "running"


def test_the_result_gets_the_next_number_at_its_time(alice_actor, commitment, locked):
    protection = _lock(alice_actor, commitment)
    between = version_create(actor=alice_actor, model=commitment.version.model)
    file_upload(actor=alice_actor, version=between, name="m.safetensors", chunks=[model_file()])
    lock_finish(
        protection=protection, job=claimed(protection.job), locked=locked, report_card=REPORT_CARD
    )
    assert (between.number, protection.result.number) == (2, 3)


def test_strangers_see_no_protections(alice_actor, charlie_actor, commitment):
    protection = _lock(alice_actor, commitment)
    assert list(protection_list(actor=alice_actor)) == [protection]
    assert not protection_list(actor=charlie_actor)


def test_the_key_opens_with_the_commitments_binding(commitment):
    version = commitment.version
    assert lock_parameters(version, commitment) == LockParameters(block=4, steps="shuffle+flip")
    opened = opened_key(version, commitment, KEY)
    assert (opened.geometry.shape, opened.classes) == ((1, 8, 8), 10)
    again = replace(KEY, secret=KEY.secret)
    image = np.arange(64, dtype=np.uint8).reshape(1, 1, 8, 8)
    assert np.array_equal(opened_key(version, commitment, again)(image), opened(image))
    commitment.binding = "00" * 32
    assert not np.array_equal(opened_key(version, commitment, KEY)(image), opened(image))


def test_the_key_of_another_commitment_does_not_open(commitment):
    with pytest.raises(ProtectionError, match="does not open"):
        opened_key(commitment.version, commitment, key_file(block=2))
