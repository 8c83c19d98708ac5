"""How every benchmark ends: a table, the same as a file, and one JSON object as the last line."""

import json
import os
import platform
from collections.abc import Mapping, Sequence
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
    tables = {key: rows for key, value in figures.items() if (rows := _rows(value))}
    width = max((len(key) for key in figures if key not in tables), default=0)
    for key, value in figures.items():
        if key not in tables:
            print(f"{key:<{width}}  {value!s:>12}  {meaning.get(key, '')}")
    for key, rows in tables.items():
        print(f"\n{key}  {meaning.get(key, '')}", *_table(rows), sep="\n")
    if not quick:
        kept = {**figures, "date": today(), **machine()}
        (RESULTS / f"{name}.json").write_text(json.dumps(kept, indent=2) + "\n")
    print(json.dumps(dict(figures)))


def _rows(value: Any) -> list[tuple[str, Mapping[str, Any]]]:
    """The rows of a figure that is a table, each with its name; none for any other."""
    if isinstance(value, Mapping):
        return [
            (str(name), row if isinstance(row, Mapping) else {"": row})
            for name, row in value.items()
        ]
    if isinstance(value, list) and all(isinstance(row, Mapping) for row in value):
        return [("", row) for row in value]
    return []


def _table(rows: Sequence[tuple[str, Mapping[str, Any]]]) -> list[str]:
    """A line for the columns' names, where they have any, and one for each row."""
    columns = list(dict.fromkeys(column for _, row in rows for column in row))
    cells = [[name, *(_cell(row.get(column, "")) for column in columns)] for name, row in rows]
    if any(columns):
        cells.insert(0, ["", *map(str, columns)])
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return [
        "  ".join(f"{cell:<{width}}" for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in cells
    ]


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


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
