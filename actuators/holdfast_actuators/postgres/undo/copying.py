"""The journal's rows as PostgreSQL's binary COPY has them: what came from the log goes on as the bytes that it is.

After "Binary Format" of COPY in PostgreSQL's manual, and what ``array_send`` writes.
"""

import struct
from collections.abc import Callable, Iterable, Iterator

from holdfast_schemas.identity import MigrationId

from .sorting import Change

COLUMNS = ("migration_id", "seq", "chunk", "version", "xid", "operation", "old", "new")
"""Of ``change``, in the order of :func:`binary_copy`'s fields."""
HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
TRAILER = b"\xff\xff"
BLOCK_BYTES = 65_536
"""So much is handed on at a time, or one row if it is larger."""
TEXT_OID = 25
NO_ARRAY = b"\xff\xff\xff\xff"
EMPTY_ARRAY = struct.pack(">iiiI", 12, 0, 0, TEXT_OID)
_array_head = struct.Struct(">iiiIii").pack
ARRAY_HEAD_BYTES = 20


def binary_copy(migration_id: MigrationId, changes: Iterable[Change]) -> Iterator[bytes]:
    """All of a COPY's data, in blocks."""
    head = _row_head(migration_id)
    pieces, size = [HEADER], 0
    for seq, chunk, version, xid, operation, old, new in changes:
        row = head(seq, chunk, version, xid, operation) + _text_array(old) + _text_array(new)
        pieces.append(row)
        size += len(row)
        if size >= BLOCK_BYTES:
            yield b"".join(pieces)
            pieces, size = [], 0
    yield b"".join([*pieces, TRAILER])


def _row_head(migration_id: MigrationId) -> Callable[[int, int, int, int, str], bytes]:
    """A row's fields before its arrays: their number, and each one's length before it."""
    name = migration_id.encode()
    pack = struct.Struct(f">hi{len(name)}siqiiiiiqic").pack

    def head(seq: int, chunk: int, version: int, xid: int, operation: str) -> bytes:
        return pack(
            len(COLUMNS), len(name), name, 8, seq, 4, chunk, 4, version, 8, xid, 1, operation.encode()
        )  # fmt: skip

    return head


def _text_array(values: list[bytes] | None) -> bytes:
    """A field of type text[]; its elements are such already."""
    if values is None:
        return NO_ARRAY
    if not values:
        return EMPTY_ARRAY
    elements = b"".join(values)
    # Its length, one dimension, the flag for NULLs (which the server sets itself), the type, so many elements, counted from 1.
    return _array_head(ARRAY_HEAD_BYTES + len(elements), 1, 0, TEXT_OID, len(values), 1) + elements
