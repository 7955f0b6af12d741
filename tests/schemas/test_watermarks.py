"""The offsets of a partition that has no leader for a moment: waited for; any other refusal is told at once."""

from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from holdfast_schemas.errors import BrokerUnreachable
from holdfast_schemas.transport.reading import watermarks
from holdfast_schemas.transport.security import KafkaSettings


class Answering:
    """A consumer whose broker answers so, in this order."""

    def __init__(self, *answers: int | tuple[int, int]) -> None:
        self.answers = list(answers)

    def get_watermark_offsets(self, *_: Any, **__: Any) -> tuple[int, int]:
        answer = self.answers.pop(0)
        if isinstance(answer, int):
            raise KafkaException(KafkaError(answer))
        return answer


@pytest.mark.parametrize(
    "code",
    [
        KafkaError.NOT_LEADER_FOR_PARTITION,
        KafkaError.LEADER_NOT_AVAILABLE,
        KafkaError.UNKNOWN_TOPIC_OR_PART,
        KafkaError._UNKNOWN_PARTITION,
    ],
)
def test_a_moment_without_a_leader_is_waited_for(code: int) -> None:
    consumer: Any = Answering(code, code, (3, 7))
    assert watermarks(consumer, KafkaSettings(), "holdfast.events", 0) == (3, 7)


def test_any_other_refusal_is_told_at_once() -> None:
    consumer: Any = Answering(KafkaError._ALL_BROKERS_DOWN, (3, 7))
    with pytest.raises(BrokerUnreachable):
        watermarks(consumer, KafkaSettings(), "holdfast.events", 0)
    assert consumer.answers == [(3, 7)]
