"""The ledger's schema: numbered SQL files, each applied once, under an advisory lock, and never changed afterwards."""

import hashlib
import logging
from importlib.resources import files

import psycopg
from psycopg import sql

from holdfast_schemas.errors import (
    LedgerMigrationFailed,
    LedgerRightsMissing,
    LedgerSchemaChanged,
    LedgerTooNew,
    LedgerUnreachable,
)

from .refusals import in_one_line

log = logging.getLogger("holdfast.ledger")
LOCK = 0x484F4C44  # "HOLD": one migrator at a time
OTHERS_MIGRATE_SECONDS = 600
TABLE_LOCK_SECONDS = 5
"""A script that waits longer for a table would hold up everybody who comes after it: it is refused, and tried again."""
Script = tuple[int, str, bytes]


def scripts() -> list[Script]:
    """(number, name, content) of every SQL file, in order."""
    folder = files(__package__).joinpath("sql")
    found = sorted((entry.name, entry.read_bytes()) for entry in folder.iterdir() if entry.name.endswith(".sql"))
    return [(int(name.split("_")[0]), name, content) for name, content in found]


def pending(db: psycopg.Connection, schema: str) -> list[Script]:
    """The scripts that this ledger lacks, all of them where there is none; needs the right to read, nothing else.

    Raises LedgerTooNew, LedgerSchemaChanged, LedgerRightsMissing.
    """
    applied, ours = _applied(db, schema), scripts()
    known = {number for number, _, _ in ours}
    unknown = [name for number, (name, _) in sorted(applied.items()) if number not in known]
    if unknown:
        raise LedgerTooNew(schema, unknown[-1], ours[-1][1])
    for number, name, content in ours:
        if number in applied and applied[number][1] != checksum(content):
            raise LedgerSchemaChanged(name, schema)
    return [script for script in ours if script[0] not in applied]


def migrate(db: psycopg.Connection, schema: str) -> list[str]:
    """Bring the schema up to date: all that is pending, or nothing. Returns the names of the scripts applied.

    Where nothing is pending nothing is locked and no right is needed but to read. Raises what ``pending`` raises, and
    LedgerMigrationFailed or LedgerUnreachable.
    """
    if not pending(db, schema):
        return []
    step = "waiting for another that migrates it"
    applied: list[str] = []
    try:
        with db.transaction():
            _configure(db, schema, OTHERS_MIGRATE_SECONDS)
            db.execute("SELECT pg_advisory_xact_lock(%s, hashtext(%s))", (LOCK, schema))
            _configure(db, schema, TABLE_LOCK_SECONDS)
            step = "making the schema"
            _make(db, schema)
            for number, name, content in pending(db, schema):  # read again: another may have been faster
                step = name
                db.execute(content)
                db.execute("INSERT INTO schema_version VALUES (%s, %s, %s)", (number, name, checksum(content)))
                applied.append(name)
    except psycopg.errors.InsufficientPrivilege as error:
        raise LedgerRightsMissing(schema, db.info.user, in_one_line(error)) from None
    except psycopg.Error as error:
        if db.closed:
            raise LedgerUnreachable(in_one_line(error)) from None
        raise LedgerMigrationFailed(step, schema, in_one_line(error)) from None
    log.info("applied %s to schema %s", ", ".join(applied) or "nothing", schema)
    return applied


def checksum(content: bytes) -> str:
    """A script's checksum, as it stands in ``schema_version``."""
    return hashlib.sha256(content).hexdigest()


def _applied(db: psycopg.Connection, schema: str) -> dict[int, tuple[str, str]]:
    """Number: (name, checksum). The catalog says whether the table is there: it may be read by everyone."""
    there = db.execute(
        "SELECT 1 FROM pg_catalog.pg_tables WHERE schemaname = %s AND tablename = 'schema_version'", (schema,)
    )
    if there.fetchone() is None:
        return {}
    query = sql.SQL("SELECT number, name, checksum FROM {}").format(sql.Identifier(schema, "schema_version"))
    try:
        return {number: (name, digest) for number, name, digest in db.execute(query).fetchall()}
    except psycopg.errors.InsufficientPrivilege as error:
        raise LedgerRightsMissing(schema, db.info.user, in_one_line(error)) from None


def _configure(db: psycopg.Connection, schema: str, lock_seconds: int) -> None:
    """For this transaction: the scripts' unqualified names, as long as a script needs, and how long to wait for locks."""
    db.execute(
        "SELECT set_config('search_path', quote_ident(%s), true), set_config('statement_timeout', '0', true),"
        " set_config('lock_timeout', %s, true)",
        (schema, f"{lock_seconds}s"),
    )


def _make(db: psycopg.Connection, schema: str) -> None:
    """The schema, where it is not there: a DBA may have made it for a role that may make none."""
    if db.execute("SELECT 1 FROM pg_catalog.pg_namespace WHERE nspname = %s", (schema,)).fetchone() is None:
        db.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(schema)))
    db.execute("CREATE TABLE IF NOT EXISTS schema_version (number int PRIMARY KEY, name text, checksum text)")
