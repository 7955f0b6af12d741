"""Blind time proves no silence: a worker counts as silent only while somebody listened on its partition.

What workers say stands in Kafka while no actuator reads it. An actuator that comes back would find everybody silent, give
an undo to another worker, or count a running one as paused. (Protocol 8 and 17; protocol 1 has the same rule for ticks.)
"""

from collections.abc import Collection
from datetime import datetime, timedelta

import psycopg

from holdfast_schemas.settings import ActuatorSettings

BEATS_MISSED = 3
GAP_SECONDS_MIN = 5.0


def gap_seconds(settings: ActuatorSettings) -> float:
    """The longest time between two notes that is no gap."""
    return max(GAP_SECONDS_MIN, BEATS_MISSED * settings.beat_seconds)


def note(db: psycopg.Connection, partitions: Collection[int], settings: ActuatorSettings) -> None:
    """What runners say on these partitions has been read up to now."""
    db.execute(
        "INSERT INTO listening SELECT p, clock_timestamp(), clock_timestamp() FROM unnest(%s::int[]) AS p"
        " ON CONFLICT (partition) DO UPDATE SET at = excluded.at,"
        " since = CASE WHEN listening.at < excluded.at - make_interval(secs => %s) THEN excluded.since ELSE listening.since END",
        (list(partitions), gap_seconds(settings)),
    )


def since(db: psycopg.Connection, partition: int, now: datetime, settings: ActuatorSettings) -> datetime | None:
    """The moment from which on silence counts; None while nobody listens."""
    row = db.execute(
        "SELECT since FROM listening WHERE partition = %s AND at > %s",
        (partition, now - timedelta(seconds=gap_seconds(settings))),
    ).fetchone()
    return None if row is None else row[0]
