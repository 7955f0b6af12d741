"""The fence on a real server, against runners that try again, that hold transactions open, and that prepared some."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from holdfast_actuators.postgres import journal
from holdfast_actuators.postgres.arming import Arming
from holdfast_actuators.postgres.connecting import Connection, connect
from holdfast_actuators.postgres.disarming import disarm
from holdfast_actuators.postgres.fence import bystanders, fence, lift
from holdfast_schemas.errors import FenceRefused, RecoveryTaken
from tests.recovery.test_arming import arming as arming
from tests.waiting import wait_for

pytestmark = pytest.mark.postgres
WRITE = "UPDATE public.orders SET note = 'batch' WHERE id = 1"


@pytest.fixture
def armed(target: str, arming: Arming) -> Iterator[Connection]:
    with connect("app", target) as db:
        arming.arm(db)
        yield db
        found = journal.expect(db, "m", "armed", "fencing", "fenced", "captured")
        lift(db, "m", found.token)
        disarm(db, "m")


@contextmanager
def runner_that_tries_again(migrator: str) -> Iterator[list[float]]:
    """Writes without a pause, connects again whenever it is cut off; yields the times of its commits."""
    commits: list[float] = []
    stop = threading.Event()

    def run() -> None:
        while not stop.is_set():
            try:
                with psycopg.connect(migrator, autocommit=True) as db:
                    while not stop.is_set():
                        db.execute(WRITE)
                        commits.append(time.monotonic())
            except psycopg.Error:
                stop.wait(0.001)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield commits
    finally:
        stop.set()
        thread.join()


def test_a_runner_that_tries_again_writes_nothing_more(armed: Connection, migrator: str) -> None:
    with runner_that_tries_again(migrator) as commits:
        wait_for(lambda: len(commits) > 20, 20, "batches")
        fenced = fence(armed, "m", journal.take(armed, "m"))
        written = len(commits)
        assert fenced.sessions >= 1
        time.sleep(0.3)  # the time in which it would have written hundreds
        assert len(commits) == written
        lift(armed, "m", 1)
        wait_for(lambda: len(commits) > written, 20, "a batch after the fence was lifted")


def test_an_open_transaction_ends_and_what_committed_asynchronously_is_below_the_fence(
    armed: Connection, migrator: str
) -> None:
    with psycopg.connect(migrator) as open_one, psycopg.connect(migrator, autocommit=True) as hasty:
        open_one.execute(WRITE.replace("id = 1", "id = 2"))
        hasty.execute("SET synchronous_commit = off")
        hasty.execute("UPDATE public.orders SET note = 'last' WHERE id = 3")
        fenced = fence(armed, "m", journal.take(armed, "m"))
        with pytest.raises(psycopg.OperationalError):
            open_one.commit()
    notes = dict(armed.execute("SELECT id, note FROM public.orders WHERE id IN (2, 3)").fetchall())
    assert notes == {2: "n", 3: "last"}
    flushed = armed.execute("SELECT pg_current_wal_flush_lsn() >= %s::pg_lsn - 1024", [fenced.fence_lsn]).fetchone()
    assert flushed == (True,)
    found = journal.expect(armed, "m", "fenced")
    assert (found.fence_lsn, found.fenced_login) == (fenced.fence_lsn, True)


def test_a_prepared_transaction_is_named_and_the_role_may_log_in_again(armed: Connection, migrator: str) -> None:
    gid = f"px-{armed.info.dbname}"
    with psycopg.connect(migrator, autocommit=True) as runner:
        runner.execute("BEGIN")
        runner.execute(WRITE)
        runner.execute(sql.SQL("PREPARE TRANSACTION {}").format(gid))
    try:
        with pytest.raises(FenceRefused, match=f"'{gid}'"):
            fence(armed, "m", journal.take(armed, "m"))
        assert journal.expect(armed, "m", "armed")
        psycopg.connect(migrator).close()
    finally:
        armed.execute(sql.SQL("ROLLBACK PREPARED {}").format(gid))


def test_a_crash_after_the_role_was_shut_out_is_gone_on_from(
    armed: Connection, migrator: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(*_: object) -> None:
        raise KeyboardInterrupt

    token = journal.take(armed, "m")
    with monkeypatch.context() as patch:
        patch.setattr("holdfast_actuators.postgres.fence._end_sessions", crash)
        with pytest.raises(KeyboardInterrupt):
            fence(armed, "m", token)
    with pytest.raises(psycopg.OperationalError, match="not permitted to log in"):
        psycopg.connect(migrator)
    token = journal.take(armed, "m")
    fence(armed, "m", token)
    lift(armed, "m", token)
    psycopg.connect(migrator).close()  # what it could before is remembered over the crash


def test_a_role_that_could_not_log_in_before_cannot_after(armed: Connection, migrator: str) -> None:
    role = sql.Identifier(str(conninfo_to_dict(migrator)["user"]))
    armed.execute(sql.SQL("ALTER ROLE {} NOLOGIN").format(role))
    token = journal.take(armed, "m")
    fence(armed, "m", token)
    lift(armed, "m", token)
    with pytest.raises(psycopg.OperationalError, match="not permitted to log in"):
        psycopg.connect(migrator)


def test_an_older_token_may_not_fence(armed: Connection) -> None:
    older = journal.take(armed, "m")
    journal.take(armed, "m")
    with pytest.raises(RecoveryTaken):
        fence(armed, "m", older)


def test_sessions_elsewhere_are_counted(armed: Connection, migrator: str) -> None:
    role = str(conninfo_to_dict(migrator)["user"])
    assert bystanders(armed, role) == 0
    with psycopg.connect(migrator, dbname="postgres"):
        assert bystanders(armed, role) == 1
