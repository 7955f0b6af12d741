"""What bites on Faust: each assertion holds for our runtime and fails on the app that a user would write first."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from aiokafka.partitioner import DefaultPartitioner
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition

from holdfast_schemas.identity import new_id
from holdfast_schemas.record import now
from holdfast_schemas.transport import topics
from holdfast_schemas.transport.partitioner import partition_of
from holdfast_schemas.transport.publish import Publisher
from holdfast_schemas.transport.reading import read_to_end
from holdfast_schemas.transport.security import KafkaSettings
from tests.runtime.migrations import Migration, kept, records
from tests.runtime.workers import ROOT, Worker, environment
from tests.waiting import wait_for

pytestmark = pytest.mark.kafka
FAULTY = ("-m", "tests.runtime.faulty_processor")


COORDINATOR_MOVES = (
    KafkaError.NOT_COORDINATOR,
    KafkaError.COORDINATOR_NOT_AVAILABLE,
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
)


def committed(kafka: KafkaSettings, group: str, topic: str, partition: int = 0) -> int:
    """The group's committed position, 0 when there is none. A young broker first makes the topic that holds it."""
    consumer = Consumer({"bootstrap.servers": kafka.bootstrap_servers, "group.id": group, "log_level": 0})

    def asked() -> list[TopicPartition]:
        try:
            return consumer.committed([TopicPartition(topic, partition)], timeout=10)
        except KafkaException as error:
            if error.args[0].code() not in COORDINATOR_MOVES:
                raise
            return []

    try:
        return max(0, wait_for(asked, 15, "the group's coordinator", 0.1)[0].offset)
    finally:
        consumer.close()


class Plain:
    """A plain Faust app on a topic of one partition."""

    def __init__(self, case: str, folder: Path, kafka: Any, make_topics: Any, *more: str, **config: Any) -> None:
        self.group = f"{make_topics.prefix}plain"
        names = make_topics("in", *more, partitions=1, **config)
        self.topic, self.out = names["in"], names.get("out", "")
        self.kafka = KafkaSettings(bootstrap_servers=kafka.bootstrap_servers)
        self.handled_path, self.hold, self._case, self._folder, self._started = (
            folder / "handled", folder / "hold", case, folder, 0,
        )  # fmt: skip
        self.handled_path.touch()

    def start(self, hold_topic: str = "") -> Worker:
        env = os.environ | {
            "CASE": self._case, "TOPIC": self.topic, "OUT": self.out, "GROUP": self.group, "HANDLED": str(self.handled_path),
            "BOOTSTRAP": self.kafka.bootstrap_servers, "DATADIR": str(self._folder / "data"), "PYTHONPATH": str(ROOT),
            "HOLD_FILE": str(self.hold), "HOLD_TOPIC": hold_topic,
        }  # fmt: skip
        self._started += 1
        log = self._folder / f"plain{self._started}.log"
        return Worker(log, "-m", "tests.runtime.plain_faust", "worker", "-l", "error", "--without-web", env=env)

    def send(self, *values: bytes) -> None:
        producer = Producer({"bootstrap.servers": self.kafka.bootstrap_servers})
        for value in values:
            producer.produce(self.topic, value=value, key=b"k", partition=0)
        assert producer.flush(10) == 0

    def handled(self) -> list[str]:
        return self.handled_path.read_text().split()

    def wait_committed(self, position: int) -> None:
        wait_for(lambda: committed(self.kafka, self.group, self.topic) >= position, 30, f"a commit of {position}", 0.1)


@pytest.fixture
def plain(kafka: Any, kafka_topics: Any, tmp_path: Path) -> Callable[..., Plain]:
    return lambda case, *more, **config: Plain(case, tmp_path, kafka, kafka_topics, *more, **config)


class Ours:
    """Our processor with a fault, and one migration that trips its first trigger."""

    def __init__(self, kafka: KafkaSettings, folder: Path) -> None:
        self.kafka, self._folder, self._started = kafka, folder, 0
        self.bug, self.hold = folder / "bug", folder / "hold"
        self.events = topics.events.full_name(kafka.topic_prefix)
        self.partition = partition_of("boom", 12)

    def start(self, **more: str) -> Worker:
        self._started += 1
        env = environment(self.kafka, BUG_FILE=str(self.bug), HOLD_FILE=str(self.hold), **more)
        return Worker(self._folder / f"ours{self._started}.log", *FAULTY, env=env)

    def breach(self, migration_id: str = "boom") -> None:
        with Publisher(self.kafka, "test") as publisher:
            migration = Migration(publisher, migration_id)
            migration.start()
            migration.report(1000, 80)

    def committed(self) -> int:
        return committed(self.kafka, f"{self.kafka.topic_prefix}-processor", self.events, self.partition)

    def assert_stays_committed_to(self, position: int, seconds: float = 3.5) -> None:
        """Through three intervals of keep nothing beyond ``position`` is committed."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            assert self.committed() <= position
            time.sleep(0.2)

    def tripped_at(self) -> int:
        """The offset of the report that trips."""
        return max(o for p, o, _, key, *_ in records(self.kafka, "events") if p == self.partition and key == b"boom")

    def decided(self) -> list[str]:
        return [one.record.trigger_id for one in read_to_end(self.kafka, topics.decisions)]


@pytest.fixture
def ours(kafka_settings: KafkaSettings, tmp_path: Path) -> Ours:
    return Ours(kafka_settings, tmp_path)


def assert_handled(expected: list[str], handled: list[str]) -> None:
    lost = set(expected) - set(handled)
    assert not lost, f"lost: {lost}"


def test_bites_1_exception_in_agent_loses_event(plain: Callable[..., Plain]) -> None:
    app = plain("raises")
    app.send(b"1", b"boom", b"3")
    with app.start():
        app.wait_committed(3)
    with pytest.raises(AssertionError, match=r"lost: {'boom'}"):
        assert_handled(["1", "boom", "3"], app.handled())


def test_bites_1_ours_ends_the_process_and_judges_the_event_after_it(ours: Ours) -> None:
    ours.bug.touch()
    with ours.start() as worker:
        worker.wait_ready()
        ours.breach()
        assert worker.process.wait(20) == 70
        assert "a bug in the engine" in worker.log()
    ours.bug.unlink()
    assert ours.committed() <= ours.tripped_at()
    with ours.start():
        wait_for(ours.decided, 30, "the decision after a restart", 0.2)
    assert_handled(["error-rate-pause"], ours.decided())


def test_bites_2_decode_error_ends_the_agent_silently(plain: Callable[..., Plain]) -> None:
    app = plain("decodes")
    app.send(b'"before"')
    with app.start() as worker:
        wait_for(app.handled, 30, "the first event", 0.1)
        app.send(b"\xff not JSON", b'"after"')
        app.wait_committed(1)
        with pytest.raises(AssertionError, match="waited"):
            wait_for(lambda: "after" in app.handled(), 4, "the event after the garbage", 0.1)
        assert worker.process.poll() is None, "it looks healthy"


def test_bites_2_ours_dead_letters_garbage_and_goes_on(ours: Ours) -> None:
    with ours.start() as worker:
        worker.wait_ready()
        with Publisher(ours.kafka, "test") as publisher:
            publisher.publish_bytes(ours.events, b"boom", b"\xff not JSON", [], ours.partition)
        ours.breach()
        wait_for(ours.decided, 20, "the decision behind the garbage", 0.2)
    assert [r[4] for r in records(ours.kafka, topics.DEAD_LETTERS)] == [b"\xff not JSON"]


def assert_state_covers(position: int, covered: int) -> None:
    assert covered >= position, f"committed {position}, but the changelog covers {covered}"


def test_bites_3_ours_commits_what_the_changelog_covers(ours: Ours) -> None:
    """The plain counterpart, which needs a table, is in test_bites_of_tables.py."""
    ours.hold.touch()
    with ours.start(HOLD_TOPIC=f"{ours.kafka.topic_prefix}.{topics.CHANGELOG}") as worker:
        worker.wait_for_log("answering on")
        ours.breach()
        worker.wait_for_log("error-rate-pause")  # judged; a held broker takes nothing, so it is not told yet
        ours.assert_stays_committed_to(0)
        ours.hold.unlink()
        wait_for(lambda: ours.committed() > ours.tripped_at(), 20, "the commit", 0.2)
        position = ours.committed()
    assert_state_covers(position, kept(ours.kafka)[1][ours.partition] + 1)


def test_bites_4_failed_sends_are_only_logged(plain: Callable[..., Plain]) -> None:
    app = plain("sends", "out", config={"max.message.bytes": "1000"})
    app.send(b"1", b"2")
    with app.start() as worker:
        app.wait_committed(2)
        assert worker.process.poll() is None
    kafka = app.kafka.model_copy(update={"topic_prefix": app.out.rpartition(".")[0]})
    with pytest.raises(AssertionError, match="lost"):
        assert_handled(["1", "2"], ["sent" for _ in records(kafka, "out")])


def test_bites_4_ours_ends_the_process_and_commits_nothing(ours: Ours, kafka_topics: Any) -> None:
    from confluent_kafka.admin import AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType

    small = ConfigEntry("max.message.bytes", "300", incremental_operation=AlterConfigOpType.SET)
    decisions = topics.decisions.full_name(ours.kafka.topic_prefix)
    resource = ConfigResource(ResourceType.TOPIC, decisions, incremental_configs=[small])
    for future in kafka_topics.admin.incremental_alter_configs([resource]).values():
        future.result(20)
    with ours.start() as worker:
        worker.wait_ready()
        ours.breach()
        assert worker.process.wait(20) == 70, worker.log()
        assert "decide failed: MessageSizeTooLargeError" in worker.log()
    assert ours.committed() <= ours.tripped_at()


def test_bites_5_a_commit_passes_an_event_that_is_not_done(plain: Callable[..., Plain]) -> None:
    app = plain("concurrent")
    app.hold.touch()
    app.send(b"0", b"1")
    with app.start():
        app.wait_committed(2)
    app.hold.unlink()
    with app.start():
        app.send(b"2")
        wait_for(lambda: "2" in app.handled(), 30, "the next event", 0.1)
    with pytest.raises(AssertionError, match=r"lost: {'0'}"):
        assert_handled(["0", "1", "2"], app.handled())


def test_bites_5_ours_commits_nothing_beyond_a_decision_under_way(ours: Ours) -> None:
    ours.hold.touch()
    with ours.start(HOLD_TOPIC=topics.decisions.full_name(ours.kafka.topic_prefix)) as worker:
        worker.wait_for_log("answering on")
        ours.breach()
        worker.wait_for_log("error-rate-pause")
        ours.assert_stays_committed_to(ours.tripped_at())
        assert ours.decided() == []
    ours.hold.unlink()
    with ours.start():
        wait_for(ours.decided, 30, "the decision after a kill", 0.2)
    assert_handled(["error-rate-pause"], ours.decided())


def test_bites_8_a_default_producer_puts_keys_elsewhere(kafka: Any, kafka_topics: Any) -> None:
    settings = KafkaSettings(bootstrap_servers=kafka.bootstrap_servers, topic_prefix=kafka_topics.prefix.rstrip("."))
    names = kafka_topics("default", "ours")
    keys = [f"migration-{new_id()}".encode() for _ in range(40)]
    producer = Producer({"bootstrap.servers": kafka.bootstrap_servers})
    with Publisher(settings, f"test {now()}") as publisher:
        for key in keys:
            producer.produce(names["default"], key=key, value=b"x")
            publisher.publish_bytes(names["ours"], key, b"x", [])
    assert producer.flush(10) == 0
    everywhere = list(range(12))

    def assert_where_faust_expects_them(name: str) -> None:
        for partition, _, _, key, *_ in records(settings, name):
            assert partition == DefaultPartitioner()(key, everywhere, everywhere)

    assert_where_faust_expects_them("ours")
    with pytest.raises(AssertionError):
        assert_where_faust_expects_them("default")
