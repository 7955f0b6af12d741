"""A clone on real servers: the named point's data, while the live server went on being written."""

import json
import os
import signal

import psycopg
import pytest

from holdfast_actuators.postgres import restore_point
from holdfast_consoles.cli.main import main
from holdfast_consoles.embedded.postgres_binaries import OF_THE_SYSTEM
from tests.recovery.archiving import Live, live, scratch, stopped
from tests.waiting import wait_for

__all__ = ["live", "scratch"]  # fixtures
pytestmark = [pytest.mark.postgres, pytest.mark.timeout(300)]

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
    live.switch()
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


@pytest.mark.long
@pytest.mark.parametrize("live", [14, 18], indirect=True)
def test_what_was_prepared_at_the_point_is_prepared_in_it(live: Live) -> None:
    live.arm()
    [backup] = (live.folder / "base").glob("*/")
    with psycopg.connect(live.dsn, autocommit=True) as db:
        db.execute("BEGIN; DELETE FROM public.orders; PREPARE TRANSACTION 'theirs'")
        restore_point.make(db, "m", "later", str(backup), 30)
        db.execute("ROLLBACK PREPARED 'theirs'")
    found = live.clone(live.folder / "clone", at="later")
    try:
        with psycopg.connect(found.dsn, autocommit=True) as clone:
            assert clone.execute("SELECT gid FROM pg_prepared_xacts").fetchall() == [("theirs",)]
            clone.execute("COMMIT PREPARED 'theirs'")
            assert clone.execute("SELECT count(*) FROM public.orders").fetchone() == (0,)
    finally:
        stopped(found)


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
