"""The ledger as an auditor reads it: one read-only transaction, nothing locked, nothing changed."""

from dataclasses import dataclass

import psycopg
from psycopg import sql

from holdfast_schemas.errors import LedgerUnreachable
from holdfast_schemas.states import Outcome

from .refusals import in_one_line


@dataclass(frozen=True)
class LedgerOutcome:
    """One cause's row."""

    cause_id: str
    migration_id: str | None
    kind: str
    outcome: Outcome
    epoch: int | None
    revision: int


def outcomes(dsn: str, schema_name: str) -> tuple[list[LedgerOutcome], int]:
    """Every cause's outcome, and how many records the ledger still owes to Kafka. Raises LedgerUnreachable."""
    try:
        with psycopg.connect(dsn, connect_timeout=3, application_name="holdfast-audit") as db:
            db.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            schema = sql.Identifier(schema_name)
            rows = db.execute(
                sql.SQL(
                    "SELECT cause_id, migration_id, kind, state, epoch, revision FROM {}.action ORDER BY recorded_at"
                ).format(schema)
            ).fetchall()
            owed = db.execute(sql.SQL("SELECT count(*) FROM {}.outbox").format(schema)).fetchone()
    except psycopg.Error as error:
        raise LedgerUnreachable(in_one_line(error)) from None
    return [LedgerOutcome(*row) for row in rows], int(owed[0]) if owed else 0
