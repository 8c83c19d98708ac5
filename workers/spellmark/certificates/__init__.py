"""Signed statements, the tree they are logged in, and the offline check of both."""
