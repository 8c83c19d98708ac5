import json
import stat
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest

from spellmark.secrets import KeyFile, KeyFileError
from spellmark.watermarks.dynamic import (
    DynamicMarkError,
    GuardFile,
    Guards,
    MarkKey,
    guard_file,
    load_guard,
)
from spellmark.watermarks.dynamic.guard_file import GuardFileError
from tests.spellmark.watermarks.dynamic.mark_samples import (
    answers_of,
    guard_file_of,
    inputs_of,
    key_file,
)

MORE = {
    "binding": bytes(range(16)),
    "decimals": 4,
    "top_k": 3,
    "clients": {"acme": b"drawn", "globex": b""},
    "valid_from": date(2026, 1, 1),
    "valid_until": date(2026, 12, 31),
}


def altered(**change) -> str:
    return json.dumps(json.loads(guard_file_of().dumps()) | change)


def test_a_file_comes_back_as_it_was_saved(tmp_path):
    file = guard_file_of(cells=4, more=MORE)
    file.save(tmp_path / "guard.json")
    again = GuardFile.load(tmp_path / "guard.json")
    assert again.dumps() == file.dumps()
    answers, inputs = answers_of(20), inputs_of(20)
    assert (again.guard()(answers, inputs) == file.guard()(answers, inputs)).all()
    guard = load_guard(tmp_path / "guard.json", "acme")
    assert (guard.key.client, guard.decimals, guard.top_k) == ("acme", 4, 3)
    assert guard.key == MarkKey.open(
        key_file(cells=4), binding=MORE["binding"], client="acme", client_binding=b"drawn"
    )


def test_the_file_is_for_its_owner_and_never_overwritten(tmp_path):
    path = tmp_path / "guard.json"
    guard_file_of().save(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    before = path.read_bytes()
    with pytest.raises(GuardFileError, match="exists already"):
        guard_file_of(more={"decimals": 2}).save(path)
    assert path.read_bytes() == before
    with pytest.raises(GuardFileError, match="cannot be read"):
        GuardFile.load(tmp_path / "other.json")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "not a Spellmark guard file"),
        ("[" * 100_000, "not a Spellmark guard file"),
        (key_file().dumps(), "not a Spellmark guard file"),
        (altered(key=None), "not a Spellmark key file"),
        (altered(binding="secret"), "binding is hex digits"),
        (altered(binding=""), "binding is hex digits"),
        (altered(binding=5), "binding is hex digits"),
        (altered(thresholds=[[1], [1, 2]]), "thresholds are a row of numbers"),
        (altered(thresholds=[[float("nan")]]), "thresholds are a row of numbers"),
        (altered(input_shape="28x28"), "input shape is the sides of one input"),
        (altered(input_shape=[28, 0]), "input shape is the sides of one input"),
        (altered(input_shape=[True]), "input shape is the sides of one input"),
        (altered(decimals=16), "decimals are a whole number from 0 to 15"),
        (altered(decimals=True), "decimals are a whole number from 0 to 15"),
        (altered(top_k=0), "top k is a whole number from 1 up"),
        (altered(clients="acme"), "clients are names"),
        (altered(clients=["acme"]), "clients are names"),
        (altered(clients={"": "00"}), "clients are names"),
        (altered(clients={"acme": "secret"}), "clients are names"),
        (altered(valid_from="tomorrow"), "days are written like"),
        (altered(valid_from="2026-02-01", valid_until="2026-01-01"), "in order"),
    ],
)
def test_it_refuses_a_file_that_is_damaged(text, said):
    with pytest.raises((GuardFileError, KeyFileError), match=said) as caught:
        GuardFile.loads(text)
    assert caught.value.hint
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_nothing_secret_is_shown():
    file = guard_file_of(cells=4)
    assert "thresholds" not in repr(file)
    assert file.key.secret.hex() not in repr(file)
    secret = json.loads(file.dumps())["key"]["secret"]
    with pytest.raises(KeyFileError) as caught:
        GuardFile.loads(file.dumps().replace(secret, secret[:-4]))
    assert secret[:-4] not in str(caught.value)


def test_clients_of_the_file_have_keys_of_their_own_and_all_others_share_one():
    guards = Guards(guard_file_of(more={"clients": {"acme": b"drawn", "globex": b""}}))
    assert guards("acme") is guards("acme")
    assert guards("stranger") is guards() is guards("")
    answers = answers_of(50)
    said = {name: guards(name)(answers).tobytes() for name in ("", "acme", "globex")}
    assert len(set(said.values())) == 3


def test_a_wrong_file_is_told_when_the_server_starts():
    with pytest.raises(DynamicMarkError, match="not for a guard"):
        Guards(GuardFile(key=KeyFile.generate("key-lock/v1", {})))
    with pytest.raises(DynamicMarkError, match="does not know where"):
        Guards(GuardFile(key=key_file(cells=4)))
    with pytest.raises(DynamicMarkError, match="does not know where"):
        Guards(GuardFile(key=key_file(cells=4), thresholds=np.zeros((5, 1))))


def test_a_key_of_other_days_is_told_and_used(caplog):
    today = datetime.now(UTC).date()
    Guards(guard_file_of(more={"valid_from": today, "valid_until": today}))
    assert not caplog.records
    guards = Guards(guard_file_of(more={"valid_until": today - timedelta(days=2)}))
    assert "not meant for today" in caplog.text
    assert (guards()(answers_of(9)) != answers_of(9)).any()


def test_a_server_that_runs_on_is_told_once_a_day_that_its_key_has_ended(caplog, monkeypatch):
    now = datetime(2026, 1, 31, 23, 59, tzinfo=UTC)

    class Clock(datetime):
        @classmethod
        def now(cls, tz=None) -> datetime:
            return now

    monkeypatch.setattr(guard_file, "datetime", Clock)
    clients = {"acme": b"drawn"}
    guards = Guards(guard_file_of(more={"clients": clients, "valid_until": now.date()}))
    guards("acme")
    assert not caplog.records
    for day in (1, 2):
        now = datetime(2026, 2, day, tzinfo=UTC)
        for client in ("", "acme", ""):
            assert guards(client)(answers_of(9)).shape == (9, 5)
        assert len(caplog.records) == day
    assert "not meant for today" in caplog.text
