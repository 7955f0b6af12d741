"""``holdfast processor``: check that the topics are there, then run the worker until it is told to stop."""

import asyncio
import signal
from contextlib import suppress

from confluent_kafka import Consumer

from holdfast_schemas.errors import ExtraMissing, PartitionsDiffer
from holdfast_schemas.logs import configure_json_logging
from holdfast_schemas.settings import Settings
from holdfast_schemas.stopping import Stopping
from holdfast_schemas.transport import topics
from holdfast_schemas.transport.publish import partitions_of
from holdfast_schemas.transport.reading import plain_consumer

NEEDED = (topics.events, topics.decisions, topics.watches, topics.metrics)


def run(settings: Settings, stopping: Stopping | None = None) -> int:
    """Run until SIGTERM or SIGINT; returns the exit code.

    Raises BrokerUnreachable, TopicMissing, PartitionsDiffer, ExtraMissing: each says what to do.
    """
    stopping = stopping or Stopping()
    configure_json_logging("processor", settings.log_level)
    check_topics(settings)
    try:
        import mode

        from .runtime.app import Processor
    except ModuleNotFoundError as error:
        raise ExtraMissing("processor", error.name or "faust", "the processor") from None
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    processor = Processor(settings, stopping)
    worker = mode.Worker(processor.app, loop=loop, override_logging=False, redirect_stdouts=False, quiet=True)

    def in_order() -> None:
        with suppress(RuntimeError):  # the loop is closed: it has ended
            loop.call_soon_threadsafe(worker._schedule_shutdown, signal.SIGTERM)

    stopping.began(in_order)
    try:
        worker.execute_from_commandline()
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else 0
    return 0


def check_topics(settings: Settings) -> int:
    """Every topic that the processor needs, with one number of partitions: what is judged in p is told in p."""
    kafka = settings.kafka
    consumer: Consumer = plain_consumer(kafka)
    try:
        names = [topic.full_name(kafka.topic_prefix) for topic in NEEDED]
        names += [f"{kafka.topic_prefix}.{name}" for name in (topics.CHANGELOG, topics.DEAD_LETTERS)]
        counts = {name: partitions_of(consumer, kafka, name) for name in names}
    finally:
        consumer.close()
    if len(set(counts.values())) > 1:
        raise PartitionsDiffer(counts)
    return next(iter(counts.values()))
