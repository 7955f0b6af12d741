"""holdfast preflight as a person types it, on a real server; it changes nothing."""

import json
from pathlib import Path
from typing import Any

import psycopg
import pytest

from holdfast_consoles.cli.main import main
from tests.recovery.test_commands import configured as configured

pytestmark = pytest.mark.postgres
CATALOG = """
    SELECT 'class', c.relname::text, c.relreplident::text FROM pg_class c
    JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname !~ '^pg_'
    UNION ALL SELECT 'slot', slot_name::text, '' FROM pg_replication_slots WHERE database = current_database()
    UNION ALL SELECT 'publication', pubname::text, '' FROM pg_publication
    UNION ALL SELECT 'trigger', tgname::text, '' FROM pg_trigger UNION ALL SELECT 'schema', nspname::text, '' FROM pg_namespace
    WHERE nspname !~ '^pg_(toast_)?temp' ORDER BY 1, 2, 3
"""


def catalog(dsn: str) -> list[Any]:
    with psycopg.connect(dsn) as db:
        return db.execute(CATALOG).fetchall()


def test_what_could_be_undone_is_said_and_nothing_is_changed(
    configured: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = catalog(configured)
    plan = tmp_path / "plan.sql"
    plan.write_text("UPDATE orders SET cents = 1;\nALTER TABLE orders DROP COLUMN note;\n")
    assert main(["preflight", "m", "--plan", str(plan)]) == 0
    printed = capsys.readouterr().out
    assert "ROW_UNDO  public.lines\nROW_UNDO  public.orders\n" in printed
    assert "ROW_UNDO          line 1: UPDATE orders SET cents = 1\n    the log holds its rows" in printed
    assert "IMAGE_NEEDED      line 2: ALTER TABLE orders DROP COLUMN note" in printed
    assert printed.endswith("m: its rows could be taken back from the log; next: holdfast arm m\n")
    assert "an actuator arms it before its first row: its plan loses data: line 2: ALTER TABLE orders DROP" in printed
    assert catalog(configured) == before


def test_what_blocks_has_its_cure_and_exit_3(
    configured: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with psycopg.connect(configured) as db:
        db.execute("ALTER TABLE public.lines SET UNLOGGED")
    plan = tmp_path / "plan.sql"
    plan.write_text("-- a stranger\nDELETE FROM customers;\n")
    assert main(["preflight", "m", "--plan", str(plan), "--json"]) == 3
    found = json.loads(capsys.readouterr().out)
    tiers = {table["table"]: table["tier"] for table in found["tables"]}
    assert tiers == {"public.lines": "NONE", "public.orders": "ROW_UNDO"}
    codes = {finding["code"] for finding in found["findings"] if finding["level"] == "block"}
    assert codes == {"not-protected"}
    assert main(["preflight", "m"]) == 3
    printed = capsys.readouterr().out
    assert "BLOCK public.lines is unlogged" in printed
    assert "ALTER TABLE public.lines SET LOGGED" in printed
    assert printed.endswith("m: 1 to cure before it can be armed and undone\n")


def test_an_armed_one_is_still_fine_and_says_so(configured: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["arm", "m"]) == 0
    capsys.readouterr()
    assert main(["preflight", "m"]) == 0
    assert "m (now armed): its rows could be taken back" in capsys.readouterr().out
    assert main(["disarm", "m"]) == 0


@pytest.mark.parametrize(
    ("argv", "code", "says"),
    [
        (["preflight", "unknown"], 4, "[migrations.unknown]"),
        (["preflight", "m", "--plan", "/nowhere.sql"], 2, "/nowhere.sql cannot be read"),
        (["preflight", "m", "--plan", "BROKEN"], 2, "the plan does not parse (line 2)"),
    ],
    ids=str,
)
def test_refusals(
    configured: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], argv: list[str], code: int, says: str
) -> None:
    broken = tmp_path / "broken.sql"
    broken.write_text("SELECT 1;\nSELEC 2;\n")
    assert main([str(broken) if word == "BROKEN" else word for word in argv]) == code
    assert says in capsys.readouterr().err


def test_a_large_table_without_a_key_is_refused_by_name_and_its_alter_cures_it(
    configured: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with psycopg.connect(configured, autocommit=True) as db:
        db.execute("ALTER TABLE public.lines DROP CONSTRAINT lines_pkey")
        # Never analyzed: the planner knows nothing of it.
        db.execute("INSERT INTO public.lines (id, order_id) SELECT 1000 + n, 1 FROM generate_series(1, 10001) n")
        assert main(["preflight", "m"]) == 3
        printed = capsys.readouterr().out
        assert "PITR_ONLY public.lines" in printed
        assert "public.lines has no primary key and over 10,000 rows: they would be found" in printed
        assert "ALTER TABLE public.lines ADD PRIMARY KEY (...)" in printed
        assert main(["arm", "m"]) == 3
        assert "public.lines has no primary key and over 10,000 rows" in capsys.readouterr().err
        db.execute("ALTER TABLE public.lines ADD PRIMARY KEY (id)")
    assert main(["preflight", "m"]) == 0
