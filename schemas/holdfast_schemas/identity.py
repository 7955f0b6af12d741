"""Names and ids: what a migration, a run, a worker, a decision and a server-wide PostgreSQL object are called.

Ids match ``[a-z0-9][a-z0-9._-]{0,99}``, so every key that begins with ``~`` is Holdfast's own (protocol: identity).
"""

import hashlib
import os
import time
import uuid
from typing import Annotated

from pydantic import StringConstraints

NAME_PATTERN = r"^[a-z0-9][a-z0-9._-]{0,99}$"
UUID_PATTERN = r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"

MigrationId = Annotated[str, StringConstraints(pattern=NAME_PATTERN)]
TargetName = Annotated[str, StringConstraints(pattern=NAME_PATTERN)]
TriggerId = Annotated[str, StringConstraints(pattern=NAME_PATTERN)]
RunId = Annotated[str, StringConstraints(pattern=UUID_PATTERN)]
WorkerId = Annotated[str, StringConstraints(pattern=UUID_PATTERN)]
LogId = Annotated[str, StringConstraints(pattern=UUID_PATTERN)]
RequestId = Annotated[str, StringConstraints(pattern=UUID_PATTERN)]


def new_id() -> str:
    """A UUIDv7 (RFC 9562, 5.7): 48 bits of Unix milliseconds, then random, so ids sort by the time they were made."""
    milliseconds = time.time_ns() // 1_000_000
    random_bits = int.from_bytes(os.urandom(10), "big")
    value = (milliseconds & (1 << 48) - 1) << 80 | 0x7 << 76 | (random_bits >> 68) << 64
    value |= 0b10 << 62 | random_bits & (1 << 62) - 1
    return str(uuid.UUID(int=value))


def server_object_name(environment: str, target: str, migration_id: str) -> str:
    """The name of a migration's slot, publication and origin: ``hf_`` and 20 hex digits.

    Slots are cluster-wide, so the environment is part of what is hashed.
    """
    return "hf_" + digest(environment, target, migration_id)[:20]


def decision_id(
    migration_id: str,
    run_id: str,
    trigger_id: str,
    kind: str,
    log_id: str,
    partition: int,
    offset: int,
    reassertion: int,
) -> str:
    """The id of a decision: a function of what it is about and of where its episode opened in the log.

    A processor that reads the same log again gives the same id, so a repeat is dropped by whoever saw it before.
    """
    return digest(migration_id, run_id, trigger_id, kind, log_id, str(partition), str(offset), str(reassertion))[:32]


def digest(*parts: str) -> str:
    """SHA-256, as hex, of the parts; each is preceded by its length, so no two lists of parts give the same bytes."""
    h = hashlib.sha256()
    for part in parts:
        data = part.encode()
        h.update(len(data).to_bytes(4, "big"))
        h.update(data)
    return h.hexdigest()
