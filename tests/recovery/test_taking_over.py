"""One that froze in the middle of a capture is taken over from; one that works is waited for."""

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from holdfast_actuators.postgres import journal
from holdfast_actuators.postgres.connecting import connect
from holdfast_actuators.postgres.undo import capture as module
from holdfast_actuators.postgres.undo.rolling_back import LogRollback
from holdfast_actuators.postgres.undo.stream import peek
from holdfast_actuators.postgres.undo.taking_over import take_over
from tests.recovery.captures import PROGRAM, ROOT, Armed, filled, has_copied
from tests.recovery.captures import armed as armed
from tests.waiting import wait_for

pytestmark = [pytest.mark.postgres, pytest.mark.long]
IMPATIENT = "from holdfast_actuators.postgres.undo import stream\nstream.SESSION['wal_sender_timeout'] = '2s'\n"


def test_one_that_froze_is_ended_and_its_migration_rolled_back(armed: Armed) -> None:
    armed.application.execute("ALTER TABLE events ADD PRIMARY KEY (id)")
    armed.migration.execute("UPDATE orders SET note = 'ours'")
    filled(armed, 50_000)
    command = [sys.executable, "-c", IMPATIENT + PROGRAM, armed.target, str(armed.fence())]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        wait_for(partial(has_copied, armed, 10_000), 60, "10,000 rows", 0.001)
        process.send_signal(signal.SIGSTOP)
        done = LogRollback("app", armed.target, "m").run()
        process.send_signal(signal.SIGCONT)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "OperationalError" in said or "TargetUnreachable" in said or "AdminShutdown" in said
    assert (done.rows, done.conflicts) == (50_005, 0)
    rows = "SELECT (SELECT count(*) FROM public.events), (SELECT count(*) FROM public.orders WHERE note = 'n')"
    assert armed.db.execute(rows).fetchone() == (0, 5)


def test_one_that_works_is_waited_for(armed: Armed, monkeypatch: pytest.MonkeyPatch) -> None:
    armed.migration.execute("UPDATE orders SET note = 'ours'")

    def slow(*arguments: Any) -> Iterator[bytes]:
        for message in peek(*arguments):
            time.sleep(1)
            yield message

    monkeypatch.setattr(module, "peek", slow)
    token = armed.fence()
    captured: list[int] = []

    def work() -> None:
        captured.append(module.capture(armed.db, "app", armed.target, "m", token).rows)

    thread = threading.Thread(target=work)
    thread.start()
    with connect("app", armed.target) as db:
        wait_for(lambda: db.execute("SELECT count(*) FROM pg_stat_progress_copy").fetchone() == (1,), 30, "the capture")
        assert take_over(db, journal.expect(db, "m", "fenced")) == token + 1
    thread.join(30)
    assert captured == [5]
