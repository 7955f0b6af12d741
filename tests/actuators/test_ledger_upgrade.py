"""A ledger of an earlier release: upgraded once with all its content, or refused in words and left as it was."""

import re
import threading
from collections.abc import Iterator

import psycopg
import pytest

from holdfast_actuators.ledger import Ledger
from holdfast_actuators.ledger import schema as ledger_schema
from holdfast_schemas.actions import ActionRecorded
from holdfast_schemas.errors import LedgerMigrationFailed, LedgerTooNew
from holdfast_schemas.identity import new_id
from holdfast_schemas.record import now, to_milliseconds
from holdfast_schemas.requests import PersonRequest
from holdfast_schemas.runs import EpochAcknowledged
from holdfast_schemas.settings import ActuatorSettings

from . import older_ledgers
from .conftest import MIGRATION, SCHEMA, Bench
from .older_ledgers import DECISION, EPOCH, RUN, SEEN_EPOCH, WORKER

pytestmark = pytest.mark.postgres
ALL = ledger_schema.scripts()


@pytest.fixture
def ledger(database: str) -> Iterator[Ledger]:
    made = Ledger(database, SCHEMA, ActuatorSettings())
    yield made
    made.close()


def newest(number: int, text: bytes) -> ledger_schema.Script:
    return number, f"{number:03}_more.sql", text


@pytest.mark.parametrize("applied", range(1, len(ALL)), ids=lambda n: f"from {ALL[n - 1][1]}")
def test_all_content_of_every_earlier_release_stands(database: str, ledger: Ledger, applied: int) -> None:
    older_ledgers.make(database, ALL[:applied])
    columns = older_ledgers.tables(database)
    before = older_ledgers.everything(database, columns)
    assert len(before["action"]) == 3
    assert len(before["outbox"]) == 2
    assert ledger.migrate() == [name for _, name, _ in ALL[applied:]]
    assert older_ledgers.everything(database, columns) == before
    assert ledger.migrate() == []


def test_what_the_previous_release_left_open_goes_on(database: str, ledger: Ledger) -> None:
    older_ledgers.make(database)
    ledger.migrate()
    bench = Bench(database, ledger)
    bench.listen()
    told = [(r.cause_id, r.outcome) for r in bench.drain() if isinstance(r, ActionRecorded)]
    assert told == [("owed-requested", "requested"), ("owed-effective", "effective")]
    ledger.run_record(
        EpochAcknowledged(
            migration_id=MIGRATION, run_id=RUN, worker_id=WORKER, occurred_at=now(), epoch=EPOCH, state="paused"
        )
    )
    assert bench.outcomes(DECISION) == ["effective"]
    asked = PersonRequest(request_id=new_id(), kind="unfreeze", actor="ana", reason="payday is over", occurred_at=now())
    ledger.request(asked, to_milliseconds(now()))
    bench.ask("resume", EPOCH)
    assert (bench.desired().desired, bench.desired().epoch) == ("run", SEEN_EPOCH + 1)


def test_actuators_that_start_at_once_migrate_once(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    older_ledgers.make(database)
    slow = newest(len(ALL) + 1, b"CREATE TABLE made_once (x int); SELECT pg_sleep(0.5)")
    monkeypatch.setattr(ledger_schema, "scripts", lambda: [*ALL, slow])
    ledgers = [Ledger(database, SCHEMA, ActuatorSettings()) for _ in range(4)]
    for ledger in ledgers:
        ledger.connect()
    together, applied, failed = threading.Barrier(len(ledgers)), [], []

    def start(ledger: Ledger) -> None:
        together.wait()
        try:
            applied.append(ledger.migrate())
        except Exception as error:  # noqa: BLE001 - shown by the assertion below
            failed.append(error)

    threads = [threading.Thread(target=start, args=(ledger,)) for ledger in ledgers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    for ledger in ledgers:
        ledger.close()
    assert failed == []
    assert sorted(applied, key=len) == [[], [], [], [ALL[-1][1], slow[1]]]


def test_a_ledger_of_a_newer_release_is_refused_in_words(
    database: str, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger.migrate()
    monkeypatch.setattr(ledger_schema, "scripts", lambda: ALL[:-1])
    with pytest.raises(LedgerTooNew, match=f"{ALL[-1][1]}.* {ALL[-2][1]}.*newer release.*backup") as refusal:
        ledger.migrate()
    assert refusal.value.exit_code == 3


@pytest.mark.parametrize(
    "bad",
    [
        pytest.param(
            b"CREATE TABLE half (x int); INSERT INTO action SELECT no_such_column", id="a fault in the script"
        ),
        pytest.param(b"ALTER TABLE action DROP COLUMN body; SELECT 1/0", id="after a change of a table"),
    ],
)
def test_a_script_that_fails_leaves_the_schema_as_it_was(
    database: str, ledger: Ledger, monkeypatch: pytest.MonkeyPatch, bad: bytes
) -> None:
    older_ledgers.make(database)
    columns, before = older_ledgers.tables(database), older_ledgers.everything(database)
    monkeypatch.setattr(ledger_schema, "scripts", lambda: [*ALL, newest(len(ALL) + 1, bad)])
    with pytest.raises(LedgerMigrationFailed, match="stands as it was"):
        ledger.migrate()
    assert (older_ledgers.tables(database), older_ledgers.everything(database)) == (columns, before)
    monkeypatch.setattr(ledger_schema, "scripts", lambda: ALL)
    assert ledger.migrate() == [ALL[-1][1]]


def test_no_script_ends_the_transaction_by_itself() -> None:
    ends = re.compile(rb"^\s*(BEGIN|COMMIT|ROLLBACK|END)\b|\bCONCURRENTLY\b", re.M | re.I)
    assert [name for _, name, text in ALL if ends.search(text)] == []


def test_a_script_waits_for_no_long_transaction(database: str, ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else it would stand in the queue for the table, and every actuator behind it."""
    ledger.migrate()
    monkeypatch.setattr(ledger_schema, "TABLE_LOCK_SECONDS", 1)
    more = newest(len(ALL) + 1, b"ALTER TABLE action ADD COLUMN more int")
    monkeypatch.setattr(ledger_schema, "scripts", lambda: [*ALL, more])
    with psycopg.connect(database) as db:
        db.execute(f"SELECT count(*) FROM {SCHEMA}.action")  # type: ignore[arg-type]
        with pytest.raises(LedgerMigrationFailed, match=r"more\.sql.*lock timeout"):
            ledger.migrate()
    assert ledger.migrate() == [more[1]]
