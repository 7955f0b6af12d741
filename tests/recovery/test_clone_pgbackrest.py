"""With the real pgBackRest, where it and a PostgreSQL that it knows are installed: its backup, its archive, its restore."""

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from holdfast_actuators.postgres.arming import Arming
from holdfast_actuators.postgres.backup.programs import OsUser, run
from holdfast_actuators.postgres.clone.checking import check_tables
from holdfast_actuators.postgres.clone.making import make
from holdfast_actuators.postgres.clone.planning import request_for
from holdfast_actuators.postgres.connecting import connect
from holdfast_actuators.postgres.disarming import disarm
from holdfast_actuators.postgres.point_in_time import PointInTime
from holdfast_consoles.embedded.postgres import EmbeddedPostgres
from holdfast_consoles.embedded.postgres_binaries import OF_THE_SYSTEM
from holdfast_schemas.errors import NoBaseBackup
from holdfast_schemas.settings import BackupSettings, MigrationSettings, TargetSettings
from tests.recovery.archiving import SCHEMA
from tests.waiting import wait_for

VERSION = 15
pytestmark = [
    pytest.mark.postgres,
    pytest.mark.long,
    pytest.mark.timeout(300),
    pytest.mark.skipif(shutil.which("pgbackrest") is None, reason="no pgBackRest"),
    pytest.mark.skipif(not (OF_THE_SYSTEM / str(VERSION)).exists(), reason=f"no PostgreSQL {VERSION}"),
]
MIGRATION = MigrationSettings(target="app", tables=("public.orders",), role="migrator")
CONFIGURATION = """[global]
repo1-path={folder}/repo
log-path={folder}/log
lock-path={folder}/lock
spool-path={folder}/spool
log-level-console=warn
start-fast=y
archive-timeout=30

[app]
pg1-path={data}
pg1-port={port}
pg1-user=postgres
pg1-socket-path={folder}
"""


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    found = Path(tempfile.mkdtemp(prefix="hf-"))
    found.chmod(0o777)
    monkeypatch.setenv("PGBACKREST_CONFIG", str(found / "pgbackrest.conf"))
    yield found
    shutil.rmtree(found)


def test_its_newest_backup_is_restored_to_the_point(folder: Path) -> None:
    push = f"pgbackrest --config={folder}/pgbackrest.conf --stanza=app archive-push %p"
    settings = {"archive_mode": "on", "archive_command": push, "unix_socket_directories": str(folder)}
    with EmbeddedPostgres(fsync=False, version=VERSION, settings=settings) as server:
        user = None if server.run_as is None else OsUser(server.run_as.uid, server.run_as.gid)
        text = CONFIGURATION.format(folder=folder, data=server.data, port=server.port)
        (folder / "pgbackrest.conf").write_text(text)
        with psycopg.connect(server.dsn()) as db:
            db.execute(SCHEMA)
        run(["pgbackrest", "--stanza=app", "stanza-create"], user=user)
        backup = BackupSettings(stanza="app", bindir=OF_THE_SYSTEM / str(VERSION) / "bin")
        arming = Arming.of("clones", "m", MIGRATION, PointInTime("app", server.dsn(), backup))
        with connect("app", server.dsn()) as db:
            with pytest.raises(NoBaseBackup, match="run pgbackrest backup"):
                arming.arm(db)
            run(["pgbackrest", "--stanza=app", "--type=full", "backup"], user=user)
            assert arming.arm(db).restore_point is not None
            before = check_tables(db, MIGRATION.tables)
            db.execute("TRUNCATE public.orders")
            db.execute("SELECT pg_switch_wal()")
            kept = TargetSettings(dsn=server.dsn(), backup=backup)  # type: ignore[arg-type]
            clone = make(
                request_for("app", kept, "m", folder / "clone", user=user),
                server.dsn(),
                MIGRATION.tables,
                lambda _: None,
            )
            try:
                assert clone.tables == before
            finally:
                os.kill(clone.pid, signal.SIGINT)
                wait_for(lambda: not (Path(clone.folder) / "postmaster.pid").exists(), 30, "the clone to stop")
            disarm(db, "m")
    with pytest.raises(subprocess.CalledProcessError):  # it holds nothing of ours after the server is gone
        subprocess.run(["pgrep", "-f", str(folder)], check=True, capture_output=True)
