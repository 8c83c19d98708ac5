"""What every check of a model file raises."""

from spellmark.errors import SpellmarkError


class ModelFileError(SpellmarkError):
    """A model file that is refused: what is wrong with it, and what to do."""
