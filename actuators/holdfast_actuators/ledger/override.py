"""A person's override comes to its end by the ledger's clock: whoever meets it first, a deadline or a decision, ends it."""

from .entry import Entry
from .rows import MigrationRow, RunRow


def end_if_due(entry: Entry, m: MigrationRow, run: RunRow) -> bool:
    """The triggers act again, under a new epoch; a breach that still stands is decided anew within 30 s. Whether it ended."""
    if m.override_until is None or entry.now < m.override_until:
        return False
    why = f"the override by {m.override_by} came to its end"
    m.end_override()
    if m.desired != "run":
        entry.save(m)
        return True
    entry.supersede_open(m, why)
    epoch = entry.desire(m, "run", "ledger", why)
    entry.open(
        f"{run.run_id}/override/{epoch}", "deadline", "override", "requested", actor="ledger", reason=why,
        migration_id=m.migration_id, run_id=run.run_id, epoch=epoch,
    )  # fmt: skip
    return True
