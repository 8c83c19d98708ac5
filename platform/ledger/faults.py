"""What an audit of the log can find."""

from spellmark.errors import SpellmarkError

RESTORE = "Compare with a checkpoint kept elsewhere; restore the database."


class LogFault(SpellmarkError):  # noqa: N818 - what was found, rather than what went wrong
    """The first row that does not fit."""


def fault(what: str, *, hint: str = RESTORE) -> LogFault:
    """The fault in a sentence, given without its full stop."""
    return LogFault(f"{what}.", hint=hint)
