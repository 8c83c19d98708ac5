import hashlib
import io
import struct
import zipfile
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spellmark.certificates import bundle as bundles
from spellmark.certificates.bundle import Bundle
from spellmark.certificates.errors import FormatError

RAW = b'{"label": 1}'
NAME = hashlib.sha256(RAW).hexdigest()
BUNDLE = Bundle(b"certificate", b"proof", b"transcript\n", {NAME: RAW}, {"a/0001.png": b"\x89PNG"})
DATA = BUNDLE.dumps()


def test_it_reads_back(tmp_path):
    BUNDLE.save(tmp_path / "bundle.zip")
    assert Bundle.load(tmp_path / "bundle.zip") == BUNDLE
    bare = Bundle(b"certificate", b"proof")
    assert Bundle.loads(bare.dumps()) == bare


def test_other_programs_see_the_documented_files(tmp_path):
    BUNDLE.save(tmp_path / "bundle.zip")
    with zipfile.ZipFile(tmp_path / "bundle.zip") as archive:
        assert archive.namelist() == [
            "certificate.sigstore.json",
            "certificate.tlog-proof",
            "transcript.jsonl",
            f"answers/{NAME}",
            "probes/a/0001.png",
            "README.txt",
        ]
        assert archive.read("transcript.jsonl") == b"transcript\n"
        assert b"spellmark verify" in archive.read("README.txt")


def test_the_same_files_give_the_same_bytes_for_ever():
    # A change here would make every bundle handed out before unreadable.
    digest = hashlib.sha256(replace(BUNDLE, readme=b"read me\n").dumps()).hexdigest()
    assert digest == "0d079f78d35f6f2d072085a4dbf468cba89bd11d9d79c054532820c4ba1062a6"


def test_the_order_of_the_files_does_not_matter():
    twins = {"a": b"1", "b": b"2"}
    turned = dict(reversed(twins.items()))
    assert replace(BUNDLE, probes=twins).dumps() == replace(BUNDLE, probes=turned).dumps()


def packed(names, compression=zipfile.ZIP_STORED, data=b"x"):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name in names:
            info = zipfile.ZipInfo(name)
            info.create_system, info.external_attr = 3, 0o100644 << 16
            archive.writestr(info, data, compress_type=compression)
    return buffer.getvalue()


NEEDED = ["certificate.sigstore.json", "certificate.tlog-proof"]


def test_the_hostile_zips_below_are_refused_for_their_own_sake():
    assert Bundle.loads(packed([*NEEDED, "probes/x", "README.txt"])).probes == {"x": b"x"}


@pytest.mark.parametrize(
    "name",
    [
        "more.txt",
        "../README.txt",
        "/README.txt",
        "answers/",
        "answers/x",
        f"answers/{NAME.upper()}",
        f"answers/{NAME}/x",
        "answers",
        "probes/",
        "probes/../x",
        "probes/.hidden",
        "probes/a//b",
        "probes/a\\..\\b",
        "probes//etc/passwd",
        "probes/C:x",
        "probes/" + "x" * 200,
        "probes/ä",
        "probes/x\n",
        "readme.txt",
        "",
    ],
)
def test_it_refuses_strange_names(name):
    with pytest.raises(FormatError):
        Bundle.loads(packed([*NEEDED, name, "README.txt"]))
    folder, _, rest = name.partition("/")
    if folder == "probes":
        with pytest.raises(FormatError, match="may not hold"):
            replace(BUNDLE, probes={rest: b""}).dumps()


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize(
    "names",
    [
        [*NEEDED, "README.txt", "README.txt"],
        [*NEEDED, *NEEDED, "README.txt"],
        [*reversed(NEEDED), "README.txt"],
        ["README.txt", *NEEDED],
        [*NEEDED, "probes/b", "probes/a", "README.txt"],
        NEEDED,
        [NEEDED[0], "README.txt"],
        [],
    ],
)
def test_it_refuses_missing_doubled_and_unordered_files(names):
    with pytest.raises(FormatError):
        Bundle.loads(packed(names))


def test_it_refuses_compressed_files_before_it_unpacks_them():
    bomb = packed([*NEEDED, "README.txt"], zipfile.ZIP_DEFLATED, bytes(10_000_000))
    with pytest.raises(FormatError, match="packed anew"):
        Bundle.loads(bomb)


def test_it_refuses_too_many_files(monkeypatch):
    monkeypatch.setattr(bundles, "MAX_FILES", 5)
    for read in (lambda: Bundle.loads(DATA), BUNDLE.dumps):
        with pytest.raises(FormatError, match="more than 5 files"):
            read()


def test_it_refuses_too_many_bytes(monkeypatch, tmp_path):
    BUNDLE.save(tmp_path / "bundle.zip")
    monkeypatch.setattr(bundles, "MAX_BYTES", len(DATA) - 1)
    for read in (lambda: Bundle.load(tmp_path / "bundle.zip"), BUNDLE.dumps):
        with pytest.raises(FormatError, match="larger than"):
            read()


def test_it_refuses_a_huge_directory_before_reading_it(monkeypatch):
    def never(*args):
        raise AssertionError("the zip was opened")

    monkeypatch.setattr(zipfile, "ZipFile", never)
    count, size = struct.unpack("<HI", DATA[-12:-6])
    assert count == 6
    many = DATA[:-12] + struct.pack("<HI", bundles.MAX_FILES + 1, size) + DATA[-6:]
    long = DATA[:-12] + struct.pack("<HI", count, 100_000_000) + DATA[-6:]
    zip64 = DATA[:-42] + b"PK\x06\x07" + DATA[-38:]
    for data in (many, long, zip64, DATA + b"x", b"x"):
        with pytest.raises(FormatError):
            Bundle.loads(data)


def test_it_refuses_files_that_share_their_bytes():
    first = DATA.index(b"PK\x01\x02")
    second = DATA.index(b"PK\x01\x02", first + 4)
    # The second directory entry points at the first file's data.
    overlapping = DATA[: second + 42] + DATA[first + 42 : first + 46] + DATA[second + 46 :]
    assert overlapping != DATA
    with pytest.raises(FormatError):
        Bundle.loads(overlapping)


def test_it_refuses_every_altered_byte():
    for place in range(len(DATA)):
        altered = bytearray(DATA)
        altered[place] ^= 1 << place % 8
        with pytest.raises(FormatError):
            Bundle.loads(bytes(altered))


@given(st.integers(0, len(DATA)), st.binary(min_size=1, max_size=60), st.integers(0, 60))
def test_it_refuses_every_other_file(place, inserted, removed):
    altered = DATA[:place] + inserted + DATA[place + removed :]
    if altered != DATA:
        with pytest.raises(FormatError):
            Bundle.loads(altered)


def test_it_says_that_a_file_is_missing(tmp_path):
    with pytest.raises(FormatError, match="cannot be read"):
        Bundle.load(tmp_path / "none.zip")
    with pytest.raises(FormatError, match="cannot be read"):
        Bundle.load(tmp_path)
