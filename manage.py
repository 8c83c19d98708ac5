#!/usr/bin/env python3
"""Django's entry; also up, demo, worker and verify_log."""

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent


def main() -> None:
    """Put the source folders on the path and hand over to Django."""
    sys.path[:0] = [str(ROOT / "platform"), str(ROOT / "workers"), str(ROOT)]
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
