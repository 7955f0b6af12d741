"""The tables that a migration touches, as the catalog has them: each that was named, and every leaf below it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from psycopg.rows import class_row

from holdfast_schemas.errors import TableMissing

from .connecting import Connection

ReplicaIdentity = Literal["d", "n", "f", "i"]
"""``pg_class.relreplident``: default, nothing, full, index."""


@dataclass(frozen=True, slots=True)
class Table:
    """``name`` is qualified and quoted. ``named``: it stands in the settings; others are its leaves and branches."""

    table_oid: int
    name: str
    kind: str
    named: bool
    replica_identity: ReplicaIdentity
    replica_index: str | None

    @property
    def holds_rows(self) -> bool:
        """A partitioned table holds none itself: its leaves do."""
        return self.kind != "p"


TABLES = """
    SELECT c.oid::bigint AS table_oid, format('%%I.%%I', n.nspname, c.relname) AS name, c.relkind::text AS kind,
        c.oid = ANY(%(roots)s::oid[]) AS named, c.relreplident::text AS replica_identity,
        (SELECT quote_ident(x.relname) FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid
         WHERE i.indrelid = c.oid AND i.indisreplident) AS replica_index
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.oid IN (SELECT coalesce(p.relid, r.oid) FROM unnest(%(roots)s::oid[]) AS r (oid)
                    LEFT JOIN LATERAL pg_partition_tree(r.oid) p ON true)
    ORDER BY c.oid
"""


def read_tables(db: Connection, names: Sequence[str]) -> list[Table]:
    """The named tables and all below them. Raises TableMissing."""
    roots = []
    for name in names:
        row = db.execute("SELECT to_regclass(%s)::oid::bigint", [name]).fetchone()
        if row is None or row[0] is None:
            raise TableMissing(name, db.info.dbname)
        roots.append(row[0])
    with db.cursor(row_factory=class_row(Table)) as cursor:
        return cursor.execute(TABLES, {"roots": roots}).fetchall()
