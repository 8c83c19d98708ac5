"""Attacks on key locks."""
