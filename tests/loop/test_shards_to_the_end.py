"""Several processes on one backfill in the whole loop, one SIGKILLed: the others take its shard, and the run waits for it."""

import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from holdfast_consoles.demo import orders
from holdfast_consoles.demo.application import read_journal
from holdfast_consoles.demo.checker import check_completed
from holdfast_consoles.demo.stage import HOLDFAST, Stage, stage
from holdfast_consoles.demo.story import Reader, Story
from holdfast_consoles.embedded.child import ChildProcess
from holdfast_schemas.identity import new_id
from tests.waiting import wait_for

pytestmark = [pytest.mark.kafka, pytest.mark.postgres, pytest.mark.timeout(240)]
ROWS, WORKERS = 20_000, 4
NOT_DONE = "SELECT count(*) FROM holdfast_journal.position WHERE NOT done"
WRITERS = """
SELECT shard, count(DISTINCT application_name), max(writes) FROM (
    SELECT id, min(application_name) AS application_name, count(*) AS writes
    FROM audit.write WHERE application_name LIKE 'holdfast-runner%' GROUP BY id) AS written
JOIN holdfast_journal.change ON key = id::text GROUP BY 1 ORDER BY 1
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that PostgreSQL's user can pass through."""
    made = Path(tempfile.mkdtemp(prefix="holdfast-test-"))
    made.chmod(0o711)
    yield made
    shutil.rmtree(made, ignore_errors=True)


def start(on: Stage, name: str, run_id: str) -> ChildProcess:
    argv = [sys.executable, "-m", "holdfast_consoles.demo.runner", on.app_dsn, str(ROWS), "15", str(WORKERS)]
    return on.start(name, argv, HOLDFAST_RUN_ID=run_id)


@pytest.mark.long
def test_the_others_take_a_killed_process_shard_and_the_run_ends_when_it_came_back(kafka: Any, folder: Path) -> None:
    run_id = new_id()
    with stage(kafka.bootstrap_servers, folder, lambda line: None) as on:
        orders.create(on.app_dsn, ROWS, 1, healthy=True)
        journal = folder / "journal.jsonl"
        journal.touch()
        on.start(
            "application", [sys.executable, "-m", "holdfast_consoles.demo.application", on.app_dsn, str(journal), "1"]
        )
        workers = {f"runner-{number}": start(on, f"runner-{number}", run_id) for number in range(1, WORKERS + 1)}
        story = Story(orders.MIGRATION_ID)
        with Reader(on.kafka, story) as reader, psycopg.connect(on.app_dsn, autocommit=True) as db:

            def all_at_work() -> bool:
                reader.check()
                return len(story.progress) == WORKERS and all(p.rows_processed for p in story.progress.values())

            wait_for(all_at_work, 90, "four processes at work")
            workers.pop("runner-2").kill()
            assert db.execute(NOT_DONE).fetchone() == (WORKERS,), "the kill came after a shard's end"
            wait_for(lambda: all(worker.poll() is not None for worker in workers.values()), 120, "the others' end")
            assert [worker.poll() for worker in workers.values()] == [0, 0, 0]
            assert db.execute(NOT_DONE).fetchone() == (0,)
            assert story.finished is None  # one of four has not said that it completed
            again = start(on, "runner-2", run_id)
            assert again.wait(60) == 0, again.log_tail()
            wait_for(lambda: story.finished is not None, 30, "the end of the run")
            assert (story.finished, story.decisions) == ("completed", [])
            on.processes["application"].stop()
            found = check_completed(on.app_dsn, read_journal(journal))
            assert all(check.passed for check in found.checks), found.checks
            shards = db.execute(WRITERS).fetchall()
            assert [shard for shard, _, _ in shards] == [0, 1, 2, 3]
            assert sorted(writers for _, writers, _ in shards) == [1, 1, 1, 2]  # the killed one's went on with another
            assert max(writes for _, _, writes in shards) == 1
        verify = on.start("verify", [*HOLDFAST, "verify"])
        assert verify.wait(60) == 0, verify.log_tail()
