"""What is no clone, and what is not armed for one: each refused in words, and nothing left."""

import pytest

from holdfast_actuators.postgres.clone.planning import request_for
from holdfast_actuators.postgres.connecting import connect
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
from holdfast_schemas.settings import TargetSettings
from tests.recovery.archiving import Live, live, scratch

__all__ = ["live", "scratch"]  # fixtures
pytestmark = [pytest.mark.postgres, pytest.mark.timeout(300)]


def test_each_refusal_leaves_nothing(live: Live) -> None:
    name = live.arm()
    live.switch()
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
        live.switch()
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
