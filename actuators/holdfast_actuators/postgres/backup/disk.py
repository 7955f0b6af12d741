"""Room for a base backup, and one maker of them at a time."""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from holdfast_schemas.errors import NoRoom

PARTIAL_SUFFIX = ".partial"
LOCK_NAME = ".holdfast.lock"


def check_room(folder: Path, needed_bytes: int) -> None:
    """Raises NoRoom: a disk that fills half-way would have cost hours."""
    free_bytes = shutil.disk_usage(folder).free
    if free_bytes < needed_bytes:
        raise NoRoom(folder, needed_bytes, free_bytes)


@contextmanager
def one_at_a_time(folder: Path) -> Iterator[bool]:
    """Make the folder, and hold its lock; true where another held it first. What a crash left half made is removed."""
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder / LOCK_NAME, os.O_RDWR | os.O_CREAT, 0o644)
    waited = False
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            waited = True
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            fcntl.flock(descriptor, fcntl.LOCK_UN)  # only waited for: whoever goes on takes it again, if need be
        else:
            for partial in folder.glob(f"*{PARTIAL_SUFFIX}"):
                shutil.rmtree(partial)
        yield waited
    finally:
        os.close(descriptor)
