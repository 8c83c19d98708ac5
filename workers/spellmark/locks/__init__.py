"""Locks: a model that is useless without its owner's secret."""
