"""The checks of preflight as a table: facts in, findings with their cures out."""

from dataclasses import replace
from typing import Any

import pytest

from holdfast_actuators.postgres.preflight.facts import Facts, Server, TableFacts
from holdfast_actuators.postgres.preflight.server_checks import CHECKS
from holdfast_actuators.postgres.preflight.table_checks import judge_table
from holdfast_schemas.settings import MigrationSettings

MIGRATION = MigrationSettings(target="app", tables=("public.t",), role="migrator", sessions=4)
SERVER = Server(
    version=180_004, in_recovery=False, wal_level="logical", slots_max=10, slots=1, senders_max=10, senders=0, origins_max=10,
    origins=0, archives=True, archive_fails=False, slot_keep_megabytes=10_000, slot_idle_seconds=0, prepared=None,
    open_writers=None, role_is_superuser=False, role_is_there=True, role_sessions_elsewhere=0, behind_pooler=False,
)  # fmt: skip
TABLE = TableFacts(
    table_oid=1, name="public.t", kind="r", persistence="p", rows=1_000, bytes=1_000_000, row_security_applies=False,
    virtual_columns=[], always_triggers=[], subscribed=False, owner="owner", key=("id",),
)  # fmt: skip
FACTS = Facts(MIGRATION, "app", "actuator", SERVER, (TABLE,))

OF_THE_SERVER = [
    ({"behind_pooler": True}, "block", "pooler", "a pooler", "the server itself"),
    ({"in_recovery": True}, "block", "standby", "standby", "primary"),
    ({"wal_level": "replica"}, "block", "wal-level", "wal_level is replica", "SET wal_level = logical"),
    (
        {"slots": 10}, "block", "no-free-max_replication_slots", "10 of 10 replication slots are taken, and 1 more",
        "max_replication_slots = 13",
    ),
    ({"senders": 10}, "block", "no-free-max_wal_senders", "10 of 10 WAL senders", "max_wal_senders = 13"),
    (
        {"origins": 7}, "block", "no-free-max_active_replication_origins", "7 of 10 replication origins are taken, and 4 more",
        "max_active_replication_origins = 13, and restart the server; or lower sessions",
    ),
    ({"origins": 7, "version": 160_000}, "block", "no-free-max_replication_slots", "origins", "max_replication_slots"),
    ({"slot_idle_seconds": 60}, "block", "slot-idle-timeout", "60 s", "= 0"),
    ({"slot_keep_megabytes": -1}, "warn", "slot-unlimited", "no limit", "max_slot_wal_keep_size"),
    ({"slot_keep_megabytes": 1}, "warn", "slot-limit", "2 MB of WAL", "'4MB'"),
    ({"open_writers": "pid 7 (ann)"}, "warn", "open-transactions", "pid 7 (ann)", "end them"),
    ({"prepared": "'gid'"}, "warn", "prepared-transactions", "'gid'", "ROLLBACK PREPARED"),
    ({"archives": False}, "note", "archive-off", "archive_mode is off", ""),
    ({"archive_fails": True}, "warn", "archive-fails", "fails", "pg_stat_archiver"),
    ({"role_is_there": False}, "block", "role-missing", "no role migrator", "CREATE ROLE migrator"),
    ({"role_is_superuser": True}, "block", "role-superuser", "superuser", "role of its own"),
    ({"role_sessions_elsewhere": 3}, "warn", "role-shared", "3 sessions in other databases", "role of its own"),
]  # fmt: skip


def of_the_server(facts: Facts) -> list[Any]:
    return [finding for check in CHECKS for finding in check(facts)]


def test_a_server_that_is_as_it_should_be_has_no_findings() -> None:
    assert of_the_server(FACTS) == []
    assert judge_table(TABLE, FACTS).findings == ()
    assert judge_table(TABLE, FACTS).tier == "ROW_UNDO"


@pytest.mark.parametrize(("changed", "level", "code", "says", "cure"), OF_THE_SERVER, ids=[c[2] for c in OF_THE_SERVER])
def test_of_the_server(changed: dict[str, Any], level: str, code: str, says: str, cure: str) -> None:
    [found] = of_the_server(replace(FACTS, server=replace(SERVER, **changed)))
    assert (found.level, found.code) == (level, code)
    assert says in found.message
    assert cure in found.cure


def test_what_is_armed_needs_no_other_slot() -> None:
    full = replace(FACTS, server=replace(SERVER, slots=10, origins=10, open_writers="pid 1 (x)"), armed=True)
    assert of_the_server(full) == []


def test_our_own_role_and_grants() -> None:
    ours = replace(FACTS, user="migrator", lacking=("GRANT a TO b", "GRANT c TO d"))
    assert [(f.code, f.cure) for f in of_the_server(ours)] == [
        ("role-ours", "use a role of its own"),
        ("grant", "GRANT a TO b"),
        ("grant", "GRANT c TO d"),
    ]


OF_A_TABLE = [
    ({"kind": "v"}, "PITR_ONLY", "block", "not-a-table", "a view"),
    ({"kind": "f"}, "PITR_ONLY", "block", "not-a-table", "a foreign table"),
    ({"persistence": "u"}, "NONE", "block", "unlogged", "in no log and no backup"),
    ({"persistence": "t"}, "PITR_ONLY", "block", "temporary", "temporary"),
    ({"virtual_columns": ["twice"]}, "PITR_ONLY", "block", "virtual-columns", "(twice)"),
    ({"key": ()}, "ROW_UNDO", "warn", "no-key", "1,000 rows"),
    ({"key": (), "rows": 10_001}, "PITR_ONLY", "block", "no-key", "over 10,000 rows"),
    ({"row_security_applies": True}, "PITR_ONLY", "block", "row-security", "a policy hides"),
    ({"always_triggers": ["a", "b"]}, "ROW_UNDO", "warn", "always-triggers", "a, b"),
    ({"subscribed": True}, "ROW_UNDO", "warn", "subscribed", "subscription"),
]


@pytest.mark.parametrize(("changed", "tier", "level", "code", "says"), OF_A_TABLE)
def test_of_a_table(changed: dict[str, Any], tier: str, level: str, code: str, says: str) -> None:
    verdict = judge_table(replace(TABLE, **changed), FACTS)
    [found] = verdict.findings
    assert (verdict.tier, found.level, found.code) == (tier, level, code)
    assert says in found.message


def test_a_partitioned_table_needs_no_key_of_its_own_and_older_servers_no_rule_of_18() -> None:
    assert judge_table(replace(TABLE, kind="p", key=()), FACTS).findings == ()
    older = replace(FACTS, server=replace(SERVER, version=170_000))
    assert judge_table(replace(TABLE, virtual_columns=["x"]), older).findings == ()


def test_a_table_of_another_migration_is_named() -> None:
    [found] = judge_table(TABLE, replace(FACTS, protected_by=(("public.t", "other"),))).findings
    assert (found.code, found.cure) == ("protected", "holdfast disarm other")
