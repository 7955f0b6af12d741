"""A capture in whose middle something breaks: all of it or nothing, and the same when it is repeated."""

import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from typing import Any

import psycopg
import pytest
from psycopg import sql

from holdfast_actuators.postgres import journal
from holdfast_actuators.postgres.connecting import connect
from holdfast_actuators.postgres.undo import capture as module
from holdfast_actuators.postgres.undo.capture import capture
from holdfast_actuators.postgres.undo.stream import peek
from holdfast_schemas.errors import TargetUnreachable
from tests.recovery.captures import PROGRAM, ROOT, Armed, filled, has_copied
from tests.recovery.captures import armed as armed
from tests.waiting import wait_for

pytestmark = pytest.mark.postgres


def test_a_statement_timeout_of_the_database_does_not_end_it(armed: Armed, monkeypatch: pytest.MonkeyPatch) -> None:
    armed.migration.execute("INSERT INTO events VALUES (1)")

    def slow(*arguments: Any) -> Iterator[bytes]:
        yield from peek(*arguments)
        armed.application.execute("SELECT pg_sleep(0.8)")

    monkeypatch.setattr(module, "peek", slow)
    token = armed.fence()
    armed.db.execute("SET statement_timeout = '500ms'")
    assert capture(armed.db, "app", armed.target, "m", token).rows == 1


@pytest.mark.parametrize("who", ["the session that writes", "the walsender"])
def test_a_connection_that_breaks_in_between_leaves_everything_as_before(
    armed: Armed, monkeypatch: pytest.MonkeyPatch, who: str
) -> None:
    filled(armed, 20_000)
    walsender = "SELECT active_pid FROM pg_replication_slots WHERE slot_name = %s"

    def broken(*arguments: Any) -> Iterator[bytes]:
        for number, message in enumerate(peek(*arguments)):
            if number == 5_000:
                row = armed.application.execute(walsender, [armed.recovery.slot]).fetchone()
                pid = armed.db.info.backend_pid if who == "the session that writes" else row and row[0]
                armed.application.execute("SELECT pg_terminate_backend(%s, 10000)", [pid])
            yield message

    monkeypatch.setattr(module, "peek", broken)
    token = armed.fence()
    with pytest.raises((psycopg.OperationalError, TargetUnreachable)):
        capture(armed.db, "app", armed.target, "m", token)
    monkeypatch.undo()
    armed.db.close()
    armed.db = connect("app", armed.target)
    assert armed.changes() == []
    assert journal.expect(armed.db, "m", "fenced")
    assert capture(armed.db, "app", armed.target, "m", token).rows == 20_000
    assert [new[0] for *_, new in armed.wrote()] == [str(i) for i in range(1, 20_001)]


@pytest.mark.long
def test_killed_in_between_a_repetition_captures_the_same(armed: Armed) -> None:
    filled(armed, 50_000)
    token = armed.fence()
    command = [sys.executable, "-c", PROGRAM, armed.target, str(token)]
    killed = 0
    for rows in (1, 10_000, 25_000):
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            wait_for(partial(has_copied, armed, rows), 60, f"{rows} rows", 0.001)
            process.kill()
        killed += process.returncode == -9
        assert journal.expect(armed.db, "m", "fenced")
    assert killed == 3
    assert capture(armed.db, "app", armed.target, "m", token).rows == 50_000
    assert [new[0] for *_, new in armed.wrote()] == [str(i) for i in range(1, 50_001)]


@pytest.mark.long
def test_memory_does_not_grow_with_the_rows(armed: Armed) -> None:
    grown: dict[int, int] = {}
    armed.application.execute("ALTER TABLE events ADD PRIMARY KEY (id)")  # so that keys are remembered
    for start, rows in ((0, 60_000), (60_000, 240_000)):
        if start:
            journal.move(armed.db, "m", "armed")
            armed.application.execute(sql.SQL("ALTER ROLE {} LOGIN").format(sql.Identifier(armed.role)))
            armed.migration = armed.joined()
        armed.migration.execute(
            "INSERT INTO events SELECT i, now(), decode(repeat('00', 300), 'hex') FROM generate_series(%s, %s) i",
            [start + 1, start + rows],
        )
        token = armed.fence()
        command = [sys.executable, "-c", PROGRAM, armed.target, str(token)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=300)
        captured, kilobytes = map(int, done.stdout.split())
        grown[captured] = kilobytes
    assert list(grown) == [60_000, 300_000]
    assert grown[300_000] - grown[60_000] < 20_000, grown  # of 180 MB of rows
