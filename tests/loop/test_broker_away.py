"""The broker goes away in mid-run, frozen or killed: the runner pauses when its lease runs out, and nothing is lost."""

import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from holdfast_consoles.demo import orders
from holdfast_consoles.demo.application import read_journal
from holdfast_consoles.demo.checker import check_completed
from holdfast_consoles.demo.stage import HOLDFAST, Stage, stage
from holdfast_consoles.demo.story import Reader, Story
from holdfast_consoles.embedded.kafka import EmbeddedKafka
from tests.waiting import wait_for

pytestmark = [pytest.mark.kafka, pytest.mark.postgres, pytest.mark.long, pytest.mark.timeout(400)]
ROWS = 30_000
SETTINGS = {
    "actuator": {"lease_seconds": 6.0, "beat_seconds": 1.0},
    "reporter": {"guard_return_spread_seconds": 0.5},
}


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that PostgreSQL's user can pass through."""
    made = Path(tempfile.mkdtemp(prefix="holdfast-test-"))
    made.chmod(0o711)
    yield made
    shutil.rmtree(made, ignore_errors=True)


def freeze(kafka: EmbeddedKafka, seconds: float) -> None:
    assert kafka.child is not None
    kafka.child.send_signal(signal.SIGSTOP)
    time.sleep(seconds)
    kafka.child.send_signal(signal.SIGCONT)


def kill(kafka: EmbeddedKafka, seconds: float) -> None:
    kafka.kill()
    time.sleep(seconds)
    kafka.start()


def supervised(on: Stage) -> bool:
    """A supervisor's part: a service that ended is started again (a processor without its broker is fenced: exit 70)."""
    for name, start in (("processor", on.start_processor), ("actuator", on.start_actuator)):
        if on.processes[name].poll() is not None:
            start()
    return True


@pytest.mark.parametrize(
    ("away", "seconds"),
    [
        (freeze, 30),
        (kill, 10),
        (kill, 30),
    ],
    ids=["frozen 30 s", "killed, back after 10 s", "killed, back after 30 s"],
)
def test_a_broker_that_was_away_costs_time_and_nothing_else(folder: Path, away: object, seconds: float) -> None:
    with (
        EmbeddedKafka(folder / "kafka") as kafka,
        stage(kafka.bootstrap_servers, folder, lambda line: None, settings=SETTINGS) as on,
    ):
        orders.create(on.app_dsn, ROWS, 1, healthy=True)
        journal = folder / "journal.jsonl"
        journal.touch()
        on.start(
            "application", [sys.executable, "-m", "holdfast_consoles.demo.application", on.app_dsn, str(journal), "1"]
        )
        on.start("runner", [sys.executable, "-m", "holdfast_consoles.demo.runner", on.app_dsn, str(ROWS), "50"])
        story = Story(orders.MIGRATION_ID)
        with Reader(on.kafka, story) as reader:

            def rows_done() -> int:
                reader.check()
                return story.rows_done()

            wait_for(lambda: rows_done() > ROWS // 5, 60, "a fifth of the rows")
            away(kafka, seconds)  # type: ignore[operator]
            wait_for(
                lambda: supervised(on) and rows_done() >= 0 and story.finished is not None,
                180,
                "the end of the run",
                0.2,
            )
            assert story.finished == "completed"
            assert story.decisions == []
        log = on.processes["runner"].log_path.read_text()
        assert "holds at its next checkpoint" in log
        on.processes["application"].stop()
        found = check_completed(on.app_dsn, read_journal(journal))
        assert all(check.passed for check in found.checks), found.checks
        assert story.metrics is not None
        with psycopg.connect(on.app_dsn) as db:
            done = db.execute("SELECT sum(rows_done)::bigint FROM holdfast_journal.position").fetchone()
        assert (story.metrics.rows_processed,) == done
        verify = on.start("verify", [*HOLDFAST, "verify"])
        assert verify.wait(60) == 0, verify.log_tail()
