"""A run that was granted and has no figures yet: nobody is alarmed too early, and then the right one is asked for."""

from datetime import timedelta

import pytest

from holdfast_schemas.desired_state import DesiredState
from holdfast_schemas.identity import new_id
from holdfast_schemas.record import now
from holdfast_schemas.transport import topics
from holdfast_schemas.transport.partitioner import partition_of
from holdfast_schemas.transport.security import KafkaSettings
from holdfast_schemas.watches import Watched
from tests.consoles.conftest import PARTITIONS, Holdfast, Log

pytestmark = pytest.mark.kafka


def granted(log: Log, migration_id: str, seconds_ago: float, desired: str = "run") -> None:
    at = now() - timedelta(seconds=seconds_ago)
    log.write(
        topics.control,
        DesiredState(
            migration_id=migration_id, run_id=new_id(), epoch=1, start_epoch=1, resumed_epoch=1, desired=desired,
            set_by="ledger", reason="granted", occurred_at=at,
        ),
    )  # fmt: skip


def judged(log: Log, migration_id: str) -> None:
    """The processor says that it judges the migration's partition."""
    partition = partition_of(migration_id, PARTITIONS)
    said = Watched(
        partition=partition, log_id=new_id(), tick_offset=1, tick_at=now(), decisions_end=0, rules_version=0,
        rules_hash="f" * 64, lag_seconds=0.0, occurred_at=now(),
    )  # fmt: skip
    log.write(topics.watches, said, partition=partition)


@pytest.mark.parametrize(
    ("seconds_ago", "desired", "watched", "says", "says_not"),
    [
        (1.0, "run", False, "no report of this run was judged yet; the first is due", "processor"),
        (600.0, "run", True, "no report of this run came in 10 min: are its workers alive?", "processor"),
        (600.0, "none", True, "the run has not begun", "processor"),
    ],
)
def test_who_is_asked(
    log: Log, holdfast: Holdfast, migration_id: str, seconds_ago: float, desired: str, watched: bool, says: str,
    says_not: str,
) -> None:  # fmt: skip
    if watched:
        judged(log, migration_id)
    granted(log, migration_id, seconds_ago, desired)
    ran = holdfast("status", migration_id)
    [progress] = [line for line in ran.out.splitlines() if line.startswith("  progress ")]
    assert says in progress
    assert says_not not in progress


def test_without_any_watched_the_processor_is_asked_for(
    kafka_settings: KafkaSettings, holdfast: Holdfast, monkeypatch: pytest.MonkeyPatch, migration_id: str
) -> None:
    """On topics of its own: no test has said that their partitions are judged."""
    monkeypatch.setenv("HOLDFAST_KAFKA__BOOTSTRAP_SERVERS", kafka_settings.bootstrap_servers)
    monkeypatch.setenv("HOLDFAST_KAFKA__TOPIC_PREFIX", kafka_settings.topic_prefix)
    granted(Log(kafka_settings), migration_id, 600.0)
    assert "judged in 10 min: is holdfast processor running?" in holdfast("status", migration_id).out
