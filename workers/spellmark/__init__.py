"""Spellmark: locks, watermarks and checkable ownership verdicts for machine-learning models."""

__version__ = "0.1.0"
