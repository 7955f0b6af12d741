"""By which columns a row is found again: a table's primary key, else a unique index that no NULL can slip through."""

from collections.abc import Sequence

from .connecting import Connection

KEYS = """
    SELECT DISTINCT ON (i.indrelid) i.indrelid::bigint, array_agg(a.attname::text ORDER BY k.position)
    FROM pg_index i, unnest(i.indkey::int2[]) WITH ORDINALITY AS k (attnum, position), pg_attribute a
    WHERE i.indrelid = ANY(%s::oid[]) AND i.indisunique AND i.indimmediate AND i.indisvalid
        AND i.indpred IS NULL AND i.indexprs IS NULL AND k.position <= i.indnkeyatts
        AND a.attrelid = i.indrelid AND a.attnum = k.attnum
    GROUP BY i.indrelid, i.indexrelid, i.indisprimary
    HAVING i.indisprimary OR bool_and(a.attnotnull)
    ORDER BY i.indrelid, i.indisprimary DESC, count(*), i.indexrelid
"""


def key_columns(db: Connection, table_oids: Sequence[int]) -> dict[int, tuple[str, ...]]:
    """The key's columns by table; a table without one is left out: its rows are matched by all their values."""
    return {oid: tuple(names) for oid, names in db.execute(KEYS, [list(table_oids)])}
