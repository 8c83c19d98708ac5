"""What services of protections raise."""

from spellmark.errors import SpellmarkError


class ProtectionError(SpellmarkError):
    """A protection that cannot be made."""
