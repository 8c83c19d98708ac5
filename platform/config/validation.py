"""Turning Django's validation errors into one sentence."""

from collections.abc import Sequence

from django.core.exceptions import ValidationError
from django.db.models import Model

from spellmark.errors import SpellmarkError


def validate(instance: Model, error: type[SpellmarkError], *, exclude: Sequence[str] = ()) -> None:
    """Run the model's checks; raise `error` with every field that does not fit."""
    try:
        instance.full_clean(exclude=list(exclude))
    except ValidationError as invalid:
        told = [
            message if field == "__all__" else f"{field.replace('_', ' ')}: {message}"
            for field, messages in invalid.message_dict.items()
            for message in messages
        ]
        raise error(" ".join(told), hint="Correct it and try again.") from None
