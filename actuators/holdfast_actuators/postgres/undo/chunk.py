"""One chunk taken back, in the transaction of the step: at once where it can be, row by row where it cannot."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb

from holdfast_schemas.identity import MigrationId

from ..connecting import Connection
from ..journal import table
from . import statements
from .resolving import Answer, OnConflict, Operation, Row, resolve
from .shapes import Column, Shape

CHUNK = sql.SQL("""
    SELECT c.version, c.operation, c.rows, f.xid, l.xid FROM (
        SELECT min(version) AS version, min(operation) AS operation, count(*) AS rows, min(seq) AS first, max(seq) AS last
        FROM {change} WHERE migration_id = %(migration_id)s AND chunk = %(chunk)s) c
    JOIN {change} f ON f.migration_id = %(migration_id)s AND f.seq = c.first
    JOIN {change} l ON l.migration_id = %(migration_id)s AND l.seq = c.last
""").format(change=table("change"))
SEQS = sql.SQL("""
    SELECT c.seq FROM {} c WHERE c.migration_id = %(migration_id)s AND c.chunk = %(chunk)s
    AND c.seq NOT IN (SELECT x.seq FROM {} x WHERE x.migration_id = %(migration_id)s) ORDER BY c.seq DESC
""").format(table("change"), table("conflict"))
CHANGE = sql.SQL("SELECT operation::text, old, new FROM {} WHERE migration_id = %s AND seq = %s").format(
    table("change")
)
CONFLICT = sql.SQL("""
    INSERT INTO {} (migration_id, seq, table_name, reason, key, columns) VALUES (%s, %s, %s, %s, %s, %s)
    ON CONFLICT DO NOTHING
""").format(table("conflict"))


@dataclass(frozen=True, slots=True)
class Chunk:
    """One table, one operation, no row twice. ``first_xid`` and ``last_xid``: the migration's transactions in it."""

    number: int
    version: int
    operation: Operation
    rows: int
    first_xid: int
    last_xid: int


def read_chunk(db: Connection, migration_id: MigrationId, number: int) -> Chunk:
    """A chunk of the journal, by its number."""
    row = db.execute(CHUNK, {"migration_id": migration_id, "chunk": number}).fetchone()
    assert row is not None
    return Chunk(number, *row)


class ChunkUndo:
    """Takes chunks of one migration back. Every method works in the transaction that is open."""

    def __init__(self, db: Connection, migration_id: MigrationId, on_conflict: OnConflict) -> None:
        self._db = db
        self._migration_id = migration_id
        self._on_conflict = on_conflict

    def undo(self, shape: Shape, chunk: Chunk) -> None:
        """Take it back, newest row first where the order matters; conflicts go to their table."""
        try:
            with self._db.transaction():
                left = self._at_once(shape, chunk)
        except psycopg.IntegrityError:
            left = None  # a key is taken for a moment, as in a swap, or for good: one by one tells
        if left is None:
            left = [
                seq for (seq,) in self._db.execute(SEQS, {"migration_id": self._migration_id, "chunk": chunk.number})
            ]
        for seq in left:
            self._one(shape, seq)

    def conflict(self, shape: Shape, seq: int, reason: str, columns: tuple[str, ...] = ()) -> None:
        """Report a change that is not, or not simply, taken back."""
        _, old, new = self._change(seq)
        values = shape_values(shape.columns, new if new is not None else old)
        key = {column.name: values[column.name] for column in shape.key or shape.columns}
        named = shape.table or shape.journalled_name
        self._db.execute(CONFLICT, [self._migration_id, seq, named, reason, Jsonb(key), list(columns)])

    def _at_once(self, shape: Shape, chunk: Chunk) -> list[int] | None:
        """The seqs that are left over; None where rows can only be told apart one by one."""
        parameters = {"migration_id": self._migration_id, "chunk": chunk.number}
        if chunk.operation == "D":
            self._db.execute(statements.undo_deletes(shape), parameters)
            return []
        if not shape.key:
            return None
        if chunk.operation == "I":
            return [seq for (seq,) in self._db.execute(statements.undo_inserts(shape), parameters)]
        columns = self._changed(shape, parameters)
        if not columns:
            return []
        return [seq for (seq,) in self._db.execute(statements.undo_updates(shape, columns), parameters)]

    def _changed(self, shape: Shape, parameters: Mapping[str, object]) -> list[Column]:
        """The columns that any row of the chunk changed: writing the others too would touch every index."""
        if not shape.written:
            return []
        row = self._db.execute(statements.changed(shape), parameters).fetchone()
        assert row is not None
        return [column for column, changed in zip(shape.written, row, strict=True) if changed]

    def _one(self, shape: Shape, seq: int) -> None:
        operation, old, new = self._change(seq)
        place, current = self._current(shape, operation, old if operation == "D" else new)
        before, after = shape_values(shape.written, old), shape_values(shape.written, new)
        if current is None and not shape.key and operation != "D":
            self.conflict(shape, seq, "no row has all the values that it wrote: changed since, or gone")
            return
        answer = resolve(operation, before, after, current, self._on_conflict)
        try:
            with self._db.transaction():
                self._act(shape, answer, place)
        except psycopg.IntegrityError as error:
            constraint = error.diag.constraint_name or type(error).__name__
            self.conflict(shape, seq, f"{constraint} refuses its old values", tuple(answer.sets))
            return
        if answer.reason is not None:
            self.conflict(shape, seq, answer.reason, answer.columns)

    def _act(self, shape: Shape, answer: Answer, place: str | None) -> None:
        columns = [column for column in shape.written if column.name in answer.sets]
        values: dict[str, object] = {str(column.position): answer.sets[column.name] for column in columns}
        if answer.act == "delete":
            self._db.execute(statements.delete_row(shape), {"place": place})
        elif answer.act == "insert":
            self._db.execute(statements.insert_row(shape), values)
        elif answer.act == "set":
            self._db.execute(statements.set_row(shape, columns), values | {"place": place})

    def _current(self, shape: Shape, operation: Operation, values: list[str | None]) -> tuple[str | None, Row | None]:
        if operation == "D" and not shape.key:
            return None, None
        parameters = {str(position): value for position, value in enumerate(values, 1)}
        row = self._db.execute(statements.current_row(shape), parameters).fetchone()
        if row is None:
            return None, None
        return row[0], dict(zip([column.name for column in shape.written], row[1:], strict=True))

    def _change(self, seq: int) -> tuple[Operation, list[str | None], list[str | None]]:
        row = self._db.execute(CHANGE, [self._migration_id, seq]).fetchone()
        assert row is not None
        return cast(Operation, row[0]), row[1], row[2]


def shape_values(columns: tuple[Column, ...], values: list[str | None] | None) -> dict[str, str | None]:
    """The journalled values of these columns by name; empty where the change has no such side."""
    return {} if values is None else {column.name: values[column.position - 1] for column in columns}
