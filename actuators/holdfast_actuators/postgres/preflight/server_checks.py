"""Checks of the server: each is pure over the facts, and yields what it finds."""

from collections.abc import Callable, Iterator

from .facts import Facts
from .findings import Finding

VERSION_MIN = 140_000
Check = Callable[[Facts], Iterator[Finding]]


def too_old(server_version: int) -> Finding | None:
    """Asked before all else: what the others ask, an old server does not know. From 14 on a slot passes on messages, and an
    untagged write shows in the log by one."""
    if server_version >= VERSION_MIN:
        return None
    return Finding("block", "version", f"the server is PostgreSQL {server_version // 10_000}", "upgrade to 14 or newer")


def pooler(facts: Facts) -> Iterator[Finding]:
    """A pooler gives out process ids of its own; a slot is read, and a session fenced, on the server itself."""
    if facts.server.behind_pooler:
        yield Finding(
            "block", "pooler", "between us and the server is a pooler", "let the target's dsn name the server itself"
        )


def standby(facts: Facts) -> Iterator[Finding]:
    """A standby can be neither armed nor written."""
    if facts.server.in_recovery:
        yield Finding(
            "block",
            "standby",
            "this is a standby",
            "let the target's dsn name the primary (target_session_attrs=read-write)",
        )


def wal_level(facts: Facts) -> Iterator[Finding]:
    """Old rows are in the log only then."""
    if facts.server.wal_level != "logical":
        yield Finding(
            "block", "wal-level", f"wal_level is {facts.server.wal_level}: the log holds no rows",
            "ALTER SYSTEM SET wal_level = logical, and restart the server",
        )  # fmt: skip


def limits(facts: Facts) -> Iterator[Finding]:
    """A slot, a sender while it is read, and an origin a session."""
    server, sessions = facts.server, facts.migration.sessions
    if facts.armed:
        return
    fewer = "; or lower sessions under [migrations.ID]"
    for what, used, most, needed, setting in (
        ("replication slots", server.slots, server.slots_max, 1, "max_replication_slots"),
        ("WAL senders", server.senders, server.senders_max, 1, "max_wal_senders"),
        (
            "replication origins", server.origins, server.origins_max, sessions,
            "max_active_replication_origins" if server.version >= 180_000 else "max_replication_slots",
        ),
    ):  # fmt: skip
        are = "is" if needed == 1 else "are"
        if used + needed > most:
            yield Finding(
                "block", f"no-free-{setting}", f"{used} of {most} {what} are taken, and {needed} more {are} needed",
                f"ALTER SYSTEM SET {setting} = {used + needed + 2}, and restart the server{fewer if needed > 1 else ''}",
            )  # fmt: skip


def slot_limits(facts: Facts) -> Iterator[Finding]:
    """What ends a slot that nobody reads, and ours is read only when a rollback comes."""
    if facts.server.slot_idle_seconds:
        yield Finding(
            "block", "slot-idle-timeout", f"idle_replication_slot_timeout ({facts.server.slot_idle_seconds} s) ends our slot",
            "ALTER SYSTEM SET idle_replication_slot_timeout = 0, and reload",
        )  # fmt: skip
    if facts.server.slot_keep_megabytes < 0:
        yield Finding(
            "warn", "slot-unlimited", "max_slot_wal_keep_size has no limit: a slot that is forgotten fills the disk",
            "ALTER SYSTEM SET max_slot_wal_keep_size to what the disk bears, and reload; disarm when it is over",
        )  # fmt: skip
    else:
        megabytes = sum(table.bytes for table in facts.tables) * 2 // 1_000_000
        if megabytes > facts.server.slot_keep_megabytes:
            yield Finding(
                "warn", "slot-limit",
                f"writing all rows once may need {megabytes:,} MB of WAL, and the slot is lost after"
                f" {facts.server.slot_keep_megabytes:,} MB",
                f"ALTER SYSTEM SET max_slot_wal_keep_size = '{megabytes * 2}MB', and reload",
            )  # fmt: skip


def transactions(facts: Facts) -> Iterator[Finding]:
    """A slot waits for every open write transaction; a prepared one may commit after the fence."""
    if facts.server.open_writers and not facts.armed:
        yield Finding(
            "warn", "open-transactions", f"a slot would wait for {facts.server.open_writers}", "end them, or wait"
        )
    if facts.server.prepared:
        yield Finding(
            "warn", "prepared-transactions", f"transactions are prepared: {facts.server.prepared}",
            "COMMIT PREPARED or ROLLBACK PREPARED each",
        )  # fmt: skip


def archive(facts: Facts) -> Iterator[Finding]:
    """Only a clone needs it."""
    if not facts.server.archives:
        yield Finding(
            "note", "archive-off", "archive_mode is off: no clone at a point in time, only the undo from the log"
        )
    elif facts.server.archive_fails:
        yield Finding(
            "warn", "archive-fails", "the archiver fails: no clone at a point in time", "see pg_stat_archiver"
        )


def role(facts: Facts) -> Iterator[Finding]:
    """What the fence closes."""
    name, server = facts.migration.role, facts.server
    if not server.role_is_there:
        yield Finding("block", "role-missing", f"the server has no role {name}", f"CREATE ROLE {name} LOGIN")
    elif server.role_is_superuser:
        yield Finding(
            "block", "role-superuser", f"role {name} is a superuser: it could undo the fence", "use a role of its own"
        )
    elif name == facts.user:
        yield Finding(
            "block",
            "role-ours",
            f"role {name} is the actuator's own: the fence would close us out",
            "use a role of its own",
        )
    if server.role_sessions_elsewhere:
        yield Finding(
            "warn", "role-shared",
            f"role {name} has {server.role_sessions_elsewhere} sessions in other databases: fenced, they cannot come back",
            "give the migration a role of its own",
        )  # fmt: skip


def grants(facts: Facts) -> Iterator[Finding]:
    """Each that lacks, with its exact SQL."""
    for statement in facts.lacking:
        yield Finding("block", "grant", f"role {facts.user} lacks a grant", statement)


CHECKS: tuple[Check, ...] = (pooler, standby, wal_level, limits, slot_limits, transactions, archive, role, grants)
