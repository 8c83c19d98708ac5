"""Thefts of a guarded prediction API, and what a thief does to lose its mark."""
