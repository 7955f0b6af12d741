"""The peek on a real server: all up to a position and nothing after it, again and again, and every way it ends."""

import contextlib
import struct
import threading
import time
import uuid
from collections.abc import Generator, Iterator

import psycopg
import pytest
from psycopg import sql

from holdfast_actuators.postgres import journal
from holdfast_actuators.postgres.undo import stream
from holdfast_actuators.postgres.undo.decode import Begin, LogicalMessage, Message, decode
from holdfast_actuators.postgres.undo.row_messages import Insert
from holdfast_actuators.postgres.undo.stream import lsn_number, peek
from holdfast_consoles.embedded.postgres import EmbeddedPostgres
from holdfast_schemas.errors import SlotInUse, SlotLost, SlotUnreadable, TargetUnreachable
from tests.recovery.captures import Armed
from tests.recovery.captures import armed as armed
from tests.waiting import wait_for

pytestmark = pytest.mark.postgres
RETENTION = {"max_slot_wal_keep_size": "1MB", "wal_keep_size": "0", "max_wal_size": "32MB", "min_wal_size": "32MB"}


class Log:
    """A table, and a slot and a publication on it."""

    def __init__(self, dsn: str) -> None:
        self.dsn, self.name = dsn, f"hf_{uuid.uuid4().hex[:12]}"
        self.db = psycopg.connect(dsn, autocommit=True)
        self.db.execute("CREATE TABLE public.t (id int, note text)")
        self.db.execute(sql.SQL("CREATE PUBLICATION {} FOR TABLE public.t").format(sql.Identifier(self.name)))
        self.db.execute("SELECT pg_create_logical_replication_slot(%s, 'pgoutput')", [self.name])

    def insert(self, *ids: int) -> None:
        self.db.execute("INSERT INTO public.t SELECT unnest(%s::int[])", [list(ids)])

    def now(self) -> str:
        """Behind all that was committed, and followed by something."""
        row = self.db.execute("SELECT pg_current_wal_insert_lsn()::text").fetchone()
        self.db.execute("CREATE TABLE IF NOT EXISTS public.something ()")
        self.db.execute("DROP TABLE public.something")
        assert row
        return str(row[0])

    def peek(self, until: str) -> Generator[bytes, None, None]:
        return peek("app", self.dsn, self.name, self.name, until)

    def ids(self, until: str) -> list[str]:
        return [m.new[0][4:].decode() for m in self.messages(until) if isinstance(m, Insert)]

    def messages(self, until: str) -> list[Message]:
        return [decode(data) for data in self.peek(until)]

    def position(self) -> object:
        return self.db.execute(
            "SELECT confirmed_flush_lsn FROM pg_replication_slots WHERE slot_name = %s", [self.name]
        ).fetchone()


@pytest.fixture
def log(target: str) -> Iterator[Log]:
    log = Log(target)
    yield log
    log.db.close()


def test_it_ends_exactly_before_the_first_commit_behind_the_position(log: Log) -> None:
    log.insert(1, 2)
    with psycopg.connect(log.dsn) as early:  # written before the position, committed behind it
        early.execute("INSERT INTO public.t VALUES (3)")
        until = log.now()
    log.insert(4)
    assert log.ids(until) == ["1", "2"]
    assert log.ids(log.now()) == ["1", "2", "3", "4"]


def test_the_position_of_a_commit_itself_is_behind_it(log: Log) -> None:
    log.insert(1)
    (begin,) = (message for message in log.messages(log.now()) if isinstance(message, Begin))
    high, low = divmod(begin.final_lsn, 1 << 32)
    assert log.ids(f"{high:X}/{low:X}") == []
    assert log.ids(f"{high:X}/{low + 1:X}") == ["1"]


def test_a_peek_leaves_the_slot_where_it_was(log: Log) -> None:
    before = log.position()
    log.insert(*range(1000))
    until = log.now()
    assert log.ids(until) == log.ids(until)
    assert next(log.peek(until))  # one that is given up in between
    assert len(log.ids(until)) == 1000
    assert log.position() == before


def test_whoever_comes_next_may_drop_the_slot_at_once(log: Log) -> None:
    log.insert(*range(1000))
    log.messages(log.now())
    free = "SELECT NOT active FROM pg_replication_slots WHERE slot_name = %s"
    assert log.db.execute(free, [log.name]).fetchone() == (True,)
    with contextlib.closing(log.peek(log.now())) as reading:
        next(reading)
        assert log.db.execute(free, [log.name]).fetchone() == (False,)
    assert log.db.execute(free, [log.name]).fetchone() == (True,)


def test_nothing_to_read_ends_too(log: Log) -> None:
    log.db.execute("CREATE TABLE public.other AS SELECT generate_series(1, 10000) AS id")
    assert log.ids(log.now()) == []


def test_a_message_that_belongs_to_no_transaction_is_read_too(log: Log) -> None:
    log.db.execute("SELECT pg_logical_emit_message(false, 'p', 'now')")
    log.db.execute("SELECT pg_logical_emit_message(true, 'p', 'later')")
    found = [m for m in log.messages(log.now()) if isinstance(m, LogicalMessage)]
    assert [(m.transactional, m.content) for m in found] == [(False, b"now"), (True, b"later")]


@pytest.mark.parametrize(
    ("message", "behind"),
    [
        (b"B" + struct.pack(">QqI", 99, 0, 7), False),
        (b"B" + struct.pack(">QqI", 100, 0, 7), True),
        (b"M" + struct.pack(">BQ", 0, 99) + b"p\0", False),
        (b"M" + struct.pack(">BQ", 0, 100) + b"p\0", True),
        (b"M" + struct.pack(">BQ", 1, 100) + b"p\0", False),  # of a transaction, which may have begun before it
    ],
)
def test_what_stands_behind_the_end(message: bytes, behind: bool) -> None:
    assert stream._stands_behind(message, 100) is behind


def test_a_fence_is_followed_by_such_a_message(armed: Armed) -> None:
    armed.fence()
    peek = "SELECT data FROM pg_logical_slot_peek_binary_changes(%s, NULL, NULL, %s, %s, %s, %s, 'messages', 'true')"
    recovery = journal.expect(armed.db, "m", "fenced")
    options = ["proto_version", "1", "publication_names", recovery.publication]
    read = [row[0] for row in armed.db.execute(peek, [recovery.slot, *options])]
    assert recovery.fence_lsn
    assert any(stream._stands_behind(data, lsn_number(recovery.fence_lsn)) for data in read if data[:1] == b"M")


def test_a_database_of_another_encoding_is_read_as_utf_8(log: Log) -> None:
    name = f"t{uuid.uuid4().hex[:12]}"
    log.db.execute(f"CREATE DATABASE {name} ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")
    dsn = psycopg.conninfo.make_conninfo(log.dsn, dbname=name)
    latin = Log(dsn)
    try:
        latin.db.execute("INSERT INTO public.t VALUES (1, 'Größe')")
        (row,) = (m for m in latin.messages(latin.now()) if isinstance(m, Insert))
        assert [value[4:].decode() for value in row.new] == ["1", "Größe"]
    finally:
        latin.db.execute("SELECT pg_drop_replication_slot(%s)", [latin.name])
        latin.db.close()
        log.db.execute(f"DROP DATABASE {name} WITH (FORCE)")


def test_waiting_for_a_position_that_is_not_written_yet_costs_nothing(log: Log) -> None:
    log.insert(1)
    wal = lsn_number(log.now()) + (64 << 20)  # further than other tests on this server write meanwhile
    until = f"{wal >> 32:X}/{wal & 0xFFFFFFFF:X}"
    spent: list[float] = []

    def read() -> None:
        began = time.thread_time()
        assert log.ids(until)[:1] == ["1"]
        spent.append(time.thread_time() - began)

    thread = threading.Thread(target=read)
    thread.start()
    thread.join(0.5)
    assert thread.is_alive()  # it waits
    log.db.execute("SELECT pg_logical_emit_message(false, 'filling', repeat('x', 65 << 20))")
    log.now()
    thread.join(30)
    assert spent
    assert spent[0] < 0.5


@pytest.mark.long
def test_a_reader_that_is_slower_than_wal_sender_timeout_goes_on(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "STATUS_SECONDS", 0.1)
    monkeypatch.setitem(stream.SESSION, "wal_sender_timeout", "400ms")
    log.insert(*range(100_000))  # more than fits into the sockets' buffers
    read = 0
    for number, _ in enumerate(log.peek(log.now())):
        read = number
        if number % 10_000 == 0:
            time.sleep(0.2)
    assert read > 100_000


def test_a_slot_that_somebody_else_reads(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    log.insert(1)
    until = log.now()
    monkeypatch.setattr(stream, "IN_USE_SECONDS", 0.3)
    with contextlib.closing(log.peek(until)) as other:
        next(other)
        with pytest.raises(SlotInUse, match=r"active for PID .* pg_terminate_backend"):
            log.ids(until)
        monkeypatch.setattr(stream, "IN_USE_SECONDS", 30.0)
        threading.Timer(0.5, other.close).start()
        assert log.ids(until) == ["1"]  # as soon as it is free


def test_a_slot_that_is_gone(log: Log) -> None:
    until = log.now()
    log.db.execute("SELECT pg_drop_replication_slot(%s)", [log.name])
    with pytest.raises(SlotLost, match=r"does not exist; the old rows are not in the log any more"):
        log.ids(until)


def test_what_the_server_refuses_for_another_reason(log: Log) -> None:
    with pytest.raises(SlotUnreadable, match="invalid publication_names syntax") as refused:
        list(peek("app", log.dsn, log.name, 'a"b', log.now()))
    assert type(refused.value) is SlotUnreadable


def test_a_walsender_that_is_ended_in_between(log: Log) -> None:
    log.insert(*range(200_000))
    with contextlib.closing(log.peek(log.now())) as reading:
        next(reading)
        log.db.execute(
            "SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_name = %s", [log.name]
        )
        with pytest.raises(TargetUnreachable):
            list(reading)


def test_nobody_is_there() -> None:
    with pytest.raises(TargetUnreachable):
        next(peek("app", "host=127.0.0.1 port=1 user=u dbname=d", "s", "p", "0/1"))


def test_a_slot_that_the_server_gave_up_and_a_server_that_stops() -> None:
    with EmbeddedPostgres(fsync=False, settings=RETENTION) as server:
        log = Log(server.dsn())
        log.insert(*range(100_000))
        until = log.now()
        with contextlib.closing(log.peek(until)) as reading:
            next(reading)
            server.stop("immediate")
            with pytest.raises(TargetUnreachable):
                list(reading)
        server.start()
        log.db = psycopg.connect(log.dsn, autocommit=True)
        assert len(log.ids(until)) == 100_000
        status = "SELECT wal_status FROM pg_replication_slots"

        def lost() -> bool:
            log.db.execute("SELECT pg_logical_emit_message(false, 'filling', repeat('x', 20 << 20))")
            log.db.execute("CHECKPOINT")
            return log.db.execute(status).fetchone() == ("lost",)

        wait_for(lost, 60, "the server to give the slot up")
        with pytest.raises(SlotLost, match="max_slot_wal_keep_size"):
            log.ids(until)
        log.db.close()
