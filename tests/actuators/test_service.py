"""The actuator as a process, on a real Kafka and a real PostgreSQL."""

import os
import signal
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from prometheus_client.parser import text_string_to_metric_families

from holdfast_consoles.embedded.child import ChildProcess
from holdfast_schemas.actions import ActionRecorded
from holdfast_schemas.desired_state import DesiredState
from holdfast_schemas.identity import new_id
from holdfast_schemas.record import now
from holdfast_schemas.requests import PersonRequest
from holdfast_schemas.runs import EpochAcknowledged, RunRequested
from holdfast_schemas.transport import topics
from holdfast_schemas.transport.partitioner import partition_of
from holdfast_schemas.transport.publish import Publisher
from holdfast_schemas.transport.reading import messages_to_end, read_to_end
from holdfast_schemas.transport.security import KafkaSettings
from holdfast_schemas.transport.topics import DEAD_LETTERS
from holdfast_schemas.triggers import DEFAULT_RULES_HASH
from holdfast_schemas.watches import Watched
from tests.waiting import wait_for

from .conftest import MIGRATION, decision_of

pytestmark = [pytest.mark.kafka, pytest.mark.postgres]


class Actuator:
    def __init__(self, kafka: KafkaSettings, dsn: str, folder: Path) -> None:
        self.kafka, self.dsn, self.folder = kafka, dsn, folder
        self.child: ChildProcess | None = None

    def start(self) -> ChildProcess:
        env = {
            **os.environ,
            "HOLDFAST_KAFKA__BOOTSTRAP_SERVERS": self.kafka.bootstrap_servers,
            "HOLDFAST_KAFKA__TOPIC_PREFIX": self.kafka.topic_prefix,
            "HOLDFAST_LEDGER__DSN": self.dsn,
            "HOLDFAST_ACTUATOR__WEB_PORT": "0",
            "HOLDFAST_ACTUATOR__SESSION_TIMEOUT_SECONDS": "6",
        }
        argv = [sys.executable, "-m", "holdfast_consoles", "actuator"]
        self.child = ChildProcess(argv, log_path=self.folder / "actuator.log", env=env).start()
        return self.child

    def log(self) -> str:
        return (self.folder / "actuator.log").read_text()

    def records(self, topic: Any) -> list[Any]:
        return [received.record for received in read_to_end(self.kafka, topic)]

    def outcomes(self, cause_id: str) -> list[str]:
        return [
            r.outcome for r in self.records(topics.actions) if isinstance(r, ActionRecorded) and r.cause_id == cause_id
        ]


@pytest.fixture
def actuator(kafka_settings: KafkaSettings, database: str, tmp_path: Path) -> Iterator[Actuator]:
    made = Actuator(kafka_settings, database, tmp_path)
    yield made
    if made.child is not None:
        made.child.stop()


@pytest.fixture
def publisher(kafka_settings: KafkaSettings) -> Iterator[Publisher]:
    with Publisher(kafka_settings, "test") as made:
        yield made


def requested(publisher: Publisher) -> RunRequested:
    asked = RunRequested(
        migration_id=MIGRATION, run_id=new_id(), worker_id=new_id(), request_id=new_id(), target="orders",
        can_undo=True, occurred_at=now(),
    )  # fmt: skip
    publisher.publish(topics.runs, asked)
    publisher.flush()
    return asked


def newest_state(actuator: Actuator) -> DesiredState | None:
    states = [s for s in actuator.records(topics.control) if s.migration_id == MIGRATION]
    return states[-1] if states else None


def watched(partition: int, decisions_end: int) -> Watched:
    return Watched(
        partition=partition, log_id=new_id(), tick_offset=1, tick_at=now(), decisions_end=decisions_end, rules_version=0,
        rules_hash=DEFAULT_RULES_HASH, lag_seconds=0.0, occurred_at=now(),
    )  # fmt: skip


def test_a_decision_goes_through_and_a_sigkill_doubles_nothing(actuator: Actuator, publisher: Publisher) -> None:
    child = actuator.start()
    run = requested(publisher)
    wait_for(lambda: newest_state(actuator), 30, "the grant")
    decision = decision_of(run.run_id, "pause", 1)
    publisher.publish(topics.decisions, decision)
    publisher.flush()
    wait_for(lambda: actuator.outcomes(decision.decision_id), 20, "the pause")
    child.kill()
    # The same decision again, and the acknowledgement, while nobody listens: the successor takes both in.
    publisher.publish(topics.decisions, decision)
    publisher.publish(
        topics.runs,
        EpochAcknowledged(
            migration_id=MIGRATION,
            run_id=run.run_id,
            worker_id=run.worker_id,
            occurred_at=now(),
            epoch=2,
            state="paused",
        ),
    )
    publisher.flush()
    actuator.start()
    wait_for(lambda: "effective" in actuator.outcomes(decision.decision_id), 40, "the pause being effective")
    identities = {(r.cause_id, r.revision, r.outcome) for r in actuator.records(topics.actions)}
    assert [o for c, _, o in sorted(identities) if c == decision.decision_id] == ["requested", "effective"]
    state = newest_state(actuator)
    assert state is not None
    assert (state.desired, state.epoch) == ("pause", 2)


def test_the_lease_names_what_is_missing_and_renews_once_the_loop_is_whole(
    actuator: Actuator, publisher: Publisher
) -> None:
    actuator.start()
    partition = 3

    def newest_lease() -> Any:
        leases = [received.record for received in read_to_end(actuator.kafka, topics.leases, [partition])]
        return leases[-1] if leases else None

    first = wait_for(newest_lease, 30, "a beat")
    assert first.renewed is False
    assert "is holdfast processor running?" in first.missing

    def renewed() -> bool:
        publisher.publish(topics.watches, watched(partition, 0), partition=partition)
        publisher.flush()
        return bool(newest_lease().renewed)

    wait_for(renewed, 20, "a renewed lease")
    wait_for(lambda: not newest_lease().renewed, 20, "a lease that lapses when nothing is watched any more")


def test_poison_goes_to_the_dead_letters_and_neighbours_count(actuator: Actuator, publisher: Publisher) -> None:
    actuator.start()
    name = topics.runs.full_name(actuator.kafka.topic_prefix)
    partition = partition_of(MIGRATION, topics.PARTITIONS)
    publisher.publish_bytes(name, MIGRATION.encode(), b"\x00 garbage", [("trace", b"7"), ("trace", b"8")], partition)
    publisher.publish_bytes(name, None, b'{"type":"Novel"}', [], partition)
    publisher.publish_bytes(name, None, b"x" * 1_040_000, [], partition, limit_bytes=1_040_000)
    requested(publisher)
    wait_for(lambda: newest_state(actuator), 30, "the grant")
    letters = list(messages_to_end(actuator.kafka, f"{actuator.kafka.topic_prefix}.{DEAD_LETTERS}"))
    headers = [dict(letter.headers() or []) for letter in letters]
    assert [letter.value() for letter in letters] == [b"\x00 garbage", b'{"type":"Novel"}', b"x" * 1_040_000]
    assert [h["holdfast_reason"] for h in headers] == [b"not-json", b"unknown-type", b"not-json"]
    own = [pair for pair in letters[0].headers() or [] if pair[0].startswith("holdfast_original_")]
    assert own == [("holdfast_original_trace", b"7"), ("holdfast_original_trace", b"8")]
    assert {h["holdfast_topic"] for h in headers} == {name.encode()}


def test_what_the_ledger_cannot_hold_goes_to_the_dead_letters(actuator: Actuator, publisher: Publisher) -> None:
    """A NUL keeps the contract of a text, and no PostgreSQL holds it: it must not end the process, again and again."""
    child = actuator.start()
    publisher.publish(
        topics.requests,
        PersonRequest(
            request_id=new_id(), kind="pause", migration_id=MIGRATION, actor="ana", reason="a\x00b", occurred_at=now()
        ),
    )
    requested(publisher)
    wait_for(lambda: newest_state(actuator), 30, "the grant")

    def letters() -> list[Any]:
        return list(messages_to_end(actuator.kafka, f"{actuator.kafka.topic_prefix}.{DEAD_LETTERS}"))

    [letter] = wait_for(letters, 20, "the dead letter")
    assert dict(letter.headers() or [])["holdfast_reason"] == b"unstorable"
    assert b"a\\u0000b" in letter.value()
    assert child.poll() is None


def test_a_ledger_that_goes_away_and_comes_back_loses_nothing(
    actuator: Actuator, publisher: Publisher, postgres: Any
) -> None:
    actuator.start()
    requested(publisher)
    wait_for(lambda: newest_state(actuator), 30, "the grant")
    name = psycopg.conninfo.conninfo_to_dict(actuator.dsn)["dbname"]
    with psycopg.connect(postgres.dsn(), autocommit=True) as db:
        db.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false')  # type: ignore[arg-type]
        db.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (name,))
        decision = decision_of(newest_state(actuator).run_id, "pause", 1)  # type: ignore[union-attr]
        publisher.publish(topics.decisions, decision)
        publisher.flush()
        wait_for(lambda: "the ledger is away" in actuator.log(), 20, "the actuator noticing")
        assert actuator.outcomes(decision.decision_id) == []
        db.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true')  # type: ignore[arg-type]
    wait_for(lambda: actuator.outcomes(decision.decision_id) == ["requested"], 20, "the decision being taken in")


def test_it_answers_on_its_port_and_stops_in_time(actuator: Actuator) -> None:
    child = actuator.start()

    def url() -> str | None:
        found = [line for line in actuator.log().splitlines() if "answering on" in line]
        return found[0].split("answering on ")[1].split('"')[0] if found else None

    base = wait_for(url, 20, "its address")

    def get(path: str) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(base + path, timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    assert get("/healthz") == (200, "ok\n")
    wait_for(lambda: get("/readyz")[0] == 200, 30, "being ready")
    shown = wait_for(
        lambda: "holdfast_ledger_outbox_rows" in (text := get("/metrics")[1]) and text, 20, "the ledger's load"
    )
    figures = {
        sample.name: sample.value for family in text_string_to_metric_families(shown) for sample in family.samples
    }
    assert figures["holdfast_actuator_leases_renewed"] == 0
    assert figures["holdfast_actuator_partitions"] == 12
    assert 'holdfast_actuator_leases_withheld{reason="unwatched"} 12' in shown  # no processor runs
    assert time.time() - figures["holdfast_actuator_last_beat_timestamp_seconds"] < 30
    child.send_signal(signal.SIGTERM)
    assert child.wait(12) == 0
    assert "Traceback" not in actuator.log()
