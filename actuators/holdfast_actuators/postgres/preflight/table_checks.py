"""Checks of each table: what an undo from the log could do for its rows, and why not."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from .facts import NO_KEY_ROWS_MAX, Facts, TableFacts
from .findings import Finding

Tier = Literal["ROW_UNDO", "PITR_ONLY", "NONE"]
VIRTUAL_FROM = 180_000
KINDS = {"v": "a view", "m": "a materialized view", "f": "a foreign table", "S": "a sequence", "c": "a type"}


@dataclass(frozen=True, slots=True)
class TableVerdict:
    """``tier``: undone row by row; only by a clone at a point in time; or not at all."""

    table: str
    tier: Tier
    findings: tuple[Finding, ...]


def judge_table(table: TableFacts, facts: Facts) -> TableVerdict:
    """The table's verdict: the worst that any of its findings leaves."""
    findings = tuple(_findings(table, facts))
    if table.persistence == "u":
        return TableVerdict(table.name, "NONE", findings)
    blocked = any(finding.level == "block" for finding in findings)
    return TableVerdict(table.name, "PITR_ONLY" if blocked else "ROW_UNDO", findings)


def _findings(table: TableFacts, facts: Facts) -> Iterator[Finding]:
    name = table.name
    if table.kind not in ("r", "p"):
        yield Finding(
            "block", "not-a-table", f"{name} is {KINDS.get(table.kind, 'no table')}", "name the tables that it writes"
        )
        return
    if table.persistence == "u":
        yield Finding(
            "block",
            "unlogged",
            f"{name} is unlogged: its rows are in no log and no backup",
            f"ALTER TABLE {name} SET LOGGED",
        )
    if table.persistence == "t":
        yield Finding("block", "temporary", f"{name} is temporary: no other session sees its rows")
    if table.virtual_columns and facts.server.version >= VIRTUAL_FROM:
        columns = ", ".join(table.virtual_columns)
        yield Finding(
            "block", "virtual-columns",
            f"{name} has virtual generated columns ({columns}): with replica identity FULL and a publication the"
            " application's own updates would fail",
            f"ALTER TABLE {name} drop them, or make them STORED, or rely on a clone",
        )  # fmt: skip
    if not table.key and table.kind == "r":
        many = table.rows > NO_KEY_ROWS_MAX
        yield Finding(
            "block" if many else "warn", "no-key",
            f"{name} has no primary key and {f'over {NO_KEY_ROWS_MAX:,}' if many else f'{table.rows:,}'} rows: they would be"
            f" found by all their values, one by one (at most {NO_KEY_ROWS_MAX:,})",
            f"ALTER TABLE {name} ADD PRIMARY KEY (...)",
        )  # fmt: skip
    if table.row_security_applies:
        yield Finding(
            "block", "row-security", f"row level security of {name} applies to {facts.user}: a row that a policy hides from it"
            " cannot be undone",
            f"ALTER ROLE {facts.user} BYPASSRLS, or ALTER TABLE {name} NO FORCE ROW LEVEL SECURITY",
        )  # fmt: skip
    if table.always_triggers:
        yield Finding(
            "warn", "always-triggers", f"{name} has triggers that fire during the undo too: {', '.join(table.always_triggers)}",
            f"ALTER TABLE {name} ENABLE TRIGGER {table.always_triggers[0]}",
        )  # fmt: skip
    if table.subscribed:
        yield Finding(
            "warn", "subscribed", f"{name} is fed by a subscription: what it brings meanwhile is an application's write"
        )
    for protected, migration_id in facts.protected_by:
        if protected == name:
            yield Finding(
                "block", "protected", f"{name} is armed for {migration_id}", f"holdfast disarm {migration_id}"
            )
