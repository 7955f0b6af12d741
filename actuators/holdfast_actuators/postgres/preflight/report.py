"""The whole preflight: facts read, checks asked, one verdict."""

from collections.abc import Sequence
from dataclasses import dataclass

from psycopg import sql

from holdfast_schemas.errors import PreflightBlocked
from holdfast_schemas.identity import MigrationId
from holdfast_schemas.settings import MigrationSettings

from ...protection import Major, judge_major
from .. import journal
from ..connecting import Connection
from ..grants import lacking
from ..laying_out import laid_out
from ..managed import detect
from ..point_in_time import PointInTime
from .facts import Facts, read_facts
from .findings import Finding
from .managed_server import on_a_managed_server
from .point_in_time_check import point_in_time_findings
from .server_checks import CHECKS, too_old
from .statements import Judged, judge_plan
from .table_checks import TableVerdict, judge_table

PROTECTED = sql.SQL("""
    SELECT format('%%I.%%I', n.nspname, c.relname), p.migration_id FROM {} p
    JOIN pg_class c ON c.oid = p.table_oid JOIN pg_namespace n ON n.oid = c.relnamespace WHERE p.migration_id <> %s
""").format(journal.table("protected"))


@dataclass(frozen=True, slots=True)
class Preflight:
    """``findings`` of the server and the plan; ``state`` as the recovery's journal says, None before arming.

    ``major``: whether much is at stake, by which ``protect = auto`` goes too.
    """

    migration_id: MigrationId
    state: str | None
    findings: tuple[Finding, ...]
    tables: tuple[TableVerdict, ...]
    statements: tuple[Judged, ...]
    protect: str
    major: Major

    @property
    def blocks(self) -> list[Finding]:
        """What has to be cured before it can be armed, or be undone."""
        all_of_them = [*self.findings, *(finding for table in self.tables for finding in table.findings)]
        return [finding for finding in all_of_them if finding.level == "block"]


def preflight(
    db: Connection,
    migration_id: MigrationId,
    migration: MigrationSettings,
    plan: str | None,
    point_in_time: PointInTime | None = None,
) -> Preflight:
    """Ask everything; changes nothing. Raises TableMissing, PlanUnreadable."""
    if (old := too_old(db.info.server_version)) is not None:
        return Preflight(
            migration_id, None, (old,), (), (), migration.protect, judge_major([], 0, migration.major_bytes)
        )
    server, tables = read_facts(db, migration)
    found = journal.read(db, migration_id)
    has_journal = laid_out(db)
    facts = Facts(
        migration,
        db.info.dbname,
        db.info.user,
        server,
        tables,
        tuple(
            grant.run.as_string(db)
            for grant in lacking(db, db.info.user, migration, point_in_time=point_in_time is not None)
        ),
        tuple(db.execute(PROTECTED, [migration_id]).fetchall()) if has_journal else (),
        found is not None and found.state not in ("disarmed", "preparing"),
    )
    statements = () if plan is None else tuple(judge_plan(plan))
    findings = [finding for check in CHECKS for finding in check(facts)]
    findings += _strangers(statements, facts)
    findings += point_in_time_findings(db, migration.target, point_in_time)
    findings = list(on_a_managed_server(detect(db), findings))
    verdicts = tuple(judge_table(table, facts) for table in tables)
    state = found.state if found else None
    major = at_stake(statements, sum(table.bytes for table in tables), migration)
    return Preflight(migration_id, state, tuple(findings), verdicts, statements, migration.protect, major)


def refuse_what_blocks(
    db: Connection, migration_id: MigrationId, migration: MigrationSettings, point_in_time: PointInTime | None
) -> None:
    """Raises PreflightBlocked, and what preflight raises; what is armed is past that. The plan is asked too where this machine
    has it."""
    plan = migration.plan.read_text() if migration.plan is not None and migration.plan.exists() else None
    found = preflight(db, migration_id, migration, plan, point_in_time)
    if found.blocks and found.state != "armed":
        raise PreflightBlocked(migration_id, _in_words(found, db.info.user))


def _in_words(found: Preflight, role_name: str) -> list[str]:
    """Each with its cure; many grants have one: what an administrator runs for all of them."""
    grants = [one for one in found.blocks if one.code == "grant"]
    if len(grants) < 2:
        return [f"{one.message} ({one.cure})" for one in found.blocks]
    printed = f"an administrator runs what holdfast arm {found.migration_id} --print-grants prints"
    others = [f"{one.message} ({one.cure})" for one in found.blocks if one.code != "grant"]
    return [*others, f"role {role_name} lacks {len(grants)} grants ({printed})"]


def at_stake(statements: Sequence[Judged], table_bytes: int, migration: MigrationSettings) -> Major:
    """What ``protect = auto`` makes of the plan and of the size of the tables."""
    losing = [f"line {one.line}: {one.text[:60]}" for one in statements if one.loses_data]
    return judge_major(losing, table_bytes, migration.major_bytes)


def _strangers(statements: Sequence[Judged], facts: Facts) -> list[Finding]:
    """Tables that the plan writes and that are not protected: their rows would not come back."""
    known = {name.replace('"', "") for name in [*facts.migration.tables, *(table.name for table in facts.tables)]}
    known |= {name.rpartition(".")[2] for name in known}
    return [
        Finding(
            "block", "not-protected", f"line {one.line} writes {name}, which is not among the migration's tables",
            f"add it to tables under [migrations.ID] ({one.text[:60]})",
        )
        for one in statements for name in one.writes if name not in known
    ]  # fmt: skip
