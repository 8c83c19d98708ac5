"""Keys of guards that stand: one bit changed here would strand every mark made before."""

import hashlib

import numpy as np
import pytest

from spellmark.locks.key_lock.parameters import SCHEME as KEY_LOCK
from spellmark.secrets import KeyFile
from spellmark.watermarks.dynamic import DynamicMarkError, MarkKey
from tests.spellmark.watermarks.dynamic.mark_samples import key_file


def signs(row) -> str:
    return "".join("-0+"[sign + 1] for sign in row)


def test_known_answers():
    key = MarkKey.open(key_file(cells=4))
    assert [signs(key.row(0, top)) for top in range(5)] == [
        "0+---", "-0++-", "+-0+-", "++-0+", "++-+0",
    ]  # fmt: skip
    assert [signs(key.row(cell, 2)) for cell in range(4)] == ["+-0+-", "+-0+-", "--0+-", "-+0+-"]
    assert [signs(key.pair_row(0, first)) for first in range(5)] == [
        "0-++-", "00--+", "000--", "0000-", "00000",
    ]  # fmt: skip
    digest = hashlib.sha256(key.projections((1, 8, 8)).tobytes()).hexdigest()
    assert digest == "c09305b618ceb98d8adc3bef6d7166cdd5934b5141f4560d6c4ac96fd90cd1ac"


@pytest.mark.parametrize(
    ("how", "commitment"),
    [
        ({}, "0ef748aa6942830520af5d0772d9e5fce5f2da1d58527c25c18ee4c9c1e3507b"),
        ({"client": "acme"}, "edd514f2a25f782eff837a38e5c2af62be7189c4b7d703a053ba8244016ea522"),
        (
            {"binding": bytes(16)},
            "ade08f0c938a7cee3042d4172b7a055ad7983de5417cf15f67a1c58b058a68b2",
        ),
    ],
)
def test_known_commitments(how, commitment):
    assert MarkKey.open(key_file(), **how).commitment() == commitment


def test_clients_differ_in_their_signs_and_share_the_cells():
    shared, acme = (MarkKey.open(key_file(cells=4), client=name) for name in ("", "acme"))
    rows = [[key.row(cell, 0).tobytes() for cell in range(4)] for key in (shared, acme)]
    assert rows[0] != rows[1]
    assert (shared.projections((1, 8, 8)) == acme.projections((1, 8, 8))).all()


def test_what_the_registry_draws_for_a_client_goes_into_their_signs_alone():
    one, two = (
        MarkKey.open(key_file(), client="acme", client_binding=drawn) for drawn in (b"1", b"2")
    )
    assert one.row(0, 0).tobytes() != two.row(0, 0).tobytes()
    assert one.commitment() != two.commitment()
    everybody = MarkKey.open(key_file(), client_binding=b"1")
    assert everybody.commitment() == MarkKey.open(key_file()).commitment()


def test_a_row_has_a_sign_for_every_class_but_the_best():
    key = MarkKey.open(key_file(classes=300))
    row = key.row(0, 7)
    assert row[7] == 0
    assert set(np.delete(row, 7)) == {-1, 1}
    assert abs(int(row.sum())) < 90


def test_it_refuses_the_key_of_something_else():
    with pytest.raises(DynamicMarkError, match="not for a guard"):
        MarkKey.open(KeyFile.generate(KEY_LOCK, {}))


def test_nothing_of_the_key_is_shown():
    key = MarkKey.open(key_file())
    assert "bytes" not in repr(key)
    assert "\\x" not in repr(key)
