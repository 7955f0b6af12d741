"""pgoutput, protocol version 1, from bytes to records. Pure.

After "Logical Replication Message Formats" in PostgreSQL's manual.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Any

from holdfast_schemas.errors import MalformedMessage

from .message_bytes import MessageBytes


class Unchanged(Enum):
    """A TOASTed value that an update did not touch: the log leaves it out."""

    UNCHANGED = "unchanged"


UNCHANGED = Unchanged.UNCHANGED
Value = bytes | Unchanged
"""A value as an element of a binary text[]: its length and its UTF-8. So it goes into the journal as it came from the log."""
NULL = b"\xff\xff\xff\xff"
"""As such an element: a length of -1, and nothing."""
ANY_VALUE, WHOLE = "ntu", "nt"
"""The kinds of value: NULL, text, unchanged TOAST. A row that must be known whole has none of the last."""
KIND_NULL, KIND_TEXT, KIND_TOASTED = map(ord, ANY_VALUE)
_count, _length, _row_head = (struct.Struct(code).unpack_from for code in (">H", ">I", ">IB"))


@dataclass(frozen=True, slots=True)
class Begin:
    """``final_lsn`` is the position of the transaction's commit."""

    final_lsn: int
    committed_at: datetime
    xid: int


@dataclass(frozen=True, slots=True)
class Commit:
    """The end of a transaction."""

    end_lsn: int


@dataclass(frozen=True, slots=True)
class Origin:
    """The replication origin that the transaction's session had set up."""

    name: str


@dataclass(frozen=True, slots=True)
class RelationColumn:
    """A column, in the order of the tuples."""

    name: str
    type_oid: int
    type_modifier: int


@dataclass(frozen=True, slots=True)
class Relation:
    """A table; sent before its first row and again after it changed."""

    table_oid: int
    schema_name: str
    table_name: str
    replica_identity: str
    columns: tuple[RelationColumn, ...]


@dataclass(slots=True)
class Insert:
    """A row that is new."""

    table_oid: int
    new: list[bytes]


@dataclass(slots=True)
class Update:
    """``old`` is None unless the whole old row was logged (replica identity FULL)."""

    table_oid: int
    old: list[bytes] | None
    new: list[Value]


@dataclass(slots=True)
class Delete:
    """``old`` as of :class:`Update`."""

    table_oid: int
    old: list[bytes] | None


@dataclass(frozen=True, slots=True)
class Truncate:
    """Tables emptied in one statement; their rows are not in the log."""

    table_oids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class LogicalMessage:
    """What pg_logical_emit_message wrote."""

    transactional: bool
    prefix: str
    content: bytes


@dataclass(frozen=True, slots=True)
class TypeNamed:
    """A type that is not built in; its name is not needed."""

    type_oid: int


RowMessage = Insert | Update | Delete
ROW_KINDS = frozenset(b"IUD")
"""The first byte of a message that is one."""
Message = Begin | Commit | Origin | Relation | Insert | Update | Delete | Truncate | LogicalMessage | TypeNamed


def decode(data: bytes) -> Message:
    """One message. Raises MalformedMessage, which says where."""
    reader = MessageBytes(data)
    read = _READERS.get(data[:1])
    if read is None:
        kind = chr(reader.int8())
        raise MalformedMessage(0, f"kind {kind!r} is none of version 1")
    reader.at = 1
    message = read(reader)
    if reader.at != len(data):
        raise MalformedMessage(reader.at, f"{len(data) - reader.at} bytes after its end")
    return message


def _begin(reader: MessageBytes) -> Begin:
    return Begin(reader.int64(), reader.time(), reader.oid())


def _commit(reader: MessageBytes) -> Commit:
    reader.int8(), reader.int64()
    end = reader.int64()
    reader.time()
    return Commit(end)


def _origin(reader: MessageBytes) -> Origin:
    reader.int64()
    return Origin(reader.string())


def _relation(reader: MessageBytes) -> Relation:
    oid, schema, name, identity = reader.oid(), reader.string(), reader.string(), chr(reader.int8())
    columns = tuple(_column(reader) for _ in range(reader.int16()))
    return Relation(oid, schema or "pg_catalog", name, identity, columns)


def _column(reader: MessageBytes) -> RelationColumn:
    reader.int8()  # whether it is of the key: with FULL all are
    return RelationColumn(reader.string(), reader.oid(), reader.int32())


def _type(reader: MessageBytes) -> TypeNamed:
    oid = reader.oid()
    reader.string(), reader.string()
    return TypeNamed(oid)


def _insert(reader: MessageBytes) -> Insert:
    oid, _ = _head(reader, "N")
    return Insert(oid, _tuple(reader, WHOLE))


def _update(reader: MessageBytes) -> Update:
    oid, marker = _head(reader, "NKO")
    old = None
    if marker != "N":
        found = _tuple(reader, WHOLE if marker == "O" else ANY_VALUE)
        old = found if marker == "O" else None
        _expect(reader, "N")
    at = reader.at
    new = _tuple(reader, ANY_VALUE)
    if old is not None and len(new) != len(old):
        raise MalformedMessage(at, f"{len(new)} new values to {len(old)} old ones")
    return Update(oid, old, new)


def _delete(reader: MessageBytes) -> Delete:
    oid, marker = _head(reader, "KO")
    found = _tuple(reader, WHOLE if marker == "O" else ANY_VALUE)
    return Delete(oid, found if marker == "O" else None)


def _truncate(reader: MessageBytes) -> Truncate:
    count = reader.oid()  # Int32, of which a negative one is as malformed as one that is too high
    reader.int8()
    return Truncate(tuple(reader.oid() for _ in range(count)))


def _message(reader: MessageBytes) -> LogicalMessage:
    flags = reader.int8()
    reader.int64()
    prefix = reader.string()
    return LogicalMessage(bool(flags & 1), prefix, reader.bytes(reader.int32()))


def _expect(reader: MessageBytes, allowed: str) -> str:
    at = reader.at
    marker = chr(reader.int8())
    if marker not in allowed:
        raise MalformedMessage(at, f"{marker!r} where one of {allowed} belongs")
    return marker


def _head(reader: MessageBytes, allowed: str) -> tuple[int, str]:
    """The table's oid, and which tuple follows: the new row, the old key, the whole old row."""
    try:
        oid, byte = _row_head(reader.data, reader.at)
    except struct.error:
        raise MalformedMessage(reader.at, "it ends within a number") from None
    reader.at += 4
    marker = chr(byte)
    if marker in allowed:
        reader.at += 1
    else:
        _expect(reader, allowed)  # which refuses it
    return oid, marker


def _tuple(reader: MessageBytes, allowed: str) -> list[Any]:
    """TupleData: bytes only where WHOLE is ``allowed``. One loop without calls of ours: the dearest of a capture in Python.

    The server has seen to it that every text is UTF-8.
    """
    data, at = reader.data, reader.at
    values: list[Value] = []
    try:
        (count,) = _count(data, at)
        at += 2
        for _ in range(count):
            kind = data[at]
            if kind == KIND_TEXT:
                start = at + 5
                end = start + _length(data, at + 1)[0]  # unsigned: a negative one ends far behind the message
                values.append(data[at + 1 : end])
                at = end
            elif kind == KIND_NULL:
                values.append(NULL)
                at += 1
            elif kind == KIND_TOASTED and allowed == ANY_VALUE:
                values.append(UNCHANGED)
                at += 1
            else:
                reader.at = at
                _expect(reader, allowed)  # which refuses it
    except (struct.error, IndexError):
        raise MalformedMessage(min(at, len(data)), "it ends within a row") from None
    if at > len(data):
        raise MalformedMessage(start, "it ends within a value, or the value's length is negative")
    reader.at = at
    return values


_READERS: dict[bytes, Callable[[MessageBytes], Message]] = {
    b"B": _begin,
    b"C": _commit,
    b"O": _origin,
    b"R": _relation,
    b"Y": _type,
    b"I": _insert,
    b"U": _update,
    b"D": _delete,
    b"T": _truncate,
    b"M": _message,
}
