"""`ledger migrate | check` as the one who keeps its database types them: two roles on a real PostgreSQL."""

import json
from collections.abc import Iterator

import psycopg
import pytest

from holdfast_actuators.ledger import Ledger
from holdfast_actuators.ledger import schema as ledger_schema
from holdfast_schemas.settings import ActuatorSettings
from tests.actuators import older_ledgers
from tests.actuators.roles import as_role, new_role
from tests.consoles.conftest import Holdfast

pytestmark = pytest.mark.postgres
NEWEST = ledger_schema.scripts()[-1][1]
DSN = "HOLDFAST_LEDGER__DSN"


@pytest.fixture
def role(database: str) -> Iterator[str]:
    with new_role(database) as made:
        yield made


def test_one_role_migrates_and_another_runs_with_what_it_is_granted(
    database: str, role: str, holdfast: Holdfast, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(DSN, as_role(database, role))
    none = holdfast("ledger", "check")
    assert none.code == 3
    assert none.out.startswith("schema holdfast: version none; pending: 001_ledger.sql, ")
    assert f"lacks {', '.join(name for _, name, _ in ledger_schema.scripts())}: run holdfast ledger migrate" in none.err
    refused = holdfast("ledger", "migrate")
    assert (refused.code, refused.out) == (3, "")
    assert f"run holdfast ledger migrate --grant-to {role} as the role that owns the ledger" in refused.err

    monkeypatch.setenv(DSN, database)
    made = holdfast("ledger", "migrate", "--grant-to", role)
    assert (made.code, made.err) == (0, "")
    assert made.out.splitlines() == [
        f"schema holdfast: applied {', '.join(name for _, name, _ in ledger_schema.scripts())}",
        f"{role} may do what an actuator does, and nothing else",
    ]
    again = holdfast("ledger", "migrate", "--json")
    assert json.loads(again.out) == {"schema": "holdfast", "applied": [], "granted_to": None}

    monkeypatch.setenv(DSN, as_role(database, role))
    whole = holdfast("ledger", "check")
    assert (whole.code, whole.err) == (0, "")
    assert f"schema holdfast: version {NEWEST}; pending: nothing" in whole.out
    ledger = Ledger(as_role(database, role), "holdfast", ActuatorSettings())
    assert ledger.migrate() == []
    ledger.close()


def test_check_says_version_pending_scripts_sizes_and_what_is_open(
    database: str, holdfast: Holdfast, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(DSN, database)
    older_ledgers.make(database)
    behind = holdfast("ledger", "check", "--json")
    assert behind.code == 3
    said = json.loads(behind.out)
    assert said["condition"]["pending"] == [NEWEST]
    assert said["condition"]["version"] == older_ledgers.PREVIOUS[-1][1]
    assert said["refusal"] == f"schema holdfast lacks {NEWEST}: run holdfast ledger migrate"
    assert holdfast("ledger", "migrate").out == f"schema holdfast: applied {NEWEST}\n"
    said = json.loads(holdfast("ledger", "check", "--json").out)
    found, rows = said["condition"], {t["table"]: t["rows"] for t in said["condition"]["tables"]}
    assert (found["pending"], said["refusal"]) == ([], None)
    assert (found["open_actions"], found["records_owed"]) == (1, 2)
    assert (rows["action"], rows["migration"], rows["outbox"], rows["listening"]) == (3, 2, 2, 0)
    assert found["oldest_action_at"] is not None
    with psycopg.connect(database) as db:
        [(size,)] = db.execute("SELECT pg_total_relation_size('holdfast.action')").fetchall()
    assert {t["table"]: t["bytes"] for t in found["tables"]}["action"] == size
    shown = holdfast("ledger", "check").out.splitlines()
    assert shown[1].endswith("; 1 open; 2 records owed to Kafka")
    assert shown[-1].startswith("together")


def test_what_is_lacking_is_named_and_each_end_has_its_code(
    database: str, role: str, holdfast: Holdfast, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert holdfast("ledger", "check").code == 2  # no ledger in the settings
    monkeypatch.setenv(DSN, "host=127.0.0.1 port=1 dbname=x")
    assert holdfast("ledger", "check").code == 5
    monkeypatch.setenv(DSN, database)
    assert holdfast("ledger", "migrate", "--grant-to", "nobody_such").code == 4
    holdfast("ledger", "migrate", "--grant-to", role)
    with psycopg.connect(database) as db:
        db.execute(f"REVOKE UPDATE ON holdfast.action FROM {role}")  # type: ignore[arg-type]
    monkeypatch.setenv(DSN, as_role(database, role))
    lacking = holdfast("ledger", "check")
    assert lacking.code == 3
    assert f"role {role} lacks rights on the ledger's schema holdfast: UPDATE on action; " in lacking.err
    rows = {line.split()[0]: line[20:32].strip() for line in lacking.out.splitlines()[3:]}
    assert (rows["action"], rows["beat"]) == ("0", "not shown")  # sizes all the same, rows of what it may read


def test_a_ledger_of_a_newer_release_is_refused_by_every_command(
    database: str, holdfast: Holdfast, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(DSN, database)
    assert holdfast("ledger", "migrate").code == 0
    with psycopg.connect(database) as db:
        db.execute("INSERT INTO holdfast.schema_version VALUES (999, '999_of_the_future.sql', 'x')")
    for arguments in (["migrate"], ["migrate", "--json"], ["check"], ["check", "--json"]):
        ran = holdfast("ledger", *arguments)
        assert (ran.code, ran.out) == (3, "")
        assert f"stands at 999_of_the_future.sql, this release knows up to {NEWEST}: run the newer release" in ran.err
