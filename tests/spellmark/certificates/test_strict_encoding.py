from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spellmark.certificates import encoding
from spellmark.certificates.errors import FormatError

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=10,
)


def test_canonical_json_is_sorted_dense_and_utf8():
    value = {"b": [1, 2.5, None], "a": "ä€"}
    assert encoding.to_json(value) == '{"a":"ä€","b":[1,2.5,null]}'.encode()


@given(JSON)
def test_canonical_json_reads_back(value):
    try:
        data = encoding.to_json(value)
    except FormatError:
        return
    assert encoding.from_canonical_json(data, "It") == value


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b'{"a":1,"a":1}', "twice"),
        (b'{"x":{"a":1,"\\u0061":2}}', "twice"),
        (b"NaN", "number"),
        (b"[-Infinity]", "number"),
        (b"1e999", "number"),
        (b'"\\ud800"', "not Unicode"),
        (b"\xff", "not JSON"),
        (b"", "not JSON"),
        (b"{} {}", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"9" * 5000, "not JSON"),
    ],
)
def test_it_refuses_json_that_programs_read_differently(data, why):
    with pytest.raises(FormatError, match=why):
        encoding.from_json(data, "It")


@pytest.mark.parametrize("data", [b'{"a": 1}', b'{"b":1,"a":1}', b'"\\u0061"', b"1.0e0", b"1\n"])
def test_it_refuses_a_second_spelling_where_one_is_asked_for(data):
    encoding.from_json(data, "It")
    with pytest.raises(FormatError, match="laid out anew"):
        encoding.from_canonical_json(data, "It")


def test_it_refuses_to_write_what_json_cannot_hold():
    for value in (float("nan"), float("inf"), "\ud800", b"bytes"):
        with pytest.raises(FormatError):
            encoding.to_json(value)


@given(st.binary())
def test_base64_reads_back(data):
    assert encoding.from_base64(encoding.to_base64(data), "It") == data


@pytest.mark.parametrize("text", ["A", "AA", "AA=", "AB==", "AAA", "AA==\n", "_w==", "/w==AA", "ä"])
def test_it_refuses_loose_base64(text):
    with pytest.raises(FormatError, match="base64"):
        encoding.from_base64(text, "It")


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        (datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), "2026-01-02T03:04:05Z"),
        (datetime(2026, 1, 2, 3, 4, 5, 60, tzinfo=UTC), "2026-01-02T03:04:05.000060Z"),
        (
            datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone(timedelta(hours=2))),
            "2026-01-02T01:04:05Z",
        ),
    ],
)
def test_times_are_written_in_utc(moment, text):
    assert encoding.to_time(moment) == text
    assert encoding.from_time(text, "It") == moment


@pytest.mark.parametrize(
    "text",
    [
        "2026-01-02",
        "2026-01-02T03:04:05",
        "2026-01-02T03:04:05+00:00",
        "2026-01-02 03:04:05Z",
        "2026-02-30T03:04:05Z",
        "2026-01-02T25:04:05Z",
        "2026-01-02T03:04:05.1234567Z",
        "٢٠٢٦-01-02T03:04:05Z",
    ],
)
def test_it_refuses_other_times(text):
    with pytest.raises(FormatError, match="time"):
        encoding.from_time(text, "It")


def test_it_refuses_to_write_a_time_without_a_zone():
    with pytest.raises(FormatError, match="zone"):
        encoding.to_time(datetime(2026, 1, 2))
