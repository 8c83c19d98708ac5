"""Prompt locks: a diffusion editor changes images under a spell, and a model works on those alone.

Source: ModelLock, arXiv 2405.16285.
"""
