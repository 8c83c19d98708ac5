"""Model files as bytes: their format, their card, their digests. Nothing here loads torch."""
