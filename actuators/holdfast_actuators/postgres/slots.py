"""Our slots on a target, watched: one that is forgotten keeps WAL until the disk is full, and the catalog's dead rows with it."""

from dataclasses import dataclass

from psycopg.rows import class_row

from .connecting import Connection

SLOTS = """
    SELECT count(*)::int AS slots,
        coalesce(max(pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn)), 0)::bigint AS retained_bytes,
        min(safe_wal_size)::bigint AS safe_wal_bytes, coalesce(max(age(catalog_xmin)), 0)::bigint AS catalog_transactions,
        coalesce(array_agg(slot_name::text ORDER BY slot_name) FILTER (WHERE wal_status IN ('unreserved', 'lost')), '{}')
            AS endangered
    FROM pg_replication_slots WHERE database = current_database() AND slot_name ~ '^hf_[0-9a-f]{20}$'
"""


@dataclass(frozen=True, slots=True)
class SlotsSeen:
    """Of all of ours in this database: the most WAL that one keeps, the least that may still be written until one is lost
    (None: no limit), the oldest catalog horizon in transactions, and which are lost or about to be."""

    slots: int
    retained_bytes: int
    safe_wal_bytes: int | None
    catalog_transactions: int
    endangered: list[str]


def look_at_slots(db: Connection) -> SlotsSeen:
    """As they stand now."""
    with db.cursor(row_factory=class_row(SlotsSeen)) as cursor:
        found = cursor.execute(SLOTS).fetchone()
    assert found is not None
    return found
