"""A slot's changes up to a position, streamed and never confirmed: reading leaves the slot where it was.

Not by pg_logical_slot_peek_changes, for which the server holds all of it (measured: 378 MB of temporary files for 1,000,000
rows).
"""

import select
import struct
import time
from collections.abc import Generator, Iterator

from psycopg import OperationalError, pq, sql
from psycopg.conninfo import make_conninfo
from psycopg.pq.abc import PGconn, PGresult

from holdfast_schemas.errors import SlotInUse, SlotLost, SlotUnreadable, TargetUnreachable
from holdfast_schemas.identity import TargetName

from ..connecting import canonical_dsn

STATUS_SECONDS = 5.0
"""How often the server hears that we live."""
SESSION = {"wal_sender_timeout": "30s"}
"""How long without a word it keeps the slot for us: pinned, for where it is 0 a frozen reader has the slot for good."""
IN_USE_SECONDS = 45.0
"""How long a slot may still be somebody else's: the server notices later that a reader died, or froze."""
AGAIN_SECONDS = 0.1
END_SECONDS = 2.0
"""How long the server may take to stop sending; a large transaction it sends to its end."""
CONNECTION = {
    "replication": "database",
    "keepalives_idle": "15",
    "keepalives_interval": "5",
    "keepalives_count": "6",
}
"""A server that vanished is noticed within 45 s, not two hours."""
WAL_DATA, KEEPALIVE, BEGIN, MESSAGE = ord("w"), ord("k"), ord("B"), ord("M")
WAL_HEADER_BYTES = 25
KEEPALIVE_LAYOUT = struct.Struct(">xQqB")
"""Up to where the server read its log, its clock, whether it wants an answer at once."""
STATUS = struct.pack(">cQQQqB", b"r", 0, 0, 0, 0, 0)
"""Nothing written, nothing flushed, nothing applied: no position is ever confirmed."""
OBJECT_IN_USE = "55006"
LOST = frozenset({"55000", "42704", "58P01"})
"""Invalidated (object_not_in_prerequisite_state), dropped (undefined_object), its WAL removed (undefined_file)."""
OPERATOR_INTERVENTION = "57P"
"""The class of an end that somebody ordered for the server or this session."""


def lsn_number(lsn: str) -> int:
    """An LSN as PostgreSQL writes it (``16/B374D848``), as the number that the protocol sends."""
    high, _, low = lsn.partition("/")
    return int(high, 16) << 32 | int(low, 16)


def peek(target: TargetName, dsn: str, slot: str, publication: str, until_lsn: str) -> Generator[bytes, None, None]:
    """Every pgoutput message of the transactions whose commits stand before ``until_lsn``, in the order of their commits.

    Close it when you do not read to the end: the slot is yours until then.

    Raises SlotInUse, SlotLost, SlotUnreadable; TargetUnreachable too when the server goes away in between.
    """
    connection = pq.PGconn.connect(make_conninfo(canonical_dsn(dsn, **SESSION), **CONNECTION).encode())
    try:
        if connection.status != pq.ConnStatus.OK:
            raise TargetUnreachable(target, _words(connection.error_message))
        _start(connection, slot, publication)
        yield from _messages(connection, slot, lsn_number(until_lsn))
    except OperationalError as error:  # of libpq's calls: reading, sending
        raise TargetUnreachable(target, " ".join(str(error).split())) from None
    except _Gone as gone:
        raise TargetUnreachable(target, str(gone)) from None
    finally:
        _end(connection)
        connection.finish()


class _Gone(Exception):
    """The connection ended, and nobody said that the slot was the reason."""


def _start(connection: PGconn, slot: str, publication: str) -> None:
    statement = sql.SQL(
        "START_REPLICATION SLOT {} LOGICAL 0/0 (proto_version '1', publication_names {}, messages 'true')"
    ).format(sql.Identifier(slot), f'"{publication}"')
    deadline = time.monotonic() + IN_USE_SECONDS
    while True:
        result = connection.exec_(statement.as_bytes(None))
        if result.status == pq.ExecStatus.COPY_BOTH:
            return
        refused = _refusal(connection, slot, result, lost=LOST)
        if not isinstance(refused, SlotInUse) or time.monotonic() > deadline:
            raise refused
        time.sleep(AGAIN_SECONDS)


def _messages(connection: PGconn, slot: str, end: int) -> Iterator[bytes]:
    told = time.monotonic()
    while True:
        length, data = connection.get_copy_data(1)
        if length < 0:
            raise _refusal(connection, slot, connection.get_result())
        answer = time.monotonic() - told > STATUS_SECONDS
        if length == 0:
            _wait(connection, STATUS_SECONDS)
        elif data[0] == WAL_DATA:
            message = bytes(data[WAL_HEADER_BYTES:])
            if message[0] in (BEGIN, MESSAGE) and _stands_behind(message, end):
                return
            yield message
        elif data[0] == KEEPALIVE:
            sent, _, wanted = KEEPALIVE_LAYOUT.unpack_from(data)
            if sent >= end:
                return
            answer |= bool(wanted)  # not unasked: to that it would answer in turn, and so on without a pause
        if answer:
            connection.put_copy_data(STATUS)
            connection.flush()
            told = time.monotonic()


def _stands_behind(message: bytes, end: int) -> bool:
    """A transaction by its commit; a message of none by itself, which comes as soon as the server read so far."""
    if message[0] == BEGIN:
        return int.from_bytes(message[1:9]) >= end
    transactional = message[1]
    return not transactional and int.from_bytes(message[2:10]) >= end


def _end(connection: PGconn) -> None:
    """Say that this is the end, and wait until the server let go of the slot: whoever comes next may drop it at once."""
    deadline = time.monotonic() + END_SECONDS
    try:
        if connection.transaction_status != pq.TransactionStatus.ACTIVE:
            return  # it never began, or the server ended it
        connection.put_copy_end()
        connection.flush()
        while time.monotonic() < deadline:
            length, _ = connection.get_copy_data(1)
            if length < 0:
                while connection.get_result() is not None:
                    pass
                return
            if length == 0:
                _wait(connection, deadline - time.monotonic())
    except OperationalError:
        pass  # it is gone, and holds nothing


def _wait(connection: PGconn, seconds: float) -> None:
    socket = select.poll()  # not select(), which knows no descriptor above 1023
    socket.register(connection.socket, select.POLLIN)
    socket.poll(max(0.0, seconds) * 1000)
    connection.consume_input()


def _refusal(
    connection: PGconn, slot: str, result: PGresult | None, lost: frozenset[str] = frozenset()
) -> SlotUnreadable | _Gone:
    words = _words(result.error_message if result else connection.error_message)
    state = (result.error_field(pq.DiagnosticField.SQLSTATE) if result else None) or b""
    code = state.decode()
    if connection.status != pq.ConnStatus.OK or not code or code.startswith(OPERATOR_INTERVENTION):
        return _Gone(words)
    if code == OBJECT_IN_USE:
        return SlotInUse(slot, words)
    return SlotLost(slot, words) if code in lost else SlotUnreadable(slot, words)


def _words(message: bytes) -> str:
    return " ".join(message.decode(errors="replace").split()) or "the server closed the connection"
