"""The broker is away while a runner counts at full speed in observe mode: rows, errors and samples are exact afterwards."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from holdfast_consoles.embedded.kafka import EmbeddedKafka
from holdfast_schemas.errors import BrokerUnreachable
from holdfast_schemas.events import ProgressReported, WorkerFinished
from holdfast_schemas.transport import topics
from holdfast_schemas.transport.reading import read_to_end
from holdfast_schemas.transport.security import KafkaSettings
from tests.waiting import wait_for

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(240)]
PROGRAM = "tests.runners.programs.counting_until_told"
ROOT = Path(__file__).parents[2]


def freeze(kafka: EmbeddedKafka, seconds: float) -> None:
    assert kafka.child is not None
    kafka.child.send_signal(signal.SIGSTOP)
    try:
        time.sleep(seconds)
    finally:
        kafka.child.send_signal(signal.SIGCONT)


def kill(kafka: EmbeddedKafka, seconds: float) -> None:
    kafka.kill()
    time.sleep(seconds)
    kafka.start()


def reports(kafka: KafkaSettings) -> list[ProgressReported]:
    return [one.record for one in read_to_end(kafka, topics.events) if isinstance(one.record, ProgressReported)]


def reports_if_back(kafka: KafkaSettings) -> list[ProgressReported]:
    """None of them while the broker, which was fenced meanwhile, has not come back."""
    try:
        return reports(kafka)
    except BrokerUnreachable:
        return []


@pytest.mark.parametrize(
    ("away", "seconds"),
    [
        (freeze, 8),
        pytest.param(freeze, 30, marks=pytest.mark.long),
        pytest.param(kill, 30, marks=pytest.mark.long),
    ],
    ids=["frozen 8 s", "frozen 30 s", "killed, back after 30 s"],
)
def test_rows_errors_and_samples_are_exact_after_the_broker_was_away(
    away: Callable[[EmbeddedKafka, float], None], seconds: float, tmp_path: Path
) -> None:
    told, printed = tmp_path / "told", tmp_path / "printed"
    with EmbeddedKafka(tmp_path / "kafka") as kafka, printed.open("w") as out:
        settings = KafkaSettings(bootstrap_servers=kafka.bootstrap_servers)
        names = [
            topic.full_name(settings.topic_prefix)
            for topic in (topics.events, topics.runs, topics.control, topics.leases)
        ]
        stamped = {"message.timestamp.type": "LogAppendTime"}
        admin = AdminClient({"bootstrap.servers": kafka.bootstrap_servers})
        for future in admin.create_topics([NewTopic(name, 12, 1, config=stamped) for name in names]).values():
            future.result(30)
        argv = [sys.executable, "-m", PROGRAM, kafka.bootstrap_servers, str(told)]
        with subprocess.Popen(argv, cwd=ROOT, stdout=out, stderr=subprocess.PIPE, text=True) as worker:
            try:
                wait_for(lambda: len(reports(settings)) > 5, 60, "reports")
                before = printed.read_text().count("\n")
                away(kafka, seconds)
                assert printed.read_text().count("\n") > before + 10 * seconds  # it went on meanwhile
                seen = len(wait_for(lambda: reports_if_back(settings), 60, "the broker to answer"))
                wait_for(lambda: len(reports(settings)) > seen + 5, 90, "reports after the return")
                told.touch()
                _, err = worker.communicate(timeout=60)
            finally:
                worker.kill()
        assert (worker.returncode, err) == (0, "")
        batches = printed.read_text().count("\n")
        arrived = reports(settings)
        assert [report.seq for report in arrived] == sorted(report.seq for report in arrived)
        by_seq = {report.seq: report for report in arrived}
        assert all(report == by_seq[report.seq] for report in arrived)  # a repeat is the same record: `seq` drops it
        found = list(by_seq.values())
        assert (found[-1].rows_processed + found[-1].error_count, found[-1].rows_attempted) == (
            3 * batches,
            3 * batches,
        )
        assert found[-1].error_count == batches // 2
        sketches = [report.batch_duration for report in found if report.batch_duration is not None]
        assert sum(sum(sketch.live().values()) for sketch in sketches) == batches
        # No second of the outage is missing: the intervals of the reports cover it.
        assert max(report.interval_seconds for report in found) > seconds / 2
        ends = [one.record for one in read_to_end(settings, topics.events) if isinstance(one.record, WorkerFinished)]
        assert [end.outcome for end in ends] == ["completed"]
