"""Real servers: start, stop, kill, start again on the same port and data."""

import os
import sys
import uuid
from pathlib import Path

import psycopg
import pytest
from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from holdfast_consoles.embedded.broker import InProcessBroker
from holdfast_consoles.embedded.child import ChildProcess
from holdfast_consoles.embedded.kafka import EmbeddedKafka
from holdfast_consoles.embedded.postgres import EmbeddedPostgres
from holdfast_schemas.errors import ChildDidNotStart, ChildStillRunning, FolderNotReachable, ServerNotReady
from tests.waiting import wait_for


@pytest.mark.postgres
def test_postgres_keeps_port_and_rows_over_stop_and_kill():
    with EmbeddedPostgres() as server:
        with psycopg.connect(server.dsn(), autocommit=True) as connection:
            connection.execute("CREATE TABLE kept (step text)")
        port = server.port
        for step, end in (
            ("fast", server.stop),
            ("immediate", lambda: server.stop("immediate")),
            ("kill", server.kill),
        ):
            with psycopg.connect(server.dsn(), autocommit=True) as connection:
                connection.execute("INSERT INTO kept VALUES (%s)", [step])
            end()
            with pytest.raises(psycopg.OperationalError):
                psycopg.connect(server.dsn())
            server.start()
            assert server.port == port
        with psycopg.connect(server.dsn()) as connection:
            assert connection.execute("SELECT step FROM kept").fetchall() == [("fast",), ("immediate",), ("kill",)]
            assert connection.execute("SELECT current_setting('wal_level')").fetchone() == ("logical",)
        folder = server.folder
    assert not folder.exists()


@pytest.mark.postgres
def test_postgres_never_runs_as_root():
    with EmbeddedPostgres(fsync=False) as server:
        owner = Path(f"/proc/{server.pid}").stat().st_uid
    assert owner != 0
    assert os.geteuid() in (0, owner)


@pytest.mark.postgres
def test_a_setting_that_postgres_refuses_is_told_with_its_log():
    with pytest.raises(ServerNotReady, match="no_such_setting"):
        EmbeddedPostgres(fsync=False, settings={"no_such_setting": "1"}).__enter__()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs PostgreSQL as someone else")
def test_a_folder_that_the_unprivileged_user_cannot_enter_is_refused(tmp_path):
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    with pytest.raises(FolderNotReachable):
        EmbeddedPostgres(closed / "data").start()


@pytest.mark.kafka
def test_kafka_keeps_port_and_records_over_stop_and_kill(monkeypatch):
    # one cluster id in 64 begins with "-", which Kafka's own parser takes for an option
    monkeypatch.setattr("uuid.uuid4", lambda: uuid.UUID(bytes=b"\xf8" * 16))
    with EmbeddedKafka(progress=lambda _: None) as server:
        admin = AdminClient({"bootstrap.servers": server.bootstrap_servers})
        admin.create_topics([NewTopic("kept", num_partitions=1)])["kept"].result(30)
        port = server.port
        for step, end in (("stop", server.stop), ("kill", server.kill)):
            producer = Producer({"bootstrap.servers": server.bootstrap_servers, "acks": "all"})
            producer.produce("kept", step.encode())
            assert producer.flush(30) == 0
            end()
            server.start()
            assert server.port == port
        consumer = Consumer(
            {"bootstrap.servers": server.bootstrap_servers, "group.id": "g", "auto.offset.reset": "earliest"}
        )
        consumer.subscribe(["kept"])
        read: list[bytes] = []

        def both_read() -> bool:
            record = consumer.poll(0.2)
            if record is not None and record.error() is None:
                read.append(record.value())
            return len(read) == 2

        wait_for(both_read, 40, "both records")
        consumer.close()
    assert read == [b"stop", b"kill"]


def test_in_process_broker_has_every_touched_topic_and_ends():
    with InProcessBroker() as broker:
        broker.touch(["events", "runs"])
        admin = AdminClient({"bootstrap.servers": broker.bootstrap_servers})
        topics = admin.list_topics(timeout=10).topics
        assert {name: len(topics[name].partitions) for name in ("events", "runs")} == {"events": 4, "runs": 4}


def test_a_program_that_is_not_there_is_told(tmp_path):
    with pytest.raises(ChildDidNotStart, match="no-such-program"):
        ChildProcess([tmp_path / "no-such-program"], log_path=tmp_path / "log").start()


def test_exit_code_and_log_of_a_child(tmp_path):
    child = ChildProcess(
        [sys.executable, "-c", "print('said'); raise SystemExit(7)"], log_path=tmp_path / "log"
    ).start()
    assert child.wait(20) == 7
    assert child.poll() == 7
    assert child.log_tail() == "said"


def test_waiting_for_a_child_has_an_end(tmp_path):
    with ChildProcess([sys.executable, "-c", "import time; time.sleep(600)"], log_path=tmp_path / "log") as child:
        with pytest.raises(ChildStillRunning):
            child.wait(0.05)
        assert child.kill() == -9
