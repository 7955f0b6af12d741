"""A dry run's figures: a sample of the migration's rows is taken back on tables like theirs, and all of it rolled back.

What it costs here, on this server, a row, is what an undo is estimated by; what it would meet is read from the live rows.
"""

import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import cast

import psycopg
from psycopg import sql

from holdfast_schemas.identity import MigrationId

from .. import journal
from ..connecting import Connection
from . import statements
from .capture import ANALYZE, copy_changes, insert_rows
from .chunk import Chunk, ChunkUndo, shape_values
from .copying import binary_copy
from .planning import schema_changes
from .resolving import Operation, Row, resolve
from .row_messages import NULL
from .sample import Sample
from .shapes import Shape, read_shapes
from .sorting import Change, Sorting

COMMITS = 3
STATEMENTS_OF_A_CONFLICT = 8
"""It is taken back, or reported, by itself: its change is read twice, its row once, a savepoint set and released, the report."""
LIKE = sql.SQL("CREATE TABLE {} (LIKE {} INCLUDING ALL)")
Kind = tuple[int, Operation]
"""A version of a table, and what was done."""


@dataclass(frozen=True, slots=True)
class Rehearsed:
    """``refusals``: what of the schema changed since, by name. ``conflicts`` that a rollback would keep; None where unknown.

    ``encode_seconds`` are ours for the journal beyond reading the log, ``copy_seconds`` the server's meanwhile; None, as
    ``undo_seconds``, where there was nothing to try.
    """

    refusals: tuple[str, ...]
    conflicts: int | None = None
    encode_seconds: float | None = None
    copy_seconds: float | None = None
    undo_seconds: float | None = None


def rehearse(
    db: Connection, migration_id: MigrationId, sorting: Sorting, sample: Sample, counts: Mapping[Kind, int]
) -> Rehearsed:
    """``counts``: the migration's changes by kind. In a transaction that is rolled back; no row of the tables is locked."""
    with db.transaction(force_rollback=True):
        db.execute("SET LOCAL lock_timeout = '1s'")
        journal.lock(db, migration_id, "armed")
        journal.forget(db, migration_id, "change", "relation")
        insert_rows(db, "relation", ([migration_id, *row] for row in sorting.relation_rows()))
        shapes = read_shapes(db, migration_id)
        if refusals := schema_changes(shapes):
            return Rehearsed(tuple(refusals))
        began = time.monotonic()
        conflicts = sum(_conflicts(db, shapes, changes) for changes in sample.rows.values()) * sample.one_in
        statement_seconds = (time.monotonic() - began) / max(len(sample.rows), 1)
        kinds = _by_kind(sample)
        copied = sum(len(changes) for changes in kinds.values())
        began = time.monotonic()
        for _ in binary_copy(migration_id, _in_chunks(kinds)):
            pass
        encode_seconds = (time.monotonic() - began) / max(copied, 1)
        began = time.monotonic()
        copy_changes(db, migration_id, _in_chunks(kinds))
        copy_seconds = (time.monotonic() - began) / max(copied, 1)
        db.execute(ANALYZE)
        costs = {
            kind: seconds / len(changes)
            for number, (kind, changes) in enumerate(kinds.items(), 1)
            if (seconds := _tried(db, migration_id, shapes[kind[0]], Chunk(-number, *kind, len(changes), 0, 0)))
            is not None
        }
    rows = sum(counts.values())
    undo_seconds = _extrapolated(costs, counts)
    if undo_seconds is None:
        return Rehearsed(())
    undo_seconds += conflicts * statement_seconds * STATEMENTS_OF_A_CONFLICT
    return Rehearsed((), conflicts, encode_seconds * rows, copy_seconds * rows, undo_seconds)


def commit_seconds(db: Connection) -> float:
    """What a commit takes that waits for the disk, as each step of an undo does: the median of a few."""
    taken = []
    for _ in range(COMMITS):
        began = time.monotonic()
        db.execute("SELECT pg_logical_emit_message(true, 'holdfast', '')")
        taken.append(time.monotonic() - began)
    return sorted(taken)[COMMITS // 2]


def _by_kind(sample: Sample) -> dict[Kind, list[Change]]:
    """The last change of each kind to each row: no row stands twice in what is tried at once."""
    found: dict[Kind, dict[object, Change]] = {}
    for row, changes in sample.rows.items():
        for change in changes:
            found.setdefault((change[2], cast(Operation, change[4])), {})[row] = change
    return {kind: list(rows.values()) for kind, rows in found.items()}


def _in_chunks(kinds: Mapping[Kind, Sequence[Change]]) -> Iterator[Change]:
    """Numbered below zero: what an earlier capture left of the same numbers, deleted and not yet vacuumed, is not read over."""
    for number, changes in enumerate(kinds.values(), 1):
        for seq, _, version, xid, operation, old, new in changes:
            yield -seq, -number, version, xid, operation, old, new


def _tried(db: Connection, migration_id: MigrationId, shape: Shape, chunk: Chunk) -> float | None:
    """Seconds that the chunk takes on a table like its own; None where it cannot be tried there."""
    name = journal.table(f"rehearsal_{db.info.backend_pid}_{-chunk.number}")
    like = replace(shape, table=name.as_string(db))
    parameters = {"migration_id": migration_id, "chunk": chunk.number}
    try:
        with db.transaction():
            db.execute(LIKE.format(name, shape.name))
            db.execute(sql.SQL("ALTER TABLE {} REPLICA IDENTITY FULL").format(name))
            if chunk.operation != "D":
                db.execute(statements.redo(like), parameters)
            db.execute(sql.SQL("ANALYZE {}").format(name))
            began = time.monotonic()
            ChunkUndo(db, migration_id, "keep").undo(like, chunk)
            return time.monotonic() - began
    except psycopg.Error:
        return None  # a constraint may want what is not there, or a type; others tell the cost


def _extrapolated(costs: Mapping[Kind, float], counts: Mapping[Kind, int]) -> float | None:
    """Kinds that could not be tried cost what the others do on average."""
    if not costs:
        return None if counts else 0.0
    mean = sum(costs.values()) / len(costs)
    return sum(costs.get(kind, mean) * rows for kind, rows in counts.items())


def _conflicts(db: Connection, shapes: Mapping[int, Shape], changes: Sequence[Change]) -> int:
    """How many changes of one row would be conflicts: its undo played on the row as it is, newest change first."""
    shape = shapes[changes[-1][2]]
    current = _current(db, shape, changes[-1])
    conflicts = 0
    for change in reversed(changes):
        written = shapes[change[2]].written
        old, new = (shape_values(written, _texts(db, values)) for values in change[5:7])
        answer = resolve(cast(Operation, change[4]), old, new, current, "keep")
        conflicts += answer.reason is not None
        if answer.act == "delete":
            current = None
        elif answer.act != "nothing":
            current = {**(current or {}), **answer.sets}
    return conflicts


def _current(db: Connection, shape: Shape, change: Change) -> Row | None:
    values = _texts(db, change[6] if change[6] is not None else change[5])
    parameters = {str(position): value for position, value in enumerate(values or (), 1)}
    row = db.execute(statements.current_row(shape, locked=False), parameters).fetchone()
    return None if row is None else dict(zip([column.name for column in shape.written], row[1:], strict=True))


def _texts(db: Connection, values: list[bytes] | None) -> list[str | None] | None:
    """Elements of a binary text[], as texts."""
    if values is None:
        return None
    return [None if value == NULL else value[4:].decode(db.info.encoding) for value in values]


def counted(changes: Counter[Kind], sorting: Sorting) -> dict[str, dict[str, int]]:
    """Rows by table and operation."""
    found: dict[str, dict[str, int]] = {}
    for (version, operation), rows in changes.items():
        by_operation = found.setdefault(sorting.table_named(version), {})
        by_operation[operation] = by_operation.get(operation, 0) + rows
    return found
