"""An armed migration whose capture is looked at: its sessions, the application's, and the journal."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from holdfast_actuators.postgres import journal
from holdfast_actuators.postgres.connecting import connect
from holdfast_actuators.postgres.disarming import disarm
from holdfast_actuators.postgres.fence import fence
from holdfast_actuators.postgres.undo.capture import Captured, capture
from tests.recovery.test_arming import arming_of

ROOT = Path(__file__).parents[2]
PROGRAM = """
import resource, sys
from holdfast_actuators.postgres.connecting import connect
from holdfast_actuators.postgres.undo.capture import capture
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
with connect("app", sys.argv[1]) as db:
    captured = capture(db, "app", sys.argv[1], "m", int(sys.argv[2]))
print(captured.rows, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
"""Captures the migration ``m`` of a DSN with a token; prints the rows, and by how many kB it grew."""
TABLES = """
    CREATE TABLE public.orders (id int PRIMARY KEY, note text, body text);
    ALTER TABLE public.orders ALTER body SET STORAGE EXTERNAL;
    CREATE TABLE public.events (id int, at timestamptz, raw bytea);
    INSERT INTO public.orders SELECT i, 'n', 'b' FROM generate_series(1, 5) i;
"""
NAMES = ("public.orders", "public.events")
CHANGES = """SELECT c.seq, c.chunk, r.table_name, c.operation, c.old, c.new
    FROM holdfast_recovery.change c JOIN holdfast_recovery.relation r USING (migration_id, version) ORDER BY c.seq"""
HAZARDS = "SELECT kind, table_name FROM holdfast_recovery.hazard ORDER BY number"


class Armed:
    """``migration`` joined, ``application`` is anybody else; both in autocommit."""

    def __init__(self, target: str, migrator: str, environment: str) -> None:
        self.target, self.migrator = target, migrator
        self.role = str(conninfo_to_dict(migrator)["user"])
        with psycopg.connect(target) as db:
            db.execute(TABLES)
            db.execute(f"GRANT TRUNCATE ON ALL TABLES IN SCHEMA public TO {self.role}")
        self.db = connect("app", target)
        self.recovery = arming_of(environment, migrator, *NAMES).arm(self.db)
        self.application = psycopg.connect(target, autocommit=True)
        self.migration = self.joined()

    def joined(self) -> psycopg.Connection[Any]:
        """One more session of the migration."""
        session = psycopg.connect(self.migrator, autocommit=True)
        session.execute("SELECT holdfast.join('m')")
        return session

    def fence(self) -> int:
        """Fence it; returns the token."""
        token = journal.take(self.db, "m")
        fence(self.db, "m", token)
        return token

    def capture(self) -> Captured:
        """Fence it, and capture."""
        return capture(self.db, "app", self.target, "m", self.fence())

    def changes(self) -> list[Any]:
        """(seq, chunk, table, operation, old, new) as the journal has them."""
        return self.db.execute(CHANGES).fetchall()

    def wrote(self) -> list[Any]:
        """(table, operation, old, new) of each change."""
        return [row[2:] for row in self.changes()]

    def hazards(self) -> list[Any]:
        """(kind, table) of each."""
        return self.db.execute(HAZARDS).fetchall()

    def close(self) -> None:
        """Disarm it, in whatever state it is."""
        with connect("app", self.target) as db:
            found = journal.read(db, "m")
            if found and found.state in ("fencing", "fenced", "captured"):
                journal.move(db, "m", "armed")
            disarm(db, "m")
        for session in (self.application, self.migration, self.db):
            session.close()


@pytest.fixture
def armed(target: str, migrator: str, environment: str) -> Iterator[Armed]:
    """An armed migration, disarmed after the test."""
    armed = Armed(target, migrator, environment)
    yield armed
    armed.close()


def filled(armed: Armed, rows: int) -> None:
    """Let the migration insert so many rows into events, larger than the sockets' buffers: whoever dies is missed."""
    armed.migration.execute(
        "INSERT INTO events SELECT i, now(), decode(repeat('00', 400), 'hex') FROM generate_series(1, %s) i", [rows]
    )


def has_copied(armed: Armed, rows: int) -> bool:
    """Whether a capture that is under way sent so many."""
    statement = "SELECT max(tuples_processed) FROM pg_stat_progress_copy WHERE datname = current_database()"
    row = armed.application.execute(statement).fetchone()
    return bool(row and row[0] and row[0] >= rows)
