import math

import pytest

from spellmark.locks.key_lock.parameters import (
    Geometry,
    KeyLockError,
    LockParameters,
    default_parameters,
    lock_geometry,
    subkeys_for,
)


def test_they_survive_a_key_file():
    parameters = LockParameters(block=7, steps="scramble+substitute", tables="position", subkeys=3)
    assert LockParameters.from_dict(parameters.as_dict()) == parameters


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"block": 1}, "block is a whole number from 2"),
        ({"block": True}, "block is a whole number"),
        ({"block": "4"}, "block is a whole number"),
        ({"masked": 0}, "masked is a whole number from 1 to 100"),
        ({"masked": 101}, "masked is a whole number from 1 to 100"),
        ({"subkeys": 0}, "subkeys is a whole number"),
        ({"steps": ""}, "cannot do “”"),
        ({"steps": "flip+shuffle"}, "cannot do “flip"),
        ({"steps": "shuffle+shuffle"}, "cannot do “shuffle"),
        ({"steps": ["shuffle"]}, "cannot do"),
        ({"tables": "many"}, "tables cannot be “many”"),
        ({"keys": "own"}, "keys cannot be “own”"),
        ({"padding": "zero"}, "padding cannot be “zero”"),
        ({"labels": None}, "labels cannot be “None”"),
        ({"colour": 1}, "unknown “colour”"),
    ],
)
def test_they_refuse_what_makes_no_lock(wrong, said):
    with pytest.raises(KeyLockError, match=said):
        LockParameters.from_dict(LockParameters(block=4, steps="shuffle").as_dict() | wrong)


def test_they_refuse_a_gap():
    values = LockParameters(block=4, steps="shuffle").as_dict()
    del values["masked"]
    with pytest.raises(KeyLockError, match="lack “masked”"):
        LockParameters.from_dict(values)


@pytest.mark.parametrize("height,width,block", [(28, 28, 4), (32, 32, 4), (30, 45, 3), (7, 7, 7)])
def test_the_default_divides_the_image(height, width, block):
    parameters = default_parameters(height, width, 1, 10)
    assert parameters.block == block
    Geometry(1, height, width, parameters.block)


def test_there_is_no_default_for_sizes_without_a_divisor():
    with pytest.raises(KeyLockError, match="do not divide"):
        default_parameters(7, 11, 1, 10)


def test_enough_sub_keys_for_an_exact_claim():
    for classes in range(4, 30):
        assert math.factorial(classes) ** -subkeys_for(classes) <= 1e-6
        if subkeys_for(classes) > 1:
            assert math.factorial(classes) ** -(subkeys_for(classes) - 1) > 1e-6
    assert [subkeys_for(classes) for classes in range(2, 11)] == [5, 5, 5, 3, 3, 2, 2, 2, 1]


@pytest.mark.parametrize("shape", [(0, 28, 28), (1, 0, 28), (1, 28, -4)])
def test_there_are_no_images_of_nothing(shape):
    with pytest.raises(KeyLockError, match="There are no images of"):
        LockParameters(block=4, steps="shuffle").geometry(shape)


def test_few_blocks_that_only_move_make_no_lock():
    alone = LockParameters(block=4, steps="scramble")
    for width, said in ((4, "1 block "), (28, "7 blocks ")):
        with pytest.raises(KeyLockError, match=f"Moving {said}about.*does not lock") as refused:
            alone.geometry((1, 4, width))
        assert "8 or more" in refused.value.hint
    assert alone.geometry((1, 4, 32)).blocks == 8
    assert LockParameters(block=4, steps="scramble+flip").geometry((1, 4, 4)).blocks == 1


def test_padding_makes_room_for_whole_blocks():
    geometry = Geometry(3, 30, 21, 8, "edge")
    assert geometry.keyed_shape == (3, 32, 24)
    assert geometry.blocks == 12
    assert geometry.positions == 192


def test_padding_is_refused_where_the_network_does_not_take_it():
    padded = LockParameters(block=16, steps="shuffle", padding="edge")
    with pytest.raises(KeyLockError, match="32×32 pixels, and a small-cnn for 28×28 does not"):
        lock_geometry(padded, (1, 28, 28), "small-cnn")
    smaller = LockParameters(block=5, steps="shuffle", padding="edge")
    assert lock_geometry(smaller, (1, 28, 28), "small-cnn").keyed_shape == (1, 30, 30)
    with pytest.raises(KeyLockError, match="does not take those"):
        lock_geometry(smaller, (1, 28, 28), "timm")
