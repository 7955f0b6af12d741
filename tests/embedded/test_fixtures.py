"""The fixtures give each test what is its own."""

import psycopg
import pytest
from confluent_kafka.admin import AdminClient, ConfigResource, ResourceType


@pytest.mark.kafka
def test_topics_have_twelve_partitions_and_broker_time(kafka, kafka_topics):
    names = kafka_topics("events", "runs")
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap_servers})
    found = admin.list_topics(timeout=10).topics
    for name in names.values():
        assert name.startswith(kafka_topics.prefix)
        assert len(found[name].partitions) == 12
        [settings] = admin.describe_configs([ConfigResource(ResourceType.TOPIC, name)]).values()
        assert settings.result(10)["message.timestamp.type"].value == "LogAppendTime"


@pytest.mark.postgres
@pytest.mark.parametrize("turn", [1, 2])
def test_every_test_has_an_empty_database_of_its_own(database, turn):
    with psycopg.connect(database) as connection:
        connection.execute("CREATE TABLE only_mine (turn int)")
        [(wal_level,)] = connection.execute("SELECT current_setting('wal_level')").fetchall()
    assert wal_level == "logical"
