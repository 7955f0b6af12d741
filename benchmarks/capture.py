"""How fast a migration's rows come from the log into the journal: ``python -m benchmarks.capture [--rows 200000] [--rounds 3]``.

On a PostgreSQL of its own, with fsync. Ours is the capture of one migration that updated each row of a table once. The peer
copies the same journal rows, as they are, out of one table and into another (COPY in binary, through the same process): what
the way through Python's libpq costs without reading a log, without knowing whose a row is, without chunks.
"""

import argparse
import sys
import time
from functools import partial
from pathlib import Path

import psycopg
from psycopg import sql

from holdfast_actuators.postgres import journal
from holdfast_actuators.postgres.arming import Arming
from holdfast_actuators.postgres.connecting import Connection, connect
from holdfast_actuators.postgres.disarming import disarm
from holdfast_actuators.postgres.fence import fence
from holdfast_actuators.postgres.laying_out import lay_out
from holdfast_actuators.postgres.undo.capture import capture
from holdfast_consoles.embedded.postgres import EmbeddedPostgres
from holdfast_schemas.settings import MigrationSettings

from .rounds import Comparison, Measured, alternate, table, write

AIM = "≥ 0.1"
ROLE, MIGRATION = "migrator", "m"
SETUP = """
    CREATE ROLE migrator LOGIN;
    CREATE TABLE public.accounts (id bigint PRIMARY KEY, cents bigint, owner text, opened timestamptz);
    INSERT INTO public.accounts SELECT i, i, 'owner ' || i, '2026-11-23' FROM generate_series(1, {rows}) i;
    GRANT ALL ON public.accounts TO migrator;
    CREATE TABLE public.copied (LIKE holdfast_recovery.change INCLUDING ALL);
"""


def prepare(dsn: str, rows: int) -> int:
    """A fenced migration that updated ``rows`` rows, in transactions of 1,000; returns its fencing token."""
    with connect("app", dsn) as db:
        lay_out(db)
        db.execute(sql.SQL(SETUP).format(rows=rows))
        settings = MigrationSettings(target="app", tables=("public.accounts",), role=ROLE)
        Arming.of("benchmark", MIGRATION, settings).arm(db)
        with psycopg.connect(dsn, user=ROLE, autocommit=True) as migration:
            migration.execute("SELECT holdfast.join(%s)", [MIGRATION])
            for first in range(1, rows + 1, 1000):
                statement = "UPDATE accounts SET cents = -cents WHERE id BETWEEN %s AND %s"
                migration.execute(statement, [first, first + 999])
        token = journal.take(db, MIGRATION)
        fence(db, MIGRATION, token)
    return token


def ours(dsn: str, token: int, rows: int) -> Measured:
    """Rows a second of one capture; the migration is fenced before and after."""
    with connect("app", dsn) as db:
        again(db)
        captured = capture(db, "app", dsn, MIGRATION, token)
        assert captured.rows == rows
    return {"rows_per_second": rows / captured.seconds}


def again(db: Connection) -> None:
    """Fenced as before; what the last round wrote is gone, and its pages are on disk."""
    if journal.expect(db, MIGRATION, "fenced", "captured").state == "captured":
        fence_lsn = journal.expect(db, MIGRATION, "captured").fence_lsn
        for state in ("armed", "fencing", "fenced"):
            journal.move(db, MIGRATION, state, fence_lsn=fence_lsn)
    db.execute("TRUNCATE holdfast_recovery.change")
    db.execute("CHECKPOINT")


def peer(dsn: str, rows: int) -> Measured:
    """Rows a second of the same rows, copied."""
    with connect("app", dsn) as source, connect("app", dsn) as sink:
        sink.execute("TRUNCATE public.copied")
        sink.execute("CHECKPOINT")
        began = time.monotonic()
        with source.cursor() as reading, sink.cursor() as writing, sink.transaction():
            out = reading.copy("COPY holdfast_recovery.change TO STDOUT (FORMAT binary)")
            into = writing.copy("COPY public.copied FROM STDIN (FORMAT binary)")
            with out as blocks, into as copy:
                for block in blocks:
                    copy.write(block)
        seconds = time.monotonic() - began
        found = sink.execute("SELECT count(*) FROM public.copied").fetchone()
        assert found == (rows,)
    return {"rows_per_second": rows / seconds}


def main(rows: int, rounds: int, json: Path | None) -> int:
    """Print the table; the exit code."""
    with EmbeddedPostgres() as server:
        dsn = server.dsn()
        token = prepare(dsn, rows)
        ours(dsn, token, rows)  # the peer needs rows to copy, and both a warm server
        theirs, mine = alternate(rounds, partial(peer, dsn, rows), partial(ours, dsn, token, rows))
        found = [
            Comparison(
                f"capture of {rows:,} updated rows",
                "rows/s",
                AIM,
                ours=[one["rows_per_second"] for one in mine],
                peer=[one["rows_per_second"] for one in theirs],
            )
        ]
        print(table(found))
        if json:
            write(json, found)
        with connect("app", dsn) as db:
            journal.move(db, MIGRATION, "armed")
            disarm(db, MIGRATION)
    return 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    sys.exit(main(arguments.rows, arguments.rounds, arguments.json))
