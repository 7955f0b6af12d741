"""Where embedded servers keep what they fetch or copy once, and how two starts at once share it."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

CACHE_VARIABLE = "HOLDFAST_CACHE_DIR"


def cache_folder() -> Path:
    """The folder of what outlives a run, made when absent: ``$HOLDFAST_CACHE_DIR``, else /var/cache/holdfast as root
    (PostgreSQL's unprivileged user must read it), else ``$XDG_CACHE_HOME`` or ``~/.cache``, /holdfast.

    A user without a usable home gets a folder of his own under the temporary folder.
    """
    named = os.environ.get(CACHE_VARIABLE)
    if named:
        folder = Path(named).absolute()
    elif os.geteuid() == 0:
        folder = Path("/var/cache/holdfast")
    else:
        folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "holdfast"
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o755)
    except OSError:
        return private_temporary_cache()
    return folder if os.access(folder, os.W_OK) else private_temporary_cache()


def private_temporary_cache() -> Path:
    """A cache under /var/tmp for a user whose home cannot be written (nobody's does not exist).

    The name is predictable, so a folder that someone else made there is refused: it could hold anything.
    """
    folder = Path("/var/tmp") / f"holdfast-cache-{os.geteuid()}"
    folder.mkdir(mode=0o755, exist_ok=True)
    found = folder.lstat()
    if found.st_uid != os.geteuid() or folder.is_symlink() or found.st_mode & 0o022:
        raise PermissionError(f"{folder} is not this user's own folder; set {CACHE_VARIABLE} to one that is")
    return folder


@contextmanager
def one_at_a_time(lock_path: Path) -> Iterator[None]:
    """Held by one process at a time; the kernel releases it when the holder ends, however it ends."""
    with lock_path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def closed_to_others(folder: Path) -> Path | None:
    """The first folder on the way to ``folder``, itself included, that another user cannot enter; None when all are open."""
    for step in [*reversed(folder.parents), folder]:
        if not step.stat().st_mode & 0o001:
            return step
    return None
