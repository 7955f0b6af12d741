"""Times that rules name: hours of the day in a time zone, and the moment by which a run should be complete."""

import re
from datetime import datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

HOURS_PATTERN = r"^([01]\d|2[0-3]):[0-5]\d-([01]\d|2[0-3]):[0-5]\d$"
_TIME_OF_DAY = re.compile(r"(?:[01]\d|2[0-3]):[0-5]\d(?::[0-5]\d)?")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")


def duration_seconds(text: str) -> float:
    """``1h30m`` in seconds; units ms, s, m, h, d. Raises ValueError."""
    if not re.fullmatch(rf"(?:{_DURATION.pattern})+", text):
        raise ValueError(f"{text!r} is not a duration such as 10s, 30m or 2h")
    return sum(float(number) * _UNITS[unit] for number, unit in _DURATION.findall(text))


@lru_cache(maxsize=256)
def time_zone(name: str) -> ZoneInfo:
    """The zone of the IANA database, such as Europe/Berlin. Raises ValueError."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"{name!r} is no time zone of the IANA database, such as UTC or Europe/Berlin") from None


def hours(text: str) -> str:
    """The text, if it is hours of the day. Raises ValueError."""
    if not re.match(HOURS_PATTERN, text):
        raise ValueError("allowed are hours of the day such as 09:00-17:00, or 22:00-06:00 over midnight")
    return text


def within(hours: str, zone: str, at: datetime) -> bool:
    """Whether the moment falls in ``09:00-17:00`` (from included, to excluded) there; ``22:00-06:00`` spans midnight."""
    begin, end = (time.fromisoformat(part) for part in hours.split("-"))
    local = at.astimezone(time_zone(zone)).time()
    return begin <= local < end if begin <= end else local >= begin or local < end


def completion_limit(threshold: float | str, zone: str, started: datetime) -> datetime:
    """The moment that a limit on completion means for a run that began at ``started``.

    Seconds or a duration (``6h30m``) count from the start; ``06:00`` is the first one after the start in ``zone``;
    ``2026-11-24T06:00:00+01:00`` is itself. Raises ValueError.
    """
    if isinstance(threshold, int | float):
        return started + timedelta(seconds=threshold)
    if _TIME_OF_DAY.fullmatch(threshold):
        local = started.astimezone(time_zone(zone))
        limit = datetime.combine(local.date(), time.fromisoformat(threshold), local.tzinfo)
        if limit <= local:
            limit = datetime.combine(local.date() + timedelta(days=1), limit.time(), local.tzinfo)
        return limit
    if _DURATION.match(threshold):
        return started + timedelta(seconds=duration_seconds(threshold))
    try:
        moment = datetime.fromisoformat(threshold)
    except ValueError:
        raise ValueError(
            f"{threshold!r} is no limit on completion: allowed are 6h30m, 06:00, 2026-11-24T06:00:00+01:00, or seconds"
        ) from None
    if moment.tzinfo is None:
        raise ValueError(
            f"{threshold!r} names no offset from UTC: write 2026-11-24T06:00:00+01:00, or 06:00 and time_zone"
        )
    return moment
