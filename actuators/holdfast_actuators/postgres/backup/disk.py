"""Whose a data folder is, the room on its disk, and one maker of base backups at a time."""

import fcntl
import os
import shutil
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from holdfast_schemas.errors import NoRoom

PARTIAL_SUFFIX = ".partial"
LOCK_NAME = ".holdfast.lock"


def system_identifier(data: Path) -> int:
    """The first field of ``global/pg_control``, in every version: what a server and its copies share, and no other."""
    return int(struct.unpack("=Q", (data / "global" / "pg_control").read_bytes()[:8])[0])


def data_folder(named: str | None, identifier: int) -> Path | None:
    """A server's data folder, where it is on this machine and may be read: one of that name may be another server's."""
    data = None if named is None else Path(named)
    if data is None or not os.access(data / "global" / "pg_control", os.R_OK):
        return None
    return data if system_identifier(data) == identifier else None


def check_room(folder: Path, needed_bytes: int) -> None:
    """Raises NoRoom: a disk that fills half-way would have cost hours."""
    free_bytes = shutil.disk_usage(folder).free
    if free_bytes < needed_bytes:
        raise NoRoom(folder, needed_bytes, free_bytes)


def free_wal_disk_bytes(data_directory: str | None, identifier: int) -> int | None:
    """Of the disk that a server's WAL is on, where that is this machine's and may be read."""
    folder = data_folder(data_directory, identifier)
    return None if folder is None else shutil.disk_usage(folder / "pg_wal").free


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
