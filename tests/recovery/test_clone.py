"""A clone on real servers: the named point's data, while the live server went on being written; and each refusal."""

import json
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
from holdfast_consoles.cli.main import main
from holdfast_consoles.embedded.postgres import EmbeddedPostgres
from holdfast_consoles.embedded.postgres_binaries import OF_THE_SYSTEM, programs
from holdfast_schemas.errors import (
    ArchiveOff,
    ArmRefused,
    BackupUnusable,
    CloneAsRoot,
    CloneFolderTaken,
    NoBaseBackup,
    RestorePointNotReached,
    RestorePointUnknown,
    WalMissing,
)
from holdfast_schemas.settings import BackupSettings, MigrationSettings, TargetSettings
from tests.waiting import wait_for

pytestmark = [pytest.mark.postgres, pytest.mark.timeout(300)]
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


METHODS = [
    pytest.param(18, "pg_basebackup", id="18 pg_basebackup"),
    pytest.param(18, "low_level", id="18 pg_backup_start", marks=pytest.mark.long),
    pytest.param(16, "low_level", id="16 pg_backup_start", marks=pytest.mark.long),
    pytest.param(16, "pg_basebackup", id="16 pg_basebackup", marks=pytest.mark.long),
    pytest.param(
        15,
        "low_level",
        id="15 pg_backup_start",
        marks=[pytest.mark.long, pytest.mark.skipif(not (OF_THE_SYSTEM / "15").exists(), reason="no PostgreSQL 15")],
    ),
    pytest.param(14, "low_level", id="14 pg_start_backup"),
]


@pytest.mark.parametrize(("live", "method"), METHODS, indirect=["live"])
def test_it_is_the_named_points_data_and_the_archive_is_as_it_was(live: Live, method: str) -> None:
    name = live.arm(method=method)
    before = live.checked()
    live.write("UPDATE public.orders SET note = 'ruined'; DELETE FROM public.orders WHERE id > 1000")
    again = live.arm(method=method)  # over the same base backup, at another point of the same log
    assert again != name
    assert len(list((live.folder / "base").glob("*/"))) == 1
    live.write("DROP TABLE public.orders CASCADE")
    live.write("SELECT pg_switch_wal()")
    archive = live.archived()
    found = live.clone(live.folder / "clone", at=name)
    try:
        assert found.tables == (before,)
        with psycopg.connect(found.dsn, autocommit=True) as db:
            assert db.execute("SHOW archive_mode").fetchone() == ("off",)
            assert db.execute("SELECT count(*) FROM pg_replication_slots").fetchone() == (0,)
            db.execute("UPDATE public.orders SET note = 'repaired'")
            db.execute("SELECT pg_switch_wal()")
            db.execute("CHECKPOINT")
    finally:
        stopped(found)
    assert {name: live.archived()[name] for name in archive} == archive
    assert not [name for name in live.archived() if not name.startswith("00000001")], "no other timeline's WAL"


def test_each_refusal_leaves_nothing(live: Live) -> None:
    name = live.arm()
    live.write("SELECT pg_switch_wal()")
    to = live.folder / "clone"
    with pytest.raises(RestorePointUnknown, match=f"there are: {name}"):
        live.clone(to, at=name[:-1])
    with pytest.raises(RestorePointUnknown, match="holdfast arm n makes one"):
        request_for("app", TargetSettings(dsn=live.dsn, backup=live.settings), "n", to)  # type: ignore[arg-type]
    [backup] = (live.folder / "base").glob("*/")
    with pytest.raises(RestorePointNotReached, match="is misspelt, or the archive lacks WAL after that"):
        live.clone(to, at=name[:-1], backup=backup)  # the live server is not asked: it shows in the replay
    assert not to.exists()
    to.mkdir()
    (to / "mine").touch()
    with pytest.raises(CloneFolderTaken, match="it is not empty"):
        live.clone(to)
    assert [file.name for file in to.iterdir()] == ["mine"]
    (to / "mine").unlink()
    with pytest.raises(CloneFolderTaken, match="too long for a socket"):
        live.clone(live.folder / ("x" * 100))
    with pytest.raises(WalMissing, match="No such file"):
        live.clone(to, restore_command=f"cp {live.folder}/elsewhere/%f %p")
    with pytest.raises(NoBaseBackup, match="name another"):
        live.clone(to, backup=live.folder / "base" / "none")
    with pytest.raises(BackupUnusable, match="no backup_label"):
        live.clone(to, backup=live.folder / "archive")
    if live.user is not None:
        live.user = None
        with pytest.raises(CloneAsRoot, match="--user"):
            live.clone(to)
    assert list(to.iterdir()) == []


def test_wal_that_is_missing_in_between_is_named_by_the_last_that_was_there(live: Live) -> None:
    live.arm()
    for number in range(3):
        live.write(f"INSERT INTO public.orders VALUES ({10_000 + number}, 'later')")
        live.write("SELECT pg_switch_wal()")
    name = live.arm()
    files = sorted(live.archived())
    [in_between] = [file for file in files if not file.endswith(".backup")][-3:-2]
    (live.folder / "archive" / in_between).unlink()
    with pytest.raises(WalMissing, match="the last file that it gave is") as refused:
        live.clone(live.folder / "clone", at=name)
    assert refused.value.wal_file < f"after {in_between}"
    assert not (live.folder / "clone").exists()


def test_a_server_that_archives_nothing_is_not_armed(live: Live) -> None:
    live.server.settings["archive_mode"] = "off"
    live.server.restart()
    with pytest.raises(ArchiveOff, match="ALTER SYSTEM SET archive_mode = on"):
        live.arm()
    live.server.settings |= {"archive_mode": "on", "archive_command": "false"}
    live.server.restart()
    with pytest.raises(ArmRefused, match=r"the archiver fails at 0000.*nothing of it is left"):
        live.arm(archive_timeout_seconds=3)
    with connect("app", live.dsn) as db:
        assert db.execute("SELECT count(*) FROM pg_replication_slots").fetchone() == (0,)


@pytest.mark.parametrize("live", [16], indirect=True)
def test_a_backup_that_was_damaged_is_not_built_upon(live: Live) -> None:
    live.arm()
    [backup] = (live.folder / "base").glob("*/")
    (note,) = (live.folder / "base").glob("*.json")
    note.unlink()
    (backup / "PG_VERSION").chmod(0o600)
    with (backup / "global" / "pg_filenode.map").open("ab") as file:
        file.write(b"x")
    with pytest.raises(BackupUnusable, match=r"pg_filenode\.map"):
        live.arm()


def test_as_a_person_types_it(live: Live, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    config = live.folder / "holdfast.toml"
    config.write_text(
        f'environment = "clones"\n[targets.app]\ndsn = "{live.dsn}"\n[migrations.m]\ntarget = "app"\nrole = "migrator"\n'
        f'tables = ["public.orders"]\n[targets.app.backup]\nfolder = "{live.settings.folder}"\n'
        f'restore_command = "{live.settings.restore_command}"\nbindir = "{live.settings.bindir}"\n'
    )
    monkeypatch.setenv("HOLDFAST_CONFIG", str(config))
    user = [] if live.user is None else ["--user", "nobody"]
    to = ["--to", str(live.folder / "clone")]
    assert main(["arm", "m", "--dry-run"]) == 0
    planned = capsys.readouterr().out
    assert "pg_basebackup -D" in planned
    assert "_<new>');\nSELECT pg_switch_wal();\n" in planned
    assert main(["arm", "m"]) == 0
    assert main(["clone", "m", *to, *user, "--dry-run"]) == 0
    assert "archive_mode = 'off'" in capsys.readouterr().out
    assert not (live.folder / "clone").exists()
    assert main(["clone", "m", *to, *user, "--setting", "sharedbuffers=1"]) == 3
    assert 'unrecognized configuration parameter "sharedbuffers"' in capsys.readouterr().err
    assert not (live.folder / "clone").exists()
    assert main(["clone", "m", *to, *user, "--setting", "cluster_name=before the harm", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    try:
        assert found["tables"][0]["rows"] == 2000
        with psycopg.connect(found["dsn"]) as db:
            assert db.execute("SHOW cluster_name").fetchone() == ("before the harm",)
    finally:
        os.kill(found["pid"], signal.SIGINT)
        wait_for(lambda: not (live.folder / "clone" / "postmaster.pid").exists(), 30, "the clone to stop")
