"""What happens to a server between arm and rollback: each is a clear outcome, and the role may log in again."""

import contextlib
import threading
from collections.abc import Iterator

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from holdfast_actuators.postgres import journal
from holdfast_actuators.postgres.arming import Arming
from holdfast_actuators.postgres.connecting import connect
from holdfast_actuators.postgres.disarming import disarm
from holdfast_actuators.postgres.undo.rolling_back import LogRollback
from holdfast_consoles.embedded.postgres import EmbeddedPostgres
from holdfast_schemas.errors import SlotLost, UndoRefused
from holdfast_schemas.settings import MigrationSettings
from tests.recovery.test_log_rollback import TABLES, Loop
from tests.recovery.test_log_rollback import loop as loop
from tests.waiting import wait_for

pytestmark = pytest.mark.postgres


def test_a_replica_identity_that_somebody_reset_is_named(loop: Loop) -> None:
    loop.migration.execute("UPDATE orders SET cents = 1 WHERE id = 1")
    loop.application.execute("ALTER TABLE orders REPLICA IDENTITY DEFAULT")
    loop.migration.execute("UPDATE orders SET cents = 2 WHERE id = 2")
    with pytest.raises(
        UndoRefused, match=r"wrote public\.orders where its old rows were not logged: replica identity d"
    ):
        loop.roll_back()
    assert journal.expect(loop.db, "m", "armed").fenced_login is False


def test_an_index_that_the_fence_left_half_built_is_named(loop: Loop, migrator: str) -> None:
    role = sql.Identifier(str(conninfo_to_dict(migrator)["user"]))
    loop.application.execute(sql.SQL("ALTER TABLE orders OWNER TO {}").format(role))
    loop.application.execute(sql.SQL("GRANT CREATE ON SCHEMA public TO {}").format(role))
    told: list[str] = []
    with psycopg.connect(loop.target) as holder:  # to the end: nothing here waits for it
        holder.execute("UPDATE public.orders SET note = 'held' WHERE id = 7")
        building = threading.Thread(target=build_index, args=(loop.migration,))
        building.start()
        waits = "SELECT count(*) FROM pg_index WHERE NOT indisvalid"
        wait_for(lambda: loop.db.execute(waits).fetchone() == (1,), 20, "the index to be begun")
        LogRollback("app", loop.target, "m").run(told.append)
        building.join()
        holder.rollback()
    assert "index public.half_built is invalid, half built: DROP INDEX CONCURRENTLY public.half_built" in told


def build_index(migration: psycopg.Connection) -> None:
    with contextlib.suppress(psycopg.OperationalError):
        migration.execute("CREATE INDEX CONCURRENTLY half_built ON public.orders (cents)")


def test_a_disk_that_is_full_during_the_capture_lifts_the_fence(loop: Loop) -> None:
    """The journal's trigger raises what a full disk raises: the server's own error, in the midst of the COPY."""
    loop.migration.execute("UPDATE orders SET cents = 1")
    loop.db.execute(
        "CREATE FUNCTION holdfast_recovery.full() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN RAISE 'could not extend file' USING ERRCODE = 'disk_full'; END $$"
    )
    loop.db.execute(
        "CREATE TRIGGER f BEFORE INSERT ON holdfast_recovery.change FOR EACH ROW EXECUTE FUNCTION holdfast_recovery.full()"
    )
    with pytest.raises(UndoRefused, match="its rows do not fit: could not extend file"):
        loop.roll_back()
    assert journal.expect(loop.db, "m", "armed").fenced_login is False
    loop.db.execute("DROP TRIGGER f ON holdfast_recovery.change")
    assert loop.roll_back().rows == 20
    assert loop.rows() == loop.before


@pytest.fixture
def stingy() -> Iterator[EmbeddedPostgres]:
    """A server that gives slots up early."""
    settings = {"max_slot_wal_keep_size": "1MB", "max_wal_size": "32MB", "min_wal_size": "32MB"}
    with EmbeddedPostgres(settings=settings, fsync=False) as server:
        yield server


@pytest.mark.timeout(300)
def test_a_slot_that_the_server_gave_up(stingy: EmbeddedPostgres) -> None:
    dsn = stingy.dsn()
    with connect("app", dsn) as db:
        db.execute(TABLES)
        db.execute("CREATE ROLE migrator LOGIN; GRANT pg_write_all_data, pg_read_all_data TO migrator")
        migration = MigrationSettings(target="app", tables=("public.orders",), role="migrator")
        Arming.of("stingy", "m", migration).arm(db)
        lost = "SELECT wal_status FROM pg_replication_slots"
        for _ in range(20):
            db.execute("CREATE TABLE public.filler AS SELECT repeat('x', 1000) FROM generate_series(1, 30000)")
            db.execute("DROP TABLE public.filler")
            db.execute("CHECKPOINT")
            if db.execute(lost).fetchone() == ("lost",):
                break
        assert db.execute(lost).fetchone() == ("lost",)
        with pytest.raises(SlotLost, match="the old rows are not in the log any more"):
            LogRollback("app", dsn, "m").run()
        assert journal.expect(db, "m", "armed").fenced_login is False
        psycopg.connect(dsn.replace("user=postgres", "user=migrator")).close()
        assert disarm(db, "m")
        assert db.execute("SELECT count(*) FROM pg_replication_slots").fetchone() == (0,)
