"""Attacks on prompt locks."""
