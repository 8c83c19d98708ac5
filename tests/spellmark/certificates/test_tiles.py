import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spellmark.certificates import tiles
from spellmark.certificates.errors import FormatError
from spellmark.certificates.tiles import Tile


@pytest.mark.parametrize(
    ("tile", "path"),
    [
        (Tile(0, 0), "tile/0/000"),
        (Tile(0, 1234067), "tile/0/x001/x234/067"),
        (Tile(3, 1000, 17), "tile/3/x001/000.p/17"),
        (Tile(None, 999, 255), "tile/entries/999.p/255"),
    ],
)
def test_addresses_are_those_of_the_specification(tile, path):
    assert tile.path == path
    assert tiles.parse(path) == tile


@given(
    st.builds(
        Tile, st.none() | st.integers(0, 63), st.integers(0, (1 << 55) - 1), st.integers(1, 256)
    )
)
def test_every_tile_has_one_address(tile):
    assert tiles.parse(tile.path) == tile


@given(st.from_regex(r"tile/(entries|[0-9]{1,3})/[x0-9/]{1,20}(\.p/[0-9]{1,4})?", fullmatch=True))
def test_no_tile_has_two_addresses(path):
    with contextlib.suppress(FormatError):
        assert tiles.parse(path).path == path


@pytest.mark.parametrize(
    ("size", "counts"),
    [
        (1, {0: (0, 1)}),
        (256, {0: (1, 0), 1: (0, 1)}),
        (70_000, {0: (273, 112), 1: (1, 17), 2: (0, 1)}),
    ],
)
def test_a_tree_has_the_tiles_that_the_specification_names(size, counts):
    found = list(tiles.tiles_of(size))
    for level, (full, width) in counts.items():
        mine = [tile for tile in found if tile.level == level]
        assert sum(tile.width == 256 for tile in mine) == full
        assert [tile.width for tile in mine if tile.width < 256] == ([width] if width else [])
        assert all(tile.is_within(size) for tile in mine)
    assert {tile.level for tile in found} == {None, *counts}


@given(st.integers(0, 3000), st.integers(0, 3000))
def test_what_grows_adds_exactly_what_was_missing(one, other):
    since, size = sorted((one, other))
    before, after = set(tiles.tiles_of(since)), set(tiles.tiles_of(size))
    assert after - before == set(tiles.tiles_of(size, since=since)) - before
    assert set(tiles.tiles_of(size, since=since)) <= after


@given(st.lists(st.binary(max_size=300), max_size=10))
def test_a_bundle_reads_back(entries):
    assert tiles.unbundle(tiles.bundle(entries)) == entries


def test_a_bundle_is_length_prefixed():
    assert tiles.bundle([b"ab", b""]) == b"\x00\x02ab\x00\x00"
    for data in (b"\x00", b"\x00\x02a", b"\x00\x01ab"):
        with pytest.raises(FormatError, match="cut off"):
            tiles.unbundle(data)
    with pytest.raises(FormatError, match="longer"):
        tiles.bundle([bytes(65_536)])
