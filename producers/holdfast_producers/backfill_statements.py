"""The backfill's SQL: composed, never formatted by hand, except for the expressions that its user wrote.

Values go to and from the journal as text: every type's text form reads back exactly, under the pinned session settings.
Literals are composed in, so that a ``%`` in an expression is a ``%``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from psycopg import sql

from holdfast_schemas.errors import BackfillInvalid

from .backfill_journal import Connection, Journal

SHAPE = """
SELECT n.nspname, c.relname,
       (SELECT json_object_agg(a.attname, format_type(a.atttypid, a.atttypmod)) FROM pg_attribute a
        WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped) AS types,
       (SELECT coalesce(json_agg(a.attname), '[]') FROM pg_index i JOIN pg_attribute a
          ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
        WHERE i.indrelid = c.oid AND i.indisunique AND i.indisvalid AND i.indpred IS NULL AND i.indnkeyatts = 1
          AND a.attnotnull) AS keys
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = to_regclass(%s)
"""


def written(expression: str) -> sql.SQL:
    """An expression of the user's own SQL: they hold the DSN, so they may."""
    return sql.SQL(expression)


@dataclass(frozen=True, slots=True)
class Shape:
    """The table as the catalog has it."""

    table: sql.Identifier
    relation: str
    key: str
    key_type: sql.SQL
    columns: tuple[str, ...]
    column_types: tuple[sql.SQL, ...]

    @classmethod
    def of(cls, db: Connection, table: str, key: str, columns: Sequence[str]) -> "Shape":
        """Read it. Raises BackfillInvalid: no such table or column, or a key that is not unique and NOT NULL."""
        row = db.execute(SHAPE, [table]).fetchone()
        if row is None:
            raise BackfillInvalid(table, "no such table (name it as schema.table)")
        schema, relation, types, keys = row
        if missing := [name for name in (key, *columns) if name not in types]:
            raise BackfillInvalid(table, f"no column {', '.join(missing)}; it has {', '.join(types)}")
        if key not in keys:
            raise BackfillInvalid(
                table, f"the key {key} needs a unique index of its own and NOT NULL; such are: {keys}"
            )
        kinds = {name: written(kind) for name, kind in types.items()}
        return cls(
            sql.Identifier(schema, relation),
            relation,
            key,
            kinds[key],
            tuple(columns),
            tuple(kinds[c] for c in columns),
        )

    def column(self, name: str) -> sql.Composed:
        """A column of the table, qualified by the table's own name."""
        return sql.SQL("{}").format(sql.Identifier(self.relation, name))

    def texts(self) -> sql.Composed:
        """The backfilled columns as an array of texts."""
        parts = sql.SQL(", ").join(sql.SQL("{}::text").format(self.column(name)) for name in self.columns)
        return sql.SQL("ARRAY[{}]").format(parts)


def pick(shape: Shape, where: str | None, last_key: str | None, end_key: str | None, batch_rows: int) -> sql.Composed:
    """Lock the next batch's rows and return their keys, as text, in order."""
    key, conditions = shape.column(shape.key), [sql.SQL("true").format()]
    for op, bound in ((" > ", last_key), (" <= ", end_key)):
        if bound is not None:
            literal = sql.SQL("{}::text::{}").format(sql.Literal(bound), shape.key_type)
            conditions.append(key + sql.SQL(op) + literal)
    if where is not None:
        conditions.append(sql.SQL("({})").format(written(where)))
    return sql.SQL("SELECT {}::text FROM {} WHERE {} ORDER BY {} LIMIT {} FOR NO KEY UPDATE").format(
        key, shape.table, sql.SQL(" AND ").join(conditions), key, sql.Literal(batch_rows)
    )


def change(
    shape: Shape, assignments: Mapping[str, str], journal: Journal, shard: int, step: int, keys: Sequence[str]
) -> sql.Composed:
    """Set the columns of these rows, and journal old and new values of those that it changed."""
    sets = sql.SQL(", ").join(
        sql.SQL("{} = {}").format(sql.Identifier(name), written(assignments[name])) for name in shape.columns
    )
    return sql.SQL(
        "WITH holdfast_was AS MATERIALIZED ("
        " SELECT {key} AS holdfast_key, {texts} AS holdfast_old FROM {table}"
        " WHERE {key} = ANY ({keys}::text[]::{key_type}[])),"
        " holdfast_changed AS ("
        " UPDATE {table} SET {sets} FROM holdfast_was WHERE {key} = holdfast_key"
        " AND {key} = ANY ({keys}::text[]::{key_type}[])"  # again: no plan may read the whole table
        " RETURNING holdfast_key, holdfast_old, {texts} AS holdfast_new)"
        " INSERT INTO {journal} (run_id, shard, step, key, old, new)"
        " SELECT {run_id}::uuid, {shard}, {step}, holdfast_key::text, holdfast_old, holdfast_new FROM holdfast_changed"
        " WHERE holdfast_old IS DISTINCT FROM holdfast_new"
    ).format(
        key=shape.column(shape.key),
        texts=shape.texts(),
        table=shape.table,
        keys=sql.Literal(list(keys)),
        key_type=shape.key_type,
        sets=sets,
        journal=journal.table("change"),
        run_id=sql.Literal(journal.run_id),
        shard=sql.Literal(shard),
        step=sql.Literal(step),
    )


def restore(shape: Shape, journal: Journal, shard: int, step: int) -> sql.Composed:
    """Give the step's rows their old values, where they still hold what the run wrote. Its row count is the restored rows."""
    sets = sql.SQL(", ").join(
        sql.SQL("{} = holdfast_change.old[{}]::{}").format(sql.Identifier(name), sql.Literal(index), kind)
        for index, (name, kind) in enumerate(zip(shape.columns, shape.column_types, strict=True), 1)
    )
    return sql.SQL(
        "UPDATE {table} SET {sets} FROM {journal} AS holdfast_change"
        " WHERE holdfast_change.run_id = {run_id}::uuid AND holdfast_change.shard = {shard} AND holdfast_change.step = {step}"
        " AND {key} = holdfast_change.key::{key_type} AND {texts} IS NOT DISTINCT FROM holdfast_change.new"
    ).format(
        table=shape.table,
        sets=sets,
        journal=journal.table("change"),
        run_id=sql.Literal(journal.run_id),
        shard=sql.Literal(shard),
        step=sql.Literal(step),
        key=shape.column(shape.key),
        key_type=shape.key_type,
        texts=shape.texts(),
    )


def changed_rows(db: Connection, journal: Journal, shard: int, step: int) -> int:
    """How many rows the step changed."""
    query = sql.SQL("SELECT count(*) FROM {} WHERE run_id = %s AND shard = %s AND step = %s").format(
        journal.table("change")
    )
    row = db.execute(query, [journal.run_id, shard, step]).fetchone()
    return 0 if row is None else int(row[0])


SAMPLED_ROWS = 1_000_000
"""Shards need not be equal: on a table beyond this many rows, a sample of its pages says where to cut (about 1 s)."""


def last_keys(db: Connection, shape: Shape, shards: int) -> list[str | None]:
    """The last key, as text, of each of at most ``shards`` ranges of about equal numbers of rows; [None] for an empty table.

    The last of them is the table's last key now: where the backfill ends, however fast the application goes on inserting.
    """
    key = shape.column(shape.key)
    newest = sql.SQL("SELECT {}::text FROM {} ORDER BY {} DESC LIMIT 1").format(key, shape.table, key)
    row = db.execute(newest).fetchone()
    if row is None:
        return [None]
    cuts: list[str] = []
    if shards > 1:
        plan = db.execute(estimate(shape, None)).fetchone()
        rows = max(1, int(plan[0][0]["Plan"]["Plan Rows"])) if plan else 1
        percent = min(100.0, 100.0 * SAMPLED_ROWS / rows)
        shares = [number / shards for number in range(1, shards)]
        sampled = sql.SQL(
            "SELECT percentile_disc({}::float8[]) WITHIN GROUP (ORDER BY {})::text[] FROM {} TABLESAMPLE SYSTEM ({})"
            " WHERE {} < {}::text::{}"  # rows that came since are the application's, and a cut among them no range's end
        ).format(sql.Literal(shares), key, shape.table, sql.Literal(percent), key, sql.Literal(row[0]), shape.key_type)
        found = db.execute(sampled).fetchone()
        cuts = [] if found is None or found[0] is None else list(found[0])
    return [*dict.fromkeys(cuts), row[0]]


def estimate(shape: Shape, where: str | None) -> sql.Composed:
    """The planner's idea of how many rows there are: at once, where count(*) would read the table."""
    condition = sql.SQL("true").format() if where is None else sql.SQL("({})").format(written(where))
    return sql.SQL("EXPLAIN (FORMAT JSON) SELECT 1 FROM {} WHERE {}").format(shape.table, condition)
