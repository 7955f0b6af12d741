"""arm and disarm on a real server: all or nothing, again and again, and nothing left behind."""

import contextlib
import threading
from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from holdfast_actuators.postgres import journal
from holdfast_actuators.postgres.arming import Arming
from holdfast_actuators.postgres.connecting import Connection, connect
from holdfast_actuators.postgres.disarming import disarm
from holdfast_actuators.postgres.undo.gaps import wholly_logged
from holdfast_schemas.errors import ArmRefused, RecoveryMoved, TableMissing, TableProtected
from holdfast_schemas.settings import MigrationSettings
from tests.waiting import wait_for

pytestmark = pytest.mark.postgres
TABLES = """
    CREATE TABLE public.orders (id int PRIMARY KEY, note text);
    CREATE TABLE public.lines (id int NOT NULL, note text);
    CREATE UNIQUE INDEX lines_id ON public.lines (id);
    ALTER TABLE public.lines REPLICA IDENTITY USING INDEX lines_id;
    CREATE TABLE public.events (id int, at date, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
    CREATE TABLE public.events_2026 PARTITION OF public.events FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
    INSERT INTO public.orders SELECT i, 'n' FROM generate_series(1, 10) i;
"""
CATALOG = """
    SELECT 'identity', oid::regclass::text, relreplident::text FROM pg_class WHERE relnamespace = 'public'::regnamespace
    UNION ALL SELECT 'trigger', tgrelid::regclass::text, tgname FROM pg_trigger WHERE NOT tgisinternal
    UNION ALL SELECT 'publication', pubname, '' FROM pg_publication
    UNION ALL SELECT 'slot', slot_name, '' FROM pg_replication_slots WHERE database = current_database()
    UNION ALL SELECT 'origin', roname, '' FROM pg_replication_origin WHERE roname LIKE %s || '%%' ORDER BY 1, 2, 3
"""


@pytest.fixture
def arming(target: str, migrator: str, environment: str) -> Arming:
    with psycopg.connect(target) as db:
        db.execute(TABLES)
    return arming_of(environment, migrator, "public.orders", "public.lines", "public.events")


def arming_of(environment: str, migrator: str, *tables: str, migration_id: str = "m") -> Arming:
    role = str(conninfo_to_dict(migrator)["user"])
    return Arming.of(environment, migration_id, MigrationSettings(target="app", tables=tables, role=role, sessions=2))


def catalog(db: Connection, arming: Arming) -> list[Any]:
    return db.execute(CATALOG, [arming.names.name]).fetchall()


def test_everything_is_there_and_everything_goes(target: str, arming: Arming) -> None:
    with connect("app", target) as db:
        before = catalog(db, arming)
        planned = [says for says, _ in arming.dry_run(db)]
        assert catalog(db, arming) == before  # a dry run changes nothing
        told: list[str] = []
        recovery = arming.arm(db, told.append)
        assert told == planned
        assert recovery.state == "armed"
        assert recovery.armed_lsn is not None
        armed = catalog(db, arming)
        identities = {name: identity for kind, name, identity in armed if kind == "identity"}
        assert {identities[f"public.{name}"] for name in ("orders", "lines", "events_2026")} == {"f"}
        assert len([1 for kind, *_ in armed if kind == "trigger"]) == 4  # the partitioned table has one too
        assert len([1 for kind, *_ in armed if kind in ("slot", "publication", "origin")]) == 4
        assert arming.arm(db).state == "armed"  # again: nothing
        assert arming.dry_run(db) == []
        assert disarm(db, "m")
        assert catalog(db, arming) == before
        assert not disarm(db, "m")
        assert arming.arm(db).state == "armed"  # and once more from the start
        disarm(db, "m")


def test_what_writes_the_role_shows_and_what_the_application_writes_does_not(
    target: str, migrator: str, arming: Arming
) -> None:
    peek = "SELECT data FROM pg_logical_slot_peek_binary_changes(%s, NULL, NULL, {})"
    peek = peek.format("'proto_version', '1', 'publication_names', %s, 'messages', 'true'")
    with connect("app", target) as db:
        arming.arm(db)
        with psycopg.connect(target, autocommit=True) as application:
            application.execute("UPDATE public.orders SET note = 'theirs'")
        with psycopg.connect(migrator, autocommit=True) as runner:
            runner.execute("SET application_name = 'x'")
            runner.execute("UPDATE public.orders SET note = 'ours' WHERE id = 1")
        messages = [data for (data,) in db.execute(peek, [arming.names.name] * 2) if b"nonce" in data]
        assert len(messages) == 1
        assert b'"operation" : "UPDATE"' in messages[0]
        disarm(db, "m")


def test_the_log_holds_all_rows_of_what_is_published_and_of_no_leaf_that_left(target: str, arming: Arming) -> None:
    with connect("app", target) as db:
        arming.arm(db)
        tables = {"public.orders", "public.lines", "public.events", "public.events_2026"}
        assert wholly_logged(db, arming.names.name) == tables
        db.execute("ALTER TABLE public.events DETACH PARTITION public.events_2026")
        assert wholly_logged(db, arming.names.name) == tables - {"public.events_2026"}
        db.execute("CREATE UNLOGGED TABLE public.bare PARTITION OF public.events DEFAULT")
        assert wholly_logged(db, arming.names.name) == {"public.orders", "public.lines"}
        disarm(db, "m")


@pytest.mark.parametrize("step", range(12))
def test_a_crash_between_any_two_steps_is_gone_on_from(target: str, arming: Arming, step: int) -> None:
    """The session is lost after so many steps; the next one ends where the whole would have ended."""
    with connect("app", target) as db:
        before = catalog(db, arming)
    done = 0

    def told(_: str) -> None:
        nonlocal done
        done += 1
        if done > step:
            raise KeyboardInterrupt  # as a SIGINT: nothing is taken back in an orderly way

    with connect("app", target) as db, contextlib.suppress(KeyboardInterrupt):
        arming.arm(db, told)
    with connect("app", target) as db:
        assert arming.arm(db).state == "armed"
        assert arming.dry_run(db) == []
        disarm(db, "m")
        assert catalog(db, arming) == before


@pytest.mark.parametrize("last", [True, False], ids=["gone on with", "taken back"])
def test_a_preparation_that_was_left_alone_can_be_taken_back(target: str, arming: Arming, last: bool) -> None:
    with connect("app", target) as db:
        before = catalog(db, arming)
        with pytest.raises(KeyboardInterrupt):
            arming.arm(db, interrupting())
        if last:
            arming.arm(db)
        assert disarm(db, "m")
        assert catalog(db, arming) == before


def interrupting(after: int = 3) -> Callable[[str], None]:
    seen: list[str] = []

    def told(says: str) -> None:
        seen.append(says)
        if len(seen) > after:
            raise KeyboardInterrupt

    return told


def test_an_open_write_transaction_is_named_and_everything_is_taken_back(
    target: str, arming: Arming, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("holdfast_actuators.postgres.arming.SLOT_WAIT_SECONDS", 1)
    with connect("app", target) as db, psycopg.connect(target, application_name="forgotten") as other:
        before = catalog(db, arming)
        other.execute("CREATE TABLE held (id int)")
        with pytest.raises(ArmRefused, match=f"pid {other.info.backend_pid} .*forgotten"):
            arming.arm(db)
        other.rollback()
        assert catalog(db, arming) == before


def test_a_lock_that_is_held_is_waited_for_a_second_and_tried_again(target: str, arming: Arming) -> None:
    with connect("app", target) as db, psycopg.connect(target) as other:
        other.execute("SELECT * FROM public.orders")
        waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'public.orders'::regclass"

        def told(says: str) -> None:
            if "identity" in says and "orders" in says:
                threading.Thread(target=release, daemon=True).start()

        def release() -> None:
            with psycopg.connect(target, autocommit=True) as watcher:
                wait_for(lambda: watcher.execute(waiting).fetchone()[0], 20, "arm to wait")  # type: ignore[index]
            other.rollback()

        assert arming.arm(db, told).state == "armed"
        disarm(db, "m")


def test_one_migration_a_table(target: str, migrator: str, environment: str, arming: Arming) -> None:
    other = arming_of(environment, migrator, "public.events_2026", migration_id="other")
    with connect("app", target) as db:
        arming.arm(db)
        with pytest.raises(TableProtected, match="events_2026 is armed for m"):
            other.arm(db)
        assert journal.read(db, "other") is None
        disarm(db, "m")
        assert other.arm(db).state == "armed"
        disarm(db, "other")


def test_a_table_that_is_not_there(target: str, migrator: str, environment: str) -> None:
    with connect("app", target) as db, pytest.raises(TableMissing, match=r"no table public\.nowhere"):
        arming_of(environment, migrator, "public.nowhere").arm(db)


def test_a_table_dropped_meanwhile_does_not_hold_disarm_up(target: str, arming: Arming) -> None:
    with connect("app", target) as db:
        arming.arm(db)
        db.execute("DROP TABLE public.lines")
        assert disarm(db, "m")


def test_no_disarming_while_rows_are_taken_back(target: str, arming: Arming) -> None:
    with connect("app", target) as db:
        arming.arm(db)
        journal.move(db, "m", "fencing")
        with pytest.raises(RecoveryMoved, match="is fencing"):
            disarm(db, "m")
        journal.move(db, "m", "armed")
        disarm(db, "m")
