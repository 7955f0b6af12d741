"""Whoever arms, fences, rolls back or disarms is SIGKILLed, or the server stopped, in each state of a recovery's way."""

import random
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import IO

import psycopg
import pytest
from psycopg import sql

from holdfast_actuators.postgres.connecting import connect
from holdfast_actuators.postgres.laying_out import lay_out
from holdfast_consoles.embedded.postgres import EmbeddedPostgres
from holdfast_schemas.states import RECOVERY_TRANSITIONS
from tests.recovery.holding import holding, lead, state_of
from tests.recovery.test_kills import LEFT, ROOT, ROWS, TABLES, Writer, migrate
from tests.recovery.test_kills import server as server

pytestmark = [pytest.mark.postgres, pytest.mark.timeout(1800), pytest.mark.long]
NAMES = ("public.orders", "public.lines")
JOURNAL = "LOCK TABLE holdfast_recovery.recovery IN EXCLUSIVE MODE"  # it may be read
CHANGES = "LOCK TABLE holdfast_recovery.change IN ACCESS EXCLUSIVE MODE"
READING = "LOCK TABLE public.orders IN ACCESS SHARE MODE"
SHARING = "LOCK TABLE public.lines IN SHARE MODE"
ROLE = "ALTER ROLE migrator VALID UNTIL 'infinity'"
RANDOM_KILLS = 4
"""Of each program, besides those at the held locks."""
ROW = 7
"""The row that the application writes after the migration, in the migration's own column."""
NOTHING_ON_TABLES = """
    SELECT (SELECT count(*) FROM pg_trigger WHERE NOT tgisinternal),
        (SELECT count(*) FROM pg_class WHERE relreplident = 'f'), (SELECT count(*) FROM holdfast_recovery.change)
"""


@dataclass
class Way:
    """One database's way from new to disarmed, with a death in each state."""

    server: EmbeddedPostgres
    dsn: str
    environment: str
    stopping: bool
    dice: random.Random
    died_in: Counter[str] = field(default_factory=Counter)

    def start(self, program: str, output: int | IO[str] = subprocess.DEVNULL) -> "subprocess.Popen[str]":
        more = [self.environment, *NAMES] if program == "arm" else []
        argv = [sys.executable, "-m", f"tests.recovery.programs.{program}", self.dsn, *more]
        return subprocess.Popen(argv, cwd=ROOT, stdout=output, stderr=subprocess.STDOUT, text=True)

    def dies_at(self, program: str, *holds: tuple[str, str]) -> None:
        """It is led to the last of ``holds``, and dies, alive and waiting, in that state."""
        with holding(self.dsn, holds) as taken, self.start(program) as process:
            try:
                lead(self.dsn, holds, taken)
                time.sleep(self.dice.random() * 0.1)
                assert self.die(process), f"{program} was to be in {holds[-1][1]}"
            finally:
                process.kill()

    def die(self, process: "subprocess.Popen[str]") -> bool:
        """Whether it did: one that was done before its end, or its server's, is not counted."""
        state = state_of(self.dsn)
        if self.stopping:
            self.server.restart("immediate")
        else:
            process.kill()
        if died := process.wait(60) != 0:
            self.died_in[state] += 1
        return died

    def dies_anywhere(self, program: str) -> None:
        """It dies after any of the lines that it tells; not counted where it was done before."""
        with self.start(program, subprocess.PIPE) as process:
            try:
                assert process.stdout is not None
                for _ in range(self.dice.randint(1, 6)):
                    if not process.stdout.readline():
                        break
                time.sleep(self.dice.random() * 0.02)
                self.die(process)
            finally:
                process.kill()

    def done(self, program: str) -> None:
        with self.start(program, subprocess.PIPE) as process:
            said, _ = process.communicate(timeout=240)
        assert process.returncode == 0, said

    def arm(self, state: str) -> None:
        self.dies_at("arm", (JOURNAL, state))
        self.dies_at("arm", (READING, "preparing"))
        for _ in range(RANDOM_KILLS):
            self.dies_anywhere("arm")
        self.done("arm")

    def roll_back(self, done: str) -> None:
        self.dies_at("roll_back", (JOURNAL, "armed"))
        self.dies_at("roll_back", (ROLE, "fencing"))
        self.dies_at("roll_back", (CHANGES, "fenced"))
        self.dies_at("roll_back", (CHANGES, "fenced"), (JOURNAL, "captured"))
        for _ in range(RANDOM_KILLS):
            self.dies_anywhere("roll_back")
        self.dies_at("roll_back", (SHARING, "undoing"))
        self.dies_at("roll_back", (SHARING, "undoing"), (ROLE, done))
        self.done("roll_back")

    def disarm(self) -> None:
        self.dies_at("disarm", (READING, "disarming"))
        for _ in range(RANDOM_KILLS):
            self.dies_anywhere("disarm")
        self.done("disarm")


def test_nothing_is_lost_and_nothing_is_left(server: EmbeddedPostgres) -> None:
    kills, stops = Counter[str](), Counter[str]()
    for stopping, counts in ((False, kills), (True, stops)):
        for conflict in (False, True):
            counts.update(one_way(server, stopping, conflict))
    print(f"{kills.total()} SIGKILLs {dict(kills)}, {stops.total()} server stops {dict(stops)}")
    assert set(kills) == set(stops) == set(RECOVERY_TRANSITIONS)


def one_way(server: EmbeddedPostgres, stopping: bool, conflict: bool) -> Counter[str]:
    name = f"way{stopping:d}{conflict:d}"
    with psycopg.connect(server.dsn(), autocommit=True) as db:
        db.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    dsn = server.dsn(name)
    with psycopg.connect(dsn) as db:
        db.execute(TABLES)
    with connect("app", dsn) as db:
        lay_out(db)
    way = Way(server, dsn, name, stopping, random.Random(name))
    with Writer(dsn) as application:
        way.arm("new")
        migrate(dsn)
        if conflict:
            with psycopg.connect(dsn) as db:
                db.execute("UPDATE public.orders SET cents = -5 WHERE id = %s", [ROW])
        way.roll_back("undone_with_conflicts" if conflict else "undone")
        way.disarm()
        way.arm("disarmed")
        way.disarm()
    check(dsn, application, {ROW} if conflict else set())
    with psycopg.connect(server.dsn(), autocommit=True) as db:
        db.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))
    return way.died_in


def check(dsn: str, application: Writer, kept: set[int]) -> None:
    with connect("app", dsn) as db:
        orders = {row[0]: row[1:] for row in db.execute("SELECT id, cents, note FROM public.orders")}
        lines = dict(db.execute("SELECT id, order_id FROM public.lines").fetchall())
        assert lines == {number: number for number in range(1, ROWS + 1)}
        assert set(orders) == set(range(1, ROWS + 1))
        assert {row: cents for row, (cents, _) in orders.items() if cents} == dict.fromkeys(kept, -5)
        wrote = {row: (application.notes.get(row, "n"), application.maybe.get(row)) for row in orders}
        assert not [row for row, (_, note) in orders.items() if note not in wrote[row]], "writes that are gone"
        assert len(application.notes) > 100
        assert db.execute(LEFT).fetchone() == (0, 0, 0, True)
        assert db.execute(NOTHING_ON_TABLES).fetchone() == (0, 0, 0)
