import uuid

import pytest
from django.db import connection

from jobs.models import Job, SealedSecret
from jobs.sealing import SealError, seal, unseal
from jobs.services import job_cancel, job_claim, job_create, job_fail, job_finish, job_stop

SECRET = {"key": "the owner's own words", "headers": {"Authorization": "Bearer quiet"}}

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def own_keys(settings, tmp_path):
    settings.KEYS = tmp_path / "keys"


def _job(secret=SECRET) -> Job:
    return job_create(
        organisation_id=uuid.uuid4(), kind="key-lock", title="Lock", queue="gpu", payload={},
        created_by="alice@example.org", secret=secret,
    )  # fmt: skip


def _flip(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def test_a_sealed_secret_opens_for_its_job():
    assert unseal(Job.objects.get(id=_job().id)) == SECRET


def test_the_secret_does_not_stand_in_its_row():
    _job()
    with connection.cursor() as cursor:
        cursor.execute("SELECT wrapped_key || ciphertext FROM jobs_sealedsecret")
        ((row,),) = cursor.fetchall()
    for word in (b"own words", b"Bearer", b"quiet"):
        assert word not in bytes(row)


def test_the_same_secret_is_sealed_differently_each_time():
    _job(), _job()
    first, second = SealedSecret.objects.all()
    assert bytes(first.wrapped_key) != bytes(second.wrapped_key)
    assert bytes(first.ciphertext) != bytes(second.ciphertext)


@pytest.mark.parametrize("field", ["wrapped_key", "ciphertext"])
@pytest.mark.parametrize("at", [0, 11, 12, -1])
def test_an_altered_secret_does_not_open(field, at):
    job = _job()
    sealed = SealedSecret.objects.get(job=job)
    data = bytes(getattr(sealed, field))
    SealedSecret.objects.update(**{field: _flip(data, at % len(data))})
    with pytest.raises(SealError, match="altered"):
        unseal(Job.objects.get(id=job.id))


def test_a_secret_moved_to_another_job_does_not_open():
    mine, theirs = _job(), _job({"key": "another"})
    SealedSecret.objects.filter(job=theirs).delete()
    SealedSecret.objects.filter(job=mine).update(job=theirs)
    with pytest.raises(SealError, match="altered"):
        unseal(Job.objects.get(id=theirs.id))


def test_a_secret_moved_to_another_organisation_does_not_open():
    job = _job()
    Job.objects.update(organisation_id=uuid.uuid4())
    with pytest.raises(SealError, match="altered"):
        unseal(Job.objects.get(id=job.id))


def test_another_installations_key_does_not_open_it(settings, tmp_path):
    job = _job()
    settings.KEYS = tmp_path / "other keys"
    with pytest.raises(SealError, match="another key-encryption key"):
        unseal(Job.objects.get(id=job.id))


def test_an_error_tells_nothing_of_the_secret():
    job = _job()
    SealedSecret.objects.update(ciphertext=b"x" * 40)
    with pytest.raises(SealError) as refused:
        unseal(Job.objects.get(id=job.id))
    assert "words" not in str(refused.value)
    assert "words" not in repr(SealedSecret.objects.get())


def test_the_key_encryption_key_is_a_private_file_and_in_no_table(settings):
    _job()
    path = settings.KEYS / "kek"
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    kek = path.read_text().strip()
    sealed = SealedSecret.objects.get()
    assert len(bytes.fromhex(kek)) == 32
    assert sealed.kek_id not in kek
    assert bytes.fromhex(kek) not in bytes(sealed.wrapped_key) + bytes(sealed.ciphertext)


@pytest.mark.parametrize(
    "end",
    [
        lambda job: job_finish(job=job),
        lambda job: job_fail(job=job, error="It failed.", hint=""),
        lambda job: job_stop(job=job),
    ],
    ids=["succeeded", "failed", "cancelled"],
)
def test_the_secret_is_erased_when_the_job_ends(end):
    job = job_claim(job_id=_job().id)
    assert SealedSecret.objects.count() == 1
    end(job)
    assert not SealedSecret.objects.exists()
    with pytest.raises(SealError, match="no longer here"):
        unseal(Job.objects.get(id=job.id))


def test_the_secret_of_a_waiting_job_is_erased_when_it_is_cancelled():
    job_cancel(job=_job(), by="bob@example.org")
    assert not SealedSecret.objects.exists()


def test_the_secret_of_a_running_job_stays_until_it_stops():
    job = job_claim(job_id=_job().id)
    job_cancel(job=job, by="bob@example.org")
    assert unseal(job) == SECRET


def test_a_job_without_a_secret_has_none_to_open():
    job = _job(secret=None)
    assert not SealedSecret.objects.exists()
    with pytest.raises(SealError, match="no longer here"):
        unseal(job)


def test_one_job_has_one_secret():
    job = _job()
    with pytest.raises(Exception, match="duplicate key"):
        seal(job, SECRET)
