"""librdkafka's in-process broker: Kafka's protocol at once, inside this process, with limits."""

from collections.abc import Iterable
from types import TracebackType
from typing import Self

from confluent_kafka import KafkaException, Producer

from holdfast_schemas.errors import ServerNotReady

METADATA_TIMEOUT_SECONDS = 10.0
LIMITS = (
    "in-process broker: always 4 partitions, CreateTime instead of LogAppendTime, about 5 MB kept a partition, "
    "one member a group, no transactions, nothing survives this process"
)


class InProcessBroker:
    """A broker that is threads of this process: it cannot outlive it, and other processes reach it over loopback.

    A topic exists from its first metadata request on; a consumer that subscribes before may never see it, so
    :meth:`touch` every topic first.
    """

    def __init__(self) -> None:
        self.bootstrap_servers = ""
        """``host:port``, once started."""
        self._host: Producer | None = None

    def start(self) -> Self:
        """Raises :class:`ServerNotReady` when it answers nothing."""
        # log_level 3: librdkafka says at notice level that its mock is on, which is what was asked
        host = Producer({"test.mock.num.brokers": 1, "log_level": 3})
        try:
            brokers = host.list_topics(timeout=METADATA_TIMEOUT_SECONDS).brokers
        except KafkaException as error:
            raise ServerNotReady("the in-process broker", str(error), None, "") from error
        self.bootstrap_servers = ",".join(f"{broker.host}:{broker.port}" for broker in brokers.values())
        self._host = host
        return self

    def touch(self, topics: Iterable[str]) -> None:
        """Make every topic exist. Raises :class:`ServerNotReady` for one that does not come up."""
        assert self._host is not None, "start the broker first"
        for name in topics:
            topic = self._host.list_topics(name, timeout=METADATA_TIMEOUT_SECONDS).topics[name]
            if topic.error is not None or not topic.partitions:
                raise ServerNotReady("the in-process broker", f"topic {name}: {topic.error}", None, "")

    def close(self) -> None:
        """End it; what it held is gone."""
        if self._host is not None:
            self._host.close()
            self._host = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
