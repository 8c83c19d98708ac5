"""A zip (PKWARE's APPNOTE 6.3) of files that are stored as they are, with one possible spelling.

What a library leaves to its release stands fixed here: versions, flags, times. So the same files
give the same bytes for ever, at about the speed of copying them.
"""

import stat
import struct
import zlib
from collections.abc import Mapping

_LOCAL = struct.Struct("<4s5H3I2H")
_CENTRAL = struct.Struct("<4s6H3I5H2I")
_END = struct.Struct("<4s4H2IH")
# Version 2.0 of the format, as by Unix; no flags, stored; midnight on 1 January 1980.
_VERSION, _UNIX, _COMMON = 20, 3 << 8, (20, 0, 0, 0, 1 << 5 | 1)
_ATTRIBUTES = (stat.S_IFREG | 0o644) << 16

LOCAL_BYTES = _LOCAL.size


def pack(files: Mapping[str, bytes]) -> bytes:
    """The zip's bytes: fewer than 2**16 files of ASCII names, below 4 GiB altogether."""
    parts, directory, at = [], [], 0
    for name, data in files.items():
        path = name.encode("ascii")
        told = (*_COMMON, zlib.crc32(data), len(data), len(data), len(path), 0)
        parts += [_LOCAL.pack(b"PK\3\4", *told), path, data]
        directory += [
            _CENTRAL.pack(b"PK\1\2", _UNIX | _VERSION, *told, 0, 0, 0, _ATTRIBUTES, at),
            path,
        ]
        at += LOCAL_BYTES + len(path) + len(data)
    listed = b"".join(directory)
    end = _END.pack(b"PK\5\6", 0, 0, len(files), len(files), len(listed), at, 0)
    return b"".join((*parts, listed, end))
