"""An actuator forgets what is old by itself, and how long the ledger keeps it is refused in words when it is too short."""

import re
import urllib.request
from pathlib import Path

import psycopg
import pytest

from holdfast_actuators.ledger import Ledger
from holdfast_schemas.errors import SettingsInvalid
from holdfast_schemas.settings import KEEP_DAYS_MIN, ActuatorSettings, LedgerSettings, Settings
from holdfast_schemas.transport import topics
from holdfast_schemas.transport.security import KafkaSettings
from tests.waiting import wait_for

from .conftest import SCHEMA
from .test_service import Actuator

DELETED = 'holdfast_actuator_ledger_rows_deleted_total{table="action"} '
BROKERS_SEGMENT_DAYS = 7  # log.roll.ms: a record goes with its segment, which may span so long


def deleted(where: str) -> str:
    with urllib.request.urlopen(f"{where}/metrics", timeout=10) as answer:
        return str(re.findall(f"^{re.escape(DELETED)}(.*)$", answer.read().decode(), re.M)[0])


@pytest.mark.kafka
@pytest.mark.postgres
def test_an_actuator_forgets_what_is_old_and_counts_it(
    kafka_settings: KafkaSettings, database: str, tmp_path: Path
) -> None:
    ledger = Ledger(database, SCHEMA, ActuatorSettings())
    ledger.migrate()
    ledger.close()
    with psycopg.connect(database, options=f"-c search_path={SCHEMA}", autocommit=True) as db:
        db.execute("INSERT INTO watched (partition, rules_version, rules_hash, logged_at) VALUES (0, 0, '', now())")
        db.execute(
            "INSERT INTO action (cause_id, cause_kind, kind, state, actor, recorded_at)"
            " SELECT 'c' || i, 'request', 'freeze', 'effective', 'ana', now() - make_interval(days => 90 + i)"
            " FROM generate_series(1, 1230) i"
        )
        actuator = Actuator(kafka_settings, database, tmp_path)
        child = actuator.start()
        try:
            wait_for(lambda: db.execute("SELECT count(*) FROM action").fetchone() == (30,), 40, "three batches")
            [where] = wait_for(lambda: re.findall(r"answering on (http://[\w.:]+)", actuator.log()), 20, "the port")
            wait_for(lambda: deleted(where) == "1200", 20, "the figure")
        finally:
            child.stop()


@pytest.mark.parametrize("days", [0, 90, KEEP_DAYS_MIN - 1, 40_000, -1])
def test_what_topics_hold_is_never_forgotten(days: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOLDFAST_LEDGER__KEEP_DAYS", str(days))
    with pytest.raises(SettingsInvalid, match=f"ledger.keep_days.*{days}.*{KEEP_DAYS_MIN} to .*stay on their topics"):
        Settings.load()


def test_the_shortest_time_is_longer_than_every_cause_stands_on_its_topic() -> None:
    for topic in (topics.decisions, topics.requests, topics.runs):
        days = int(topic.config["retention.ms"]) / 86_400_000
        assert days + BROKERS_SEGMENT_DAYS < KEEP_DAYS_MIN <= LedgerSettings().keep_days
