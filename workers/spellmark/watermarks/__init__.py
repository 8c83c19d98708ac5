"""Watermarks: what makes a copy recognisable."""
