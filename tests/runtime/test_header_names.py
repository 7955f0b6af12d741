"""Headers whose names are not UTF-8 end no processor: their records are read, and dead-lettered or judged as any other."""

from pathlib import Path
from typing import Any

import pytest
from aiokafka.record.default_records import _DefaultRecordBatchBuilderPy
from aiokafka.record.memory_records import MemoryRecords

from holdfast_processors.runtime.header_names import _Records
from holdfast_schemas.transport import topics
from holdfast_schemas.transport.publish import Publisher
from holdfast_schemas.transport.security import KafkaSettings
from tests import foreign_headers
from tests.foreign_headers import Foreign
from tests.runtime.migrations import Migration, records
from tests.runtime.test_main_path import decided
from tests.runtime.workers import processor
from tests.waiting import wait_for

NONE, GZIP = 0, 1


def batch(first: int, *names: str | None, codec: int = NONE) -> bytes:
    builder = _DefaultRecordBatchBuilderPy(2, codec, 0, -1, -1, -1, 1 << 20)
    for n, name in enumerate(names):
        assert builder.append(n, 1_000 + n, b"k", b"%d" % (first + n), [] if name is None else [(name, b"7")])
    return bytes(builder.build())


def read(kind: Any, content: bytes) -> list[tuple[bytes, int, list[Any]]]:
    found, source = [], kind(content)
    while source.has_next():
        one = source.next_batch()
        assert one.validate_crc()
        assert not one.is_control_batch
        found += [(r.value, r.offset, list(r.headers)) for r in one]
    return found


@pytest.mark.parametrize("codec", [NONE, GZIP])
def test_each_record_is_read_once_with_its_names_escaped(codec: int) -> None:
    content = batch(0, "a", Foreign(), None, Foreign(), "b", codec=codec) + batch(5, "c", codec=codec)
    found = read(_Records, content)
    assert [value for value, *_ in found] == [b"%d" % n for n in range(6)]
    assert [offset for _, offset, _ in found] == [0, 1, 2, 3, 4, 0]
    names = [[name for name, _ in headers] for *_, headers in found]
    assert names == [["a"], ["trace\\xff\\xfe"], [], ["trace\\xff\\xfe"], ["b"], ["c"]]


@pytest.mark.parametrize("codec", [NONE, GZIP])
def test_others_are_read_as_before(codec: int) -> None:
    content = batch(0, "a", None, "naïve", codec=codec) + batch(3, None, codec=codec)
    assert read(_Records, content) == read(MemoryRecords, content)


def test_aiokafka_still_raises_by_itself() -> None:
    """When it does not any more, header_names.py can go."""
    with pytest.raises(UnicodeDecodeError):
        read(MemoryRecords, batch(0, Foreign()))


@pytest.mark.kafka
def test_a_processor_goes_on(kafka_settings: KafkaSettings, tmp_path: Path) -> None:
    kafka = kafka_settings
    events = topics.events.full_name(kafka.topic_prefix)
    foreign_headers.send(kafka, events, 3, "orders", "not JSON")
    with Publisher(kafka, "test") as publisher, processor(tmp_path, kafka) as worker:
        worker.wait_ready()
        migration = Migration(publisher, "orders")
        migration.start()
        migration.report(1000, 150)
        publisher.flush()
        wait_for(lambda: decided(kafka), 30, "a decision")
        [letter] = wait_for(lambda: records(kafka, topics.DEAD_LETTERS), 30, "the dead letter")
        assert letter[4] == b"not JSON"
        assert letter[5]["holdfast_original_trace\\xff\\xfe"] == b"7"
        assert worker.stop() == 0
