"""What arming does to a server, step by step: each says what it runs, how it is taken back, and whether it was done.

Measured order (PostgreSQL 15 to 18): replica identity FULL is committed before the migration writes, else updates and deletes
carry no old row; the publication stands before the slot, else 15 and 16 can never read it; the slot comes last.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from psycopg import sql

from .connecting import Connection, Statement
from .journal import Recovery
from .laying_out import SCHEMA
from .tables import Table

TRIGGER = "holdfast_recovery"
STORED_GENERATED_COLUMNS_FROM = 180_000
IDENTITIES = {"d": "DEFAULT", "n": "NOTHING", "f": "FULL"}


@dataclass(frozen=True, slots=True)
class Step:
    """``is_done`` selects one boolean. ``do`` runs where it is false, ``undo`` where it is true: both can be repeated."""

    says: str
    do: Statement
    undo: Statement
    is_done: Statement

    def done(self, db: Connection) -> bool:
        """Whether the server has it now."""
        row = db.execute(self.is_done).fetchone()
        return bool(row and row[0])


def steps(recovery: Recovery, tables: Sequence[Table], server_version: int) -> list[Step]:
    """All of a recovery, in the order in which they are done; they are taken back from the last to the first."""
    return [
        *(_full(table) for table in tables if table.holds_rows and table.replica_identity != "f"),
        *(_trigger(recovery, table) for table in tables),
        _publication(recovery.publication, [table for table in tables if table.named], server_version),
        *(_origin(name) for name in recovery.origins),
        _slot(recovery.slot),
    ]


def _full(table: Table) -> Step:
    before = IDENTITIES.get(table.replica_identity) or f"USING INDEX {table.replica_index}"
    alter = f"ALTER TABLE {table.name} REPLICA IDENTITY "
    return Step(
        f"replica identity FULL on {table.name} (was {before})",
        sql.SQL(alter + "FULL"),
        sql.SQL(alter + before),
        sql.SQL("SELECT relreplident = 'f' FROM pg_class WHERE oid = {}").format(table.table_oid),
    )


def _trigger(recovery: Recovery, table: Table) -> Step:
    """ALWAYS: it also fires in a session that says session_replication_role = replica."""
    on = sql.SQL(table.name)
    return Step(
        f"trigger {TRIGGER} on {table.name}: what {recovery.role_name} writes untagged shows in the log",
        sql.SQL(
            "CREATE TRIGGER {trigger} AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON {on} FOR EACH STATEMENT"
            " WHEN (session_user = {role}) EXECUTE FUNCTION {function}({migration});"
            " ALTER TABLE {on} ENABLE ALWAYS TRIGGER {trigger}"
        ).format(
            trigger=sql.Identifier(TRIGGER),
            on=on,
            role=recovery.role_name,
            function=sql.Identifier(SCHEMA, "report_write"),
            migration=recovery.migration_id,
        ),
        sql.SQL("DROP TRIGGER {} ON {}").format(sql.Identifier(TRIGGER), on),
        sql.SQL("SELECT EXISTS (SELECT FROM pg_trigger WHERE tgrelid = {} AND tgname = {})").format(
            table.table_oid, TRIGGER
        ),
    )


def _publication(name: str, tables: Sequence[Table], server_version: int) -> Step:
    listed = sql.SQL(", ").join([sql.SQL(table.name) for table in tables])
    # Without it an application's UPDATE of a FULL table with a stored generated column fails on 18.
    stored = " WITH (publish_generated_columns = stored)" if server_version >= STORED_GENERATED_COLUMNS_FROM else ""
    return Step(
        f"publication {name}",
        sql.SQL("CREATE PUBLICATION {} FOR TABLE {}{}").format(sql.Identifier(name), listed, sql.SQL(stored)),
        sql.SQL("DROP PUBLICATION {}").format(sql.Identifier(name)),
        sql.SQL("SELECT EXISTS (SELECT FROM pg_publication WHERE pubname = {})").format(name),
    )


def _origin(name: str) -> Step:
    return Step(
        f"replication origin {name}",
        sql.SQL("SELECT pg_replication_origin_create({})").format(name),
        sql.SQL("SELECT pg_replication_origin_drop({})").format(name),
        sql.SQL("SELECT EXISTS (SELECT FROM pg_replication_origin WHERE roname = {})").format(name),
    )


def _slot(name: str) -> Step:
    return Step(
        f"logical replication slot {name}",
        sql.SQL("SELECT pg_create_logical_replication_slot({}, 'pgoutput')").format(name),
        sql.SQL("SELECT pg_drop_replication_slot({})").format(name),
        sql.SQL("SELECT EXISTS (SELECT FROM pg_replication_slots WHERE slot_name = {})").format(name),
    )
