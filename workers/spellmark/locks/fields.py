"""Reading a lock's parameters back from a key file or a commitment."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from spellmark.errors import SpellmarkError


def check_fields(
    kind: type, values: Mapping[str, Any], *, lock: str, error: type[SpellmarkError]
) -> None:
    """Raise `error` unless these are the fields of the dataclass `kind`, all of them and no others.

    lock: what the lock is called in the message.
    """
    wanted = {field.name for field in fields(kind)}
    if missing := wanted - values.keys():
        raise error(f"The {lock}'s parameters lack “{min(missing)}”.", hint="Make the key anew.")
    if unknown := values.keys() - wanted:
        raise error(
            f"The {lock}'s parameters have the unknown “{min(map(str, unknown))[:40]}”.",
            hint="Use the release of Spellmark that made the key.",
        )
