"""The actuator as a process with a webhook: a receiver that hangs stops nothing, and a SIGKILL loses no notification."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from holdfast_schemas.transport import topics
from holdfast_schemas.transport.publish import Publisher
from holdfast_schemas.transport.security import KafkaSettings
from tests.waiting import wait_for

from .conftest import decision_of
from .receiver import Receiver, receiver
from .test_service import Actuator, newest_state, requested

pytestmark = [pytest.mark.kafka, pytest.mark.postgres]


@pytest.fixture
def to(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    with receiver() as it:
        monkeypatch.setenv("HOLDFAST_ACTUATOR__NOTIFY_URL", it.url)
        monkeypatch.setenv("HOLDFAST_ACTUATOR__NOTIFY_TIMEOUT_SECONDS", "6")
        yield it


def test_a_sigkill_between_the_post_and_its_row_sends_it_again_with_the_same_id(
    kafka_settings: KafkaSettings, database: str, tmp_path: Path, to: Receiver
) -> None:
    actuator = Actuator(kafka_settings, database, tmp_path)
    to.go_on.clear()
    try:
        with Publisher(kafka_settings, "test") as publisher:
            child = actuator.start()
            run = requested(publisher)
            wait_for(lambda: newest_state(actuator), 30, "the grant")
            warning = decision_of(run.run_id, "warn", 1)
            publisher.publish(topics.decisions, warning)
            publisher.flush()
            wait_for(lambda: to.came, 30, "the notification that hangs")
            # The receiver hangs: what the triggers decide is asked of the run all the same, and at once.
            began = time.monotonic()
            publisher.publish(topics.decisions, decision_of(run.run_id, "pause", 1))
            publisher.flush()
            wait_for(lambda: (state := newest_state(actuator)) and state.desired == "pause", 20, "the pause")
            assert time.monotonic() - began < 6, "the pause waited for the receiver"
            child.kill()
            to.go_on.set()
            actuator.start()
            wait_for(lambda: len(to.came) > 1, 40, "the notification again")
    finally:
        if actuator.child is not None:
            actuator.child.stop()
    ids = [body["id"] for body in to.came]
    assert set(ids) == {f"{warning.decision_id}/1"}
    assert to.url not in actuator.log()
    assert "token-of-ours" not in actuator.log()
