"""holdfast.requests: what people ask for. ``actor`` is a claim: Kafka does not say who produced a record."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import StringConstraints, model_validator

from .identity import MigrationId, RequestId
from .record import Count, KeptRecord, SchemaVersion, UtcTime

RollbackMethod = Literal["auto", "runner", "log"]
OnConflict = Literal["keep", "cascade", "force"]
RequestKind = Literal["pause", "resume", "rollback", "override", "freeze", "unfreeze", "apply_triggers"]
NEEDS_MIGRATION: frozenset[RequestKind] = frozenset(("pause", "resume", "rollback", "override"))
NEEDS_EPOCH: frozenset[RequestKind] = frozenset(("resume", "rollback", "override"))
"""A person acts on what was shown: these carry the epoch seen, and a moved one is refused. A pause needs none."""


class PersonRequest(KeptRecord):
    """One request of a person; the ledger answers it with an ActionRecorded whose cause_id is the request_id."""

    schema_version: SchemaVersion = "1.1"
    type: Literal["PersonRequest"] = "PersonRequest"
    request_id: RequestId
    kind: RequestKind
    migration_id: MigrationId | None = None
    expected_epoch: Count | None = None
    actor: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    reason: Annotated[str, StringConstraints(min_length=1, max_length=512)]
    until: UtcTime | None = None
    """When an override or a pause ends by itself: so long after the broker wrote it as this is after ``occurred_at``."""
    method: RollbackMethod = "auto"
    """Of a rollback: by a worker that can, or from PostgreSQL's log; ``auto`` is the first of these that is possible."""
    on_conflict: OnConflict = "keep"
    """Of a rollback from the log: what becomes of values that somebody else wrote since."""
    rules: Annotated[str, StringConstraints(max_length=200_000)] | None = None
    """A RuleSet as JSON text, for apply_triggers."""
    occurred_at: UtcTime

    @model_validator(mode="after")
    def _complete(self) -> "PersonRequest":
        if self.kind in NEEDS_MIGRATION and self.migration_id is None:
            raise ValueError(f"{self.kind} needs a migration_id")
        if self.kind in NEEDS_EPOCH and self.expected_epoch is None:
            raise ValueError(f"{self.kind} needs the expected_epoch that the person saw")
        if self.kind == "apply_triggers" and self.rules is None:
            raise ValueError("apply_triggers needs rules")
        return self

    def key(self) -> str:
        return self.migration_id or f"~{self.kind}"

    def identity(self) -> str:
        return self.request_id

    def time(self) -> datetime:
        return self.occurred_at
