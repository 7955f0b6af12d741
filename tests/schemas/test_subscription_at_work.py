"""Subscribers that are slow, raise, are killed or cancelled: none loses a record, none holds another up."""

import asyncio
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from holdfast import AsyncSubscription, Subscription, topics
from holdfast_schemas.events import ProgressReported
from holdfast_schemas.leases import GuardLease
from holdfast_schemas.transport import subscription as module
from holdfast_schemas.transport.publish import Publisher
from holdfast_schemas.transport.security import KafkaSettings
from tests.waiting import wait_for

from .samples import SAMPLES

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(180)]
ROOT = Path(__file__).parents[2]
PROGRESS = next(r for r in SAMPLES["events"] if isinstance(r, ProgressReported))
CHILD = """
import sys, time
from holdfast import Subscription, topics
from holdfast_schemas.transport import subscription
from holdfast_schemas.transport.security import KafkaSettings
subscription.MAX_POLL_SECONDS = 6.0  # and with it the session: a dead member's partitions go on to others after it
kafka = KafkaSettings(bootstrap_servers=sys.argv[1], topic_prefix=sys.argv[2])
with Subscription(topics.leases, kafka, group="g") as leases:
    for received in leases:
        print(received.record.seq, flush=True)
        time.sleep(0.01)
"""


@pytest.fixture
def publisher(kafka_settings: KafkaSettings) -> Iterator[Publisher]:
    with Publisher(kafka_settings, "test") as publisher:
        yield publisher


def publish(publisher: Publisher, seqs: range, partition: int | None = None) -> None:
    for seq in seqs:
        lease = GuardLease(**{**SAMPLES["leases"][0].model_dump(), "seq": seq})
        publisher.publish(topics.leases, lease, partition=seq % 12 if partition is None else partition)
    publisher.flush()


def seqs(kafka: KafkaSettings, idle_seconds: float = 2.0, **options: Any) -> list[int]:
    with Subscription(topics.leases, kafka, idle_seconds=idle_seconds, **options) as leases:
        return [received.record.seq for received in leases]


def test_from_a_time(kafka_settings: KafkaSettings, publisher: Publisher) -> None:
    publish(publisher, range(5), 0)
    with Subscription(topics.leases, kafka_settings, idle_seconds=5) as leases:
        times = [
            datetime.fromtimestamp(received.timestamp_ms / 1000, UTC)
            for _, received in zip(range(5), leases, strict=False)
        ]
    time.sleep(0.01)  # the broker's milliseconds go on
    publish(publisher, range(5, 8), 0)
    after = times[-1] + timedelta(milliseconds=1)
    assert seqs(kafka_settings, start=after) == [5, 6, 7]
    assert seqs(kafka_settings, start=after, group="from-a-time") == [5, 6, 7]
    assert seqs(kafka_settings, start=datetime.now(UTC) + timedelta(hours=1)) == []
    with pytest.raises(ValueError, match="offset from UTC"):
        seqs(kafka_settings, start=datetime(2026, 3, 1))
    publish(publisher, range(8, 9), 0)
    assert seqs(kafka_settings, group="from-a-time", start="earliest") == [8]  # a group goes on where it stopped


@pytest.mark.parametrize("group", [None, "one"])
def test_one_migration(kafka_settings: KafkaSettings, publisher: Publisher, group: str | None) -> None:
    for n in range(20):
        for name in ("orders", "customers", "invoices"):
            publisher.publish(topics.events, PROGRESS.model_copy(update={"migration_id": name, "seq": n + 1}))
    publisher.flush()
    with Subscription(topics.events, kafka_settings, group=group, migration_id="customers", idle_seconds=2) as events:
        found = [(received.record.key(), received.record.seq) for received in events]  # type: ignore[union-attr]
    assert found == [("customers", n + 1) for n in range(20)]


def test_a_killed_subscriber_loses_nothing(kafka_settings: KafkaSettings, publisher: Publisher) -> None:
    publish(publisher, range(600), 0)
    argv = [sys.executable, "-c", CHILD, kafka_settings.bootstrap_servers, kafka_settings.topic_prefix]
    with subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        handled = [int(child.stdout.readline()) for _ in range(300)]
        child.send_signal(signal.SIGKILL)
    again = _until(kafka_settings, "g", 599)
    assert handled == list(range(300))
    assert again[0] <= 300
    assert again == list(range(again[0], 600))
    assert again[0] > 0  # what was handled more than a second before the kill is not read again


def _until(kafka: KafkaSettings, group: str, last: int) -> list[int]:
    found: list[int] = []
    with Subscription(topics.leases, kafka, group=group, idle_seconds=90) as leases:
        for received in leases:
            found.append(received.record.seq)
            if found[-1] == last:
                leases.poll(0)  # the last is handled, too
                return found
    return found


def test_what_raised_is_read_again(kafka_settings: KafkaSettings, publisher: Publisher) -> None:
    publish(publisher, range(6), 0)
    seen = []
    with pytest.raises(ZeroDivisionError), Subscription(topics.leases, kafka_settings, group="r") as leases:  # noqa: PT012
        for received in leases:
            seen.append(received.record.seq)
            if received.record.seq == 3:
                raise ZeroDivisionError
    assert seen == [0, 1, 2, 3]
    assert seqs(kafka_settings, group="r") == [3, 4, 5]


def test_a_slow_subscriber_keeps_its_partitions_and_holds_no_other_up(
    kafka_settings: KafkaSettings, publisher: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Twice max.poll.interval over one record, while another member joins and another group reads on."""
    monkeypatch.setattr(module, "MAX_POLL_SECONDS", 6.0)
    publish(publisher, range(24))
    release, done = threading.Event(), threading.Event()
    slow: list[int] = []
    fast: list[int] = []

    def handle(seen: list[int]) -> None:
        with Subscription(topics.leases, kafka_settings, group="s") as leases:
            while not done.is_set():
                if (received := leases.poll(0.2)) is not None:
                    seen.append(received.record.seq)
                    if seen is slow and len(slow) == 1:
                        release.wait(60)

    slow_one = threading.Thread(target=handle, args=(slow,))
    slow_one.start()
    wait_for(lambda: len(slow) == 1, 30, "the slow one's first record")
    began = time.monotonic()
    assert sorted(seqs(kafka_settings, group="other")) == list(range(24))
    fast_one = threading.Thread(target=handle, args=(fast,))
    fast_one.start()
    wait_for(lambda: len(fast) >= 10, 30, "the other member's share, while the slow one still handles")
    wait_for(lambda: time.monotonic() - began > 12, 30, "twice max.poll.interval")
    release.set()
    wait_for(lambda: set(slow) | set(fast) == set(range(24)), 60, "all records, between the two")
    done.set()
    slow_one.join(60)
    fast_one.join(60)
    assert len(slow) + len(fast) <= 25  # at most what the slow one had in hand when its partition moved is read twice


def test_async_reads_beside_a_busy_loop_and_a_cancelled_wait_loses_nothing(
    kafka_settings: KafkaSettings, publisher: Publisher
) -> None:
    async def work() -> list[int]:
        found: list[int] = []
        async with AsyncSubscription(topics.leases, kafka_settings, group="a", idle_seconds=8) as leases:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(anext(leases), 0.05)  # nothing is there yet
            await asyncio.to_thread(publish, publisher, range(10), 0)
            while len(found) < 10:
                try:
                    found.append((await asyncio.wait_for(anext(leases), 0.1)).record.seq)
                except TimeoutError:
                    continue
        return found

    assert asyncio.run(work()) == list(range(10))


def test_async_ends_when_idle_and_a_raise_inside_is_read_again(
    kafka_settings: KafkaSettings, publisher: Publisher
) -> None:
    publish(publisher, range(4), 0)

    async def read(stop_at: int) -> list[int]:
        found = []
        async with AsyncSubscription(topics.leases, kafka_settings, group="b", idle_seconds=2) as leases:
            async for received in leases:
                found.append(received.record.seq)
                if received.record.seq == stop_at:
                    raise ZeroDivisionError
        return found

    with pytest.raises(ZeroDivisionError):
        asyncio.run(read(2))
    assert asyncio.run(read(99)) == [2, 3]
