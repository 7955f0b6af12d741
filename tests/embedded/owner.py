"""A process that owns embedded servers, for tests that end it: ``owner.py <what> <how it ends>``.

Prints the pid of each server and keeper as one line of JSON, then ends as told, or waits to be ended.
"""

import json
import os
import signal
import sys
import tempfile
from pathlib import Path

from holdfast_consoles.embedded.child import ChildProcess
from holdfast_consoles.embedded.kafka import EmbeddedKafka
from holdfast_consoles.embedded.keeper import descendants_of
from holdfast_consoles.embedded.postgres import EmbeddedPostgres

# a child that ignores the request to stop and has a child of its own, in another session
STUBBORN = """
import signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
print("stubborn", flush=True)
time.sleep(600)
"""


def server(what: str, folder: Path) -> EmbeddedKafka | EmbeddedPostgres | ChildProcess:
    if what == "postgres":
        return EmbeddedPostgres(fsync=False)
    if what == "kafka":
        return EmbeddedKafka()
    return ChildProcess([sys.executable, "-c", STUBBORN], log_path=folder / "log", grace_seconds=0.5)


def folder_of(started: EmbeddedKafka | EmbeddedPostgres | ChildProcess) -> str:
    folder = started.log_path.parent if isinstance(started, ChildProcess) else started.folder
    return str(folder)


def main(what: str, ends: str) -> None:
    with tempfile.TemporaryDirectory() as folder, server(what, Path(folder)) as started:
        if isinstance(started, ChildProcess):
            while "stubborn" not in started.log_tail():
                pass
        print(
            json.dumps({"pid": started.pid, "all": descendants_of(os.getpid()), "folder": folder_of(started)}),
            flush=True,
        )
        if ends == "exception":
            raise RuntimeError("as told")
        if ends == "wait":
            signal.pause()


if __name__ == "__main__":
    main(*sys.argv[1:])
