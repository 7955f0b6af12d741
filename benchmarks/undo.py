"""How fast a migration is taken back from the log: ``python -m benchmarks.undo [--rows 200000] [--rounds 3]``.

On a PostgreSQL of its own, with fsync. Ours is a whole rollback (fence, capture, plan, undo) of one armed migration; the peer is
that migration itself, on its way there: one statement over all rows, or a row a transaction (a fiftieth of the rows). A second
table is an application that writes one row a transaction, on an armed table against one that is not.
"""

import argparse
import sys
import time
from collections.abc import Callable
from functools import partial
from itertools import count
from pathlib import Path

import psycopg

from holdfast_actuators.postgres.arming import Arming
from holdfast_actuators.postgres.connecting import connect
from holdfast_actuators.postgres.disarming import disarm
from holdfast_actuators.postgres.undo.rolling_back import LogRollback
from holdfast_consoles.embedded.postgres import EmbeddedPostgres
from holdfast_schemas.settings import MigrationSettings

from .rounds import Comparison, Measured, alternate, table, write

ROLE, MIGRATION = "migrator", "m"
TABLE = """
    CREATE TABLE public.accounts (id bigint PRIMARY KEY, cents bigint, owner text, opened timestamptz);
    INSERT INTO public.accounts SELECT i, i, 'owner ' || i, '2026-11-23' FROM generate_series(1, {rows}) i;
    GRANT ALL ON public.accounts TO migrator;
"""
ROWS_BY_ONE = 50
"""So much fewer rows where each is a transaction of its own."""
WRITE_SECONDS = 5.0
Forward = Callable[[psycopg.Connection, int], None]
DATABASES = count(1)


def at_once(migration: psycopg.Connection, rows: int) -> None:
    """One statement over all rows."""
    migration.execute("UPDATE public.accounts SET cents = -cents WHERE id <= %s", [rows])


def one_by_one(migration: psycopg.Connection, rows: int) -> None:
    """A row a transaction."""
    for number in range(1, rows + 1):
        migration.execute("UPDATE public.accounts SET cents = -cents WHERE id = %s", [number])


def armed_database(server: EmbeddedPostgres, rows: int, *, arm: bool = True, sessions: int = 1) -> str:
    """A new database with the table."""
    name = f"round{next(DATABASES)}"
    with psycopg.connect(server.dsn(), autocommit=True) as db:
        db.execute(f"CREATE DATABASE {name}")
    dsn = server.dsn(name)
    with connect("app", dsn) as db:
        db.execute(TABLE.format(rows=rows))
        db.execute("VACUUM ANALYZE public.accounts")
        if arm:
            settings = MigrationSettings(target="app", tables=("public.accounts",), role=ROLE, sessions=sessions)
            Arming.of(name, MIGRATION, settings).arm(db)
        db.execute("CHECKPOINT")
    return dsn


def tell_phases(said: str) -> None:
    """What the two long ones took; the undo's is in its result."""
    if said.startswith("captured"):
        print(said)


def there_and_back(server: EmbeddedPostgres, forward: Forward, rows: int) -> tuple[float, float]:
    """Seconds of the migration, and of its whole rollback."""
    dsn = armed_database(server, rows)
    with psycopg.connect(dsn, user=ROLE, autocommit=True) as migration:
        migration.execute("SELECT holdfast.join(%s)", [MIGRATION])
        began = time.monotonic()
        forward(migration, rows)
        there = time.monotonic() - began
    with connect("app", dsn) as db:
        db.execute("CHECKPOINT")
        began = time.monotonic()
        done = LogRollback("app", dsn, MIGRATION).run(told=tell_phases)
        back = time.monotonic() - began
        assert (done.rows, done.conflicts) == (rows, 0)
        print(f"undone in {done.seconds:.2f} s")
        disarm(db, MIGRATION)
    return there, back


def writes_per_second(server: EmbeddedPostgres, *, arm: bool) -> Measured:
    """An application's updates, a row a transaction, for some seconds."""
    rows, done = 20_000, 0
    dsn = armed_database(server, rows, arm=arm)
    with psycopg.connect(dsn, autocommit=True) as application:
        deadline = time.monotonic() + WRITE_SECONDS
        while time.monotonic() < deadline:
            done += 1
            application.execute("UPDATE public.accounts SET cents = %s WHERE id = %s", [done, done % rows + 1])
    if arm:
        with connect("app", dsn) as db:
            disarm(db, MIGRATION)
    return {"writes_per_second": done / WRITE_SECONDS}


def main(rows: int, rounds: int, json: Path | None) -> int:
    """Print the table; the exit code."""
    with EmbeddedPostgres() as server:
        with psycopg.connect(server.dsn(), autocommit=True) as db:
            db.execute(f"CREATE ROLE {ROLE} LOGIN")
        found = []
        for name, aim, forward, number in (
            (f"rollback of {rows:,} rows, one statement", "≥ 0.25", at_once, rows),
            (f"rollback of {rows // ROWS_BY_ONE:,} rows, a transaction each", "≥ 1", one_by_one, rows // ROWS_BY_ONE),
        ):
            line = Comparison(name, "rows/s", aim)
            for _ in range(rounds):
                there, back = there_and_back(server, forward, number)
                line.peer.append(number / there)
                line.ours.append(number / back)
                print(f"{name}: there {there:.2f} s, back {back:.2f} s")
            found.append(line)
        plain, armed = alternate(
            rounds, partial(writes_per_second, server, arm=False), partial(writes_per_second, server, arm=True)
        )
        found.append(
            Comparison(
                "an application's writes while armed", "a second", "≥ 0.9",
                ours=[one["writes_per_second"] for one in armed], peer=[one["writes_per_second"] for one in plain],
            )
        )  # fmt: skip
        print(table(found))
        write(json, found)
    return 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    sys.exit(main(arguments.rows, arguments.rounds, arguments.json))
