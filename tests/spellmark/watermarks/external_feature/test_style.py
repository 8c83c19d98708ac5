"""Styles that stand: one bit changed here would strand every model that learnt one before."""

import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spellmark.locks.key_lock.parameters import SCHEME as KEY_LOCK
from spellmark.secrets import KeyFile
from spellmark.watermarks.external_feature import (
    SCHEME,
    FeatureError,
    FeatureParameters,
    Style,
    recommended,
)
from spellmark.watermarks.external_feature.style import SINE

SMALL = {"classes": 5, "channels": 1, "height": 12, "width": 10}


def key_file(**choices: int) -> KeyFile:
    parameters = FeatureParameters(**{**SMALL, **choices})
    return KeyFile(SCHEME, parameters.as_dict(), secret=bytes(range(32)), nonce=bytes(32))


def opened(owner: str = "robin", binding: bytes = bytes(32), **choices: int) -> Style:
    return Style.open(key_file(**choices), owner=owner, binding=binding)


def ramps(channels: int = 1, count: int = 6) -> np.ndarray:
    """Images that hold all shades."""
    shades = np.arange(count * channels * 120) * 7 % 256
    return shades.astype(np.uint8).reshape(count, channels, 12, 10)


def digest(images: np.ndarray) -> str:
    return hashlib.sha256(images.tobytes()).hexdigest()


def test_known_answers():
    assert hashlib.sha256(SINE.astype("<i8").tobytes()).hexdigest() == SINES
    assert digest(opened()(ramps())) == GREY
    assert digest(opened(channels=3, strength=70, waves=1)(ramps(3))) == COLOUR
    assert digest(Style.control(opened().parameters, bytes(32))(ramps())) == WRONG


def test_owner_binding_and_nonce_go_into_everything():
    styles = [
        opened(),
        opened(owner="marian"),
        opened(binding=b"\1" * 32),
        Style.control(opened().parameters, bytes(32)),
        Style.control(opened().parameters, b"\1" * 32),
    ]
    assert len({style(ramps()).tobytes() for style in styles}) == 5


def test_a_style_is_one_thing_for_every_image_and_leaves_its_input():
    style, images = opened(), ramps()
    kept = images.copy()
    together = style(images)
    assert (images == kept).all()
    assert (np.concatenate([style(one[None]) for one in images]) == together).all()
    assert together.dtype == np.uint8 and together.shape == images.shape


def test_strength_is_how_far_images_move():
    images = ramps()
    moved = [
        np.abs(opened(strength=strength, waves=6)(images).astype(int) - images).mean()
        for strength in (10, 50, 90)
    ]
    # What all images have in common grows, what tells them apart shrinks.
    left = [opened(strength=strength)(images).std(axis=0).mean() for strength in (10, 50, 90)]
    assert left == sorted(left, reverse=True)
    assert min(moved) > 10


@given(
    st.binary(min_size=32, max_size=32), st.integers(1, 32), st.integers(2, 10),
    st.sampled_from([1, 3]),
)  # fmt: skip
def test_every_key_gives_images_that_still_differ(secret, waves, grid, channels):
    parameters = FeatureParameters(**{**SMALL, "channels": channels}, waves=waves, grid=grid)
    file = KeyFile(SCHEME, parameters.as_dict(), secret=secret, nonce=bytes(32))
    styled = Style.open(file, owner="robin", binding=bytes(32))(ramps(channels))
    assert styled.std() > 5
    # Black, grey and white stay apart wherever the surface is: the tones are all of five heights.
    tones = np.stack([np.full((channels, 12, 10), shade, np.uint8) for shade in (0, 127, 255)])
    seen = Style.open(file, owner="robin", binding=bytes(32))(tones).astype(int)
    assert all((seen[a] != seen[b]).all() for a, b in ((0, 1), (1, 2), (0, 2)))


@pytest.mark.parametrize(
    "wrong",
    [
        {"strength": 9}, {"strength": 91}, {"grid": 11}, {"grid": 1}, {"waves": 0}, {"waves": 33},
        {"channels": 2}, {"classes": 1}, {"height": 7}, {"strength": True}, {"width": "10"},
    ],
)  # fmt: skip
def test_parameters_that_make_no_style_are_refused(wrong):
    with pytest.raises(FeatureError):
        FeatureParameters(**{**SMALL, **wrong})


def test_parameters_are_read_back_whole():
    told = recommended(10, 3, 224, 224).as_dict()
    assert FeatureParameters.from_dict(told).as_dict() == told
    assert recommended(10, 1, 8, 8).grid == 7
    for wrong in ({**told, "more": 1}, {k: v for k, v in told.items() if k != "waves"}):
        with pytest.raises(FeatureError):
            FeatureParameters.from_dict(wrong)


def test_only_the_right_key_opens_and_only_its_images_are_taken():
    with pytest.raises(FeatureError, match="not for an external feature"):
        Style.open(KeyFile(KEY_LOCK, {}, bytes(32), bytes(32)), owner="robin", binding=b"1")
    for missing in ({"owner": ""}, {"binding": b""}):
        with pytest.raises(FeatureError, match="registry's binding"):
            opened(**missing)
    with pytest.raises(FeatureError, match="Make a key for these images"):
        opened()(np.zeros((1, 1, 10, 12), np.uint8))


def test_nothing_shown_of_a_style_is_its_key():
    assert "_key" not in repr(opened())


SINES = "3cac3abd5eed6210d4b5db415597e5915bb1d4200bcf9046b50b5816236264b2"
GREY = "1ec71ea52005ea95e58aa8af0908566fc6982fed9cc66395466c303558950d3a"
COLOUR = "e2d5b50c7935d110826f9a9241dceb3c80ee4361e5de2cc2aa540c9d783b0a15"
WRONG = "2f18274ebf9a8bf50550d0cbda365d3002bdc2695a9521f4e3040c876fa9d7d3"
