"""What the role that an actuator connects with must be allowed: checked at its start, granted by who owns the ledger."""

from collections.abc import Mapping

import psycopg
from psycopg import sql

from holdfast_schemas.errors import LedgerRightsMissing, LedgerRoleMissing

from .refusals import in_one_line

GRANTS: Mapping[str, tuple[str, ...]] = {
    "action": ("SELECT", "INSERT", "UPDATE", "DELETE"),
    "beat": ("UPDATE",),
    "frozen": ("SELECT", "INSERT", "UPDATE", "DELETE"),
    "listening": ("SELECT", "INSERT", "UPDATE"),
    "log_undo": ("SELECT", "INSERT", "UPDATE", "DELETE"),
    "migration": ("SELECT", "INSERT", "UPDATE"),
    "notification": ("SELECT", "INSERT", "UPDATE", "DELETE"),
    "notified": ("SELECT", "INSERT", "UPDATE", "DELETE"),
    "outbox": ("SELECT", "INSERT", "DELETE"),
    "recovery": ("SELECT", "INSERT", "UPDATE"),
    "rules": ("SELECT", "INSERT", "UPDATE"),
    "run": ("SELECT", "INSERT", "UPDATE", "DELETE"),
    "schema_version": ("SELECT",),
    "watched": ("SELECT", "INSERT", "UPDATE"),
    "worker": ("SELECT", "INSERT", "UPDATE", "DELETE"),
}
"""By table; beside USAGE on the schema. No migration's row is ever deleted: it holds the epoch."""


def check(db: psycopg.Connection, schema: str, role: str | None = None) -> None:
    """Raises LedgerRightsMissing, which names each right that the role (this connection's, unless given) lacks."""
    role = role or db.info.user
    wanted = [(table, right) for table, rights in GRANTS.items() for right in rights]
    lacking = db.execute(
        "SELECT w.right_name || ' on ' || w.table_name FROM unnest(%s::text[], %s::text[]) AS w (table_name, right_name)"
        " JOIN pg_catalog.pg_namespace n ON n.nspname = %s"
        " LEFT JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = w.table_name"
        " WHERE c.oid IS NULL OR NOT has_schema_privilege(%s, n.oid, 'USAGE')"
        " OR NOT has_table_privilege(%s, c.oid, w.right_name) ORDER BY 1",
        ([table for table, _ in wanted], [right for _, right in wanted], schema, role, role),
    ).fetchall()
    if lacking:
        raise LedgerRightsMissing(schema, role, ", ".join(what for (what,) in lacking))


def grant(db: psycopg.Connection, schema: str, role: str) -> None:
    """Allow a role what an actuator needs, and nothing else. Raises LedgerRoleMissing, LedgerRightsMissing."""
    to, space = sql.Identifier(role), sql.Identifier(schema)
    try:
        with db.transaction():
            db.execute(sql.SQL("GRANT USAGE ON SCHEMA {} TO {}").format(space, to))
            for table, rights in GRANTS.items():
                allowed = sql.SQL(", ").join([sql.SQL(right) for right in rights])
                named = sql.Identifier(schema, table)
                db.execute(sql.SQL("GRANT {} ON {} TO {}").format(allowed, named, to))
            check(db, schema, role)  # whoever may pass nothing on gets a warning from PostgreSQL, and no error
    except psycopg.errors.UndefinedObject:
        raise LedgerRoleMissing(role) from None
    except psycopg.errors.InsufficientPrivilege as error:
        raise LedgerRightsMissing(schema, db.info.user, in_one_line(error)) from None
