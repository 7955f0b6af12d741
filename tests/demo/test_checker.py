"""The checker on a real PostgreSQL: it must see each kind of harm, so each is planted here."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest

from holdfast_consoles.demo import orders
from holdfast_consoles.demo.application import APPLICATION_NAME, Application, Write, read_journal
from holdfast_consoles.demo.checker import RUNNER_NAME, check_completed, check_pause, check_rolled_back

pytestmark = pytest.mark.postgres
ROWS = 200
BACKFILL = "UPDATE orders SET amount_cents = round(amount_text::numeric * 100)"


@pytest.fixture
def table(database: str) -> str:
    orders.create(database, ROWS, 1, healthy=True)
    return database


@pytest.fixture
def runner(table: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(table, autocommit=True, application_name=RUNNER_NAME) as db:
        yield db


@pytest.fixture
def application(table: str) -> Iterator[Application]:
    with psycopg.connect(table, autocommit=True, application_name=APPLICATION_NAME) as db:
        yield Application(db, 1)


def writes(application: Application, count: int) -> list[Write]:
    found: list[Write] = []
    while len(found) < count:
        if (write := application.write()) is not None:
            found.append(write)
    return found


def passed(found: object) -> list[bool]:
    return [check.passed for check in found.checks]  # type: ignore[attr-defined]


def undo(runner: psycopg.Connection, *, but: int = -1) -> None:
    """Take the runner's writes back by the audit, newest first, leaving what the application wrote after."""
    runner.execute(
        """
        UPDATE orders o SET amount_cents = w.old_cents FROM audit.write w
        WHERE w.id = o.id AND w.application_name = %s AND o.amount_cents IS NOT DISTINCT FROM w.new_cents AND o.id <> %s
        """,
        (RUNNER_NAME, but),
    )


def test_a_true_rollback_passes(table: str, runner: psycopg.Connection, application: Application) -> None:
    journal = writes(application, 60)
    runner.execute(BACKFILL)
    journal += writes(application, 60)
    undo(runner)
    found = check_rolled_back(table, journal + writes(application, 20))
    assert passed(found) == [True, True], found.checks
    assert (found.rows_not_restored, found.application_writes_lost) == (0, 0)


def test_a_row_that_the_undo_skipped_is_found(table: str, runner: psycopg.Connection, application: Application) -> None:
    runner.execute(BACKFILL)
    journal = writes(application, 30)
    skipped = next(i for i in range(1, ROWS) if i not in {w.id for w in journal})
    undo(runner, but=skipped)
    found = check_rolled_back(table, journal)
    assert passed(found) == [False, True]
    assert found.rows_not_restored == 1
    assert str(skipped) in found.checks[0].detail


@pytest.mark.parametrize(
    "harm",
    [
        "UPDATE orders SET amount_cents = 7 WHERE id = %s",
        "DELETE FROM orders WHERE id = %s",
        "UPDATE orders SET note = '' WHERE id = %s",
    ],
)
def test_a_lost_write_of_the_application_is_found(
    table: str, runner: psycopg.Connection, application: Application, harm: str
) -> None:
    journal = writes(application, 60)
    runner.execute(BACKFILL)
    undo(runner)
    write = next(w for w in reversed(journal) if w.op == "update" and w.wrote_cents)
    runner.execute(harm, (write.id,))  # type: ignore[arg-type]
    found = check_rolled_back(table, journal)
    assert passed(found)[1] is False
    assert found.application_writes_lost == 1


def test_a_deleted_row_that_came_back_is_found(
    table: str, runner: psycopg.Connection, application: Application
) -> None:
    journal = writes(application, 60)
    runner.execute(BACKFILL)
    undo(runner)
    gone = [w for w in journal if w.op == "delete" and not any(v.id == w.id and v.op != "delete" for v in journal)]
    runner.execute("INSERT INTO orders (id, amount_text) VALUES (%s, '1.00')", (gone[-1].id,))
    assert check_rolled_back(table, journal).application_writes_lost == 1


def test_no_work_at_all_does_not_pass(table: str) -> None:
    assert passed(check_rolled_back(table, [])) == [False, False]
    assert passed(check_completed(table, [])) == [False, False]


def test_a_quiet_pause_passes_and_a_write_in_it_does_not(
    table: str, runner: psycopg.Connection, application: Application
) -> None:
    runner.execute("UPDATE orders SET amount_cents = 1 WHERE id = 1")
    effective = datetime.now(UTC)
    journal = writes(application, 120)
    later = effective + timedelta(seconds=3.5)
    assert passed(check_pause(table, journal, effective, later)) == [True, True, True]
    runner.execute("UPDATE orders SET amount_cents = 2 WHERE id = 1")
    found = check_pause(table, journal, effective, later)
    assert passed(found) == [False, True, True]
    assert found.rows_changed_while_paused == 1


def test_a_dead_runner_a_short_pause_and_an_idle_application_are_found(table: str, application: Application) -> None:
    effective = datetime.now(UTC)
    journal = writes(application, 20)
    assert passed(check_pause(table, journal, effective, effective + timedelta(seconds=1))) == [False, False, False]


def test_a_completed_run_is_compared_row_by_row(
    table: str, runner: psycopg.Connection, application: Application
) -> None:
    journal = writes(application, 40)
    runner.execute(BACKFILL)
    journal += writes(application, 40)
    assert passed(check_completed(table, journal)) == [True, True]
    untouched = next(i for i in range(1, ROWS) if i not in {w.id for w in journal})
    runner.execute("UPDATE orders SET amount_cents = amount_cents + 1 WHERE id = %s", (untouched,))
    assert passed(check_completed(table, journal)) == [False, True]


def test_a_journal_is_read_up_to_its_last_whole_line(tmp_path: Path) -> None:
    journal = tmp_path / "journal.jsonl"
    journal.write_bytes(b'{"at":"2026-03-01T12:00:00+00:00","op":"delete","id":3}\n{"at":"2026-')
    assert [(w.op, w.id) for w in read_journal(journal)] == [("delete", 3)]
