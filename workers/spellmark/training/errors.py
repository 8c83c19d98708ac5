"""Errors of building and importing models."""

from spellmark.errors import SpellmarkError


class ArchitectureError(SpellmarkError):
    """A model card whose architecture cannot be built."""


class ImportFolderError(SpellmarkError):
    """A folder of pretrained weights that cannot be taken over."""
