"""Which way a base backup is had: by version, rights, and what is there already, with the reason in words."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from holdfast_actuators.postgres.backup.base_backups import BaseBackup
from holdfast_actuators.postgres.backup.choosing import choose
from holdfast_actuators.postgres.backup.facts import BackupFacts, Server
from holdfast_actuators.postgres.backup.taking import low_level_statements
from holdfast_schemas.settings import BackupSettings

NOW = datetime(2026, 1, 10, tzinfo=UTC)
SETTINGS = BackupSettings(folder=Path("/base"), restore_command="cp /archive/%f %p")
SERVER = Server(16, 7, "on", 0, 10, True, 0, None, True)
TOOL = Path("/bin/pg_basebackup")
FACTS = BackupFacts(SERVER, (), TOOL, None, data_is_here=False)


def backup(days: float) -> BaseBackup:
    return BaseBackup(Path(f"/base/{days}"), 7, 16, NOW - timedelta(days=days), "", "")


CASES: list[tuple[dict[str, Any], dict[str, Any], dict[str, Any], str | None, str]] = [
    ({}, {}, {}, "pg_basebackup", "no base backup in /base is younger than 7 days, so one is made"),
    ({}, {"existing": (backup(1), backup(2))}, {}, "existing", "/base/1 is 1.0 days old"),
    ({}, {"existing": (backup(8),)}, {}, "pg_basebackup", "younger than 7 days"),
    ({"max_age_days": 9}, {"existing": (backup(8),)}, {}, "existing", "8.0 days old"),
    ({}, {"pg_basebackup": None}, {}, None, "no pg_basebackup of PostgreSQL 16 here"),
    ({}, {"pg_basebackup": None, "data_is_here": True}, {}, "low_level", "so one is made"),
    ({}, {"data_is_here": True}, {"may_replicate": False}, "low_level", "so one is made"),
    ({"method": "pg_basebackup"}, {"data_is_here": True}, {"may_replicate": False}, None, "lacks REPLICATION"),
    ({"method": "low_level"}, {}, {}, None, "data_directory cannot be read"),
    ({"method": "low_level"}, {"data_is_here": True}, {"may_start_backup": False}, None, "may not call pg_backup_start"),
    ({}, {}, {"senders_free": 1}, None, "1 WAL senders are free and it needs 2"),
    ({}, {"data_is_here": True}, {"tablespaces": 2}, None, "2 tablespaces of its own"),
]  # fmt: skip


@pytest.mark.parametrize(("settings", "facts", "server", "method", "why"), CASES)
def test_the_cheapest_that_is_sound(
    settings: dict[str, Any], facts: dict[str, Any], server: dict[str, Any], method: str | None, why: str
) -> None:
    found = choose(SETTINGS.model_copy(update=settings), replace(FACTS, server=replace(SERVER, **server), **facts), NOW)
    assert found.method == method
    assert why in found.why


def test_a_stanza_is_pgbackrests_alone() -> None:
    settings = BackupSettings(stanza="app")
    assert choose(settings, replace(FACTS, pgbackrest=Path("/bin/pgbackrest")), NOW).method == "pgbackrest"
    refused = choose(settings, FACTS, NOW)
    assert (refused.method, refused.why) == (None, "stanza app is set, and there is no pgbackrest on this machine")


@pytest.mark.parametrize(
    ("version", "checkpoint", "start", "stop"),
    [
        (14, "spread", "SELECT pg_start_backup('label', false, false)", "SELECT * FROM pg_stop_backup(false, true)"),
        (14, "fast", "SELECT pg_start_backup('label', true, false)", "SELECT * FROM pg_stop_backup(false, true)"),
        (15, "fast", "SELECT pg_backup_start('label', true)", "SELECT * FROM pg_backup_stop(true)"),
        (18, "spread", "SELECT pg_backup_start('label', false)", "SELECT * FROM pg_backup_stop(true)"),
    ],
)
def test_the_low_level_functions_of_each_version(version: int, checkpoint: str, start: str, stop: str) -> None:
    assert low_level_statements(version, "label", checkpoint) == (start, stop)


@pytest.mark.parametrize(
    ("given", "refusal"),
    [
        ({}, "folder and restore_command together, or stanza alone"),
        ({"folder": "/base"}, "folder and restore_command together"),
        ({"folder": "/base", "restore_command": "cp x y"}, "names %f and %p"),
        ({"folder": "/base", "restore_command": "cp %f %p", "stanza": "app"}, "or stanza alone"),
    ],
)
def test_settings_that_say_too_little_or_too_much(given: dict[str, str], refusal: str) -> None:
    with pytest.raises(ValueError, match=refusal):
        BackupSettings.model_validate(given)
