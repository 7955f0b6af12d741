"""Our slots on a target, watched: one that is forgotten keeps WAL until the disk is full, and the catalog's dead rows with it."""

from dataclasses import dataclass

from psycopg import sql

from holdfast_schemas.identity import MigrationId
from holdfast_schemas.settings import MigrationSettings

from .backup.disk import free_wal_disk_bytes
from .connecting import Connection
from .journal import table
from .laying_out import laid_out

SLOTS = """
    SELECT count(*)::int AS slots,
        coalesce(max(pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn)), 0)::bigint AS retained_bytes,
        min(safe_wal_size)::bigint AS safe_wal_bytes, coalesce(max(age(catalog_xmin)), 0)::bigint AS catalog_transactions,
        coalesce(array_agg(slot_name::text ORDER BY slot_name) FILTER (WHERE wal_status IN ('unreserved', 'lost')), '{}')
            AS endangered,
        (SELECT setting FROM pg_settings WHERE name = 'data_directory') AS data_directory,
        (SELECT system_identifier FROM pg_control_system()) AS system_identifier
    FROM pg_replication_slots WHERE database = current_database() AND slot_name ~ '^hf_[0-9a-f]{20}$'
"""
KEPT = sql.SQL("""
    SELECT s.slot_name::text, pg_wal_lsn_diff(pg_current_wal_lsn(), s.restart_lsn)::bigint,
        extract(epoch FROM clock_timestamp() - r.changed_at)::float8 / 86400
    FROM {} r JOIN pg_replication_slots s ON s.slot_name = r.slot
    WHERE r.migration_id = %s AND r.state = 'armed' AND NOT s.active FOR UPDATE OF r SKIP LOCKED
""").format(table("recovery"))


@dataclass(frozen=True, slots=True)
class SlotsSeen:
    """Of all of ours in this database: the most WAL that one keeps, the least that may still be written until one is lost
    (None: no limit), the oldest catalog horizon in transactions, and which are lost or about to be. ``free_disk_bytes``: of the
    disk of the server's WAL; None where we are not on its machine, or may not know where it is."""

    slots: int
    retained_bytes: int
    safe_wal_bytes: int | None
    catalog_transactions: int
    endangered: list[str]
    free_disk_bytes: int | None = None


def look_at_slots(db: Connection) -> SlotsSeen:
    """As they stand now."""
    row = db.execute(SLOTS).fetchone()
    assert row is not None
    slots, retained_bytes, safe_wal_bytes, catalog_transactions, endangered, data_directory, identifier = row
    free_disk_bytes = free_wal_disk_bytes(data_directory, identifier)
    return SlotsSeen(slots, retained_bytes, safe_wal_bytes, catalog_transactions, endangered, free_disk_bytes)


def give_up(db: Connection, migration_id: MigrationId, migration: MigrationSettings) -> str | None:
    """Drop the slot of an armed migration that keeps more WAL, or is older, than its settings allow; the reason in words.

    The rest stays until it is disarmed, so that its sessions go on; a rollback from the log is refused from now on, by name. One
    that is being read is left for the next time.
    """
    if not laid_out(db):
        return None
    with db.transaction():
        row = db.execute(KEPT, [migration_id]).fetchone()
        if row is None:
            return None
        slot, retained_bytes, days = row
        if retained_bytes > migration.slot_bytes_max:
            why = f"it keeps {retained_bytes:,} bytes of WAL, more than {migration.slot_bytes_max:,} (slot_bytes_max)"
        elif days > migration.slot_days_max:
            why = f"it is {days:.1f} days old, more than {migration.slot_days_max:g} (slot_days_max)"
        else:
            return None
        db.execute("SELECT pg_drop_replication_slot(%s)", [slot])
    return f"slot {slot} of {migration_id} is given up: {why}; its rows cannot be taken back from the log any more"
