"""Whoever rolls back is SIGKILLed, and the server stopped, at any moment under a live writer: nothing lost, nothing left."""

import contextlib
import random
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from holdfast_actuators.postgres import journal
from holdfast_actuators.postgres.arming import Arming
from holdfast_actuators.postgres.connecting import connect
from holdfast_actuators.postgres.disarming import disarm
from holdfast_consoles.embedded.postgres import EmbeddedPostgres
from holdfast_schemas.settings import MigrationSettings

pytestmark = [pytest.mark.postgres, pytest.mark.timeout(1800)]
ROOT = Path(__file__).parents[2]
ROWS = 6_000
TABLES = f"""
    CREATE TABLE public.orders (id int PRIMARY KEY, cents int, note text);
    CREATE TABLE public.lines (id int PRIMARY KEY, order_id int NOT NULL REFERENCES public.orders ON DELETE CASCADE);
    INSERT INTO public.orders SELECT i, 0, 'n' FROM generate_series(1, {ROWS}) i;
    INSERT INTO public.lines SELECT i, i FROM generate_series(1, {ROWS}) i;
"""
LINES = (1, 1, 1, 2, 2, 3, 4, 4, 5, 8, 12)
"""After so many lines of what it says, which mark its states, it is killed."""
DEATHS_A_ROUND = 3
LEFT = """
    SELECT (SELECT count(*) FROM pg_replication_slots WHERE database = current_database()),
        (SELECT count(*) FROM pg_publication), (SELECT count(*) FROM pg_replication_origin),
        (SELECT rolcanlogin FROM pg_roles WHERE rolname = 'migrator')
"""


class Writer:
    """The application: writes notes and rows of its own without a pause, and remembers what was committed."""

    def __init__(self, dsn: str) -> None:
        self.dsn, self.stop = dsn, threading.Event()
        self.notes: dict[int, str] = {}
        self.maybe: dict[int, str] = {}
        """Written by a commit whose answer the server's end swallowed."""
        self.thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        dice, count = random.Random(1), 0
        while not self.stop.is_set():
            with contextlib.suppress(psycopg.Error), psycopg.connect(self.dsn, autocommit=True) as db:
                while not self.stop.wait(0.002):
                    count += 1
                    row, note = dice.randint(1, ROWS // 2), f"a{count}"  # the other half is the migration's to delete
                    self.maybe[row] = note
                    db.execute("UPDATE public.orders SET note = %s WHERE id = %s", [note, row])
                    self.notes[row] = note
                    del self.maybe[row]
            self.stop.wait(0.05)

    def __enter__(self) -> "Writer":
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        self.thread.join()


@pytest.fixture(scope="module")
def server() -> Iterator[EmbeddedPostgres]:
    with EmbeddedPostgres() as started, psycopg.connect(started.dsn(), autocommit=True) as db:
        db.execute("CREATE ROLE migrator LOGIN")
        db.execute("GRANT pg_read_all_data, pg_write_all_data TO migrator")
        db.close()
        yield started


def migrate(dsn: str) -> None:
    """Twelve transactions over both tables: every kind of write, a key that changes, a cascade."""
    with psycopg.connect(make_conninfo(dsn, user="migrator"), autocommit=True) as db:
        db.execute("SELECT holdfast.join('m')")
        for part in range(4):
            db.execute("UPDATE public.orders SET cents = %s + id", [part])
        db.execute("DELETE FROM public.orders WHERE id > %s", [ROWS - 1_000])
        db.execute("INSERT INTO public.orders SELECT i, 1, 'ours' FROM generate_series(100001, 101000) i")
        db.execute("INSERT INTO public.lines SELECT i, i FROM generate_series(100001, 101000) i")
        db.execute("UPDATE public.lines SET id = id + 200000 WHERE id BETWEEN %s AND %s", [ROWS - 1_500, ROWS - 1_400])


@pytest.mark.parametrize(
    ("kills", "stops", "seed"),
    [pytest.param(5, 1, 1, id="a handful"), pytest.param(50, 10, 2, id="50 and 10", marks=pytest.mark.long)],
)
def test_nothing_is_lost_and_nothing_is_left(server: EmbeddedPostgres, kills: int, stops: int, seed: int) -> None:
    dice, killed_in, rounds, done = random.Random(seed), Counter[str](), 0, 0
    while done < kills + stops:
        rounds += 1
        done += one_round(server, f"round{seed}x{rounds}", dice, kills + stops - done, done >= kills, killed_in)
    print(f"{kills} SIGKILLs and {stops} server stops in {rounds} rollbacks: {dict(killed_in)}")


def one_round(
    server: EmbeddedPostgres, name: str, dice: random.Random, most: int, stopping: bool, killed_in: Counter[str]
) -> int:
    with psycopg.connect(server.dsn(), autocommit=True) as db:
        db.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    dsn = server.dsn(name)
    with psycopg.connect(dsn) as db:
        db.execute(TABLES)
    tables = ("public.orders", "public.lines")
    with connect("app", dsn) as db:
        Arming.of(name, "m", MigrationSettings(target="app", tables=tables, role="migrator")).arm(db)
    with Writer(dsn) as application:
        migrate(dsn)
        deaths = 0
        while (code := rolled_back(server, dsn, dice, deaths < min(most, DEATHS_A_ROUND), stopping, killed_in)) != 0:
            assert code != 3, "refused"
            deaths += 1
    check(dsn, application)
    with psycopg.connect(server.dsn(), autocommit=True) as db:
        db.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))
    return deaths


def rolled_back(
    server: EmbeddedPostgres, dsn: str, dice: random.Random, kill: bool, stopping: bool, killed_in: Counter[str]
) -> int:
    """One attempt; its exit code, 137 where it was killed or the server ended under it."""
    argv = [sys.executable, "-m", "tests.recovery.programs.roll_back", dsn]
    with subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            if kill:
                assert process.stdout is not None
                for _ in range(dice.choice(LINES)):
                    if not process.stdout.readline():
                        break
                time.sleep(dice.random() * 0.03)
            if not kill or process.poll() is not None:
                process.communicate(timeout=120)
                return process.returncode
            with connect("app", dsn) as db:
                found = journal.read(db, "m")
                killed_in[found.state if found else "?"] += 1
            if stopping:
                server.restart("immediate")
        finally:
            process.kill()
    return 137


def check(dsn: str, application: Writer) -> None:
    with connect("app", dsn) as db:
        assert {found.state for found in [journal.read(db, "m")] if found} == {"undone"}
        orders = {row[0]: row[1:] for row in db.execute("SELECT id, cents, note FROM public.orders")}
        lines = dict(db.execute("SELECT id, order_id FROM public.lines").fetchall())
        assert lines == {number: number for number in range(1, ROWS + 1)}
        assert set(orders) == set(range(1, ROWS + 1))
        assert {cents for cents, _ in orders.values()} == {0}, "rows that were not restored"
        lost = {
            row
            for row, (_, note) in orders.items()
            if note not in (application.notes.get(row, "n"), application.maybe.get(row))
        }
        assert not lost, "writes of the application that are gone"
        assert len(application.notes) > 100
        assert disarm(db, "m")
        assert db.execute(LEFT).fetchone() == (0, 0, 0, True)
