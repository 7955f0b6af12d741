"""The bytes of one message of the replication stream, read from front to end. Pure."""

import struct
from datetime import UTC, datetime, timedelta

from holdfast_schemas.errors import MalformedMessage

EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
"""PostgreSQL counts its microseconds from here."""
_INT8, _INT16, _INT32, _OID, _INT64, _TIME = (struct.Struct(code) for code in (">B", ">H", ">i", ">I", ">Q", ">q"))


class MessageBytes:
    """Each method reads what stands next and goes on behind it; raises MalformedMessage where that is not there."""

    __slots__ = ("at", "data")

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def _number(self, format: struct.Struct) -> int:
        try:
            (value,) = format.unpack_from(self.data, self.at)
        except struct.error:
            raise MalformedMessage(self.at, "it ends within a number") from None
        self.at += format.size
        return int(value)

    def int8(self) -> int:
        """An unsigned byte."""
        return self._number(_INT8)

    def int16(self) -> int:
        """A count, unsigned."""
        return self._number(_INT16)

    def int32(self) -> int:
        """A length or a type modifier, signed."""
        return self._number(_INT32)

    def oid(self) -> int:
        """An OID or a transaction's id, unsigned."""
        return self._number(_OID)

    def int64(self) -> int:
        """An LSN, unsigned."""
        return self._number(_INT64)

    def bytes(self, length: int) -> bytes:
        """So many bytes as they are."""
        end = self.at + length
        if length < 0 or end > len(self.data):
            raise MalformedMessage(self.at, f"it has no {length} bytes more")
        found = self.data[self.at : end]
        self.at = end
        return found

    def text(self, length: int) -> str:
        """So many bytes of UTF-8."""
        at = self.at
        try:
            return self.bytes(length).decode()
        except UnicodeDecodeError:
            raise MalformedMessage(at, "a text that is not UTF-8") from None

    def string(self) -> str:
        """A text that ends with a zero byte."""
        end = self.data.find(b"\0", self.at)
        if end < 0:
            raise MalformedMessage(self.at, "a string that does not end")
        found = self.text(end - self.at)
        self.at = end + 1
        return found

    def time(self) -> datetime:
        """A timestamptz."""
        at = self.at
        try:
            return EPOCH + timedelta(microseconds=self._number(_TIME))
        except OverflowError:
            raise MalformedMessage(at, "a time out of range") from None
