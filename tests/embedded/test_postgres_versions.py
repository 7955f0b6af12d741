"""A real server of each version that we say we run on."""

from pathlib import Path

import psycopg
import pytest

from holdfast_consoles.embedded.postgres import EmbeddedPostgres
from holdfast_consoles.embedded.postgres_binaries import OF_THE_SYSTEM, programs
from holdfast_schemas.errors import VersionNotHere

pytestmark = pytest.mark.postgres


@pytest.mark.parametrize(
    "version",
    [
        14,
        16,
        pytest.param(
            15, marks=pytest.mark.skipif(not (OF_THE_SYSTEM / "15").exists(), reason="no system's PostgreSQL 15")
        ),
    ],
)
def test_each_version_starts_and_decodes_its_log(tmp_path: Path, version: int) -> None:
    with EmbeddedPostgres(fsync=False, version=version) as server, psycopg.connect(server.dsn(), autocommit=True) as db:
        assert db.info.server_version // 10_000 == version
        db.execute("CREATE PUBLICATION migration FOR ALL TABLES")
        db.execute("SELECT pg_create_logical_replication_slot('migration_rollback_slot', 'pgoutput')")
        [kind] = db.execute("SELECT slot_type FROM pg_replication_slots").fetchall()
        db.execute("SELECT pg_drop_replication_slot('migration_rollback_slot')")
    assert kind == ("logical",)


def test_one_that_nobody_carries_is_refused_with_what_to_install() -> None:
    with pytest.raises(VersionNotHere, match="install the system's package postgresql-11"):
        programs(11)
