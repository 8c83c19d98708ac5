"""Programs that are not ours and come from Debian."""

import os
import shutil

import pytest


def need(*programs: str) -> None:
    """Skip a test that lacks one of these programs, and say so; in CI that is a failure."""
    missing = [program for program in programs if shutil.which(program) is None]
    if missing:
        told = f"not installed here: {', '.join(missing)}"
        if os.environ.get("CI") == "true":
            pytest.fail(told)
        pytest.skip(told)
