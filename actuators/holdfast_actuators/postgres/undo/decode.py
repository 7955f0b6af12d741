"""pgoutput, protocol version 1, from bytes to records. Pure.

After "Logical Replication Message Formats" in PostgreSQL's manual.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum

from holdfast_schemas.errors import MalformedMessage

EPOCH = datetime(2000, 1, 1, tzinfo=UTC)


class Unchanged(Enum):
    """A TOASTed value that an update did not touch: the log leaves it out."""

    UNCHANGED = "unchanged"


UNCHANGED = Unchanged.UNCHANGED
Value = str | None | Unchanged


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
    new: list[Value]


@dataclass(slots=True)
class Update:
    """``old`` is None unless the whole old row was logged (replica identity FULL)."""

    table_oid: int
    old: list[Value] | None
    new: list[Value]


@dataclass(slots=True)
class Delete:
    """``old`` as of :class:`Update`."""

    table_oid: int
    old: list[Value] | None


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


Message = Begin | Commit | Origin | Relation | Insert | Update | Delete | Truncate | LogicalMessage | TypeNamed


class _Reader:
    """The bytes of one message, from front to end."""

    __slots__ = ("_data", "at")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.at = 0

    def _number(self, format: struct.Struct) -> int:
        try:
            (value,) = format.unpack_from(self._data, self.at)
        except struct.error:
            raise MalformedMessage(self.at, "it ends within a number") from None
        self.at += format.size
        return int(value)

    def int8(self) -> int:
        return self._number(_INT8)

    def int16(self) -> int:
        return self._number(_INT16)

    def int32(self) -> int:
        return self._number(_INT32)

    def oid(self) -> int:
        return self._number(_OID)

    def int64(self) -> int:
        return self._number(_INT64)

    def bytes(self, length: int) -> bytes:
        end = self.at + length
        if length < 0 or end > len(self._data):
            raise MalformedMessage(self.at, f"it has no {length} bytes more")
        found = self._data[self.at : end]
        self.at = end
        return found

    def text(self, length: int) -> str:
        at = self.at
        try:
            return self.bytes(length).decode()
        except UnicodeDecodeError:
            raise MalformedMessage(at, "a text that is not UTF-8") from None

    def string(self) -> str:
        end = self._data.find(b"\0", self.at)
        if end < 0:
            raise MalformedMessage(self.at, "a string that does not end")
        found = self.text(end - self.at)
        self.at = end + 1
        return found

    def time(self) -> datetime:
        at = self.at
        try:
            return EPOCH + timedelta(microseconds=self.int64())
        except OverflowError:
            raise MalformedMessage(at, "a time out of range") from None


_INT8, _INT16, _INT32, _OID, _INT64 = (struct.Struct(code) for code in (">B", ">H", ">i", ">I", ">Q"))


def decode(data: bytes) -> Message:
    """One message. Raises MalformedMessage, which says where."""
    reader = _Reader(data)
    kind = chr(reader.int8())
    read = _READERS.get(kind)
    if read is None:
        raise MalformedMessage(0, f"kind {kind!r} is none of version 1")
    message = read(reader)
    if reader.at != len(data):
        raise MalformedMessage(reader.at, f"{len(data) - reader.at} bytes after its end")
    return message


def _begin(reader: _Reader) -> Begin:
    return Begin(reader.int64(), reader.time(), reader.oid())


def _commit(reader: _Reader) -> Commit:
    reader.int8(), reader.int64()
    end = reader.int64()
    reader.time()
    return Commit(end)


def _origin(reader: _Reader) -> Origin:
    reader.int64()
    return Origin(reader.string())


def _relation(reader: _Reader) -> Relation:
    oid, schema, name, identity = reader.oid(), reader.string(), reader.string(), chr(reader.int8())
    columns = tuple(_column(reader) for _ in range(reader.int16()))
    return Relation(oid, schema or "pg_catalog", name, identity, columns)


def _column(reader: _Reader) -> RelationColumn:
    reader.int8()  # whether it is of the key: with FULL all are
    return RelationColumn(reader.string(), reader.oid(), reader.int32())


def _type(reader: _Reader) -> TypeNamed:
    oid = reader.oid()
    reader.string(), reader.string()
    return TypeNamed(oid)


def _insert(reader: _Reader) -> Insert:
    oid = reader.oid()
    _expect(reader, "N")
    return Insert(oid, _tuple(reader))


def _update(reader: _Reader) -> Update:
    oid, marker = reader.oid(), _expect(reader, "NKO")
    old = None
    if marker != "N":
        found = _tuple(reader)
        old = found if marker == "O" else None
        _expect(reader, "N")
    return Update(oid, old, _tuple(reader))


def _delete(reader: _Reader) -> Delete:
    oid, marker = reader.oid(), _expect(reader, "KO")
    found = _tuple(reader)
    return Delete(oid, found if marker == "O" else None)


def _truncate(reader: _Reader) -> Truncate:
    count = reader.int32()
    reader.int8()
    return Truncate(tuple(reader.oid() for _ in range(count)))


def _message(reader: _Reader) -> LogicalMessage:
    flags = reader.int8()
    reader.int64()
    prefix = reader.string()
    return LogicalMessage(bool(flags & 1), prefix, reader.bytes(reader.int32()))


def _expect(reader: _Reader, allowed: str) -> str:
    at = reader.at
    marker = chr(reader.int8())
    if marker not in allowed:
        raise MalformedMessage(at, f"{marker!r} where one of {allowed} belongs")
    return marker


def _tuple(reader: _Reader) -> list[Value]:
    values: list[Value] = []
    for _ in range(reader.int16()):
        kind = _expect(reader, "ntu")
        values.append(None if kind == "n" else UNCHANGED if kind == "u" else reader.text(reader.int32()))
    return values


_READERS: dict[str, Callable[[_Reader], Message]] = {
    "B": _begin,
    "C": _commit,
    "O": _origin,
    "R": _relation,
    "Y": _type,
    "I": _insert,
    "U": _update,
    "D": _delete,
    "T": _truncate,
    "M": _message,
}
