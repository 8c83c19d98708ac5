"""Fingerprints: recognising a copy of a model that was not changed beforehand. Indicative only."""
