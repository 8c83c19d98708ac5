"""The two ways in which something handed over can be refused."""

from spellmark.errors import SpellmarkError


class FormatError(SpellmarkError):
    """It is not written as its format demands, so nothing in it was looked at further."""


class VerificationError(SpellmarkError):
    """It is well written, but what it claims does not hold."""
