"""The base backup that arming makes: by a role with the printed grants alone, once for all who ask, whole or not there."""

import os
import signal
import subprocess
import sys
import threading

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from holdfast_actuators.postgres.arming import Arming
from holdfast_actuators.postgres.backup.base_backups import found_in, remove_old
from holdfast_actuators.postgres.connecting import connect
from holdfast_actuators.postgres.disarming import disarm
from holdfast_actuators.postgres.grants import grants
from holdfast_actuators.postgres.point_in_time import PointInTime
from holdfast_actuators.postgres.restore_point import restore_points
from holdfast_schemas.errors import GrantsMissing, NoBaseBackup, NoRoom
from tests.recovery.archiving import MIGRATION, Live, live, scratch
from tests.waiting import wait_for

__all__ = ["live", "scratch"]  # fixtures
pytestmark = [pytest.mark.postgres, pytest.mark.timeout(300)]
MAKE = """
import sys
from pathlib import Path
from holdfast_actuators.postgres.connecting import connect
from holdfast_actuators.postgres.point_in_time import PointInTime
from holdfast_schemas.settings import BackupSettings
dsn, settings = sys.argv[1:]
with connect("app", dsn) as db:
    print(PointInTime("app", dsn, BackupSettings.model_validate_json(settings)).prepare(db, lambda _: None))
"""


def identifier(live: Live) -> int:
    with connect("app", live.dsn) as db:
        row = db.execute("SELECT system_identifier FROM pg_control_system()").fetchone()
    assert row is not None
    return int(row[0])


def test_the_printed_grants_are_enough_and_a_restore_points_are_named_when_they_are_missing(live: Live) -> None:
    live.write("CREATE ROLE actuator LOGIN; CREATE ROLE owner; ALTER TABLE public.orders OWNER TO owner")
    with connect("app", live.dsn) as db:
        *others, create, switch = grants(db, "actuator", MIGRATION, point_in_time=True)
        for grant in others:
            db.execute(grant.run)
    dsn = make_conninfo(live.dsn, user="actuator")
    arming = Arming.of("clones", "m", MIGRATION, PointInTime("app", dsn, live.settings))
    with connect("app", dsn) as db, pytest.raises(GrantsMissing, match=r"pg_create_restore_point.*pg_switch_wal"):
        arming.arm(db)
    with connect("app", live.dsn) as db:
        db.execute(create.run)
        db.execute(switch.run)
    with connect("app", dsn) as db:
        assert arming.arm(db).restore_point == restore_points(db, "m")[0].name


def test_a_service_makes_none_and_says_who_does(live: Live) -> None:
    arming = Arming.of("clones", "m", MIGRATION, PointInTime("app", live.dsn, live.settings, makes_backups=False))
    with connect("app", live.dsn) as db:
        with pytest.raises(NoBaseBackup, match="holdfast arm, typed by a person, does that"):
            arming.arm(db)
        live.arm()
        disarm(db, "m")
        [note] = (live.folder / "base").glob("*.json")
        note.rename(note.with_suffix(".away"))
        with pytest.raises(NoBaseBackup, match="was never verified: holdfast arm"):
            arming.arm(db)
        note.with_suffix(".away").rename(note)
        assert arming.arm(db).restore_point is not None


def test_of_two_at_once_one_makes_it_and_both_have_it(live: Live) -> None:
    made: list[str] = []

    def prepare() -> None:
        with connect("app", live.dsn) as db:
            made.append(PointInTime("app", live.dsn, live.settings).prepare(db, lambda _: None))

    both = [threading.Thread(target=prepare) for _ in range(2)]
    for one in both:
        one.start()
    for one in both:
        one.join()
    assert len(made) == 2
    assert len(set(made)) == 1


def test_what_a_killed_maker_left_is_no_base_backup_and_goes(live: Live) -> None:
    live.write(
        "CREATE TABLE public.wide AS SELECT g, repeat(md5(g::text), 60) AS text FROM generate_series(1, 40000) g"
    )
    words = [sys.executable, "-c", MAKE, live.dsn, live.settings.model_dump_json()]
    maker = subprocess.Popen(words, start_new_session=True)
    base = live.folder / "base"
    wait_for(lambda: list(base.glob("*.partial/global/*")), 60, "files of it")
    os.killpg(maker.pid, signal.SIGKILL)
    maker.wait()
    assert list(base.glob("*.partial"))
    assert found_in(base, identifier(live)) == []
    live.arm()
    assert not list(base.glob("*.partial"))
    [whole] = found_in(base, identifier(live))
    assert whole.verified


def test_ours_go_when_they_are_old_and_nobody_elses(live: Live) -> None:
    live.arm()
    ours = identifier(live)
    [first] = found_in(live.folder / "base", ours)
    assert remove_old(live.folder / "base", ours, 0) == [], "the newest stays"
    live.arm(max_age_days=1e-9)
    assert remove_old(live.folder / "base", ours + 1, 0) == [], "another server's"
    first.note_path.rename(first.note_path.with_suffix(".away"))
    assert remove_old(live.folder / "base", ours, 0) == [], "made by somebody else"
    first.note_path.with_suffix(".away").rename(first.note_path)
    assert remove_old(live.folder / "base", ours, 0) == [first.path]
    assert not first.path.exists()


def test_a_disk_without_room_is_refused_before_it_fills(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = type("Usage", (), {"free": 1000})
    monkeypatch.setattr("holdfast_actuators.postgres.backup.disk.shutil.disk_usage", lambda _: usage)
    with pytest.raises(NoRoom, match="has 1,000 bytes free, and a copy of the server takes"):
        live.arm()
    with connect("app", live.dsn) as db:
        assert db.execute("SELECT count(*) FROM pg_replication_slots").fetchone() == (0,)


def test_a_password_is_not_on_the_command_line(live: Live) -> None:
    dsn = make_conninfo(live.dsn, password="hunter2")
    with psycopg.connect(dsn, autocommit=True) as db:
        shown = PointInTime("app", dsn, live.settings).dry_run(db, "point")
    assert "pg_basebackup" in shown[0][1]
    assert "hunter2" not in str(shown)
