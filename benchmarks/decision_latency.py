"""From an event to its decision: ``python -m benchmarks.decision_latency [--rate 5000] [--migrations 1000] [--rounds 5]``.

In turn on the same broker, each under the same load. Ours: a report that passes a threshold, from its produce to its
decision read, through `holdfast processor` with its defaults. The peer: a record through one raw consume and produce.
"""

import argparse
import math
import signal
import statistics
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from holdfast_schemas.events import ProgressReported, RunStarted
from holdfast_schemas.identity import new_id
from holdfast_schemas.record import now
from holdfast_schemas.transport import topics
from holdfast_schemas.transport.codec import encode
from holdfast_schemas.transport.security import KafkaSettings

from .processes import beside
from .rounds import Comparison, Measured, alternate, table, write
from .stage import default_processor, kafka_and_folder

PROBES = 100
APART_SECONDS = 0.05
SETTLE_SECONDS = 5.0
WAIT_SECONDS = 20.0


class Arrivals:
    """When each key was first read on a topic, from a thread of its own (perf_counter seconds)."""

    def __init__(self, kafka: KafkaSettings, topic: str) -> None:
        self.at: dict[bytes, float] = {}
        self._stop = threading.Event()
        self._consumer = Consumer(
            {**kafka.librdkafka(), "group.id": new_id(), "auto.offset.reset": "latest", "fetch.wait.max.ms": 100}
        )
        partitions = self._consumer.list_topics(topic, timeout=20).topics[topic].partitions
        ends = [(p, self._consumer.get_watermark_offsets(TopicPartition(topic, p))[1]) for p in partitions]
        self._consumer.assign([TopicPartition(topic, p, end) for p, end in ends])
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        while not self._stop.is_set():
            message = self._consumer.poll(0.2)
            if message is not None and not message.error():
                self.at.setdefault(bytes(message.key() or b""), time.perf_counter())

    def close(self) -> None:
        """Stop reading."""
        self._stop.set()
        self._thread.join()
        self._consumer.close()


def milliseconds(send: Callable[[bytes], None], arrivals: Arrivals, keys: list[bytes]) -> Measured:
    """p50 and p99 from sending each key to its arrival."""
    sent = {}
    for key in keys:
        time.sleep(APART_SECONDS)
        sent[key] = time.perf_counter()
        send(key)
    deadline = time.monotonic() + WAIT_SECONDS
    while not sent.keys() <= arrivals.at.keys() and time.monotonic() < deadline:
        time.sleep(0.05)
    took = sorted((arrivals.at[key] - at) * 1000 for key, at in sent.items())
    return {"p50_ms": statistics.median(took), "p99_ms": took[math.ceil(0.99 * len(took)) - 1]}


def ours(kafka: KafkaSettings, producer: Producer) -> Measured:
    """Probes that breach: runs of their own, whose baseline is on the log before the clock starts."""
    name = topics.events.full_name(kafka.topic_prefix)
    breaches: dict[bytes, bytes] = {}
    for _ in range(PROBES):
        who = {"migration_id": f"probe-{new_id()}", "run_id": new_id(), "worker_id": new_id(), "occurred_at": now()}
        report = ProgressReported(**who, seq=2, start_epoch=1, applied_epoch=1, resumed_epoch=1)
        for event in (RunStarted(**who, seq=1, target="orders", start_epoch=1), report):
            encoded = encode(event)
            producer.produce(name, encoded.value, encoded.key)
        breach = report.model_copy(update={"seq": 3, "rows_attempted": 1000, "error_count": 400, "rows_processed": 600})
        encoded = encode(breach)
        breaches[encoded.key] = encoded.value
    producer.flush(30)
    time.sleep(1.0)
    return measured(kafka, producer, name, topics.decisions.full_name(kafka.topic_prefix), breaches)


def peer(kafka: KafkaSettings, producer: Producer) -> Measured:
    """Probes through the raw hop."""
    probes = {new_id().encode(): b"x" * 600 for _ in range(PROBES)}
    return measured(kafka, producer, hop(kafka, "in"), hop(kafka, "out"), probes)


def measured(kafka: KafkaSettings, producer: Producer, to: str, back: str, probes: dict[bytes, bytes]) -> Measured:
    """Send the probes to one topic, which is under load, and await them on the other."""
    arrivals = Arrivals(kafka, back)

    def send(key: bytes) -> None:
        producer.produce(to, probes[key], key, headers=[("probe", b"1")])
        producer.poll(0)

    try:
        return milliseconds(send, arrivals, list(probes))
    finally:
        producer.flush(10)
        arrivals.close()


@contextmanager
def going(load: subprocess.Popen[str]) -> Iterator[None]:
    """The load goes on for this while, and some seconds before; else it stands still, its migrations with it."""
    load.send_signal(signal.SIGCONT)
    try:
        time.sleep(SETTLE_SECONDS)
        yield
    finally:
        load.send_signal(signal.SIGSTOP)


def hop(kafka: KafkaSettings, which: str) -> str:
    """A topic of the peer's."""
    return f"{kafka.topic_prefix}.hop-{which}"


@contextmanager
def both_paths() -> Iterator[KafkaSettings]:
    """A broker with both on it: a processor, and a raw hop."""
    with ExitStack() as stack:
        kafka, folder = stack.enter_context(kafka_and_folder())
        admin = AdminClient({**kafka.librdkafka(), "log_level": 0})
        for future in admin.create_topics([NewTopic(hop(kafka, w), num_partitions=12) for w in ("in", "out")]).values():
            future.result(30)
        stack.enter_context(default_processor(folder, kafka, "processor")).wait_ready()
        stack.enter_context(beside(kafka, "raw_hop", kafka.bootstrap_servers, hop(kafka, "in"), hop(kafka, "out")))
        yield kafka


def measure(rate: int, migrations: int, rounds: int) -> list[Comparison]:
    """Both rows."""
    with both_paths() as kafka, ExitStack() as stack:
        producer = Producer(
            {**kafka.librdkafka(), "partitioner": "murmur2_random", "acks": "all", "linger.ms": 0, "log_level": 0}
        )
        events = topics.events.full_name(kafka.topic_prefix)
        loads = {}
        for topic in (hop(kafka, "in"), events):
            arguments = (kafka.bootstrap_servers, topic, str(rate), str(migrations))
            loads[topic] = stack.enter_context(beside(kafka, "steady_load", *arguments))
            loads[topic].send_signal(signal.SIGSTOP)

        def side(topic: str, probe: Callable[[KafkaSettings, Producer], Measured]) -> Measured:
            with going(loads[topic]):
                return probe(kafka, producer)

        peers, own = alternate(rounds, lambda: side(hop(kafka, "in"), peer), lambda: side(events, ours))
    return [
        Comparison(f"event → decision, {name[:3]}", "ms", aim, [m[name] for m in own], [m[name] for m in peers])
        for name, aim in (("p50_ms", "≤ 2"), ("p99_ms", "≤ 3"))
    ]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=int, default=5_000)
    parser.add_argument("--migrations", type=int, default=1_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    rows = measure(options.rate, options.migrations, options.rounds)
    print(table(rows))
    write(options.json, rows)


if __name__ == "__main__":
    main()
