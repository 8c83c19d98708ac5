"""The composed kernel against the definition, written out block by block and value by value."""

import hashlib
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spellmark.locks.key_lock.parameters import (
    SCHEME,
    STEPS,
    Geometry,
    KeyLockError,
    LockParameters,
)
from spellmark.locks.key_lock.transforms import Transform
from spellmark.secrets import permutation, subkey

KEY = bytes(range(32))

some_steps = st.sets(st.sampled_from(STEPS), min_size=1).map(
    lambda chosen: "+".join(step for step in STEPS if step in chosen)
)
some_parameters = st.builds(
    LockParameters,
    block=st.sampled_from([2, 3, 4, 6]),
    steps=some_steps,
    masked=st.sampled_from([1, 30, 50, 100]),
    tables=st.sampled_from(["shared", "channel", "position"]),
    keys=st.sampled_from(["shared", "block"]),
)
some_shapes = st.tuples(st.sampled_from([1, 3]), st.sampled_from([12, 24]), st.just(12))


def _images(shape: tuple[int, int, int], count: int = 2) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, *shape), np.uint8)


def _defined(image: np.ndarray, key: bytes, p: LockParameters) -> np.ndarray:
    """The definition: blocks of values by row, column and channel; step after step."""
    channels, height, width = image.shape
    m, values = p.block, channels * p.block * p.block
    blocks = [
        image[:, top : top + m, left : left + m].transpose(1, 2, 0).reshape(-1).tolist()
        for top in range(0, height, m)
        for left in range(0, width, m)
    ]

    def draw(purpose: str, size: int, row: int) -> list[int]:
        step = subkey(key, binding=b"", scheme=SCHEME, purpose=purpose)
        return permutation(step, size, row=row)

    if p.has("scramble"):
        blocks = [blocks[source] for source in draw("scramble", len(blocks), 0)]
    masked = max(1, values * p.masked // 100)
    for number, block in enumerate(blocks):
        row = number if p.keys == "block" else 0
        if p.has("shuffle"):
            block = [block[source] for source in draw("shuffle", values, row)]
        if p.has("flip"):
            chosen = draw("flip mask", values, row)
            block = [255 - v if chosen[i] < masked else v for i, v in enumerate(block)]
        if p.has("substitute"):
            chosen = draw("substitute mask", values, row)
            table = {
                "shared": lambda i: 1,
                "channel": lambda i: 1 + i % channels,
                "position": lambda i, row=row: 1 + row * values + i,
            }[p.tables]
            block = [
                draw("substitute", 256, table(i))[v] if chosen[i] < masked else v
                for i, v in enumerate(block)
            ]
        blocks[number] = block
    result = np.empty_like(image)
    places = iter(blocks)
    for top in range(0, height, m):
        for left in range(0, width, m):
            part = np.asarray(next(places), np.uint8).reshape(m, m, channels)
            result[:, top : top + m, left : left + m] = part.transpose(2, 0, 1)
    return result


@settings(deadline=None, max_examples=60)
@given(st.binary(min_size=32, max_size=32), some_shapes, some_parameters)
def test_the_kernel_is_the_definition(key, shape, parameters):
    images = _images(shape, 1)
    transform = Transform.from_key(key, Geometry(*shape, parameters.block), parameters)
    assert np.array_equal(transform(images)[0], _defined(images[0], key, parameters))


@settings(deadline=None)
@given(
    st.binary(min_size=32, max_size=32),
    some_parameters,
    st.tuples(st.sampled_from([1, 3]), st.integers(2, 13), st.integers(2, 13)),
)
def test_every_transform_can_be_undone_exactly_with_padding_too(key, parameters, shape):
    images = _images(shape)
    transform = Transform.from_key(key, Geometry(*shape, parameters.block, "edge"), parameters)
    keyed = transform(images)
    assert keyed.shape[1:] == transform.geometry.keyed_shape
    assert np.array_equal(transform.inverse(keyed), images)


@pytest.mark.parametrize(
    ("parameters", "shape", "known"),
    [
        (LockParameters(block=4, steps="shuffle"), (1, 8, 8), "130fcf6d30e2758e"),
        (LockParameters(block=4, steps="flip", keys="block"), (1, 8, 8), "66775bd8cbef1c2f"),
        (
            LockParameters(block=2, steps="substitute", tables="channel", masked=100),
            (3, 4, 4),
            "48960736ee20ab28",
        ),
        (
            LockParameters(
                block=4, steps="scramble+shuffle+flip+substitute", tables="position", keys="block"
            ),
            (3, 8, 8),
            "99163512418d09b4",
        ),
    ],
)
def test_it_has_its_known_answers(parameters, shape, known):
    """A change here strands every model that was locked before it."""
    image = np.arange(np.prod(shape), dtype=np.uint8).reshape(1, *shape)
    keyed = Transform.from_key(KEY, Geometry(*shape, parameters.block), parameters)(image)
    assert hashlib.sha256(keyed.tobytes()).hexdigest()[:16] == known


@settings(deadline=None)
@given(st.integers(0, 1000), some_parameters)
def test_a_random_transform_is_one_of_the_same_kind(seed, parameters):
    """What a key draws, a random transform draws as well: so many flips, tables and moves."""
    geometry, images = Geometry(3, 12, 12, parameters.block), _images((3, 12, 12))
    drawn = Transform.random(np.random.default_rng(seed), geometry, parameters)
    keyed = Transform.from_key(seed.to_bytes(32, "big"), geometry, parameters)
    assert np.array_equal(drawn.inverse(drawn(images)), images)
    for name in ("index", "mask", "which"):
        assert (getattr(drawn, name) is None) == (getattr(keyed, name) is None)
    if drawn.mask is not None:
        assert np.count_nonzero(drawn.mask) == np.count_nonzero(keyed.mask)
    if drawn.which is not None:
        assert len(drawn.tables) == len(keyed.tables) or parameters.tables == "channel"
        assert (np.sort(drawn.tables, axis=1) == np.arange(256)).all()


def test_random_transforms_are_uniform():
    """Each of the 24 orders of a 2×2 block comes as often, within five standard deviations."""
    generator, parameters = np.random.default_rng(0), LockParameters(block=2, steps="shuffle")
    seen = Counter(
        tuple(range(4)) if drawn.index is None else tuple(drawn.index.tolist())
        for drawn in (
            Transform.random(generator, Geometry(1, 2, 2, 2), parameters) for _ in range(4800)
        )
    )
    assert len(seen) == 24
    assert all(abs(count - 200) < 5 * 200**0.5 for count in seen.values())


def test_padding_repeats_the_last_row_and_column():
    image = np.arange(6, dtype=np.uint8).reshape(1, 1, 2, 3)
    parameters = LockParameters(block=4, steps="shuffle", padding="edge")
    keyed = Transform.from_key(KEY, Geometry(1, 2, 3, 4, "edge"), parameters)(image)
    padded = np.pad(image, ((0, 0), (0, 0), (0, 2), (0, 1)), "edge")
    whole = Transform.from_key(KEY, Geometry(1, 4, 4, 4), parameters)(padded)
    assert np.array_equal(keyed, whole)


@pytest.mark.parametrize("masked", [1, 25, 50, 100])
def test_exactly_the_masked_share_of_every_block_is_touched(masked):
    parameters = LockParameters(block=4, steps="flip", masked=masked, keys="block")
    images = np.zeros((1, 3, 8, 8), np.uint8)
    keyed = Transform.from_key(KEY, Geometry(3, 8, 8, 4), parameters)(images)
    flipped = keyed.reshape(3, 2, 4, 2, 4).astype(bool).sum((0, 2, 4))
    assert (flipped == max(1, 48 * masked // 100)).all()


def test_steps_draw_independently():
    """Who knows the order of the values knows nothing of the mask."""
    geometry = Geometry(1, 16, 16, 16)
    shuffle = Transform.from_key(KEY, geometry, LockParameters(block=16, steps="shuffle"))
    flip = Transform.from_key(KEY, geometry, LockParameters(block=16, steps="flip"))
    early = np.asarray(shuffle.index) < 128
    # 64 of 128 expected; the hypergeometric deviation is 4.
    assert 40 < int(np.count_nonzero(flip.mask[early])) < 88


def test_own_keys_differ_from_block_to_block_and_shared_ones_do_not():
    image = np.tile(_images((1, 4, 4), 1), (1, 1, 2, 2))
    for keys, alike in (("shared", True), ("block", False)):
        parameters = LockParameters(block=4, steps="shuffle+flip", keys=keys)
        keyed = Transform.from_key(KEY, Geometry(1, 8, 8, 4), parameters)(image)
        assert np.array_equal(keyed[..., :4, :4], keyed[..., 4:, 4:]) is alike


def test_it_leaves_the_images_and_the_generators_alone():
    images = _images((3, 8, 8))
    before, state = images.copy(), np.random.get_state()[1].copy()
    parameters = LockParameters(block=8, steps="scramble+shuffle+flip+substitute")
    Transform.from_key(KEY, Geometry(3, 8, 8, 8), parameters)(images)
    assert np.array_equal(images, before)
    assert np.array_equal(np.random.get_state()[1], state)


def test_it_takes_views_and_empty_batches():
    transform = Transform.from_key(
        KEY, Geometry(1, 8, 8, 4), LockParameters(block=4, steps="shuffle+flip")
    )
    images = _images((1, 8, 8), 6)
    assert np.array_equal(transform(images[::2]), transform(images)[::2])
    assert transform(images[:0]).shape == (0, 1, 8, 8)


def test_wrong_keys_give_other_images():
    images, geometry = _images((1, 28, 28)), Geometry(1, 28, 28, 4)
    for step in STEPS:
        parameters = LockParameters(block=4, steps=step)
        first = Transform.from_key(KEY, geometry, parameters)(images)
        second = Transform.from_key(bytes(32), geometry, parameters)(images)
        assert not np.array_equal(first, second)


def test_it_refuses_sizes_that_do_not_divide_and_names_those_that_do():
    with pytest.raises(KeyLockError, match="2, 4, 7, 14, 28"):
        Geometry(1, 28, 28, 5)


@pytest.mark.parametrize(
    "images",
    [
        np.zeros((2, 1, 28, 28), np.float32),
        np.zeros((2, 3, 28, 28), np.uint8),
        np.zeros((28, 28), np.uint8),
        [np.zeros((1, 28, 28), np.uint8)],
    ],
)
def test_it_refuses_other_shapes_and_types(images):
    transform = Transform.from_key(
        KEY, Geometry(1, 28, 28, 4), LockParameters(block=4, steps="shuffle")
    )
    with pytest.raises(KeyLockError, match="works on uint8 images of shape"):
        transform(images)
