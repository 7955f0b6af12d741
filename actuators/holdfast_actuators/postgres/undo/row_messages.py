"""pgoutput's messages of rows. Pure, and in few calls: of each row of a migration, most of what Python does is here."""

import struct
from collections.abc import Callable
from dataclasses import dataclass

from holdfast_schemas.errors import MalformedMessage

# A value is an element of a binary text[]: its length, and its UTF-8. So it goes into the journal as it came from the log.
NULL = b"\xff\xff\xff\xff"
"""A length of -1, and nothing."""
UNCHANGED = b""
"""No element: a TOASTed value that an update did not touch and the log leaves out, where it has no old row either."""
ANY_VALUE, WHOLE = b"ntu", b"nt"
"""The kinds of value: NULL, text, unchanged TOAST. A row that must be known whole has none of the last."""
KIND_NULL, KIND_TEXT, KIND_TOASTED = ANY_VALUE
INSERT, UPDATE, DELETE = b"IUD"
NEW, OLD = b"NO"
"""What precedes a tuple: the new row, the whole old row; K precedes the old row's key alone."""
TUPLE_AT = 6
"""Where the first tuple begins: behind the kind, the table's oid and one of these."""
_head, _count, _length = (struct.Struct(code).unpack_from for code in (">xIB", ">H", ">I"))


@dataclass(slots=True)
class Insert:
    """A row that is new."""

    table_oid: int
    new: list[bytes]


@dataclass(slots=True)
class Update:
    """``old`` is None unless the whole old row was logged (replica identity FULL); only then is all of ``new`` known."""

    table_oid: int
    old: list[bytes] | None
    new: list[bytes]


@dataclass(slots=True)
class Delete:
    """``old`` as of :class:`Update`."""

    table_oid: int
    old: list[bytes] | None


RowMessage = Insert | Update | Delete
ROW_KINDS = frozenset((INSERT, UPDATE, DELETE))
"""The first byte of a message that is one."""


def decode_row(data: bytes) -> RowMessage:
    """One message of ``ROW_KINDS``. Raises MalformedMessage, which says where."""
    markers, read = _KINDS[data[0]]
    try:
        oid, marker = _head(data)
        if marker not in markers:
            raise _misplaced(data, TUPLE_AT - 1, markers)
        message, end = read(data, oid, marker)
    except (struct.error, IndexError):
        raise MalformedMessage(len(data), "it ends within a row") from None
    if end != len(data):
        raise MalformedMessage(end, f"{len(data) - end} bytes after its end")
    return message


def _insert(data: bytes, oid: int, marker: int) -> tuple[Insert, int]:
    new, end = _tuple(data, TUPLE_AT, WHOLE)
    return Insert(oid, new), end


def _update(data: bytes, oid: int, marker: int) -> tuple[Update, int]:
    old, at = None, TUPLE_AT
    if marker != NEW:
        found, at = _tuple(data, at, WHOLE if marker == OLD else ANY_VALUE)
        old = found if marker == OLD else None
        if data[at] != NEW:
            raise _misplaced(data, at, b"N")
        at += 1
    new, end = _tuple(data, at, ANY_VALUE, old)
    if old is not None and len(new) != len(old):
        raise MalformedMessage(at, f"{len(new)} new values to {len(old)} old ones")
    return Update(oid, old, new), end


def _delete(data: bytes, oid: int, marker: int) -> tuple[Delete, int]:
    found, end = _tuple(data, TUPLE_AT, WHOLE if marker == OLD else ANY_VALUE)
    return Delete(oid, found if marker == OLD else None), end


def _tuple(data: bytes, at: int, allowed: bytes, old: list[bytes] | None = None) -> tuple[list[bytes], int]:
    """TupleData, and where it ends; what the log leaves out is as in ``old``. That texts are UTF-8 the server has seen to."""
    values: list[bytes] = []
    (count,) = _count(data, at)
    at += 2
    for _ in range(count):
        kind = data[at]
        if kind == KIND_TEXT:
            end = at + 5 + _length(data, at + 1)[0]  # unsigned: a negative one ends far behind the message
            values.append(data[at + 1 : end])
            at = end
        elif kind == KIND_NULL:
            values.append(NULL)
            at += 1
        elif kind == KIND_TOASTED and allowed == ANY_VALUE:
            values.append(UNCHANGED if old is None else old[len(values)])
            at += 1
        else:
            raise _misplaced(data, at, allowed)
    if at > len(data):
        raise MalformedMessage(len(data), "it ends within a value, or the value's length is negative")
    return values, at


def _misplaced(data: bytes, at: int, allowed: bytes) -> MalformedMessage:
    return MalformedMessage(at, f"{chr(data[at])!r} where one of {allowed.decode()} belongs")


_KINDS: dict[int, tuple[bytes, Callable[[bytes, int, int], tuple[RowMessage, int]]]] = {
    INSERT: (b"N", _insert),
    UPDATE: (b"NKO", _update),
    DELETE: (b"KO", _delete),
}
