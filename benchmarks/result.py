"""How every benchmark ends: a table, the same as a file, and one JSON object as the last line."""

import json
import os
import platform
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
PACKAGES = ("spellmark", "torch", "numpy", "numba", "django", "cryptography")


def report(
    name: str, figures: Mapping[str, Any], meaning: Mapping[str, str], *, quick: bool = False
) -> None:
    """Print the figures with what they mean, keep them in results/, end with the JSON line.

    A quick run is kept in no file: what stands there was measured in full.
    """
    width = max(len(key) for key in figures)
    for key, value in figures.items():
        print(f"{key:<{width}}  {value!s:>12}  {meaning.get(key, '')}")
    if not quick:
        kept = {**figures, "date": today(), **machine()}
        (RESULTS / f"{name}.json").write_text(json.dumps(kept, indent=2) + "\n")
    print(json.dumps(dict(figures)))


def today() -> str:
    """The date, as results tell it."""
    return datetime.now(UTC).date().isoformat()


def machine() -> dict[str, Any]:
    """The machine and the versions that the figures were measured on."""
    return {
        "machine": {
            "processor": _processor(),
            "cores": os.cpu_count(),
            "system": platform.system(),
        },
        "versions": {"python": platform.python_version(), **_versions()},
    }


def _versions() -> dict[str, str]:
    found = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    names = [line.partition(": ")[2] for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
