"""How long a migration may stay paused: its slot keeps all WAL meanwhile, until the server gives it up or a disk is full."""

import time
from dataclasses import dataclass

from .backup.disk import free_wal_disk_bytes
from .connecting import Connection

WINDOW_SECONDS = 1.0
SLOT = """
    SELECT wal_status, safe_wal_size::bigint, pg_wal_lsn_diff(pg_current_wal_insert_lsn(), restart_lsn)::bigint,
        pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint,
        (SELECT setting FROM pg_settings WHERE name = 'data_directory'),
        (SELECT system_identifier FROM pg_control_system())
    FROM pg_replication_slots WHERE slot_name = %s
"""


@dataclass(frozen=True, slots=True)
class Slot:
    """``retained_bytes`` of WAL are kept for it; ``safe_wal_bytes`` more may be written before it is lost (None: no limit).

    ``free_disk_bytes``: of the disk of the server's WAL; None where we are not on its machine, or may not know where it is.
    ``wal_bytes_per_second``: as the server writes now. ``seconds_left``: until the nearer of the two limits, at that rate; None
    where no limit is known.
    """

    wal_status: str
    safe_wal_bytes: int | None
    retained_bytes: int
    free_disk_bytes: int | None
    wal_bytes_per_second: float
    seconds_left: float | None


def look(db: Connection, name: str, window_seconds: float = WINDOW_SECONDS) -> Slot | None:
    """The slot as it is, over a window in which the server's WAL is measured; None where there is none of that name."""
    before, began = db.execute(SLOT, [name]).fetchone(), time.monotonic()
    if before is None:
        return None
    time.sleep(window_seconds)  # a rate takes time to measure: nothing is waited for
    row = db.execute(SLOT, [name]).fetchone()
    if row is None:
        return None
    wal_status, safe_wal_bytes, retained_bytes, written, data, identifier = row
    rate = (written - before[3]) / (time.monotonic() - began)
    free_bytes = free_wal_disk_bytes(data, identifier)
    limits = [limit for limit in (safe_wal_bytes, free_bytes) if limit is not None]
    left = max(min(limits), 0) / rate if limits and rate > 0 else None
    return Slot(wal_status, safe_wal_bytes, retained_bytes, free_bytes, rate, left)
