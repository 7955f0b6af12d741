"""holdfast arm, disarm and the dry run of a rollback, as a person types them, on a real target."""

import json
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from holdfast_consoles.cli.main import main
from tests.recovery.test_log_rollback import TABLES

pytestmark = pytest.mark.postgres


@pytest.fixture
def configured(target: str, migrator: str, environment: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    with psycopg.connect(target) as db:
        db.execute(TABLES)
    role = conninfo_to_dict(migrator)["user"]
    config = tmp_path / "holdfast.toml"
    config.write_text(
        f'environment = "{environment}"\n[targets.app]\ndsn = "{target}"\n'
        f'[migrations.m]\ntarget = "app"\nrole = "{role}"\ntables = ["public.orders", "public.lines"]\nsessions = 1\n'
        '[migrations.lost]\ntarget = "nowhere"\nrole = "r"\ntables = ["public.orders"]\n'
    )
    monkeypatch.setenv("HOLDFAST_CONFIG", str(config))
    return target


def test_a_person_arms_looks_and_disarms(configured: str, migrator: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["arm", "m", "--dry-run"]) == 0
    planned = capsys.readouterr().out
    assert "ALTER TABLE public.orders REPLICA IDENTITY FULL;" in planned
    assert planned.endswith("-- 7 steps\n")
    assert main(["arm", "m"]) == 0
    armed = capsys.readouterr().out
    assert "its sessions begin with SELECT holdfast.join('m')" in armed
    with psycopg.connect(migrator, autocommit=True) as migration:
        migration.execute("SELECT holdfast.join('m')")
        migration.execute("UPDATE public.orders SET cents = 1")
        migration.execute("DELETE FROM public.lines WHERE id = 1")
    with psycopg.connect(configured, autocommit=True) as application:
        application.execute("UPDATE public.orders SET note = 'theirs' WHERE id = 1")
    assert main(["rollback", "m", "--dry-run"]) == 0
    shown = capsys.readouterr().out
    assert "from the log 21 rows would be taken back, in 2 steps" in shown
    assert "public.orders: 20 updated" in shown
    assert "public.lines: 1 deleted" in shown
    assert "others wrote 1 rows of these tables meanwhile: they stay" in shown
    assert main(["rollback", "m", "--dry-run", "--json"]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert found["rows"] == {"public.lines": {"D": 1}, "public.orders": {"U": 20}}
    assert main(["disarm", "m"]) == 0
    assert capsys.readouterr().out.endswith("m is disarmed: nothing of it is left on the server\n")
    assert main(["disarm", "m"]) == 0
    assert capsys.readouterr().out == "m is not armed\n"


def test_grants_are_printed_as_sql_that_runs(configured: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["arm", "m", "--print-grants"]) == 0
    printed = capsys.readouterr().out
    assert "GRANT EXECUTE ON FUNCTION pg_replication_origin_create(text) TO" in printed
    assert "(there already)" in printed  # the tests' role is a superuser
    with psycopg.connect(configured) as db:
        db.execute(printed)  # type: ignore[call-overload]
        db.rollback()


def test_an_untagged_write_shows_in_the_dry_run(
    configured: str, migrator: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["arm", "m"]) == 0
    with psycopg.connect(migrator, autocommit=True) as untagged:
        untagged.execute("UPDATE public.orders SET cents = 1 WHERE id = 1")
    capsys.readouterr()
    assert main(["rollback", "m", "--dry-run"]) == 0
    shown = capsys.readouterr().out
    assert "in the way: untagged public.orders: UPDATE by the role, without holdfast.join" in shown
    assert "so it would be refused, before anything is touched" in shown
    assert main(["disarm", "m"]) == 0


@pytest.mark.parametrize(
    ("argv", "code", "says"),
    [
        (["arm", "unknown"], 4, "write [migrations.unknown] with target, tables and role"),
        (["arm", "lost"], 4, "settings name no target nowhere"),
        (["rollback", "m", "--dry-run"], 3, "is not armed"),
        (["rollback", "m#1"], 2, "--reason"),
    ],
    ids=str,
)
def test_refusals_in_words(
    configured: str, capsys: pytest.CaptureFixture[str], argv: list[str], code: int, says: str
) -> None:
    assert main(argv) == code
    assert says in capsys.readouterr().err


def test_a_target_that_does_not_answer(
    configured: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HOLDFAST_TARGETS__APP__DSN", "host=127.0.0.1 port=1 user=x password=hidden")
    assert main(["arm", "m"]) == 5
    said = capsys.readouterr().err
    assert "target app cannot be reached" in said
    assert "hidden" not in said


def test_orphans_are_found_and_dropped_and_what_is_armed_stays(
    configured: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["arm", "m"]) == 0
    assert main(["disarm", "--orphans"]) == 0
    assert capsys.readouterr().out.endswith("no orphans\n")
    with psycopg.connect(configured) as db:
        db.execute("DELETE FROM holdfast_recovery.protected")
        db.execute("DELETE FROM holdfast_recovery.published")
        db.execute("DELETE FROM holdfast_recovery.recovery")  # the journal of a target that was restored
    assert main(["disarm", "--orphans", "--dry-run", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [one["kind"] for one in found] == ["trigger", "trigger", "origin", "publication", "slot"]
    assert main(["disarm", "--orphans"]) == 0
    assert capsys.readouterr().out.count(": dropped") == 5
    assert main(["disarm", "--orphans"]) == 0
    assert capsys.readouterr().out == "no orphans\n"
    assert main(["disarm"]) == 2
