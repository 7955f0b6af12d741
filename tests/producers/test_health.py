"""The health of a target: every partition is told everything once, whatever the broker, threads and forks do."""

import math
import os
import threading
import time
from collections import Counter
from collections.abc import Iterator

import pytest

from holdfast import HealthReporter, MemorySink
from holdfast_producers.testing import PARTITIONS
from holdfast_schemas.errors import SettingsInvalid
from holdfast_schemas.events import HealthSampled
from holdfast_schemas.sketch import Buckets, bucket, merge
from holdfast_schemas.transport import topics
from holdfast_schemas.transport.reading import read_to_end
from holdfast_schemas.transport.security import KafkaSettings
from tests.producers.on_kafka import kafka_settings, process
from tests.producers.settings import quick
from tests.waiting import wait_for

__all__ = ["kafka_settings"]


@pytest.fixture
def sink() -> MemorySink:
    return MemorySink()


@pytest.fixture
def health(sink: MemorySink) -> Iterator[HealthReporter]:
    with HealthReporter("orders", quick(), sink) as reporter:
        yield reporter


def told(sink: MemorySink) -> dict[int, Buckets]:
    """By partition, what it was told of latencies so far."""
    found: dict[int, Buckets] = {}
    for sent in sink.sent:
        if isinstance(sent.record, HealthSampled) and sent.partition is not None and sent.record.response_time:
            merge(found.setdefault(sent.partition, {}), sent.record.response_time.live())
    return found


def everywhere(seconds: list[float]) -> dict[int, Buckets]:
    return {p: dict(Counter(bucket(round(s * 1e9)) for s in seconds)) for p in range(PARTITIONS)}


def test_every_partition_is_told_every_response_once(health: HealthReporter, sink: MemorySink) -> None:
    seconds = [0.001 * n for n in range(1, 200)]
    for one in seconds:
        health.observe(one)
    health.close()
    assert told(sink) == everywhere(seconds)
    samples = sink.of(HealthSampled)
    assert {(s.target, s.reporter_id) for s in samples} == {("orders", samples[0].reporter_id)}
    assert len({s.seq for s in samples}) == len(samples)


def test_an_idle_application_is_alive_and_says_that_it_knows_of_no_response(
    health: HealthReporter, sink: MemorySink
) -> None:
    wait_for(lambda: len(sink.of(HealthSampled)) >= 3 * PARTITIONS, 10, "samples without an observation")
    assert {s.response_time.live() == {} for s in sink.of(HealthSampled) if s.response_time is not None} == {True}
    assert all(s.response_time is not None for s in sink.of(HealthSampled))


def test_what_is_not_delivered_goes_again_under_its_own_number(health: HealthReporter, sink: MemorySink) -> None:
    wait_for(lambda: bool(sink.of(HealthSampled)), 10, "the first sample")
    sink.broken = True
    health.observe(0.5)
    wait_for(lambda: len(sink._undelivered) == PARTITIONS, 10, "samples on their way")
    handed_over = {
        (place, record.seq) for _, record, _, place in sink._undelivered if isinstance(record, HealthSampled)
    }
    sink.refuse_undelivered("nobody knows whether it is in the log")
    health.observe(0.25)
    sink.broken = False
    health.close()
    assert told(sink) == everywhere([0.5, 0.25])
    delivered = [(s.partition, s.record.seq) for s in sink.sent if isinstance(s.record, HealthSampled)]
    assert handed_over <= set(delivered)
    assert len(set(delivered)) == len(delivered)


def test_what_waits_for_the_broker_is_bounded(sink: MemorySink) -> None:
    with HealthReporter("orders", quick(), sink, heartbeat=False) as health:
        health.metric("first", 1)
        wait_for(lambda: len(sink.of(HealthSampled)) == PARTITIONS, 10, "the partitions to be known")
        sink.broken = True
        health.metric("in_flight", 1)
        wait_for(lambda: len(sink._undelivered) == PARTITIONS, 10, "samples on their way")
        for n in range(4):
            for m in range(40):
                health.metric(f"m{n}_{m}", n)
            wait_for(lambda: not health._outbox._metrics, 10, "the figures to be shared out")
        sink.broken = False
    last = [s.metrics for s in sink.of(HealthSampled)[-PARTITIONS:]]
    assert [len(metrics) for metrics in last] == [50] * PARTITIONS
    assert all({f"m3_{m}" for m in range(40)} < set(metrics) for metrics in last)  # the newest stay


def test_after_close_nothing_is_sent_and_nothing_runs(health: HealthReporter, sink: MemorySink) -> None:
    health.observe(0.1)
    health.close()
    health.observe(0.2)
    health.close()
    assert told(sink) == everywhere([0.1])
    assert not health._flusher._thread or not health._flusher._thread.is_alive()


def test_a_figure_goes_once_with_the_next_sample(health: HealthReporter, sink: MemorySink) -> None:
    health.metric("queue_depth", 3)
    wait_for(lambda: len(sink.of(HealthSampled)) >= 4 * PARTITIONS, 10, "samples")
    said = [
        (sent.partition, s.metrics) for sent in sink.sent if isinstance(s := sent.record, HealthSampled) and s.metrics
    ]
    assert sorted(said, key=str) == [(p, {"queue_depth": 3.0}) for p in range(PARTITIONS)]


def test_without_a_heartbeat_no_word_is_no_word(sink: MemorySink) -> None:
    with HealthReporter("orders", quick(), sink, heartbeat=False) as health:
        health.metric("lag", 0)
        wait_for(lambda: len(sink.of(HealthSampled)) >= PARTITIONS, 10, "the figure")
        time.sleep(0.5)  # five intervals in which nothing is observed
        assert len(sink.of(HealthSampled)) == PARTITIONS
        health.observe(0.1)
    samples = sink.of(HealthSampled)
    assert [s.response_time is None for s in samples] == [True] * PARTITIONS + [False] * PARTITIONS


def test_threads_lose_nothing(health: HealthReporter, sink: MemorySink) -> None:
    def work() -> None:
        for _ in range(5_000):
            health.observe(0.01)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    health.close()
    assert told(sink) == everywhere([0.01] * 20_000)


@pytest.mark.parametrize("seconds", [-0.001, math.nan, math.inf])
def test_what_is_no_time_is_refused(health: HealthReporter, seconds: float) -> None:
    with pytest.raises(ValueError, match="finite number of seconds"):
        health.observe(seconds)


def test_names_that_no_record_can_carry_are_refused(health: HealthReporter, sink: MemorySink) -> None:
    with pytest.raises(SettingsInvalid, match="target"):
        HealthReporter("Not OK", quick(), sink)
    for name, value in (("Depth", 1.0), ("depth", math.nan)):
        with pytest.raises(ValueError, match="metric"):
            health.metric(name, value)
    for n in range(50):
        health.metric(f"m{n}", n)
    health.close()


def of_log(kafka: KafkaSettings) -> dict[int, dict[str, Buckets]]:
    """By partition and reporter, what the log holds of latencies; a repeat (reporter_id, seq) counts once."""
    found: dict[int, dict[str, Buckets]] = {}
    seen: set[tuple[int, str, int]] = set()
    for one in read_to_end(kafka, topics.events):
        record = one.record
        if not isinstance(record, HealthSampled) or (place := (one.partition, record.reporter_id, record.seq)) in seen:
            continue
        seen.add(place)
        if record.response_time is not None:
            merge(found.setdefault(one.partition, {}).setdefault(record.reporter_id, {}), record.response_time.live())
    return found


@pytest.mark.kafka
def test_on_kafka_each_partition_holds_all_and_a_forked_child_is_a_reporter_of_its_own(
    kafka_settings: KafkaSettings,
) -> None:
    done = process(
        """
        from holdfast import HealthReporter
        health = HealthReporter("orders", quick(kafka))
        for _ in range(100):
            health.observe(0.010)
        time.sleep(0.3)  # the parent's client is connected by then, which is when a fork is dangerous
        child = os.fork()
        for _ in range(50):
            health.observe(0.020)
        if child == 0:
            sys.exit(0)
        assert os.waitpid(child, 0)[1] == 0
        """,
        kafka_settings,
    )
    assert done.returncode == 0, done.stderr
    parent = {bucket(10_000_000): 100, bucket(20_000_000): 50}
    child = {bucket(20_000_000): 50}
    found = of_log(kafka_settings)
    assert len(found) == 12
    for by_reporter in found.values():
        assert sorted(map(len, by_reporter.values())) == [1, 2]
        assert all(told in (parent, child) for told in by_reporter.values())


def test_without_a_broker_it_neither_waits_nor_fails(tmp_path: object) -> None:
    done = process(
        """
        from holdfast import HealthReporter
        kafka = KafkaSettings(bootstrap_servers="127.0.0.1:1")
        began = time.monotonic()
        health = HealthReporter("orders", quick(kafka))
        for _ in range(1000):
            health.observe(0.010)
        assert time.monotonic() - began < 1
        """,
        KafkaSettings(),
    )
    assert done.returncode == 0, done.stderr
    assert os.linesep not in done.stderr.strip()
