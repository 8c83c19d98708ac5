"""How times, digests and numbers look on every page."""

from datetime import UTC, datetime, timedelta
from typing import Any

from django import template
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from disputes.report import figures, wording

register = template.Library()

RECENT = timedelta(days=7)


@register.filter
def moment(value: datetime | None) -> str | SafeString:
    """A point in time, in UTC, to the minute; the second stands in its title."""
    return _time(value, f"{value.astimezone(UTC):%-d %b %Y, %H:%M} UTC") if value else ""


@register.filter
def ago(value: datetime | None) -> str | SafeString:
    """How long ago it was; after a week the date says more."""
    if value is None:
        return ""
    age = timezone.now() - value
    day = f"{value.astimezone(UTC):%-d %b %Y}"
    return _time(value, f"{duration(age)} ago" if age < RECENT else day, "ago")


@register.filter
def until(value: datetime) -> str | SafeString:
    """How long there is still to go."""
    return _time(value, f"in {duration(value - timezone.now())}", "ago")


def duration(value: timedelta) -> str:
    """One number and one unit."""
    seconds = max(int(value.total_seconds()), 0)
    for unit, length in (("day", 86_400), ("hour", 3600), ("minute", 60)):
        if seconds >= length:
            count = seconds // length
            return f"{count} {unit}{'s' if count > 1 else ''}"
    return f"{seconds} second{'' if seconds == 1 else 's'}"


@register.filter
def took(start: datetime | None, end: datetime | None) -> str:
    """How long something took, or takes already."""
    return duration((end or timezone.now()) - start) if start else ""


@register.filter
def digest(value: str) -> str | SafeString:
    """A long hexadecimal value: shown short, selected and copied whole."""
    if not value:
        return ""
    return format_html(
        '<code class="digest" tabindex="0" title="{}" data-copy>{}</code>', value, value
    )


@register.filter
def p_value(value: float | None) -> str:
    """A probability, to three digits."""
    return figures.share(value)


@register.filter
def odds(value: float | None) -> str:
    """A probability as “1 in 1,000”."""
    return figures.odds(value) if value else ""


@register.filter
def percent(value: float) -> str:
    """A share, to a tenth of a percent."""
    return f"{value:.1%}"


@register.filter
def access_level(value: str) -> str:
    """What the suspect showed."""
    return wording.ACCESS_LEVELS.get(value, value)


@register.filter
def slug(value: Any) -> str:
    """A state or verdict as part of a class name."""
    return str(value).replace(" ", "-")


def _time(value: datetime, text: str, kind: str = "moment") -> SafeString:
    utc = value.astimezone(UTC)
    return format_html(
        '<time class="{}" datetime="{}" title="{}">{}</time>',
        kind,
        utc.isoformat(timespec="seconds"),
        f"{utc:%-d %B %Y, %H:%M:%S} UTC",
        text,
    )
