"""``collect_metrics``: one migration's newest figures."""

from ..errors import UnknownMigration
from ..metrics import MigrationMetrics
from ..settings import Settings
from . import topics
from .reading import newest
from .security import KafkaSettings


def collect_metrics(migration_id: str, kafka: KafkaSettings | None = None) -> MigrationMetrics:
    """The newest MigrationMetrics of a migration, from ``holdfast.metrics``.

    Raises UnknownMigration when the topic has none, TopicMissing or BrokerUnreachable when it cannot be read.
    """
    found = newest(kafka or Settings.load().kafka, topics.metrics, migration_id)
    if found is None:
        raise UnknownMigration(migration_id)
    return found
