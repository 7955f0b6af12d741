"""What the shell offers where a migration is to be named: those that the broker knows, soon or not at all."""

import logging
import threading
from pathlib import Path

import typer

from holdfast_schemas.settings import Settings
from holdfast_schemas.transport import topics
from holdfast_schemas.transport.reading import messages_to_end
from holdfast_schemas.transport.security import KafkaSettings

from .choices import use_config
from .shown import as_bytes

SECONDS = 1.0
"""A person waits at the Tab key; what has not come by then is not offered."""
NEWEST_FIGURES = 500
"""Of metrics so many offsets a partition: a migration that runs is among them each second."""


def migration_ids(context: typer.Context, incomplete: str) -> list[str]:
    """Ids that begin like this. Without an epoch also where one is needed: that is for a person to see, not to complete."""
    logging.disable()  # this process does nothing else: a broker that is away must not write into the line being typed
    config = context.find_root().params.get("config")
    found: set[str] = set()
    reading = threading.Thread(target=_read, args=(config, found), name="completion", daemon=True)
    reading.start()
    reading.join(SECONDS)
    return sorted(name for name in found.copy() if name.startswith(incomplete) and not name.startswith("~"))


def _read(config: Path | None, found: set[str]) -> None:
    try:
        use_config(config)
        kafka = Settings.load().kafka
        _keys(kafka, topics.control.full_name(kafka.topic_prefix), None, found)
        _keys(kafka, topics.metrics.full_name(kafka.topic_prefix), NEWEST_FIGURES, found)
    except Exception:  # noqa: BLE001 - nothing to offer is all that a Tab key can say
        return


def _keys(kafka: KafkaSettings, topic: str, last: int | None, found: set[str]) -> None:
    for message in messages_to_end(kafka, topic, last=last):
        name = as_bytes(message.key()).decode(errors="replace")
        if message.value() is None:
            found.discard(name)
        else:
            found.add(name)
