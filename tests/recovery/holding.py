"""Locks held by a test, so that a program stops in the state that is to be looked at, and sessions that wait for them."""

import contextlib
import threading
from collections.abc import Iterator, Sequence

import psycopg

from holdfast_actuators.postgres import journal
from holdfast_actuators.postgres.connecting import connect
from tests.waiting import wait_for

HOLDING = "holding"
"""What the sessions that hold locks are called on the server."""
WAITING = """
    SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND wait_event_type = 'Lock' AND application_name LIKE 'holdfast%'
"""
HAS_ASKED = "SELECT wait_event_type = 'Lock' OR state = 'idle in transaction' FROM pg_stat_activity WHERE pid = %s"
SECONDS = 60


class Hold:
    """One statement's locks, held in a transaction that stays open; it may have to queue for them."""

    def __init__(self, dsn: str, statement: str) -> None:
        self.session = psycopg.connect(dsn, application_name=HOLDING)
        self.session.execute("SELECT")
        self.thread = threading.Thread(target=self._take, args=[statement])
        self.thread.start()
        with psycopg.connect(dsn, autocommit=True) as db:
            pid = self.session.info.backend_pid
            wait_for(lambda: bool((db.execute(HAS_ASKED, [pid]).fetchone() or (0,))[0]), SECONDS, statement)

    def _take(self, statement: str) -> None:
        with contextlib.suppress(psycopg.Error):  # the server may be stopped meanwhile: nothing is held then
            self.session.execute(statement)

    def release(self) -> None:
        """Roll it back, and end its session."""
        with contextlib.suppress(psycopg.Error):
            self.session.cancel_safe()
        self.thread.join(SECONDS)
        self.session.close()


def state_of(dsn: str) -> str:
    """Of migration ``m``; ``new`` where it was never armed."""
    with connect("app", dsn) as db:
        found = journal.read(db, "m")
    return found.state if found else "new"


def stands_in(dsn: str, state: str) -> bool:
    """Whether the recovery is in this state and a session of ours waits for a lock."""
    with psycopg.connect(dsn, autocommit=True) as db:
        row = db.execute(WAITING).fetchone()
    return bool(row and row[0]) and state_of(dsn) == state


@contextlib.contextmanager
def holding(dsn: str, holds: Sequence[tuple[str, str]]) -> Iterator[list[Hold]]:
    """The first of ``holds`` (a statement, the state in which a program then waits) is taken at once."""
    taken = [Hold(dsn, holds[0][0])]
    try:
        yield taken
    finally:
        for hold in taken:
            hold.release()


def lead(dsn: str, holds: Sequence[tuple[str, str]], taken: list[Hold]) -> None:
    """Let a program that was started go on from hold to hold: each is taken, or queued for, before the one ahead is released."""
    for number, (statement, state) in enumerate(holds):
        if number:
            taken.append(Hold(dsn, statement))
            taken[number - 1].release()
        wait_for(lambda state=state: stands_in(dsn, state), SECONDS, f"state {state}")  # type: ignore[misc]
