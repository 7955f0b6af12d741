"""How the ledger stands: for a person who keeps its database."""

from dataclasses import dataclass
from datetime import datetime

import psycopg
from psycopg import sql

from holdfast_schemas.errors import LedgerRightsMissing

from . import schema as numbered
from .entry import OPEN
from .refusals import in_one_line


@dataclass(frozen=True)
class TableSize:
    """A table with its indexes; ``rows`` is None where this role may not read it."""

    table: str
    rows: int | None
    bytes: int


@dataclass(frozen=True)
class Condition:
    """``version``: the newest script applied, None where there is no ledger; ``pending``: what this release would apply."""

    version: str | None
    pending: list[str]
    tables: list[TableSize]
    oldest_action_at: datetime | None
    open_actions: int
    records_owed: int | None


def read(db: psycopg.Connection, schema: str) -> Condition:
    """Read it; rows are counted, which takes about a second for some millions. Raises what ``schema.pending`` raises."""
    waiting = numbered.pending(db, schema)
    names = [name for number, name, _ in numbered.scripts() if number not in {script[0] for script in waiting}]
    pending = [name for _, name, _ in waiting]
    if not names:
        return Condition(None, pending, [], None, 0, 0)
    try:
        tables, oldest, still_open = _read(db, schema)
    except psycopg.errors.InsufficientPrivilege as error:
        raise LedgerRightsMissing(schema, db.info.user, in_one_line(error)) from None
    owed = next(size.rows for size in tables if size.table == "outbox")
    return Condition(names[-1], pending, tables, oldest, still_open, owed)


def _read(db: psycopg.Connection, schema: str) -> tuple[list[TableSize], datetime | None, int]:
    """Sizes, the oldest action's time, and how many are open: at one moment."""
    with db.transaction():
        db.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        found = db.execute(
            "SELECT relname, pg_total_relation_size(c.oid), has_table_privilege(c.oid, 'SELECT') FROM pg_catalog.pg_class c"
            " JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE nspname = %s AND relkind = 'r' ORDER BY 1",
            (schema,),
        ).fetchall()
        tables = [TableSize(table, _rows(db, schema, table) if may else None, size) for table, size, may in found]
        query = sql.SQL("SELECT min(recorded_at), count(*) FILTER (WHERE state = ANY(%s)) FROM {}")
        row = db.execute(query.format(sql.Identifier(schema, "action")), (list(OPEN),)).fetchone()
    assert row is not None
    return tables, row[0], row[1]


def _rows(db: psycopg.Connection, schema: str, table: str) -> int:
    row = db.execute(sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(schema, table))).fetchone()
    assert row is not None
    return int(row[0])
