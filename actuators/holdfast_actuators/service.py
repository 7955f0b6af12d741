"""``holdfast actuator``: threads for the intake, the relay, deadlines, recovery and the webhook; a ledger connection each."""

import logging
import os
import threading
from collections.abc import Callable

from holdfast_schemas.errors import LedgerNotConfigured, PartitionsDiffer, TargetUnknown
from holdfast_schemas.logs import configure_json_logging
from holdfast_schemas.settings import Settings
from holdfast_schemas.stopping import Stopping
from holdfast_schemas.transport import topics
from holdfast_schemas.transport.publish import Publisher, partitions_of
from holdfast_schemas.transport.reading import plain_consumer
from holdfast_schemas.transport.topics import DEAD_LETTERS

from . import web
from .executor import Executor
from .figures import Figures
from .intake import READ, Intake
from .ledger import Ledger
from .notify import Notifier
from .recoverer import Recoverer
from .relay import Relay

log = logging.getLogger("holdfast.actuator")
FATAL = 70
RELAY_DELIVERY_SECONDS = 4.0
"""Shorter than what a frozen relay would need to send an older epoch over its successor's."""


def run(settings: Settings, stopping: Stopping | None = None) -> int:
    """Run until SIGTERM or SIGINT; returns the exit code.

    Raises LedgerNotConfigured, LedgerUnreachable, LedgerTooNew, LedgerSchemaChanged, LedgerMigrationFailed,
    LedgerRightsMissing, BrokerUnreachable, TopicMissing, PartitionsDiffer: each says what to do.
    """
    stopping = stopping or Stopping()
    configure_json_logging("actuator", settings.log_level)
    if not settings.ledger.dsn.get_secret_value():
        raise LedgerNotConfigured()
    check_topics(settings)
    first = _ledger(settings)
    first.connect()
    first.migrate()
    first.check_rights()
    first.expect_recoveries({name: migration.protect for name, migration in settings.migrations.items()})
    first.close()
    for name, migration in settings.migrations.items():
        if migration.target not in settings.targets:
            log.error("%s waits at the start gate: %s", name, TargetUnknown(migration.target))
    return _Service(settings, stopping).run()


def check_topics(settings: Settings) -> None:
    """Every topic that the actuator reads or writes, with one number of partitions: p is the same member's in all."""
    consumer = plain_consumer(settings.kafka)
    prefix = settings.kafka.topic_prefix
    try:
        names = [topic.full_name(prefix) for topic in (*READ, topics.control, topics.actions, topics.events)]
        names.append(f"{prefix}.{DEAD_LETTERS}")
        counts = {name: partitions_of(consumer, settings.kafka, name) for name in names}
    finally:
        consumer.close()
    if len(set(counts.values())) > 1:
        raise PartitionsDiffer(counts)


def _ledger(settings: Settings, partitions: int = 1) -> Ledger:
    return Ledger(settings.ledger.dsn.get_secret_value(), settings.ledger.schema_name, settings.actuator, partitions)


class _Service:
    def __init__(self, settings: Settings, stopping: Stopping) -> None:
        self._settings = settings
        self._stopping = stopping
        self._stop = threading.Event()
        self._figures = Figures()

    def run(self) -> int:
        self._stopping.began(self._stop.set)
        settings, wake = self._settings, threading.Event()
        source = "holdfast/actuator"
        relaying = Publisher(settings.kafka, source, delivery_seconds=RELAY_DELIVERY_SECONDS)
        beating = Publisher(settings.kafka, source, delivery_seconds=RELAY_DELIVERY_SECONDS)
        partitions = relaying.partitions(topics.events)
        intake = Intake(settings, _ledger(settings, partitions), beating, wake, self._figures)
        relay = Relay(_ledger(settings), relaying, settings.kafka.topic_prefix, wake, self._figures)
        executor = Executor(_ledger(settings, partitions), wake, partitions, settings.ledger.keep_days, self._figures)
        server = web.serve(
            settings.actuator.web_host, settings.actuator.web_port, self._figures.not_ready, self._figures.text
        )
        recoverer = Recoverer(_ledger(settings, partitions), _ledger(settings), settings, wake, self._figures)
        threads = [self._thread(name, job) for name, job in
                   (("intake", intake.run), ("relay", relay.run), ("deadlines", executor.run),
                    ("recoverer", recoverer.run))]  # fmt: skip
        if settings.actuator.notify_url.get_secret_value():
            # Not waited for at the end: what it was sending is sent again.
            self._thread("notifier", Notifier(_ledger(settings), settings.actuator, self._figures).run)
        self._stop.wait()
        for thread in threads:
            thread.join()  # Stopping ends the process when one hangs in the ledger or the broker
        server.shutdown()
        return 0

    def _thread(self, name: str, job: Callable[[threading.Event], None]) -> threading.Thread:
        def guarded() -> None:
            try:
                job(self._stop)
            except BaseException:
                # A bug: end the process at once, a supervisor starts it anew from the ledger.
                log.critical("%s failed: exit %d", name, FATAL, exc_info=True)
                logging.shutdown()
                os._exit(FATAL)

        thread = threading.Thread(target=guarded, name=name, daemon=True)
        thread.start()
        return thread
