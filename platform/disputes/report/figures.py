"""Numbers, times and names as the report prints them."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime

from config.charts import power_of_ten
from spellmark.model_files.text import shown

NONE = "–"
_LONGEST_LINE = 500
_SMALLEST_IN_WORDS = 1e-9


def share(value: float | None) -> str:
    """A probability as a decimal fraction, to three digits."""
    if value is None:
        return NONE
    if value >= 1e-4 or value == 0:
        return f"{value:.3g}"
    return _power(value)


def odds(value: float) -> str:
    """A probability above 0 as “1 in 1,000”."""
    if value < _SMALLEST_IN_WORDS:
        return f"about 1 in {_power(1 / value)}"
    whole = round(1 / value)
    about = "" if abs(whole * value - 1) < 1e-6 else "about "
    return f"{about}1 in {whole:,}"


def _power(value: float) -> str:
    digits, exponent = f"{value:.2e}".split("e")
    return f"{digits.rstrip('0').rstrip('.')} × {power_of_ten(int(exponent))}"


def percent(value: float) -> str:
    """A share as a percentage, to three digits."""
    return f"{100 * value:.3g} %"


def measure(value: object) -> str:
    """A figure of a report card: shares are floats, counts are integers."""
    if isinstance(value, float) and 0 <= value <= 1:
        return percent(value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return f"{value:,}"
    return line(json.dumps(value))


def line(text: str) -> str:
    """Text that somebody wrote, on one printable line."""
    return shown(text, _LONGEST_LINE)


def listed(parts: Sequence[str]) -> str:
    """“a, b and c”."""
    return " and ".join(filter(None, (", ".join(parts[:-1]), parts[-1])))


def date(moment: datetime) -> str:
    """A day, in UTC."""
    return f"{moment.astimezone(UTC):%-d %B %Y}"


def short_date(moment: datetime) -> str:
    """A day, in UTC, for a narrow column."""
    return f"{moment.astimezone(UTC):%-d %b %Y}"


def time(moment: datetime) -> str:
    """A second, in UTC."""
    return f"{moment.astimezone(UTC):%-d %B %Y, %H:%M:%S} UTC"
