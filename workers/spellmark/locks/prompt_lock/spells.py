"""From a spell to the embedding that an editor is given in place of a prompt's."""

import hashlib
import struct

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri

from spellmark.locks.prompt_lock.parameters import SCHEME
from spellmark.secrets import stream, subkey

# RFC 7914 names these for interactive use: 16 MiB, some tens of milliseconds for each guess.
SCRYPT = {"n": 2**14, "r": 8, "p": 1}
# Coarse enough that the last bits of a machine's arithmetic never show.
STEPS_IN_ONE = 4096

Embedding = npt.NDArray[np.float64]


def spell_key(secret: bytes, spell: str, *, binding: bytes, index: int = 0) -> bytes:
    """The 32-byte key of a spell: scrypt (RFC 7914) of its text, salted by the key file's secret.

    Who has the key file but not the spell has to guess it, at scrypt's price a guess; who knows the
    spell alone has nothing. `binding` is the registry's value (see `spellmark.secrets.subkey`).
    """
    salt = subkey(secret, binding=binding, scheme=SCHEME, purpose="spell", index=index)
    return hashlib.scrypt(spell.encode(), salt=salt, dklen=32, **SCRYPT)


def embedding(key: bytes, width: int) -> Embedding:
    """Independent standard normal numbers of a 32-byte key: float64 (width,).

    The ChaCha20 keystream gives 32-bit words; the inverse normal distribution of their middles is
    rounded to 1/4096.
    """
    words = np.array(struct.unpack(f"<{width}I", stream(key, 4 * width)), np.float64)
    return np.asarray(np.round(ndtri((words + 0.5) / 2**32) * STEPS_IN_ONE) / STEPS_IN_ONE)
