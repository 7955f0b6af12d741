"""Managed servers are told apart by their marks, and the cures are theirs; the marks are set on a real server of our own."""

from collections.abc import Iterator

import psycopg
import pytest

from holdfast_actuators.postgres.connecting import connect
from holdfast_actuators.postgres.grants import lacking
from holdfast_actuators.postgres.managed import KINDS, detect
from holdfast_actuators.postgres.preflight.findings import Finding
from holdfast_actuators.postgres.preflight.managed_server import on_a_managed_server
from holdfast_actuators.postgres.preflight.report import preflight
from holdfast_consoles.embedded.postgres import EmbeddedPostgres
from holdfast_schemas.settings import MigrationSettings

MIGRATION = MigrationSettings(target="app", tables=("public.t",), role="migrator")
WAL = Finding(
    "block", "wal-level", "wal_level is replica", "ALTER SYSTEM SET wal_level = logical, and restart the server"
)
SLOTS = Finding(
    "block", "no-free-max_replication_slots", "m", "ALTER SYSTEM SET max_replication_slots = 12, and restart"
)
GRANT = Finding("block", "grant", "role a lacks a grant", "GRANT pg_signal_backend TO a")


@pytest.mark.parametrize(
    ("kind", "logical", "slots"),
    [
        (
            "rds",
            "rds.logical_replication = 1 in the parameter group",
            "max_replication_slots = 12 in the parameter group",
        ),
        ("aurora", "rds.logical_replication = 1 in the parameter", "max_replication_slots = 12 in the parameter group"),
        ("cloudsql", "the flag cloudsql.logical_decoding = on", "max_replication_slots = 12 as a flag of the instance"),
        (
            "azure",
            "wal_level = logical among the server param",
            "max_replication_slots = 12 among the server parameters",
        ),
    ],
)
def test_the_cures_are_the_vendors(kind: str, logical: str, slots: str) -> None:
    note, wal, slot, grant = on_a_managed_server(KINDS[kind], [WAL, SLOTS, GRANT])
    assert KINDS[kind].name in note.message
    assert logical in wal.cure
    assert slots in slot.cure
    assert grant == GRANT


def test_on_a_server_of_ones_own_nothing_changes() -> None:
    assert list(on_a_managed_server(None, [WAL, SLOTS])) == [WAL, SLOTS]


@pytest.fixture
def server() -> Iterator[str]:
    with EmbeddedPostgres(fsync=False) as found:
        with psycopg.connect(found.dsn()) as db:
            db.execute("CREATE ROLE migrator LOGIN; CREATE ROLE actuator LOGIN; CREATE ROLE rds_replication")
            db.execute("CREATE TABLE public.t (id int PRIMARY KEY)")
        yield found.dsn()


@pytest.mark.postgres
@pytest.mark.parametrize(
    ("mark", "kind"),
    [
        ("ALTER DATABASE postgres SET rds.extensions = 'x'", "rds"),
        ("CREATE FUNCTION public.aurora_version() RETURNS text LANGUAGE sql RETURN '16'", "aurora"),
        ("ALTER DATABASE postgres SET cloudsql.logical_decoding = 'on'", "cloudsql"),
        pytest.param("ALTER DATABASE postgres SET azure.extensions = 'x'", "azure", marks=pytest.mark.long),
        pytest.param("SELECT 1", None, marks=pytest.mark.long),
    ],
)
def test_each_is_known_by_its_mark(server: str, mark: str, kind: str | None) -> None:
    with psycopg.connect(server) as db:
        db.execute(mark)  # type: ignore[call-overload]
    with connect("app", server) as db:
        assert detect(db) == (None if kind is None else KINDS[kind])
        codes = {finding.code for finding in preflight(db, "m", MIGRATION, None).findings}
        assert ("managed-server" in codes) == (kind is not None)
        needed = lacking(db, "actuator", MIGRATION)[0].run
        amazon = 'GRANT "rds_replication" TO "actuator"'
        assert needed.as_string(db) == (amazon if kind in ("rds", "aurora") else 'ALTER ROLE "actuator" REPLICATION')
