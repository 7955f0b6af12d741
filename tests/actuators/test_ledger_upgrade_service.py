"""An actuator of this release starts on the previous one's ledger, in the midst of a pause, and brings it to its end."""

from pathlib import Path

import psycopg
import pytest

from holdfast_actuators.ledger import schema as ledger_schema
from holdfast_schemas.record import now
from holdfast_schemas.runs import EpochAcknowledged
from holdfast_schemas.transport import topics
from holdfast_schemas.transport.publish import Publisher
from holdfast_schemas.transport.security import KafkaSettings
from tests.waiting import wait_for

from . import older_ledgers
from .conftest import MIGRATION, SCHEMA
from .older_ledgers import DECISION, RUN, SEEN_EPOCH, WORKER
from .test_service import Actuator, newest_state

pytestmark = [pytest.mark.kafka, pytest.mark.postgres]


def test_what_was_owed_is_sent_and_what_was_open_goes_on(
    kafka_settings: KafkaSettings, database: str, tmp_path: Path
) -> None:
    older_ledgers.make(database)
    actuator = Actuator(kafka_settings, database, tmp_path)
    child = actuator.start()
    try:
        wait_for(lambda: newest_state(actuator), 60, "the desired state, said again above the epoch that was seen")
        state = newest_state(actuator)
        assert state is not None
        assert (state.desired, state.epoch, state.run_id) == ("pause", SEEN_EPOCH + 1, RUN)
        obeyed = EpochAcknowledged(
            migration_id=MIGRATION, run_id=RUN, worker_id=WORKER, occurred_at=now(), epoch=state.epoch, state="paused"
        )
        with Publisher(kafka_settings, "test") as publisher:
            publisher.publish(topics.runs, obeyed)
            publisher.flush()
        wait_for(lambda: actuator.outcomes(DECISION) == ["effective"], 40, "the pause of the previous release")
        told = [(r.cause_id, r.outcome) for r in actuator.records(topics.actions)]
    finally:
        child.stop()
    assert told == [("owed-requested", "requested"), ("owed-effective", "effective"), (DECISION, "effective")]
    with psycopg.connect(database) as db:
        numbers = db.execute(f"SELECT number FROM {SCHEMA}.schema_version ORDER BY 1").fetchall()  # type: ignore[arg-type]
    assert [number for (number,) in numbers] == [number for number, _, _ in ledger_schema.scripts()]
