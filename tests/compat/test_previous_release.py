"""This release and the one before it on one loop: real processes of each, a real Kafka, a real PostgreSQL."""

import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from holdfast_consoles.demo import orders
from holdfast_consoles.demo.application import read_journal
from holdfast_consoles.demo.checker import check_completed, check_rolled_back
from holdfast_consoles.demo.stage import HOLDFAST, Stage, stage
from holdfast_consoles.demo.story import Reader, Story
from holdfast_schemas.identity import new_id
from holdfast_schemas.transport.reading import messages_to_end
from holdfast_schemas.transport.topics import DEAD_LETTERS
from tests.waiting import wait_for

pytestmark = [pytest.mark.kafka, pytest.mark.postgres, pytest.mark.timeout(240)]
ROWS = 20_000
THIS = ""
"""An empty PYTHONPATH: the tree that this environment has installed."""


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that PostgreSQL's user can pass through."""
    made = Path(tempfile.mkdtemp(prefix="holdfast-test-"))
    made.chmod(0o711)
    yield made
    shutil.rmtree(made, ignore_errors=True)


def start_application(on: Stage) -> Path:
    journal = on.folder / "journal.jsonl"
    journal.touch()
    on.start_module("application", on.app_dsn, str(journal), "1")
    return journal


def start_runner(on: Stage, path: str, batch_rows: int) -> None:
    argv = [sys.executable, "-m", "holdfast_consoles.demo.runner", on.app_dsn, str(ROWS), str(batch_rows)]
    on.start("runner", argv, PYTHONPATH=path, HOLDFAST_RUN_ID=new_id())


def verified(on: Stage) -> None:
    verify = on.start("verify", [*HOLDFAST, "verify"])
    assert verify.wait(90) == 0, verify.log_tail()


def dead_letters(on: Stage) -> int:
    return sum(1 for _ in messages_to_end(on.kafka, f"{on.kafka.topic_prefix}.{DEAD_LETTERS}"))


@pytest.mark.parametrize(("runners", "services"), [("previous", "this"), ("this", "previous")])
def test_a_run_is_judged_paused_resumed_and_taken_back(
    kafka: Any, folder: Path, previous: Path, monkeypatch: pytest.MonkeyPatch, runners: str, services: str
) -> None:
    """The runner is of one release, and everything else of the other: topics, services, what a person types, verify."""
    paths = {"previous": str(previous), "this": THIS}
    monkeypatch.setenv("PYTHONPATH", paths[services])
    with stage(kafka.bootstrap_servers, folder, lambda line: None) as on:
        orders.create(on.app_dsn, ROWS, 1, healthy=False)
        journal = start_application(on)
        story = Story(orders.MIGRATION_ID)
        with Reader(on.kafka, story) as reader:
            start_runner(on, paths[runners], ROWS // 400)
            wait_for(lambda: reader.check() or story.effective("pause") is not None, 90, "the pause")
            pause = story.effective("pause")
            assert pause is not None
            reference = f"{orders.MIGRATION_ID}#{pause.record.epoch}"
            resume = on.start("resume", [*HOLDFAST, "resume", reference, "--reason", "a test"])
            assert resume.wait(60) == 0, resume.log_tail()
            wait_for(lambda: reader.check() or story.finished is not None, 90, "the end of the rollback")
            assert story.finished == "rolled_back"
        on.processes["application"].stop()
        found = check_rolled_back(on.app_dsn, read_journal(journal))
        assert all(check.passed for check in found.checks), found.checks
        assert dead_letters(on) == 0
        verified(on)


def test_services_are_upgraded_in_the_middle_of_a_run(
    kafka: Any, folder: Path, previous: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same topics, changelog and ledger: the previous release's services end, this one's go on, nobody is paused."""
    monkeypatch.setenv("PYTHONPATH", str(previous))
    with stage(kafka.bootstrap_servers, folder, lambda line: None) as on:
        orders.create(on.app_dsn, ROWS, 1, healthy=True)
        journal = start_application(on)
        story = Story(orders.MIGRATION_ID)
        with Reader(on.kafka, story) as reader:

            def rows_done() -> int:
                reader.check()
                return story.metrics.rows_processed if story.metrics else 0

            start_runner(on, str(previous), 20)
            wait_for(lambda: rows_done() > ROWS // 10, 90, "a tenth of the rows, judged by the previous release")
            assert story.metrics is not None
            assert story.metrics.engine_version is None
            for name in ("actuator", "processor"):
                on.processes[name].stop()
            before = rows_done()
            monkeypatch.setenv("PYTHONPATH", THIS)
            on.start_actuator()
            on.start_processor()
            wait_for(lambda: story.finished is not None or reader.check(), 120, "the end of the run")
            assert before < ROWS, "the upgrade came after the end"
            assert (story.finished, story.decisions) == ("completed", [])
            assert on.processes["runner"].wait(60) == 0
            # What the engine summed over both releases is what the runner's own journal says.
            assert f"completed: {story.metrics.rows_processed} rows done, 0 failed" in on.processes["runner"].log_tail()
            assert story.metrics.engine_version is not None
        on.processes["application"].stop()
        found = check_completed(on.app_dsn, read_journal(journal))
        assert all(check.passed for check in found.checks), found.checks
        assert dead_letters(on) == 0
        verified(on)
