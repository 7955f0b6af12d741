"""The SQL of an undo: a chunk's inverse in one statement, and one row's. Pure: shapes in, statements out.

Values are compared as text, in the canonical spelling of both sessions: what a type calls equal (1.0 and 1.00) may differ to
the application. Only the key is compared by its type, so that its index is used.
"""

from collections.abc import Iterable, Sequence

from psycopg import sql

from ..connecting import Statement
from ..journal import table
from .shapes import Column, Shape, identifier

AND, COMMA = sql.SQL(" AND "), sql.SQL(", ")
ROWS = sql.SQL("""
    j AS MATERIALIZED (
        SELECT c.seq, c.old, c.new FROM {change} c WHERE c.migration_id = %(migration_id)s AND c.chunk = %(chunk)s
        AND c.seq NOT IN (SELECT x.seq FROM {conflict} x WHERE x.migration_id = %(migration_id)s))
""").format(change=table("change"), conflict=table("conflict"))
LEFT = sql.SQL("SELECT seq FROM (SELECT seq FROM j EXCEPT ALL SELECT seq FROM hit) not_hit ORDER BY seq DESC")
"""Neither this nor the conflicts by an anti-join: of a CTE the planner knows too little, loops over both, and 50,000 rows take
40 s, not one."""


def changed(shape: Shape) -> Statement:
    """Of each written column, whether any row of the chunk changed it."""
    any_touched = COMMA.join([sql.SQL("bool_or({})").format(_touched(column)) for column in shape.written])
    return sql.SQL("SELECT {} FROM {} j WHERE j.migration_id = %(migration_id)s AND j.chunk = %(chunk)s").format(
        any_touched, table("change")
    )


def undo_inserts(shape: Shape) -> Statement:
    """Delete the rows that still are what the migration inserted; returns the seq of each that is not."""
    same = AND.join([*_found_by_key(shape, "new"), *(_is(column, "new") for column in shape.written)])
    hit = sql.SQL("DELETE FROM ONLY {} t USING j WHERE {} RETURNING j.seq").format(shape.name, same)
    return sql.SQL("WITH {}, hit AS ({}) {}").format(ROWS, hit, LEFT)


def undo_updates(shape: Shape, changed: Sequence[Column]) -> Statement:
    """Give ``changed`` columns their old values where they still have the new ones; returns the seq of each other row."""
    sets = COMMA.join(
        [
            sql.SQL("{name} = CASE WHEN {touched} THEN {old} ELSE t.{name} END").format(
                name=identifier(column.name), touched=_touched(column), old=_value(column, "old")
            )
            for column in changed
        ]
    )
    same = AND.join(
        [
            *_found_by_key(shape, "new"),
            *(sql.SQL("(NOT ({}) OR {})").format(_touched(column), _is(column, "new")) for column in changed),
        ]
    )
    hit = sql.SQL("UPDATE ONLY {} t SET {} FROM j WHERE {} RETURNING j.seq").format(shape.name, sets, same)
    return sql.SQL("WITH {}, hit AS ({}) {}").format(ROWS, hit, LEFT)


def redo(shape: Shape) -> Statement:
    """Insert the rows as the migration left them: into an empty table of the same shape, to try an undo on."""
    return sql.SQL("WITH {} INSERT INTO {} ({}) OVERRIDING SYSTEM VALUE SELECT {} FROM j").format(
        ROWS, shape.name, _names(shape.written), COMMA.join([_value(column, "new") for column in shape.written])
    )


def undo_deletes(shape: Shape) -> Statement:
    """Insert the rows again, as they were."""
    return sql.SQL("WITH {} INSERT INTO {} ({}) OVERRIDING SYSTEM VALUE SELECT {} FROM j ORDER BY j.seq DESC").format(
        ROWS, shape.name, _names(shape.written), COMMA.join([_value(column, "old") for column in shape.written])
    )


def current_row(shape: Shape, *, locked: bool = True) -> Statement:
    """The row of one change as it is now: its place, and the written columns as text.

    Found by its key, or by all its values; each is the parameter of its position."""
    where = AND.join(
        [
            sql.SQL("t.{} = {}").format(identifier(column.name), _parameter(column))
            if shape.key
            else sql.SQL("{} IS NOT DISTINCT FROM %({})s").format(_text(column), sql.SQL(str(column.position)))
            for column in shape.key or shape.written
        ]
    )
    texts = COMMA.join([_text(column) for column in shape.written])
    return sql.SQL("SELECT t.ctid::text, {} FROM ONLY {} t WHERE {} LIMIT 1{}").format(
        texts, shape.name, where, sql.SQL(" FOR UPDATE" if locked else "")
    )


def delete_row(shape: Shape) -> Statement:
    """Delete the row at ``%(place)s``."""
    return sql.SQL("DELETE FROM ONLY {} WHERE ctid = %(place)s::tid").format(shape.name)


def set_row(shape: Shape, columns: Sequence[Column]) -> Statement:
    """Set ``columns`` of the row at ``%(place)s``; each value is the parameter of its position."""
    sets = [sql.SQL("{} = {}").format(identifier(column.name), _parameter(column)) for column in columns]
    return sql.SQL("UPDATE ONLY {} SET {} WHERE ctid = %(place)s::tid").format(shape.name, COMMA.join(sets))


def insert_row(shape: Shape) -> Statement:
    """Insert a row; each value is the parameter of its position."""
    return sql.SQL("INSERT INTO {} ({}) OVERRIDING SYSTEM VALUE VALUES ({})").format(
        shape.name, _names(shape.written), COMMA.join([_parameter(column) for column in shape.written])
    )


def _names(columns: Iterable[Column]) -> Statement:
    return COMMA.join([identifier(column.name) for column in columns])


def _found_by_key(shape: Shape, side: str) -> list[Statement]:
    return [sql.SQL("t.{} = {}").format(identifier(column.name), _value(column, side)) for column in shape.key]


def _is(column: Column, side: str) -> Statement:
    """The live value is the journalled one, NULL included."""
    return sql.SQL("{} IS NOT DISTINCT FROM j.{}[{}]").format(
        _text(column), sql.SQL(side), sql.SQL(str(column.position))
    )


def _text(column: Column) -> Statement:
    """The live value as the log spells it."""
    if column.plain:
        return sql.SQL("t.{}::text").format(identifier(column.name))
    return sql.SQL("CASE WHEN t.{0} IS NOT NULL THEN format('%%s', t.{0}) END").format(identifier(column.name))


def _touched(column: Column) -> Statement:
    return sql.SQL("j.old[{0}] IS DISTINCT FROM j.new[{0}]").format(sql.SQL(str(column.position)))


def _value(column: Column, side: str) -> Statement:
    """A journalled value as the live type, its modifier included: ``::bit`` alone would be ``bit(1)``."""
    return sql.SQL("(j.{}[{}])::{}").format(sql.SQL(side), sql.SQL(str(column.position)), sql.SQL(str(column.type)))


def _parameter(column: Column) -> Statement:
    return sql.SQL("(%({})s::text)::{}").format(sql.SQL(str(column.position)), sql.SQL(str(column.type)))
