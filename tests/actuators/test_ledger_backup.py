"""A ledger in use is dumped by pg_dump and restored by pg_restore, with the commands of docs/ledger.md."""

import re
import shlex
import subprocess
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from holdfast_actuators.ledger import Ledger, roles
from holdfast_consoles.embedded.postgres_binaries import programs
from holdfast_schemas import states
from holdfast_schemas.actions import ActionRecorded
from holdfast_schemas.settings import ActuatorSettings
from tests.conftest import PostgresServer
from tests.waiting import wait_for

from . import older_ledgers
from .conftest import MIGRATION, SCHEMA, Bench
from .roles import as_role, new_role

pytestmark = pytest.mark.postgres
PAGE = (Path(__file__).parents[2] / "docs" / "ledger.md").read_text()


@pytest.fixture
def restored(postgres: PostgresServer) -> Iterator[str]:
    """The DSN of another empty database."""
    name = f"t{uuid.uuid4().hex[:12]}"
    with psycopg.connect(postgres.dsn(), autocommit=True) as db:
        db.execute(sql.SQL("CREATE DATABASE {} STRATEGY file_copy").format(sql.Identifier(name)))
    yield postgres.dsn(name)
    with psycopg.connect(postgres.dsn(), autocommit=True) as db:
        db.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def run_as_documented(program: str, dsn: str, folder: Path) -> None:
    """The page's command, with its $HOLDFAST_LEDGER__DSN, in a folder where it leaves or finds ledger.dump."""
    [line] = re.findall(rf"^{program} .*$", PAGE, re.M)
    name, *arguments = shlex.split(line.replace("$HOLDFAST_LEDGER__DSN", dsn))
    subprocess.run([programs() / name, *arguments], cwd=folder, check=True, timeout=60)


def dump(dsn: str, folder: Path) -> None:
    run_as_documented("pg_dump", dsn, folder)


def restore(folder: Path, dsn: str) -> None:
    run_as_documented("pg_restore", dsn, folder)


def use(bench: Bench, until: threading.Event, epochs: list[int]) -> None:
    """Pauses and resumes one after another, each acknowledged: what a guarded run brings, quicker."""
    run = bench.start()
    while not until.is_set():
        bench.decide(run, "pause")
        bench.acknowledge(run)
        bench.ask("resume", bench.desired().epoch)
        bench.acknowledge(run)
        epochs.append(bench.desired().epoch)


def test_a_ledger_in_use_is_dumped_whole_and_goes_on_where_it_is_restored(
    bench: Bench, restored: str, tmp_path: Path
) -> None:
    epochs: list[int] = []
    ended = threading.Event()
    user = threading.Thread(target=use, args=(bench, ended, epochs))
    user.start()
    try:
        wait_for(lambda: len(epochs) > 5, 30, "work before the dump")
        dump(bench.dsn, tmp_path)
        dumped = len(epochs)
        wait_for(lambda: len(epochs) > dumped + 3, 30, "work after the dump")
    finally:
        ended.set()
        user.join(30)
    restore(tmp_path, restored)
    it_is_whole(restored)
    ledger = Ledger(restored, SCHEMA, ActuatorSettings())
    assert ledger.migrate() == []
    again = Bench(restored, ledger)
    again.listen()
    [(behind,)] = again.execute("SELECT epoch FROM migration")
    assert 5 < behind < epochs[-1]
    owed_before = again.execute("SELECT coalesce(max(seq), 0) FROM outbox")[0][0]
    ledger.saw_control(MIGRATION, epochs[-1])  # what the actuator reads on control before it takes in anything
    ledger.deadlines()
    assert again.execute("SELECT count(*) FROM outbox WHERE seq > %s", owed_before) == [(1,)], "the numbers go on"
    assert again.desired().epoch == epochs[-1] + 1
    ledger.close()


def it_is_whole(dsn: str) -> None:
    """One moment of the ledger: no action without its epoch in the migration's row, no state without its record."""
    ledger = Ledger(dsn, SCHEMA, ActuatorSettings())
    bench = Bench(dsn, ledger)
    [(epoch,)] = bench.execute("SELECT epoch FROM migration")
    assert bench.execute("SELECT max(epoch) FROM action") == [(epoch,)]
    assert bench.execute("SELECT count(*) FROM action WHERE epoch IS NOT NULL") == [(epoch,)], (
        "each epoch has one action"
    )
    owed = {(r.cause_id, r.revision): r.outcome for r in bench.drain() if isinstance(r, ActionRecorded)}
    states_of = {(c, n): s for c, n, s in bench.execute("SELECT cause_id, revision, state FROM action")}
    assert all(states_of[key] == outcome for key, outcome in owed.items() if key in states_of)
    still_open = [s for s in states_of.values() if s not in states.FINAL_OUTCOMES]
    assert len(still_open) <= 1
    ledger.close()


def test_an_older_releases_backup_is_restored_with_its_grants_and_upgraded(
    database: str, restored: str, tmp_path: Path
) -> None:
    """Roles are of the server and not of the dump: what was granted comes back where the role stands."""
    older_ledgers.make(database)
    columns = older_ledgers.tables(database)
    with new_role(restored) as role:
        with psycopg.connect(database) as db:
            db.execute(f"GRANT USAGE ON SCHEMA {SCHEMA} TO {role}")  # type: ignore[arg-type]
            db.execute(f"GRANT SELECT ON {SCHEMA}.schema_version TO {role}")  # type: ignore[arg-type]
        dump(database, tmp_path)
        restore(tmp_path, restored)
        assert older_ledgers.everything(restored, columns) == older_ledgers.everything(database, columns)
        owners = Ledger(restored, SCHEMA, ActuatorSettings())
        assert len(owners.migrate()) == 1
        roles.grant(owners.db, SCHEMA, role)
        owners.close()
        restricted = Ledger(as_role(restored, role), SCHEMA, ActuatorSettings())
        assert restricted.migrate() == []
        restricted.check_rights()
        restricted.close()
        with psycopg.connect(database, autocommit=True) as db:
            db.execute(f"DROP OWNED BY {role}")  # type: ignore[arg-type]
