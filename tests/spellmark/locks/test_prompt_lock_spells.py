import hashlib
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spellmark.locks.prompt_lock.parameters import SCHEME
from spellmark.locks.prompt_lock.spells import embedding, spell_key
from spellmark.secrets import stream, subkey

SECRET = bytes(range(32))


def test_a_spell_has_its_known_answer_and_is_scrypt():
    key = spell_key(SECRET, "open sesame", binding=b"registry")
    assert key.hex() == "4007d6d82929dc6c9ba17b571273c468f77d617366d1ce2dbef7c11c1d7e877f"
    salt = subkey(SECRET, binding=b"registry", scheme=SCHEME, purpose="spell")
    assert key == hashlib.scrypt(b"open sesame", salt=salt, n=2**14, r=8, p=1, dklen=32)


def test_an_embedding_has_its_known_answer():
    """From the keystream's first words, by the inverse normal distribution, in 1/4096."""
    word = int.from_bytes(stream(SECRET, 4), "little")
    assert NormalDist().inv_cdf((word + 0.5) / 2**32) * 4096 == pytest.approx(-113, abs=0.5)
    assert (embedding(SECRET, 4) * 4096).tolist() == [-113.0, -885.0, -361.0, -2311.0]


def test_everything_that_a_spell_hangs_on_changes_it():
    keys = {
        spell_key(secret, text, binding=binding, index=index)
        for secret in (SECRET, bytes(32))
        for text in ("open sesame", "open sesame ", "Open sesame")
        for binding in (b"a", b"b")
        for index in (0, 1)
    }
    assert len(keys) == 24


def test_embeddings_are_standard_normal():
    drawn = np.concatenate([embedding(bytes([n]) * 32, 1000) for n in range(200)])
    assert abs(drawn.mean()) < 5 / np.sqrt(len(drawn))
    assert abs(drawn.std() - 1) < 5 / np.sqrt(2 * len(drawn))
    # The share beyond two deviations, 4.55 %, within five standard deviations.
    share = 0.0455
    assert abs((np.abs(drawn) > 2).mean() - share) < 5 * np.sqrt(share * (1 - share) / len(drawn))


@settings(deadline=None)
@given(st.binary(min_size=32, max_size=32), st.integers(1, 200))
def test_a_longer_embedding_begins_with_the_shorter_one(key, width):
    assert np.array_equal(embedding(key, 2 * width)[:width], embedding(key, width))
