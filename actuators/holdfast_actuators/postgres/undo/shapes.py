"""A captured table as it is now: where each journalled value goes, as what type, and by which columns a row is found."""

from dataclasses import dataclass

from psycopg import sql

from holdfast_schemas.identity import MigrationId

from .. import journal
from ..connecting import Connection, Statement
from ..keys import key_columns

LIVE = """
    SELECT attrelid::bigint, attname::text, format_type(atttypid, atttypmod), atttypid::bigint, atttypmod, attgenerated <> '',
        t.typtype <> 'd' AND NOT EXISTS (SELECT FROM pg_cast WHERE castsource = t.oid AND casttarget = 'text'::regtype
                                         AND castmethod = 'f')
    FROM pg_attribute JOIN pg_type t ON t.oid = atttypid WHERE attrelid = ANY(%s::oid[]) AND attnum > 0 AND NOT attisdropped
"""
NAMES = """
    SELECT c.oid::bigint, format('%%I.%%I', n.nspname, c.relname) FROM pg_class c
    JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = ANY(%s::oid[])
"""


@dataclass(frozen=True, slots=True)
class Column:
    """``position`` counts from 1 in a change's ``old`` and ``new``; ``type`` is the live one, None when it is gone."""

    name: str
    position: int
    journalled_type: tuple[int, int]
    """Oid and modifier, as the log described it."""
    type: str | None
    live_type: tuple[int, int] | None
    generated: bool
    plain: bool
    """Its cast to text is how the log spells it. Not so of boolean, inet, char(n) and others with a cast of their own."""
    key: bool

    @property
    def written(self) -> bool:
        """An undo writes and compares it: it is there, and the server does not compute it."""
        return self.type is not None and not self.generated


@dataclass(frozen=True, slots=True)
class Shape:
    """One version of a table. ``table`` is its name now, qualified and quoted; None when it was dropped.

    ``later_key``: columns of its key that this version did not have yet; then no row of it can be told from others.
    """

    version: int
    table_oid: int
    journalled_name: str
    table: str | None
    columns: tuple[Column, ...]
    later_key: tuple[str, ...] = ()

    @property
    def name(self) -> Statement:
        """The table, for a statement."""
        assert self.table is not None  # a plan refuses what was dropped
        return escaped(self.table)

    @property
    def written(self) -> tuple[Column, ...]:
        """The columns that an undo writes and compares."""
        return tuple(column for column in self.columns if column.written)

    @property
    def key(self) -> tuple[Column, ...]:
        """The columns that a row is found by; empty where it is found by all its values."""
        return tuple(column for column in self.columns if column.key)


def read_shapes(db: Connection, migration_id: MigrationId) -> dict[int, Shape]:
    """Every captured version of every table, by its number."""
    statement = "SELECT version, table_oid::bigint, schema_name, table_name, columns FROM {} WHERE migration_id = %s"
    rows = db.execute(sql.SQL(statement).format(journal.table("relation")), [migration_id]).fetchall()
    oids = list({row[1] for row in rows})
    names = dict(db.execute(NAMES, [oids]).fetchall())
    live: dict[tuple[int, str], tuple[str | None, tuple[int, int] | None, bool, bool]] = {
        (oid, name): (type_name, (type_oid, modifier), made, plain)
        for oid, name, type_name, type_oid, modifier, made, plain in db.execute(LIVE, [oids])
    }
    keys = key_columns(db, oids)
    shapes = {}
    for version, oid, schema_name, table_name, columns in rows:
        key = keys.get(oid, ())
        found = tuple(
            Column(
                column["name"],
                position,
                (column["type_oid"], column["type_modifier"]),
                *live.get((oid, column["name"]), (None, None, False, True)),
                key=column["name"] in key,
            )
            for position, column in enumerate(columns, 1)
        )
        known = {column.name for column in found}
        later = tuple(name for name in key if name not in known)
        shapes[version] = Shape(version, oid, f"{schema_name}.{table_name}", names.get(oid), found, later)
    return shapes


def escaped(quoted: str) -> Statement:
    """A name that the server quoted, for a statement with parameters, where a percent sign is doubled."""
    return sql.SQL(quoted.replace("%", "%%"))


def identifier(name: str) -> Statement:
    """A column's name, for a statement with parameters."""
    return escaped('"' + name.replace('"', '""') + '"')
