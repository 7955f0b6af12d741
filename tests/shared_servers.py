"""One Kafka and one PostgreSQL for a whole test session, started by the first test that asks, whichever worker it is in.

pytest-xdist's workers end at different times, so no worker may own a server that others use: the controlling process
does. Workers ask it through a socket; it starts what is asked for once, and its end, however it comes, ends them.
"""

import os
import shutil
import tempfile
import threading
from multiprocessing.connection import Client, Listener
from pathlib import Path

from holdfast_consoles.embedded.kafka import EmbeddedKafka
from holdfast_consoles.embedded.postgres import EmbeddedPostgres
from holdfast_consoles.embedded.postgres_binaries import NEWEST
from holdfast_schemas.errors import HoldfastError

VERSION_VARIABLE = "HOLDFAST_TEST_POSTGRES"
"""The major version of the session's PostgreSQL; the newest without it."""


def limits(version: int) -> dict[str, str]:
    """Slots and origins are the server's: enough for all tests that run at once."""
    found = {"max_replication_slots": "100", "max_wal_senders": "50"}
    return found | ({"max_active_replication_origins": "100"} if version >= 18 else {})


class SharedServers:
    """The owner's side. Thread-safe; servers start at their first request."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="holdfast-tests-"))
        self.address = str(self._folder / "servers.sock")
        self._lock = threading.Lock()
        self._kafka: EmbeddedKafka | None = None
        self._postgres: EmbeddedPostgres | None = None
        self._listener = Listener(self.address, family="AF_UNIX")
        self._closing = False
        self._answering = threading.Thread(target=self._answer, name="shared servers", daemon=True)
        self._answering.start()

    def kafka(self) -> str:
        """``host:port`` of the session's Kafka."""
        with self._lock:
            if self._kafka is None:
                self._kafka = EmbeddedKafka()
                self._kafka.start()
            return self._kafka.bootstrap_servers

    def postgres(self) -> str:
        """The DSN of the session's PostgreSQL, its database ``postgres``."""
        with self._lock:
            if self._postgres is None:
                version = int(os.environ.get(VERSION_VARIABLE, NEWEST))
                self._postgres = EmbeddedPostgres(fsync=False, version=version, settings=limits(version))
                self._postgres.start()
            return self._postgres.dsn()

    def close(self) -> None:
        with Client(self.address, family="AF_UNIX") as wake:
            self._closing = True
            wake.send("")
        self._answering.join()
        self._listener.close()
        with self._lock:
            for server in (self._kafka, self._postgres):
                if server is not None:
                    server.close()
        shutil.rmtree(self._folder)

    def _answer(self) -> None:
        while True:
            with self._listener.accept() as connection:
                wanted = connection.recv()
                if self._closing:
                    return
                try:
                    connection.send((True, {"kafka": self.kafka, "postgres": self.postgres}[wanted]()))
                except HoldfastError as refusal:
                    connection.send((False, str(refusal)))


def ask(address: str, server: str) -> str:
    """A worker's side: where ``server`` is, started when it was not. Fails the test with the owner's reason."""
    with Client(address, family="AF_UNIX") as connection:
        connection.send(server)
        started, answer = connection.recv()
    assert started, answer
    return str(answer)
