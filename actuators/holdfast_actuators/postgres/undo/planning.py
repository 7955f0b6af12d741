"""The plan: whether what was captured can be taken back whole, before anything is touched. Refused by name where it cannot."""

from collections.abc import Mapping
from dataclasses import dataclass

from psycopg import sql

from holdfast_schemas.errors import UndoRefused
from holdfast_schemas.identity import MigrationId

from .. import journal
from ..connecting import Connection
from .shapes import Column, Shape, read_shapes

SHOWN = 5
"""So many reasons are named; the rest is counted."""
INT2, INT4, INT8, TEXT, VARCHAR = 21, 23, 20, 25, 1043
WIDENINGS: frozenset[tuple[int, int]] = frozenset({(INT2, INT4), (INT2, INT8), (INT4, INT8), (VARCHAR, TEXT)})
"""(was, is) by type oid: every old text is a value of the newer type, and reads the same there. Not so of char(n), which loses
its blanks, nor of real or numeric, which may be spelled otherwise."""
COUNTS = sql.SQL("""
    SELECT r.schema_name || '.' || r.table_name, c.operation, sum(c.rows)::bigint
    FROM (SELECT migration_id, version, operation, count(*) AS rows FROM {} WHERE migration_id = %s GROUP BY 1, 2, 3) c
    JOIN {} r USING (migration_id, version) GROUP BY 1, 2 ORDER BY 1, 2
""").format(journal.table("change"), journal.table("relation"))
HAZARDS = sql.SQL("""
    SELECT kind, table_name, detail, count(*), min(xid) FROM {} WHERE migration_id = %s
    GROUP BY 1, 2, 3 ORDER BY min(number)
""").format(journal.table("hazard"))
WORDS = {
    "truncate": "truncated {table}: {detail}",
    "no_old_row": "wrote {table} where its old rows were not logged: {detail}",
    "untagged": "{detail} wrote {table}",
    "ddl": "changed {table}: {detail}",
}


@dataclass(frozen=True, slots=True)
class Counted:
    """Rows of one table that one operation wrote; to be taken back."""

    table: str
    operation: str
    rows: int


@dataclass(frozen=True, slots=True)
class UndoPlan:
    """``refusals``: why it cannot be taken back, by name; empty where it can."""

    counts: tuple[Counted, ...]
    refusals: tuple[str, ...]

    @property
    def rows(self) -> int:
        """Rows to take back."""
        return sum(one.rows for one in self.counts)


def plan(db: Connection, migration_id: MigrationId) -> UndoPlan:
    """The plan of a captured migration; changes nothing."""
    counts = tuple(Counted(*row) for row in db.execute(COUNTS, [migration_id]))
    hazards = [
        f"{WORDS[kind].format(table=table, detail=detail)} ({count:,} times, first in transaction {xid})"
        for kind, table, detail, count, xid in db.execute(HAZARDS, [migration_id])
    ]
    return UndoPlan(counts, (*hazards, *schema_changes(read_shapes(db, migration_id))))


def refuse_what_cannot_be_undone(found: UndoPlan, migration_id: MigrationId) -> None:
    """Raises UndoRefused with the reasons of the plan, if it has any."""
    if found.refusals:
        named = list(found.refusals[:SHOWN])
        if (more := len(found.refusals) - SHOWN) > 0:
            named.append(f"and {more} more")
        raise UndoRefused(migration_id, named)


def schema_changes(shapes: Mapping[int, Shape]) -> list[str]:
    """Of captured tables since, each that its rows do not fit into any more, in words."""
    found: list[str] = []
    for shape in shapes.values():
        if shape.table is None:
            found.append(f"{shape.journalled_name} was dropped since")
        else:
            found += [change for column in shape.columns if (change := _column_change(shape.table, column))]
            if shape.later_key:
                found.append(
                    f"{shape.table} got a key since, of {', '.join(shape.later_key)}, which earlier rows do not have"
                )
    return list(dict.fromkeys(found))


def _column_change(table: str, column: Column) -> str | None:
    if column.live_type is None:
        return f"{table}.{column.name} was dropped or renamed since"
    if not _reads_the_same(column.journalled_type, column.live_type):
        return f"{table}.{column.name} has another type since: {column.type}"
    return None


def _reads_the_same(was: tuple[int, int], now: tuple[int, int]) -> bool:
    """A cast to a shorter varchar cuts silently, and one to other digits of a numeric rounds."""
    if was == now or ((was[0], now[0]) in WIDENINGS and now[1] == -1):
        return True
    return was[0] == now[0] == VARCHAR and (now[1] == -1 or now[1] > was[1] > -1)
