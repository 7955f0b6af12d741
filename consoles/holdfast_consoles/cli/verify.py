"""`holdfast verify`: judge the recorded log again, and compare with what was decided, done and written down."""

from pathlib import Path
from typing import Annotated, Any

import typer

from holdfast_schemas.settings import Settings
from holdfast_schemas.transport import topics
from holdfast_schemas.transport.reading import read_to_end

from .choices import Json
from .evidence import collect, ledger_faults
from .figures import as_json_bytes

DISAGREED = 1
FAULTS_SHOWN = 20


def verify(
    report: Annotated[Path | None, typer.Option(help="Write all that was found as JSON.", dir_okay=False)] = None,
    as_json: Json = False,
) -> None:
    """Judge the recorded log again, and compare what came of it.

    Decisions, outcomes, figures, audit; exit 1 when they disagree.
    """
    settings = Settings.load()
    from holdfast_processors.verify import verify_log

    evidence = collect(settings.kafka)
    found = verify_log(
        evidence.records, evidence.decisions, evidence.metrics, until=evidence.until, actions=evidence.actions
    )
    faults, counts = list(found.faults), dict(found.counts)
    if dsn := settings.ledger.dsn.get_secret_value():
        from holdfast_actuators.ledger.reading import outcomes

        rows, owed = outcomes(dsn, settings.ledger.schema_name)
        after = [received.record for received in read_to_end(settings.kafka, topics.actions)]
        faults += ledger_faults(evidence.actions, rows, owed, after)
        counts |= {"ledger_rows": len(rows), "owed_by_the_ledger": owed}
    result = {"ok": not faults, "segments": list(found.segments), "counts": counts, "faults": faults}
    if report is not None:
        report.write_bytes(as_json_bytes(result))
    if as_json:
        typer.echo(as_json_bytes(result).decode())
    else:
        _print(result)
    if faults:
        raise typer.Exit(DISAGREED)


def _print(result: dict[str, Any]) -> None:
    for segment in result["segments"]:
        judged = "judged" if segment.judged else "NOT JUDGED"
        why = f": {segment.reason}" if segment.reason else ""
        typer.echo(f"  partition {segment.partition}, offsets {segment.first:,} to {segment.last:,}: {judged}{why}")
    typer.echo(", ".join(f"{name.replace('_', ' ')} {count:,}" for name, count in result["counts"].items()))
    for fault in result["faults"][:FAULTS_SHOWN]:
        typer.echo(f"FAULT {fault}")
    if (more := len(result["faults"]) - FAULTS_SHOWN) > 0:
        typer.echo(f"and {more:,} more: --report FILE holds them all")
    typer.echo("the log, judged again, agrees" if result["ok"] else f"{len(result['faults']):,} faults")
