"""Samplers against the real thing: what they see, and that what they cannot see is no word, never a zero."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from holdfast_consoles.embedded.postgres import EmbeddedPostgres
from holdfast_producers.samplers.postgres import PostgresSampler
from holdfast_schemas.errors import SampleFailed
from holdfast_schemas.events import HealthSampled
from holdfast_schemas.transport import topics
from holdfast_schemas.transport.reading import read_to_end
from holdfast_schemas.transport.security import KafkaSettings
from tests.waiting import wait_for

pytestmark = pytest.mark.timeout(120)
SEEN = {"probe_seconds", "blocked_sessions", "longest_transaction_seconds", "dead_tuples"}


@pytest.fixture
def table(database: str) -> str:
    with psycopg.connect(database, autocommit=True) as db:
        db.execute("CREATE TABLE orders (id int PRIMARY KEY, v int) WITH (autovacuum_enabled = off)")
        db.execute("INSERT INTO orders SELECT n, 0 FROM generate_series(1, 100) AS n")
        db.execute("CREATE TABLE other (id int) WITH (autovacuum_enabled = off)")
    return database


@pytest.fixture
def sampler(table: str) -> Iterator[PostgresSampler]:
    sampler = PostgresSampler(table)
    yield sampler
    sampler.close()


@pytest.mark.postgres
def test_a_quiet_database(sampler: PostgresSampler) -> None:
    taken = sampler.sample()
    assert set(taken.metrics) == SEEN  # no replica: its lag is not known, and not zero
    assert (taken.metrics["blocked_sessions"], taken.metrics["longest_transaction_seconds"]) == (0, 0)
    assert 0 < taken.metrics["probe_seconds"] < 5
    assert taken.response_seconds is None  # an application's own times would be diluted


@pytest.mark.postgres
def test_a_blocked_session_and_a_long_transaction_are_seen(table: str, sampler: PostgresSampler) -> None:
    with psycopg.connect(table) as holder, psycopg.connect(table) as waiter:
        holder.execute("UPDATE orders SET v = 1 WHERE id = 1")
        blocked = threading.Thread(target=lambda: waiter.execute("UPDATE orders SET v = 2 WHERE id = 1"))
        blocked.start()
        wait_for(lambda: sampler.sample().metrics["blocked_sessions"] == 1, 20, "the blocked session to be seen")
        wait_for(lambda: sampler.sample().metrics["longest_transaction_seconds"] > 0.5, 20, "the long transaction")
        holder.rollback()
        blocked.join(20)
        waiter.rollback()
    wait_for(lambda: sampler.sample().metrics["blocked_sessions"] == 0, 20, "the end of it")


@pytest.mark.postgres
def test_dead_tuples_of_all_tables_or_of_one(table: str, sampler: PostgresSampler) -> None:
    with psycopg.connect(table, autocommit=True) as db:
        db.execute("UPDATE orders SET v = v + 1")
    wait_for(
        lambda: sampler.sample().metrics["dead_tuples"] == 100, 30, "the statistics to tell of 100 dead tuples", 0.2
    )
    other = PostgresSampler(table, tables=["other"])
    assert other.sample().metrics["dead_tuples"] == 0
    other.close()
    with pytest.raises(SampleFailed, match="no table missing"):
        PostgresSampler(table, tables=["orders", "missing"]).sample()


@pytest.mark.postgres
def test_a_role_without_rights_sees_only_what_it_may(
    table: str, postgres: object, caplog: pytest.LogCaptureFixture
) -> None:
    role = f"r{os.getpid()}_{time.monotonic_ns()}"
    with psycopg.connect(table, autocommit=True) as db:
        db.execute(sql.SQL("CREATE ROLE {} LOGIN").format(sql.Identifier(role)))
        try:
            sampler = PostgresSampler(psycopg.conninfo.make_conninfo(table, user=role))
            assert set(sampler.sample().metrics) == {"probe_seconds", "dead_tuples"}
            assert f"GRANT pg_monitor TO {role}" in caplog.text
            db.execute(sql.SQL("GRANT pg_monitor TO {}").format(sql.Identifier(role)))
            assert set(sampler.sample().metrics) == SEEN
            db.execute(sql.SQL("REVOKE pg_monitor FROM {}").format(sql.Identifier(role)))
            assert set(sampler.sample().metrics) == {"probe_seconds", "dead_tuples"}  # and no zeros
            assert caplog.text.count("GRANT pg_monitor") == 2
            sampler.close()
        finally:
            db.execute(sql.SQL("DROP OWNED BY {0}; DROP ROLE {0}").format(sql.Identifier(role)))


@pytest.mark.postgres
def test_a_server_that_is_away_is_no_sample_and_back_it_is_one(tmp_path: Path) -> None:
    with EmbeddedPostgres() as server:
        sampler = PostgresSampler(server.dsn(), response_time=True)
        assert sampler.sample().response_seconds is not None
        server.kill()
        with pytest.raises(SampleFailed):
            sampler.sample()
        with pytest.raises(SampleFailed, match="failed"):
            sampler.sample()
        server.start()
        assert set(sampler.sample().metrics) == SEEN
        sampler.close()


def samples(kafka: KafkaSettings) -> list[tuple[int, HealthSampled]]:
    found = ((one.partition, one.record) for one in read_to_end(kafka, topics.events))
    return [(partition, record) for partition, record in found if isinstance(record, HealthSampled)]


@pytest.mark.kafka
@pytest.mark.postgres
def test_the_command_tells_every_partition_and_ends_at_sigterm(kafka_settings: KafkaSettings, table: str) -> None:
    env = os.environ | {
        "HOLDFAST_KAFKA__BOOTSTRAP_SERVERS": kafka_settings.bootstrap_servers,
        "HOLDFAST_KAFKA__TOPIC_PREFIX": kafka_settings.topic_prefix,
        "HOLDFAST_TARGETS": f'{{"orders": {{"dsn": "{table}"}}}}',
    }
    argv = [sys.executable, "-m", "holdfast_consoles", "sample", "postgres", "orders", "--every", "200ms"]
    with subprocess.Popen(argv, env=env, stderr=subprocess.PIPE, text=True) as process:
        try:
            wait_for(lambda: {p for p, _ in samples(kafka_settings)} == set(range(12)), 60, "every partition told", 0.5)
        finally:
            process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0, process.stderr and process.stderr.read()
    taken = [sample for _, sample in samples(kafka_settings)]
    assert {sample.target for sample in taken} == {"orders"}
    assert all(set(sample.metrics) == SEEN and sample.response_time is None for sample in taken)
