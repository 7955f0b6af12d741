"""What a person gets wrong, or a server lacks: one sentence each, with the cure, before anything is touched."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest

from holdfast_actuators.postgres.connecting import connect
from holdfast_actuators.postgres.preflight.report import preflight, refuse_what_blocks
from holdfast_consoles.cli.main import main
from holdfast_consoles.embedded.postgres import EmbeddedPostgres
from holdfast_consoles.embedded.postgres_binaries import programs
from holdfast_schemas.errors import PreflightBlocked
from holdfast_schemas.settings import MigrationSettings
from tests.recovery.pooler import Pooler
from tests.recovery.test_commands import configured as configured
from tests.recovery.test_grants import COUNT, Roles
from tests.recovery.test_grants import roles as roles

pytestmark = pytest.mark.postgres
Captured = pytest.CaptureFixture[str]


def refused(captured: Captured, code: int, *argv: str) -> str:
    """The one sentence that the command says on stderr."""
    assert main(list(argv)) == code
    said = captured.readouterr().err
    assert said.count("\n") == 1, said
    return said


@pytest.mark.parametrize("command", [["arm"], ["disarm"], ["preflight"], ["rollback", "--dry-run"]])
def test_an_unknown_migration_and_an_unknown_target(configured: str, capsys: Captured, command: list[str]) -> None:
    said = refused(capsys, 4, *command, "unknown")
    assert "write [migrations.unknown] with target, tables and role" in said
    assert 'write [targets.nowhere] dsn = "postgresql://..."' in refused(capsys, 4, *command, "lost")


@pytest.mark.parametrize(
    ("line", "says"),
    [("", "postgresql://holdfast_actuator@db/app"), ('dsn = ""', "postgresql://holdfast_actuator@db/app")],
)
def test_a_target_without_a_dsn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured, line: str, says: str
) -> None:
    config = tmp_path / "holdfast.toml"
    config.write_text(f'[targets.app]\n{line}\n[migrations.m]\ntarget = "app"\nrole = "r"\ntables = ["public.t"]\n')
    monkeypatch.setenv("HOLDFAST_CONFIG", str(config))
    assert main(["arm", "m"]) == 2
    said = capsys.readouterr().err
    assert "targets.app.dsn" in said
    assert says in said


def test_a_dsn_that_is_none_is_not_quoted(configured: str, monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    monkeypatch.setenv("HOLDFAST_TARGETS__APP__DSN", "hidden words")
    said = refused(capsys, 5, "arm", "m")
    assert "target app cannot be reached: its dsn is no libpq connection string; check its dsn under [targets]" in said
    assert "hidden" not in said


@pytest.mark.parametrize("version", [90_624, 110_022, 130_016])
def test_an_old_server_is_asked_nothing_else(version: int) -> None:
    """Recorded: no such server is at hand, and its catalogs lack what the other checks read."""
    db: Any = SimpleNamespace(info=SimpleNamespace(server_version=version))
    found = preflight(db, "m", MigrationSettings(target="app", tables=("public.t",), role="r"), None)
    [block] = found.blocks
    assert (block.message, block.cure) == (f"the server is PostgreSQL {version // 10_000}", "upgrade to 14 or newer")


def test_without_a_superuser_each_missing_grant_is_named_and_the_printed_ones_are_enough(roles: Roles) -> None:
    with connect("app", roles.actuator) as db:
        lacks = preflight(db, "m", roles.migration, None).blocks
        assert len(lacks) == COUNT
        assert {one.code for one in lacks} == {"grant"}
        with pytest.raises(
            PreflightBlocked, match=rf"lacks {COUNT} grants \(an administrator runs what holdfast arm m"
        ):
            refuse_what_blocks(db, "m", roles.migration, None)
        roles.given()
        assert preflight(db, "m", roles.migration, None).blocks == []


def test_a_pooler(configured: str, monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    with Pooler(configured, whole_sessions=True).running() as pooler:
        monkeypatch.setenv("HOLDFAST_TARGETS__APP__DSN", pooler.dsn)
        said = refused(capsys, 3, "arm", "m")
    assert "between us and the server is a pooler (let the target's dsn name the server itself)" in said


@pytest.fixture
def write_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Settings for a server of the test's own, with its table and role."""

    def write(server: EmbeddedPostgres, *, prepared: bool = False) -> None:
        if not prepared:
            with psycopg.connect(server.dsn()) as db:
                db.execute("CREATE TABLE public.t (id int PRIMARY KEY)")
                db.execute("CREATE ROLE migrator LOGIN")
        config = tmp_path / "holdfast.toml"
        config.write_text(
            f'[targets.app]\ndsn = "{server.dsn()}"\n'
            '[migrations.m]\ntarget = "app"\nrole = "migrator"\ntables = ["public.t"]\nsessions = 2\n'
        )
        monkeypatch.setenv("HOLDFAST_CONFIG", str(config))

    return write


@pytest.mark.long
@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"wal_level": "replica"}, "wal_level is replica: the log holds no rows (ALTER SYSTEM SET wal_level = logical"),
        ({"max_replication_slots": "0"}, "0 of 0 replication slots are taken, and 1 more is needed (ALTER SYSTEM SET"),
        ({"max_wal_senders": "0"}, "ALTER SYSTEM SET max_wal_senders = 3, and restart the server"),
        (
            {"max_active_replication_origins": "1"},
            "ALTER SYSTEM SET max_active_replication_origins = 4, and restart the server; or lower sessions",
        ),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_a_server_that_is_set_otherwise(
    write_settings: Any, capsys: Captured, settings: dict[str, str], says: str
) -> None:
    with EmbeddedPostgres(fsync=False, settings=settings) as server:
        write_settings(server)
        assert says in refused(capsys, 3, "arm", "m")
        with psycopg.connect(server.dsn()) as db:
            assert db.execute("SELECT to_regnamespace('holdfast_recovery')").fetchone() == (None,)


@pytest.fixture
def standby() -> Iterator[tuple[EmbeddedPostgres, EmbeddedPostgres]]:
    """A primary, and a copy that streams from it, not yet made."""
    folder = Path(tempfile.mkdtemp(prefix="holdfast-standby-"))
    folder.chmod(0o755)
    with EmbeddedPostgres(fsync=False) as primary:
        if (user := primary.run_as) is not None:
            os.chown(folder, user.uid, user.gid)
        copy = EmbeddedPostgres(folder, fsync=False)
        try:
            yield primary, copy
        finally:
            copy.close()
            shutil.rmtree(folder)


@pytest.mark.long
def test_a_standby(standby: tuple[EmbeddedPostgres, EmbeddedPostgres], write_settings: Any, capsys: Captured) -> None:
    primary, copy = standby
    write_settings(primary)
    user = primary.run_as
    subprocess.run(
        [programs() / "pg_basebackup", "-D", copy.data, "-R", "-c", "fast", "--no-sync", "-d", primary.dsn()],
        user=None if user is None else user.uid,
        group=None if user is None else user.gid,
        extra_groups=None if user is None else [],
        cwd="/",
        check=True,
    )
    copy.start()
    write_settings(copy, prepared=True)
    said = refused(capsys, 3, "arm", "m")
    assert "this is a standby (let the target's dsn name the primary (target_session_attrs=read-write))" in said
