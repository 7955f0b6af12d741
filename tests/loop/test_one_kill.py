"""The loop on a real Kafka and a real PostgreSQL: each process is SIGKILLed once mid-run, and `holdfast verify` judges."""

import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from holdfast_consoles.demo import orders
from holdfast_consoles.demo.application import read_journal
from holdfast_consoles.demo.checker import check_completed
from holdfast_consoles.demo.stage import HOLDFAST, Stage, stage
from holdfast_consoles.demo.story import Reader, Story
from holdfast_schemas.identity import new_id
from tests.waiting import wait_for

pytestmark = [pytest.mark.kafka, pytest.mark.postgres, pytest.mark.timeout(180)]
ROWS = 20_000


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that PostgreSQL's user can pass through."""
    made = Path(tempfile.mkdtemp(prefix="holdfast-test-"))
    made.chmod(0o711)
    yield made
    shutil.rmtree(made, ignore_errors=True)


def started(on: Stage, seed: int, run_id: str) -> dict[str, tuple[list[str], dict[str, str]]]:
    """The commands of the processes that a test kills, and what they need in their environment."""
    journal = on.folder / "journal.jsonl"
    journal.touch()
    on.start(
        "application", [sys.executable, "-m", "holdfast_consoles.demo.application", on.app_dsn, str(journal), str(seed)]
    )
    return {
        "processor": ([*HOLDFAST, "processor"], {}),
        "actuator": ([*HOLDFAST, "actuator"], {}),
        "runner": (
            [sys.executable, "-m", "holdfast_consoles.demo.runner", on.app_dsn, str(ROWS), "50"],
            {"HOLDFAST_RUN_ID": run_id},
        ),
    }


@pytest.mark.parametrize(
    "victim",
    [pytest.param("processor", marks=pytest.mark.long), pytest.param("actuator", marks=pytest.mark.long), "runner"],
)
def test_a_sigkill_mid_run_loses_nothing(kafka: Any, folder: Path, victim: str) -> None:
    with stage(kafka.bootstrap_servers, folder, lambda line: None) as on:
        orders.create(on.app_dsn, ROWS, 1, healthy=True)
        commands = started(on, 1, new_id())
        argv, variables = commands["runner"]
        on.start("runner", argv, **variables)
        story = Story(orders.MIGRATION_ID)
        with Reader(on.kafka, story) as reader:

            def rows_done() -> int:
                reader.check()
                return story.metrics.rows_processed if story.metrics else 0

            wait_for(lambda: rows_done() > ROWS // 5, 60, "a fifth of the rows")
            before = rows_done()
            on.processes[victim].kill()
            argv, variables = commands[victim]
            on.start(victim, argv, **variables)
            wait_for(lambda: story.finished is not None, 90, f"the end of the run after {victim} was killed")
            assert before < ROWS, "the kill came after the end"
            assert story.finished == "completed"
            assert story.decisions == []
        on.processes["application"].stop()
        found = check_completed(on.app_dsn, read_journal(on.folder / "journal.jsonl"))
        assert all(check.passed for check in found.checks), found.checks
        verify = on.start("verify", [*HOLDFAST, "verify"])
        assert verify.wait(60) == 0, verify.log_tail()
