"""The data check of a clone: each of the migration's tables is read whole, and summed up to compare with."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

SUM = "SELECT count(*), coalesce(sum(hashtextextended(t::text, 0)), 0)::text FROM {} t"
"""Of rows as text, whatever their order: the same on any server that has the same rows."""


@dataclass(frozen=True, slots=True)
class CheckedTable:
    """``checksum`` is the sum of the rows' 64-bit hashes."""

    table: str
    rows: int
    checksum: str


def check_tables(db: "psycopg.Connection[Any]", tables: Sequence[str]) -> tuple[CheckedTable, ...]:
    """Raises psycopg.Error where a table cannot be read."""
    found = []
    for table in tables:
        row = db.execute(sql.SQL(SUM).format(sql.SQL(table))).fetchone()
        assert row is not None
        found.append(CheckedTable(table, row[0], row[1]))
    return tuple(found)
