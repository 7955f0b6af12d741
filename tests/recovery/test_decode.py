"""The decoder against messages written by the manual's layout: every kind, and every way to break one."""

import dataclasses
import struct
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast_actuators.postgres.undo.decode import (
    Begin,
    Commit,
    LogicalMessage,
    Message,
    Origin,
    Relation,
    RelationColumn,
    Truncate,
    TypeNamed,
    decode,
)
from holdfast_actuators.postgres.undo.row_messages import NULL, UNCHANGED, Delete, Insert, Update
from holdfast_schemas.errors import MalformedMessage

MICROSECONDS = 848_934_000_123_456
COMMITTED_AT = datetime(2026, 11, 25, 15, 0, 0, 123_456, UTC)
OID = struct.pack(">I", 4_000_000_000)


def string(text: str) -> bytes:
    return text.encode() + b"\0"


Text = str | bytes | None
"""Bytes: UNCHANGED."""


def elements(*texts: Text) -> list[Any]:
    """The same texts as elements of a binary text[]."""
    return [
        NULL
        if text is None
        else struct.pack(">i", len(text.encode())) + text.encode()
        if isinstance(text, str)
        else text
        for text in texts
    ]


def row(*values: Text) -> bytes:
    """TupleData."""
    written = struct.pack(">H", len(values))
    for value in values:
        if isinstance(value, str):
            written += b"t" + struct.pack(">i", len(value.encode())) + value.encode()
        else:
            written += b"n" if value is None else b"u"
    return written


def column(name: str, flags: int = 0, type_oid: int = 23, modifier: int = -1) -> bytes:
    return struct.pack(">B", flags) + string(name) + struct.pack(">Ii", type_oid, modifier)


KINDS: dict[str, tuple[bytes, Message]] = {
    "begin": (
        b"B" + struct.pack(">QqI", 0x16_B374D848, MICROSECONDS, 4_294_967_295),
        Begin(0x16_B374D848, COMMITTED_AT, 4_294_967_295),
    ),
    "begin before 2000": (
        b"B" + struct.pack(">QqI", 1, -1_000_000, 3),
        Begin(1, datetime(1999, 12, 31, 23, 59, 59, tzinfo=UTC), 3),
    ),
    "commit": (b"C" + struct.pack(">BQQq", 0, 7, 8, MICROSECONDS), Commit(8)),
    "origin": (b"O" + struct.pack(">Q", 5) + string("hf_1"), Origin("hf_1")),
    "relation": (
        b"R" + OID + string("public") + string("örders") + b"f" + struct.pack(">H", 2)
        + column("id", 1) + column("note", 0, 1043, 24),
        Relation(4_000_000_000, "public", "örders", "f", (RelationColumn("id", 23, -1), RelationColumn("note", 1043, 24))),
    ),
    "relation of pg_catalog": (
        b"R" + OID + string("") + string("t") + b"d" + struct.pack(">H", 0),
        Relation(4_000_000_000, "pg_catalog", "t", "d", ()),
    ),
    "type": (b"Y" + OID + string("public") + string("mood"), TypeNamed(4_000_000_000)),
    "insert": (b"I" + OID + b"N" + row("1", None, ""), Insert(4_000_000_000, elements("1", None, ""))),
    "update": (b"U" + OID + b"N" + row("1", UNCHANGED), Update(4_000_000_000, None, elements("1", UNCHANGED))),
    "update with a key": (
        b"U" + OID + b"K" + row("1", None) + b"N" + row("2", "ä"),
        Update(4_000_000_000, None, elements("2", "ä")),
    ),
    "update with the old row": (
        b"U" + OID + b"O" + row("1", "long") + b"N" + row("1", UNCHANGED),
        Update(4_000_000_000, elements("1", "long"), elements("1", "long")),
    ),
    "delete with a key": (b"D" + OID + b"K" + row("1", None), Delete(4_000_000_000, None)),
    "delete with the old row": (b"D" + OID + b"O" + row("1", "a\nb"), Delete(4_000_000_000, elements("1", "a\nb"))),
    "truncate": (b"T" + struct.pack(">iBII", 2, 3, 16384, 16385), Truncate((16384, 16385))),
    "message": (
        b"M" + struct.pack(">BQ", 1, 9) + string("holdfast") + struct.pack(">i", 3) + b"\xff\0{",
        LogicalMessage(True, "holdfast", b"\xff\0{"),
    ),
    "message of no transaction": (
        b"M" + struct.pack(">BQ", 0, 9) + string("p") + struct.pack(">i", 0),
        LogicalMessage(False, "p", b""),
    ),
}  # fmt: skip
kinds = pytest.mark.parametrize("kind", list(KINDS))


@kinds
def test_every_kind(kind: str) -> None:
    data, message = KINDS[kind]
    assert decode(data) == message


@kinds
def test_cut_off_anywhere_it_is_malformed_and_says_where(kind: str) -> None:
    data, _ = KINDS[kind]
    for length in range(len(data)):
        with pytest.raises(MalformedMessage) as refused:
            decode(data[:length])
        assert 0 <= refused.value.offset <= length


@kinds
def test_a_byte_too_many_is_malformed(kind: str) -> None:
    data, _ = KINDS[kind]
    with pytest.raises(MalformedMessage, match=rf"byte {len(data)}\): 1 bytes after its end"):
        decode(data + b"\0")


@pytest.mark.parametrize(
    ("data", "offset", "says"),
    [
        (b"Z", 0, "kind 'Z' is none of version 1"),
        (b"S" + OID, 0, "kind 'S' is none"),  # a streamed transaction: of version 2
        (b"I" + OID + b"X", 5, "'X' where one of N belongs"),
        (b"I" + OID + b"N" + row(UNCHANGED), 8, "'u' where one of nt belongs"),
        (b"U" + OID + b"O" + row(UNCHANGED) + b"N" + row("1"), 8, "'u' where one of nt belongs"),
        (b"D" + OID + b"O" + row(UNCHANGED), 8, "'u' where one of nt belongs"),
        (b"U" + OID + b"O" + row("1") + b"N" + row("1", "2"), 15, "2 new values to 1 old ones"),
        (b"D" + OID + b"N" + row("1"), 5, "'N' where one of KO belongs"),
        (b"I" + OID + b"N" + struct.pack(">Hc", 1, b"b"), 8, "'b' where one of nt belongs"),  # binary was not asked for
        (b"I" + OID + b"N" + struct.pack(">Hci", 1, b"t", -1), 13, "the value's length is negative"),
        (b"O" + struct.pack(">Q", 1) + b"\xc3\x28\0", 9, "not UTF-8"),
        (b"T" + struct.pack(">iB", -1, 0), 6, "ends within a number"),
        (b"T" + struct.pack(">iB", 2**31 - 1, 0) + OID, 10, "ends within a number"),
        (b"B" + struct.pack(">QqI", 1, 2**63 - 1, 1), 9, "a time out of range"),
        (b"O" + struct.pack(">Q", 1) + b"no end", 9, "a string that does not end"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(data: bytes, offset: int, says: str) -> None:
    with pytest.raises(MalformedMessage) as refused:
        decode(data)
    assert (refused.value.offset, says in refused.value.detail) == (offset, True), refused.value


def message_or_malformed(data: bytes) -> None:
    """Nothing else comes of any bytes: no IndexError, no struct.error."""
    try:
        message = decode(data)
    except MalformedMessage as refused:
        offset = refused.offset
    else:
        offset = len(data)
        assert dataclasses.is_dataclass(message)
    assert 0 <= offset <= len(data)


@given(st.binary(max_size=120), st.sampled_from(sorted({data[:1] for data, _ in KINDS.values()})))
def test_any_bytes_are_a_message_or_malformed(tail: bytes, kind: bytes) -> None:
    message_or_malformed(kind + tail)


@given(st.sampled_from(list(KINDS)), st.data())
def test_a_message_with_a_byte_changed_is_a_message_or_malformed(kind: str, draw: st.DataObject) -> None:
    data = bytearray(KINDS[kind][0])
    data[draw.draw(st.integers(0, len(data) - 1))] = draw.draw(st.integers(0, 255))
    message_or_malformed(bytes(data))


texts = st.none() | st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=30)


@given(st.lists(texts, max_size=8), st.lists(texts | st.just(UNCHANGED), max_size=8))
def test_a_row_comes_back_as_it_was_written(old: list[Text], new: list[Text]) -> None:
    assert decode(b"I" + OID + b"N" + row(*old)) == Insert(4_000_000_000, elements(*old))
    assert decode(b"U" + OID + b"N" + row(*new)) == Update(4_000_000_000, None, elements(*new))
