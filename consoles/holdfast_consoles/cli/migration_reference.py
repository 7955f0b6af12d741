"""``orders-add-currency#7``: a migration and the epoch at which a person saw it."""

import re
from dataclasses import dataclass

from holdfast_schemas.errors import ReferenceInvalid
from holdfast_schemas.identity import NAME_PATTERN


@dataclass(frozen=True)
class Reference:
    """What was typed; ``epoch`` is None where none was."""

    migration_id: str
    epoch: int | None

    def __str__(self) -> str:
        return self.migration_id if self.epoch is None else f"{self.migration_id}#{self.epoch}"


def parse(text: str) -> Reference:
    """Raises ReferenceInvalid, which says what a migration's name may hold."""
    name, mark, epoch = text.partition("#")
    if not re.fullmatch(NAME_PATTERN, name):
        raise ReferenceInvalid(text, f"a migration's id matches {NAME_PATTERN}")
    if mark and not re.fullmatch(r"[0-9]{1,18}", epoch):
        raise ReferenceInvalid(text, "after # stands the epoch, a whole number")
    return Reference(name, int(epoch) if mark else None)
