"""The ledger's schema: numbered SQL files, each applied once, under an advisory lock, and never changed afterwards."""

import hashlib
from importlib.resources import files

import psycopg
from psycopg import sql

from holdfast_schemas.errors import LedgerSchemaChanged

LOCK = 0x484F4C44  # "HOLD": one migrator at a time


def scripts() -> list[tuple[int, str, bytes]]:
    """(number, name, content) of every SQL file, in order."""
    folder = files(__package__).joinpath("sql")
    found = sorted((entry.name, entry.read_bytes()) for entry in folder.iterdir() if entry.name.endswith(".sql"))
    return [(int(name.split("_")[0]), name, content) for name, content in found]


def migrate(db: psycopg.Connection, schema: str) -> None:
    """Bring the schema up to date. Raises LedgerSchemaChanged when a file is not what was applied under its number."""
    with db.transaction():
        db.execute("SELECT pg_advisory_xact_lock(%s, hashtext(%s))", (LOCK, schema))
        db.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(sql.Identifier(schema)))
        db.execute(
            sql.SQL("CREATE TABLE IF NOT EXISTS {} (number int PRIMARY KEY, name text, checksum text)").format(
                sql.Identifier(schema, "schema_version")
            )
        )
        applied = sql.SQL("SELECT number, checksum FROM {}").format(sql.Identifier(schema, "schema_version"))
        known: dict[int, str] = dict(db.execute(applied).fetchall())
        for number, name, content in scripts():
            checksum = hashlib.sha256(content).hexdigest()
            if number in known:
                if known[number] != checksum:
                    raise LedgerSchemaChanged(name, schema)
                continue
            db.execute(content)
            insert = sql.SQL("INSERT INTO {} VALUES (%s, %s, %s)").format(sql.Identifier(schema, "schema_version"))
            db.execute(insert, (number, name, checksum))
