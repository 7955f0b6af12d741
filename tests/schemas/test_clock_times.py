"""Hours of the day and limits on completion, as tables; days on which a zone's clocks change."""

from datetime import UTC, datetime

import pytest

from holdfast_schemas.clock_times import completion_limit, duration_seconds, within

BERLIN = "Europe/Berlin"


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("hours", "zone", "moment", "inside"),
    [
        ("09:00-17:00", "UTC", "2026-03-01T09:00", True),
        ("09:00-17:00", "UTC", "2026-03-01T08:59:59", False),
        ("09:00-17:00", "UTC", "2026-03-01T17:00", False),  # the end is excluded
        ("22:00-06:00", "UTC", "2026-03-01T23:00", True),
        ("22:00-06:00", "UTC", "2026-03-01T05:59:59", True),
        ("22:00-06:00", "UTC", "2026-03-01T06:00", False),
        ("09:00-17:00", BERLIN, "2026-03-01T08:00", True),  # winter: one hour ahead of UTC
        ("09:00-17:00", BERLIN, "2026-07-01T07:00", True),  # summer: two
        ("09:00-17:00", BERLIN, "2026-07-01T15:30", False),
    ],
)
def test_within(hours: str, zone: str, moment: str, inside: bool) -> None:
    assert within(hours, zone, at(moment)) is inside


@pytest.mark.parametrize(
    ("threshold", "zone", "started", "limit"),
    [
        (90, "UTC", "2026-03-01T12:00", "2026-03-01T12:01:30"),
        ("6h30m", BERLIN, "2026-03-01T12:00", "2026-03-01T18:30"),
        ("06:00", "UTC", "2026-03-01T05:59", "2026-03-01T06:00"),
        ("06:00", "UTC", "2026-03-01T06:00", "2026-03-02T06:00"),  # the first one after the start
        ("06:00:30", BERLIN, "2026-03-01T12:00", "2026-03-02T05:00:30"),
        ("06:00", BERLIN, "2026-03-28T22:00", "2026-03-29T04:00"),  # that night clocks go an hour forward
        ("06:00", BERLIN, "2026-10-24T22:00", "2026-10-25T05:00"),  # and back
        ("2026-11-24T06:00:00+01:00", "UTC", "2026-03-01T12:00", "2026-11-24T05:00"),
        ("2026-11-24 06:00:00Z", BERLIN, "2026-03-01T12:00", "2026-11-24T06:00"),
    ],
)
def test_completion_limit(threshold: float | str, zone: str, started: str, limit: str) -> None:
    assert completion_limit(threshold, zone, at(started)) == at(limit)


@pytest.mark.parametrize(
    ("threshold", "zone", "says"),
    [
        ("soon", "UTC", "allowed are 6h30m, 06:00, "),
        ("25:00", "UTC", "no limit"),
        ("2026-11-24T06:00:00", "UTC", "no offset"),
        ("06:00", "Europe/Atlantis", "IANA"),
        ("06:00", "../../etc/passwd", "IANA"),
        ("6h soon", "UTC", "not a duration"),
    ],
)
def test_what_is_no_limit_is_refused_in_words(threshold: str, zone: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        completion_limit(threshold, zone, at("2026-03-01T12:00"))


def test_durations_add_up() -> None:
    assert duration_seconds("1h30m5s") == 5405
