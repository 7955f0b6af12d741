"""pgoutput, protocol version 1, from bytes to records. Pure.

After "Logical Replication Message Formats" in PostgreSQL's manual.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from holdfast_schemas.errors import MalformedMessage

from .message_bytes import MessageBytes
from .row_messages import ROW_KINDS, RowMessage, decode_row


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


Message = Begin | Commit | Origin | Relation | RowMessage | Truncate | LogicalMessage | TypeNamed


def decode(data: bytes) -> Message:
    """One message. Raises MalformedMessage, which says where."""
    if data and data[0] in ROW_KINDS:
        return decode_row(data)
    reader = MessageBytes(data)
    kind = chr(reader.int8())
    read = _READERS.get(kind)
    if read is None:
        raise MalformedMessage(0, f"kind {kind!r} is none of version 1")
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


def _truncate(reader: MessageBytes) -> Truncate:
    count = reader.oid()  # Int32, of which a negative one is as malformed as one that is too high
    reader.int8()
    return Truncate(tuple(reader.oid() for _ in range(count)))


def _message(reader: MessageBytes) -> LogicalMessage:
    flags = reader.int8()
    reader.int64()
    prefix = reader.string()
    return LogicalMessage(bool(flags & 1), prefix, reader.bytes(reader.int32()))


_READERS: dict[str, Callable[[MessageBytes], Message]] = {
    "B": _begin,
    "C": _commit,
    "O": _origin,
    "R": _relation,
    "Y": _type,
    "T": _truncate,
    "M": _message,
}
