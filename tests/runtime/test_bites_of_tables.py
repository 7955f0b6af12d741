"""What bites in Faust's tables: commits ahead of the changelog (3), lost keys still listed (6), events counted twice (7)."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer

from holdfast_schemas.transport import topics
from holdfast_schemas.transport.publish import Publisher
from holdfast_schemas.transport.reading import read_to_end
from holdfast_schemas.transport.security import KafkaSettings
from tests.runtime.migrations import Migration, kept, records
from tests.runtime.test_bites import Plain, assert_state_covers, committed
from tests.runtime.workers import PROCESSOR, Worker, environment
from tests.waiting import wait_for

pytestmark = pytest.mark.kafka
EVENTS = 20
MANY = 5000


@pytest.fixture
def plain(kafka: Any, kafka_topics: Any, tmp_path: Path) -> Callable[..., Plain]:
    return lambda case, *more, **config: Plain(case, tmp_path, kafka, kafka_topics, *more, **config)


@pytest.mark.long  # a race of Faust's own: it shows in nearly every run, and a run of `make test` must not hang on it
def test_bites_3_offsets_are_committed_before_the_changelog_is_sent(
    plain: Callable[..., Plain], kafka_topics: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each produce request takes 1.5 s: Faust's flush before a commit gives up on what waits behind a full batch."""
    monkeypatch.setenv("DELAY_SECONDS", "1.5")
    app = plain("counts", "plain-counts-changelog", config={"cleanup.policy": "compact"})
    changelog = f"{kafka_topics.prefix}plain-counts-changelog"
    settings = app.kafka.model_copy(update={"topic_prefix": kafka_topics.prefix.rstrip(".")})
    app.send(*[b"x"] * MANY)

    def assert_covered() -> int:
        position = committed(app.kafka, app.group, app.topic)
        assert_state_covers(position, len(records(settings, "plain-counts-changelog")))
        return position

    with app.start(hold_topic=changelog), pytest.raises(AssertionError, match="but the changelog covers"):
        wait_for(lambda: assert_covered() >= MANY, 40, "the last commit", 0.05)


def test_bites_7_events_that_come_again_are_counted_twice(
    plain: Callable[..., Plain], kafka_topics: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The table is in the changelog, the position is not committed: what any rebalance or crash in between leads to."""
    monkeypatch.setenv("COMMIT_SECONDS", "60")
    app = plain("counts", "plain-counts-changelog", config={"cleanup.policy": "compact"})
    settings = app.kafka.model_copy(update={"topic_prefix": kafka_topics.prefix.rstrip(".")})
    app.send(*[b"x"] * EVENTS)
    with app.start() as worker:
        wait_for(lambda: len(records(settings, "plain-counts-changelog")) >= EVENTS, 30, "the changelog", 0.1)
        worker.process.kill()
        worker.process.wait(10)
    with app.start():
        wait_for(lambda: int(app.handled()[-1]) > EVENTS or app.handled().count("1") > 1, 40, "the events again", 0.1)
    assert int(app.handled()[-1]) > EVENTS, "not counted twice"


def test_bites_7_ours_counts_what_comes_again_once(kafka_settings: KafkaSettings, tmp_path: Path) -> None:
    env = environment(kafka_settings, HOLDFAST_PROCESSOR__KEEP_SECONDS="60")
    with Publisher(kafka_settings, "test") as publisher:
        migration = Migration(publisher, "again")
        with Worker(tmp_path / "first.log", *PROCESSOR, env=env) as worker:
            worker.wait_ready()
            migration.start()
            migration.report(1000, 80)
            # The trigger's state is urgent: it is kept at once, while the position waits for the minute to be over.
            wait_for(lambda: b"again" in _kept_keys(kafka_settings), 20, "the state in the changelog", 0.2)
            worker.process.kill()
            worker.process.wait(10)
        migration.report(500, 0)
    with Worker(tmp_path / "second.log", *PROCESSOR, env=env) as worker:
        worker.wait_ready()
        wait_for(lambda: _newest(kafka_settings).rows_attempted >= 1500, 30, "the events after the kill", 0.2)
    newest = _newest(kafka_settings)
    assert (newest.rows_attempted, newest.error_count) == (1500, 80)
    assert newest.triggers[0].n == 1500
    ids = {one.record.decision_id for one in read_to_end(kafka_settings, topics.decisions)}
    assert len(ids) == 1


def _kept_keys(kafka: KafkaSettings) -> set[bytes]:
    return {key.encode() for states in kept(kafka)[0].values() for key in states}


def _newest(kafka: KafkaSettings) -> Any:
    found = [one.record for one in read_to_end(kafka, topics.metrics) if one.record.migration_id == "again"]
    return found[-1]


def test_bites_6_a_worker_still_lists_the_keys_that_it_lost(
    plain: Callable[..., Plain], kafka: Any, kafka_topics: Any
) -> None:
    app = plain("lists")
    app.topic = kafka_topics("two", partitions=2)["two"]
    kafka_topics("plain-values-changelog", partitions=2, config={"cleanup.policy": "compact"})
    producer = Producer({"bootstrap.servers": kafka.bootstrap_servers})
    for partition in (0, 1):
        producer.produce(app.topic, key=f"k{partition}".encode(), value=b"x", partition=partition)
    assert producer.flush(10) == 0

    def told(pid: int) -> tuple[str, str]:
        lines = [line.split(":") for line in app.handled() if line.startswith(f"{pid}:")]
        return (lines[-1][1], lines[-1][2]) if lines else ("", "")

    with app.start() as first:
        wait_for(lambda: told(first.process.pid) == ("0,1", "k0,k1"), 30, "both keys", 0.1)
        with app.start():
            wait_for(lambda: len(told(first.process.pid)[0]) == 1, 30, "the loss of a partition", 0.1)
            owned, listed = told(first.process.pid)
            assert listed == "k0,k1", f"lists {listed} while it owns {owned}"


def test_bites_6_ours_forgets_what_another_worker_owns(kafka_settings: KafkaSettings, tmp_path: Path) -> None:
    """A worker is ready only when each partition that it lists was watched by it lately: a lost one never is again."""
    env = environment(kafka_settings)
    with Worker(tmp_path / "first.log", *PROCESSOR, env=env) as first:
        first.wait_ready()
        with Worker(tmp_path / "second.log", *PROCESSOR, env=env) as second:
            second.wait_for_log("assigned [").wait_ready()
            wait_for(lambda: len(_assigned(first)) == 2, 20, "the first worker's second assignment", 0.1)
            first.wait_ready()
            mine, others = _assigned(first)[-1], _assigned(second)[-1]
            assert mine
            assert others
            assert mine | others == set(range(topics.PARTITIONS))
            assert not mine & others


def _assigned(worker: Worker) -> list[set[int]]:
    found = re.findall(r"assigned \[([\d, ]*)\]", worker.log())
    return [{int(partition) for partition in numbers.split(",") if partition.strip()} for numbers in found]
