"""Headers whose names are not UTF-8: aiokafka raises on them, and one such record would end the processor, again and again.

Kafka asks of names that they are UTF-8 and does not check it. Such a batch is read once more, slowly, with what is no UTF-8
in its names escaped; nothing is judged by headers, so the record is judged or dead-lettered as any other.
"""

from collections.abc import Iterator
from itertools import islice
from typing import Any

from aiokafka.consumer import fetcher
from aiokafka.record.default_records import DefaultRecordBatch, _DefaultRecordBatchPy
from aiokafka.record.memory_records import _MemoryRecordsPy

FIRST_MAGIC_WITH_HEADERS = 2


class _Name(bytearray):
    def decode(self, *_: Any, **__: Any) -> str:
        return super().decode("utf-8", "backslashreplace")


class _Buffer(bytearray):
    def __getitem__(self, at: Any) -> Any:
        found = super().__getitem__(at)
        return found if isinstance(found, int) else _Name(found)


class _Batch:
    """A batch as aiokafka reads it, until a name is no UTF-8."""

    def __init__(self, content: Any) -> None:
        self._content = content
        self._batch = DefaultRecordBatch(content)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._batch, name)

    def __next__(self) -> Any:
        return next(self._batch)

    def __iter__(self) -> Iterator[Any]:
        read = 0
        try:
            for record in self._batch:
                yield record
                read += 1
        except UnicodeDecodeError:
            yield from islice(_leniently(self._content), read, None)


def _leniently(content: Any) -> Iterator[Any]:
    batch = _DefaultRecordBatchPy(content)
    batch._maybe_uncompress()
    batch._buffer = _Buffer(batch._buffer)
    return iter(batch)


class _Records(_MemoryRecordsPy):  # type: ignore[misc]
    def next_batch(self) -> Any:
        content = self._next_slice
        if content is None or len(content) < self.MIN_SLICE or content[self.MAGIC_OFFSET] < FIRST_MAGIC_WITH_HEADERS:
            return super().next_batch()
        self._cache_next()
        return _Batch(content)


def read_any() -> None:
    """Let every consumer of this process read such records."""
    fetcher.MemoryRecords = _Records
