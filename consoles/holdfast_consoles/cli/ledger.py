"""`holdfast ledger migrate | check`: the ledger's database, for who keeps it."""

from typing import TYPE_CHECKING, Annotated

import typer

from holdfast_schemas.errors import LedgerBehind, LedgerNotConfigured, LedgerRightsMissing
from holdfast_schemas.settings import Settings

from .choices import Json
from .figures import clock, print_json

if TYPE_CHECKING:
    from holdfast_actuators.ledger import Ledger
    from holdfast_actuators.ledger.condition import Condition

app = typer.Typer(help="Upgrade the ledger's schema, or say how it stands.", no_args_is_help=True)


@app.command()
def migrate(
    grant_to: Annotated[
        str | None, typer.Option(metavar="ROLE", help="The role that actuators run with: allow it what they need.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Apply what this release has and the ledger lacks: all of it, or nothing. An actuator does it too, if it may."""
    from holdfast_actuators.ledger import roles

    ledger, schema = _ledger()
    applied = ledger.migrate()
    if grant_to is not None:
        roles.grant(ledger.db, schema, grant_to)
    ledger.close()
    if as_json:
        print_json({"schema": schema, "applied": applied, "granted_to": grant_to})
        return
    typer.echo(f"schema {schema}: applied {', '.join(applied)}" if applied else f"schema {schema} is up to date")
    if grant_to is not None:
        typer.echo(f"{grant_to} may do what an actuator does, and nothing else")


@app.command()
def check(as_json: Json = False) -> None:
    """Say how the ledger stands; exit 3 when an actuator of this release, with this role, could not start on it."""
    from holdfast_actuators.ledger import condition, roles

    ledger, schema = _ledger()
    found = condition.read(ledger.db, schema)
    refusal: LedgerBehind | LedgerRightsMissing | None = None
    if found.pending:
        refusal = LedgerBehind(schema, found.pending)
    else:
        try:
            roles.check(ledger.db, schema)
        except LedgerRightsMissing as missing:
            refusal = missing
    ledger.close()
    if as_json:
        print_json({"schema": schema, "condition": found, "refusal": refusal and str(refusal)})
    else:
        for line in _lines(schema, found):
            typer.echo(line)
    if refusal is not None:
        if as_json:
            raise typer.Exit(refusal.exit_code)
        raise refusal


def _ledger() -> "tuple[Ledger, str]":
    """The ledger of the settings, connected, and its schema's name. Raises LedgerNotConfigured, LedgerUnreachable."""
    settings = Settings.load()
    if not settings.ledger.dsn.get_secret_value():
        raise LedgerNotConfigured()
    from holdfast_actuators.ledger import Ledger

    ledger = Ledger(settings.ledger.dsn.get_secret_value(), settings.ledger.schema_name, settings.actuator)
    ledger.connect()
    return ledger, settings.ledger.schema_name


def _lines(schema: str, found: "Condition") -> list[str]:
    lines = [f"schema {schema}: version {found.version or 'none'}; pending: {', '.join(found.pending) or 'nothing'}"]
    if found.version is None:
        return lines
    oldest = clock(found.oldest_action_at) if found.oldest_action_at else "none yet"
    lines.append(
        f"oldest action {oldest}; {found.open_actions:,} open; {_count(found.records_owed)} records owed to Kafka"
    )
    lines += [f"{'table':20}{'rows':>12}{'KiB':>12}"]
    lines += [f"{size.table:20}{_count(size.rows):>12}{size.bytes / 1024:>12,.0f}" for size in found.tables]
    total = sum(size.bytes for size in found.tables)
    return [*lines, f"{'together':20}{'':>12}{total / 1024:>12,.0f}"]


def _count(rows: int | None) -> str:
    return "not shown" if rows is None else f"{rows:,}"
