"""Foreign keys under an undo, which writes with triggers off: checked here, before each commit.

A cascade's rows come back child first, so keys may be broken between two chunks of one transaction of the migration, and only
there: :mod:`.applying` commits where none is. What is still broken then, the application did: that change is a conflict.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from psycopg import sql
from psycopg.rows import class_row

from holdfast_schemas.identity import MigrationId

from ..connecting import Connection, Statement
from ..journal import table
from .shapes import Shape, escaped, identifier

CONSTRAINTS = """
    WITH RECURSIVE top (oid, root, parent) AS (
        SELECT oid, oid, conparentid FROM pg_constraint
        WHERE contype = 'f' AND (conrelid = ANY(%(oids)s::oid[]) OR confrelid = ANY(%(oids)s::oid[]))
        UNION ALL SELECT t.oid, c.oid, c.conparentid FROM top t JOIN pg_constraint c ON c.oid = t.parent
    )
    SELECT DISTINCT r.conname::text AS name,
        k.conrelid::bigint AS child_oid, k.confrelid::bigint AS parent_oid,
        format('%%I.%%I', cn.nspname, cc.relname) AS child, format('%%I.%%I', pn.nspname, pc.relname) AS parent,
        (SELECT array_agg(a.attname::text ORDER BY o) FROM unnest(r.conkey) WITH ORDINALITY AS u (n, o)
         JOIN pg_attribute a ON a.attrelid = r.conrelid AND a.attnum = u.n) AS child_columns,
        (SELECT array_agg(a.attname::text ORDER BY o) FROM unnest(r.confkey) WITH ORDINALITY AS u (n, o)
         JOIN pg_attribute a ON a.attrelid = r.confrelid AND a.attnum = u.n) AS parent_columns
    FROM top t JOIN pg_constraint k ON k.oid = t.oid JOIN pg_constraint r ON r.oid = t.root
    JOIN pg_class cc ON cc.oid = r.conrelid JOIN pg_namespace cn ON cn.oid = cc.relnamespace
    JOIN pg_class pc ON pc.oid = r.confrelid JOIN pg_namespace pn ON pn.oid = pc.relnamespace
    WHERE t.parent = 0
"""


@dataclass(frozen=True, slots=True)
class ForeignKey:
    """``child`` and ``parent`` are the tables it was declared on; the oids are those of the captured ones, maybe leaves."""

    name: str
    child_oid: int
    parent_oid: int
    child: str
    parent: str
    child_columns: list[str]
    parent_columns: list[str]


@dataclass(frozen=True, slots=True)
class Broken:
    """A change whose undo breaks a foreign key."""

    seq: int
    reason: str


def read_foreign_keys(db: Connection, shapes: Mapping[int, Shape]) -> list[ForeignKey]:
    """Those from or to any captured table."""
    with db.cursor(row_factory=class_row(ForeignKey)) as cursor:
        return cursor.execute(CONSTRAINTS, {"oids": list({shape.table_oid for shape in shapes.values()})}).fetchall()


class ForeignKeys:
    """The check of some chunks, in the transaction that undid them."""

    def __init__(self, migration_id: MigrationId, shapes: Mapping[int, Shape], found: Sequence[ForeignKey]) -> None:
        self._migration_id = migration_id
        self._shapes = shapes
        self._found = found

    def broken(self, db: Connection, version: int, chunks: Sequence[int]) -> list[Broken]:
        """What the undone changes of this version of a table, in these chunks, left broken."""
        shape = self._shapes[version]
        broken = []
        for key in self._found:
            if key.child_oid == shape.table_oid:
                self._lock_parents(db, shape, key, chunks)
                broken += self._select(
                    db, self._orphans(shape, key), version, chunks, f"{key.name}: its row in {key.parent} is gone"
                )
            if key.parent_oid == shape.table_oid:
                broken += self._select(
                    db, self._referenced(shape, key), version, chunks, f"{key.name}: {key.child} refers to it"
                )
        return broken

    def _select(
        self, db: Connection, statement: Statement, version: int, chunks: Sequence[int], reason: str
    ) -> list[Broken]:
        rows = db.execute(statement, self._parameters(version, chunks)).fetchall()
        return [Broken(seq, reason) for (seq,) in rows]

    def _parameters(self, version: int, chunks: Sequence[int]) -> dict[str, object]:
        return {"migration_id": self._migration_id, "version": version, "chunks": list(chunks)}

    def _lock_parents(self, db: Connection, shape: Shape, key: ForeignKey, chunks: Sequence[int]) -> None:
        """As the server's own check does: else the application could delete a parent that our child comes back to."""
        statement = sql.SQL("SELECT FROM {} p WHERE EXISTS (SELECT FROM ({}) j WHERE {}) FOR KEY SHARE").format(
            escaped(key.parent),
            _changes("old", ("U", "D")),
            _same(shape, "p", key.parent_columns, key.child_columns, "old"),
        )
        db.execute(statement, self._parameters(shape.version, chunks))

    @staticmethod
    def _orphans(shape: Shape, key: ForeignKey) -> Statement:
        """A child that came back, and that nobody changed meanwhile in this undo, without its parent."""
        return sql.SQL(
            "SELECT j.seq FROM ({}) j WHERE NOT EXISTS (SELECT FROM {} p WHERE {}) AND EXISTS (SELECT FROM {} c WHERE {})"
        ).format(
            _changes("old", ("U", "D")),
            escaped(key.parent),
            _same(shape, "p", key.parent_columns, key.child_columns, "old"),
            escaped(key.child),
            _same(shape, "c", key.child_columns, key.child_columns, "old"),
        )

    @staticmethod
    def _referenced(shape: Shape, key: ForeignKey) -> Statement:
        """A parent that went away, or got its old key back, while somebody's child refers to it."""
        return sql.SQL(
            "SELECT j.seq FROM ({}) j WHERE NOT EXISTS (SELECT FROM {} p WHERE {}) AND EXISTS (SELECT FROM {} c WHERE {})"
        ).format(
            _changes("new", ("U", "I")),
            escaped(key.parent),
            _same(shape, "p", key.parent_columns, key.parent_columns, "new"),
            escaped(key.child),
            _same(shape, "c", key.child_columns, key.parent_columns, "new"),
        )


def _changes(side: str, operations: Sequence[str]) -> Statement:
    return sql.SQL(
        "SELECT c.seq, c.{} FROM {} c WHERE c.migration_id = %(migration_id)s AND c.version = %(version)s"
        " AND c.chunk = ANY(%(chunks)s) AND c.operation = ANY({}::text[])"
        " AND NOT EXISTS (SELECT FROM {} x WHERE x.migration_id = c.migration_id AND x.seq = c.seq)"
    ).format(sql.SQL(side), table("change"), list(operations), table("conflict"))


def _same(shape: Shape, alias: str, columns: Sequence[str], journalled: Sequence[str], side: str) -> Statement:
    """``alias``'s columns equal the journalled ones; NULL equals nothing, as in MATCH SIMPLE."""
    by_name = {column.name: column for column in shape.columns}
    return sql.SQL(" AND ").join(
        [
            sql.SQL("{}.{} = (j.{}[{}])::{}").format(
                sql.SQL(alias),
                identifier(name),
                sql.SQL(side),
                sql.SQL(str(by_name[other].position)),
                sql.SQL(str(by_name[other].type)),
            )
            for name, other in zip(columns, journalled, strict=True)
        ]
    )
