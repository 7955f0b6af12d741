"""`holdfast sample`: what --once prints, each refusal with its exit code, and the loop: told, refused, stopped in order."""

import json
import os
import signal
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import pytest

from holdfast import HealthReporter, MemorySink
from holdfast_consoles.cli.main import main
from holdfast_producers.samplers.sampling import LONGEST_BACK_OFF_SECONDS, Sample, sample_for_ever
from holdfast_producers.testing import PARTITIONS
from holdfast_schemas.errors import SampleFailed
from holdfast_schemas.events import HealthSampled
from holdfast_schemas.transport import topics
from holdfast_schemas.transport.reading import read_to_end
from holdfast_schemas.transport.security import KafkaSettings
from tests.producers.settings import quick
from tests.waiting import wait_for

NOWHERE = "host=127.0.0.1 port=1 user=u password=hunter2 dbname=d"


@pytest.mark.postgres
def test_once_prints_what_it_would_send(
    database: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HOLDFAST_TARGETS__ORDERS__DSN", database)
    assert main(["sample", "postgres", "orders", "--once", "--response-time", "--probe", "SELECT pg_sleep(0.05)"]) == 0
    lines = dict(line.rsplit(" ", 1) for line in capsys.readouterr().out.splitlines() if line.startswith("target."))
    assert set(lines) == {f"target.{name}" for name in ("probe_seconds", "blocked_sessions", "longest_transaction_seconds",
                                                        "dead_tuples")}  # fmt: skip
    assert 0.05 <= float(lines["target.probe_seconds"]) < 5
    assert main(["sample", "command", "orders", "--metric", "depth", "--once", "--", "echo", "7"]) == 0
    assert capsys.readouterr().out == "target.depth 7\n"


@pytest.mark.parametrize(
    ("arguments", "exit_code", "says"),
    [
        (["postgres", "nobody"], 4, "settings name no target nobody"),
        (["postgres", "orders", "--once"], 5, "connection"),
        (["postgres", "orders", "--every", "0s", "--once"], 2, "--every"),
        (["command", "orders", "--metric", "Depth", "--", "echo", "7"], 2, "--metric"),
        (["command", "Not OK", "--metric", "depth", "--", "echo", "7"], 2, "target"),
        (["command", "orders", "--metric", "depth", "--once", "--", "echo", "many"], 5, "which is no number"),
    ],
)
def test_each_refusal_has_its_exit_code_and_no_password(
    arguments: list[str],
    exit_code: int,
    says: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("HOLDFAST_TARGETS__ORDERS__DSN", NOWHERE)
    assert main(["sample", *arguments]) == exit_code
    err = capsys.readouterr().err
    assert says in err
    assert "hunter2" not in err


def test_a_target_that_is_away_is_asked_less_often_and_its_return_is_seen_in_time() -> None:
    answers = ["away"] * 6 + ["other"] * 2 + ["well"] * 2
    pauses = [0.0]  # summed up: no time passes in this test

    class Target:
        def sample(self) -> Sample:
            if (answer := answers[len(pauses) - 1]) != "well":
                raise SampleFailed(answer)
            return Sample({"depth": 1.0})

        def stop(self) -> None: ...

        def close(self) -> None: ...

    def wait(seconds: float) -> bool:
        pauses.append(seconds)
        return len(pauses) > len(answers)

    sink = MemorySink()
    with HealthReporter("orders", quick(), sink, heartbeat=False) as health:
        sample_for_ever(Target(), health, 1.0, wait)
    longest = round(LONGEST_BACK_OFF_SECONDS)
    assert [round(b - a) for a, b in pairwise(pauses)] == [2, 4, *[longest] * 6, 1, 1]
    assert {p.partition: s.metrics for p in sink.sent if isinstance(s := p.record, HealthSampled)} == {
        partition: {"depth": 1.0} for partition in range(PARTITIONS)
    }


@pytest.mark.kafka
@pytest.mark.timeout(180)
def test_no_sample_of_a_target_that_is_away_and_a_stop_in_the_middle_of_a_command(
    kafka_settings: KafkaSettings, tmp_path: Path
) -> None:
    environment = os.environ | {
        "HOLDFAST_KAFKA__BOOTSTRAP_SERVERS": kafka_settings.bootstrap_servers,
        "HOLDFAST_KAFKA__TOPIC_PREFIX": kafka_settings.topic_prefix,
        "HOLDFAST_TARGETS__ORDERS__DSN": NOWHERE,
    }
    holdfast = [sys.executable, "-m", "holdfast_consoles", "sample"]
    log = tmp_path / "log"
    pid_file = tmp_path / "pid"
    slow = f"echo $$ > {pid_file}; sleep 600"
    with log.open("wb") as out:
        away = subprocess.Popen([*holdfast, "postgres", "orders", "--every", "100ms"], env=environment, stderr=out)
        held = subprocess.Popen(
            [*holdfast, "command", "orders", "--metric", "depth", "--limit", "600s", "--", "sh", "-c", slow],
            env=environment, stderr=subprocess.DEVNULL,
        )  # fmt: skip
    try:
        wait_for(lambda: "no sample: " in log.read_text(), 60, "the log to say why")
        wait_for(lambda: pid_file.exists() and pid_file.read_text(), 60, "the command to be under way")
        time.sleep(1)  # several samples that were not to be had
    finally:
        for process in (away, held):
            process.send_signal(signal.SIGTERM)
        ends = [process.wait(30) for process in (away, held)]
    assert ends == [0, 0]
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid_file.read_text()), 0)
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert len([line for line in lines if "no sample: " in str(line)]) == 1
    assert "hunter2" not in log.read_text()
    assert [r for r in read_to_end(kafka_settings, topics.events) if isinstance(r.record, HealthSampled)] == []
