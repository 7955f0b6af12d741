"""A publisher never loses a failure, and forgets those that its user says matter no more."""

import pytest

from holdfast_schemas.errors import NotDelivered
from holdfast_schemas.transport.publish import Publisher
from holdfast_schemas.transport.security import KafkaSettings
from tests.waiting import wait_for


def test_failures_are_raised_by_flush_or_forgotten_when_asked() -> None:
    publisher = Publisher(KafkaSettings(bootstrap_servers="127.0.0.1:1"), "test", delivery_seconds=1.0)

    def send() -> None:
        publisher.publish_bytes("anything", b"key", b"value", [], 0)

    send()
    with pytest.raises(NotDelivered, match="anything"):
        publisher.flush()

    def forgotten() -> int:
        send()  # which also lets the client report what failed
        return publisher.forget_failures()

    assert wait_for(forgotten, 10, "a record that was not delivered") > 0
