"""Partitions added to a live topic put keys elsewhere: what is judged in p would not be told in p. Refused by name, soon."""

import asyncio
import logging
from collections.abc import Iterable
from typing import Any

from aiokafka.errors import KafkaError

from holdfast_schemas.errors import PartitionsDiffer

log = logging.getLogger("holdfast.processor")
EVERY_SECONDS = 10.0


async def refuse_other_counts(client: Any, names: Iterable[str]) -> None:
    """Ask the broker every 10 s. Raises PartitionsDiffer once the topics have different numbers of partitions."""
    names = sorted(names)
    while True:
        await asyncio.sleep(EVERY_SECONDS)
        try:
            cluster = await client.fetch_all_metadata()
        except KafkaError as error:  # a broker that is away is judged by the heartbeats
            log.warning("the numbers of partitions are not known: %r", error)
            continue
        found = {name: cluster.partitions_for_topic(name) for name in names}
        counts = {name: len(partitions) for name, partitions in found.items() if partitions}
        if len(set(counts.values())) > 1:
            raise PartitionsDiffer(counts)
