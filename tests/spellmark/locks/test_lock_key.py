import numpy as np
import pytest

from spellmark.locks.key_lock.lock_key import LockKey
from spellmark.locks.key_lock.parameters import SCHEME, KeyLockError, LockParameters
from spellmark.secrets import KeyFile

SECRET, BINDING = bytes(range(32)), b"binding"
PARAMETERS = LockParameters(block=4, steps="shuffle+flip", subkeys=2)
IMAGES = np.random.default_rng(0).integers(0, 256, (3, 1, 8, 8), np.uint8)


def _derive(parameters: LockParameters = PARAMETERS, binding: bytes = BINDING) -> LockKey:
    return LockKey.derive(
        SECRET, binding=binding, shape=(1, 8, 8), classes=10, parameters=parameters
    )


def test_it_has_its_known_answer():
    """A change here strands every model that was locked before it."""
    key = _derive()
    assert key.labels[0].tolist() == [9, 8, 2, 5, 6, 0, 7, 4, 3, 1]
    assert key.transforms[0].index[:8].tolist() == [25, 3, 9, 8, 29, 7, 13, 12]


def test_a_key_file_opens_to_the_same():
    file = KeyFile(SCHEME, PARAMETERS.as_dict(), SECRET, bytes(32))
    key = LockKey.open(file, binding=BINDING, shape=(1, 8, 8), classes=10)
    for number in range(2):
        assert np.array_equal(key(IMAGES, number), _derive()(IMAGES, number))
        assert np.array_equal(key.labels[number], _derive().labels[number])


def test_sub_keys_and_bindings_give_other_transforms_and_labels():
    keys = [(_derive(), 0), (_derive(), 1), (_derive(binding=b"other"), 0)]
    assert len({key(IMAGES, number).tobytes() for key, number in keys}) == 3
    assert len({tuple(key.labels[number]) for key, number in keys}) == 3


def test_the_holder_of_the_key_undoes_the_labels():
    labels = np.arange(10)
    for number in range(2):
        answers = _derive().encode(labels, number)
        assert sorted(answers) == list(range(10))
        assert np.array_equal(_derive().decode(answers, number), labels)


def test_plain_labels_stay_as_they_are():
    key = _derive(LockParameters(block=4, steps="shuffle", labels="plain"))
    assert np.array_equal(key.encode(np.arange(10)), np.arange(10))


def test_another_secret_is_another_key_of_the_same_kind():
    key = _derive()
    other = key.other(bytes(32))
    assert (other.geometry, other.parameters, other.classes) == (key.geometry, PARAMETERS, 10)
    assert not np.array_equal(other(IMAGES), key(IMAGES))
    assert not np.array_equal(other.labels[0], key.labels[0])


def test_it_refuses_a_key_file_of_another_scheme():
    file = KeyFile("prompt-lock/v1", {}, SECRET, bytes(32))
    with pytest.raises(KeyLockError, match="is for prompt-lock/v1, not for a key lock"):
        LockKey.open(file, binding=BINDING, shape=(1, 8, 8), classes=10)


def test_it_never_prints_what_it_holds():
    shown = repr(_derive())
    assert "array" not in shown
    assert "block=4" in shown


@pytest.mark.parametrize("number", [-1, 2])
def test_a_sub_key_that_is_not_there_is_told(number):
    key = _derive()
    for use in (
        lambda: key(IMAGES, number),
        lambda: key.encode(np.arange(10), number),
        lambda: key.decode(np.arange(10), number),
    ):
        with pytest.raises(KeyLockError, match=f"no sub-key {number}") as refused:
            use()
        assert "from 0 to 1" in refused.value.hint
