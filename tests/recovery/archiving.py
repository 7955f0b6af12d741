"""A server that archives its WAL, and what settings say of it: for tests of restore points and clones."""

import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from holdfast_actuators.postgres.arming import Arming
from holdfast_actuators.postgres.backup.programs import OsUser
from holdfast_actuators.postgres.clone.checking import CheckedTable, check_tables
from holdfast_actuators.postgres.clone.making import Clone, make
from holdfast_actuators.postgres.clone.planning import request_for
from holdfast_actuators.postgres.connecting import connect
from holdfast_actuators.postgres.disarming import disarm
from holdfast_actuators.postgres.point_in_time import PointInTime
from holdfast_consoles.embedded.postgres import EmbeddedPostgres
from holdfast_consoles.embedded.postgres_binaries import programs
from holdfast_schemas.settings import BackupSettings, MigrationSettings, TargetSettings
from tests.waiting import wait_for

MIGRATION = MigrationSettings(target="app", tables=("public.orders",), role="migrator")
SCHEMA = """CREATE ROLE migrator LOGIN; CREATE TABLE public.orders (id int PRIMARY KEY, note text);
    INSERT INTO public.orders SELECT g, repeat('x', g % 50) FROM generate_series(1, 2000) g"""


@dataclass
class Live:
    """A server that archives its WAL, and what settings say of it."""

    server: EmbeddedPostgres
    folder: Path
    user: OsUser | None

    def __post_init__(self) -> None:
        self.settings = BackupSettings(
            folder=self.folder / "base",
            restore_command=f"cp {self.folder}/archive/%f %p",
            bindir=self._bindir(),
            archive_timeout_seconds=30,
        )

    def _bindir(self) -> Path:
        """Its programs; without the pg_verifybackup of our wheel's 18, which ends with a segmentation fault."""
        bindir = programs(self.server.version)
        if self.server.version != 18:
            return bindir
        usable = self.folder / "bin"
        usable.mkdir()
        for file in bindir.iterdir():
            if file.name != "pg_verifybackup":
                (usable / file.name).symlink_to(file)
        return usable

    @property
    def dsn(self) -> str:
        return self.server.dsn()

    def arm(self, migration_id: str = "m", **settings: object) -> str:
        """The restore point's name. ``settings`` are of the backup."""
        changed = self.settings.model_copy(update=settings)
        with connect("app", self.dsn) as db:
            disarm(db, migration_id)
            found = Arming.of("clones", migration_id, MIGRATION, PointInTime("app", self.dsn, changed)).arm(db)
        assert found.restore_point is not None
        return found.restore_point

    def clone(self, to: Path, at: str | None = None, backup: Path | None = None, **settings: object) -> Clone:
        changed = self.settings.model_copy(update=settings)
        target = TargetSettings(dsn=self.dsn, backup=changed)  # type: ignore[arg-type]
        request = request_for("app", target, "m", to, at=at, backup=backup, user=self.user)
        return make(request, self.dsn, MIGRATION.tables, lambda _: None)

    def checked(self) -> CheckedTable:
        with connect("app", self.dsn) as db:
            return check_tables(db, MIGRATION.tables)[0]

    def write(self, statement: str) -> None:
        with psycopg.connect(self.dsn) as db:
            db.execute(statement)  # type: ignore[arg-type]

    def switch(self) -> None:
        """Go on in a new WAL file, and wait until the one before is in the archive."""
        with psycopg.connect(self.dsn, autocommit=True) as db:
            row = db.execute("SELECT pg_walfile_name(pg_switch_wal())").fetchone()
            assert row is not None
            archived = "SELECT last_archived_wal >= %s FROM pg_stat_archiver"
            wait_for(lambda: db.execute(archived, row).fetchone() == (True,), 30, "the archive to have it")

    def archived(self) -> dict[str, tuple[int, int]]:
        return {
            file.name: (file.stat().st_mtime_ns, file.stat().st_size) for file in (self.folder / "archive").iterdir()
        }


@pytest.fixture
def scratch() -> Iterator[Path]:
    """Where the server's user may write; pytest's own folders are closed to it."""
    folder = Path(tempfile.mkdtemp(prefix="holdfast-clone-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def live_server(folder: Path, version: int) -> EmbeddedPostgres:
    archive = folder / "archive"
    archive.mkdir(mode=0o755)
    server = EmbeddedPostgres(fsync=False, version=version, settings={
        "archive_mode": "on", "archive_command": f"test ! -f {archive}/%f && cp %p {archive}/%f", "wal_keep_size": "0",
    })  # fmt: skip
    if server.run_as is not None:
        os.chown(archive, server.run_as.uid, server.run_as.gid)
    return server


@pytest.fixture
def live(scratch: Path, request: pytest.FixtureRequest) -> Iterator[Live]:
    version = getattr(request, "param", 18)
    with live_server(scratch, version) as server:
        user = None if server.run_as is None else OsUser(server.run_as.uid, server.run_as.gid)
        found = Live(server, scratch, user)
        found.write(SCHEMA)
        yield found
        with connect("app", found.dsn) as db:
            disarm(db, "m")


def stopped(clone: Clone) -> None:
    os.kill(clone.pid, signal.SIGINT)
    wait_for(lambda: not (Path(clone.folder) / "postmaster.pid").exists(), 30, "the clone to stop")
