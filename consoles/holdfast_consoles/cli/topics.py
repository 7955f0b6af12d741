"""`holdfast topics create | check`."""

import time
from collections.abc import Mapping
from typing import Annotated

import typer
from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient, ConfigResource, ResourceType  # type: ignore[attr-defined]
from confluent_kafka.cimpl import NewTopic

from holdfast_schemas.errors import BrokerUnreachable, TopicsWrong
from holdfast_schemas.settings import Settings
from holdfast_schemas.transport.security import KafkaSettings
from holdfast_schemas.transport.topics import PARTITIONS, all_topics

from .choices import Json
from .figures import print_json

SECONDS = 30.0
TIMESTAMP_TYPE = "message.timestamp.type"
CLEANUP_POLICY = "cleanup.policy"
Problem = tuple[str, str, str]

app = typer.Typer(help="Create the topics, or check those that are there.", no_args_is_help=True)


@app.command()
def create(
    replication_factor: Annotated[
        int, typer.Option(min=-1, help="Copies of each partition; -1: the broker's own.")
    ] = -1,
    as_json: Json = False,
) -> None:
    """Create what is missing, with 12 partitions and broker time; what is there is checked and never changed."""
    kafka = Settings.load().kafka
    admin = _admin(kafka)
    here = _partitions(admin, kafka)
    new = [
        NewTopic(name, num_partitions=PARTITIONS, replication_factor=replication_factor, config=config)
        for name, config in all_topics(kafka.topic_prefix).items()
        if name not in here
    ]
    refused: list[Problem] = []
    created = []
    for name, future in (admin.create_topics(new, operation_timeout=SECONDS) if new else {}).items():
        try:
            future.result(SECONDS)
            created.append(name)
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:  # another `topics create` was faster
                refused.append((name, "none", f"that the broker creates it: {error.args[0].str()}"))
    if refused:
        raise TopicsWrong(refused)
    deadline = time.monotonic() + SECONDS
    while len(_partitions(admin, kafka)) < len(all_topics()) and time.monotonic() < deadline:
        time.sleep(0.1)  # a created topic takes a moment to reach every broker's metadata
    _refuse_wrong(admin, kafka)
    if as_json:
        print_json({"created": created, "already_there": sorted(here)})
    else:
        typer.echo(f"created {len(created)} topics; {len(here)} were there already, as they must be")


@app.command()
def check(as_json: Json = False) -> None:
    """Name each topic that is missing or not as it must be (exit 3)."""
    kafka = Settings.load().kafka
    admin = _admin(kafka)
    if as_json:
        found = problems(admin, kafka)
        print_json([{"topic": topic, "found": what, "needed": needed} for topic, what, needed in found])
        if found:
            raise typer.Exit(TopicsWrong.exit_code)
        return
    _refuse_wrong(admin, kafka)
    typer.echo(f"all {len(all_topics())} topics are as they must be")


def problems(admin: AdminClient, kafka: KafkaSettings) -> list[Problem]:
    """(topic, found, needed) for each thing that is wrong. Raises BrokerUnreachable.

    Under ``allow_unstamped`` any number of partitions and any timestamps will do, but still the same number everywhere:
    topics are co-partitioned.
    """
    wanted = all_topics(kafka.topic_prefix)
    here = _partitions(admin, kafka)
    found: list[Problem] = [(name, "nothing", "the topic") for name in wanted if name not in here]
    if kafka.allow_unstamped:
        if len(set(here.values())) > 1:
            found += [(name, f"{n} partitions", "the same number in all topics") for name, n in sorted(here.items())]
        return found
    found += [(name, f"{n} partitions", f"{PARTITIONS}") for name, n in here.items() if n != PARTITIONS]
    resources = [ConfigResource(ResourceType.TOPIC, name) for name in here]
    for resource, future in (admin.describe_configs(resources) if resources else {}).items():
        config = future.result(SECONDS)
        for key in (TIMESTAMP_TYPE, CLEANUP_POLICY):
            needed, actual = wanted[resource.name][key], config[key].value
            if set(needed.split(",")) != set(str(actual).split(",")):
                found.append((resource.name, f"{key} {actual}", str(needed)))
    return sorted(found)


def _refuse_wrong(admin: AdminClient, kafka: KafkaSettings) -> None:
    if found := problems(admin, kafka):
        raise TopicsWrong(found)


def _admin(kafka: KafkaSettings) -> AdminClient:
    return AdminClient({**kafka.librdkafka(), "log_level": 0})


def _partitions(admin: AdminClient, kafka: KafkaSettings) -> Mapping[str, int]:
    """Of Holdfast's topics, those that exist, with their number of partitions."""
    try:
        existing = admin.list_topics(timeout=SECONDS / 3).topics
    except KafkaException:
        raise BrokerUnreachable(kafka.bootstrap_servers, SECONDS / 3) from None
    return {name: len(existing[name].partitions) for name in all_topics(kafka.topic_prefix) if name in existing}
