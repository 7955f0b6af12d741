"""A pooler, as small as one can be: it lends server sessions for a transaction each, or for as long as a client stays."""

import contextlib
import socket
import struct
import threading
from collections.abc import Iterator

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

AUTHENTICATED = b"R" + struct.pack(">ii", 8, 0)
OWN_PID = b"K" + struct.pack(">iii", 12, 424_242, 1)
IDLE = b"Z" + struct.pack(">ic", 5, b"I")
SETTINGS = {"client_encoding": "UTF8", "integer_datetimes": "on"}
PROTOCOL_3 = 196_608


def received(connection: socket.socket, length: int) -> bytes:
    data = b""
    while len(data) < length:
        part = connection.recv(length - len(data))
        if not part:
            raise ConnectionError
        data += part
    return data


def message(connection: socket.socket) -> bytes:
    head = received(connection, 5)
    return head + received(connection, struct.unpack(">i", head[1:])[0] - 4)


class Pooler:
    """The session that was given back last is lent first, as PgBouncer does; process ids are its own."""

    def __init__(self, dsn: str, *, whole_sessions: bool) -> None:
        self._parameters = conninfo_to_dict(dsn)
        self._whole_sessions = whole_sessions
        with psycopg.connect(dsn) as server:
            self._settings = SETTINGS | {"server_version": str(server.info.parameter_status("server_version"))}
        self._servers: list[socket.socket] = []
        self._free: list[socket.socket] = []
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.dsn = make_conninfo(dsn, port=self._listening.getsockname()[1], sslmode="disable", gssencmode="disable")

    @contextlib.contextmanager
    def running(self) -> Iterator["Pooler"]:
        threading.Thread(target=self._accept, daemon=True).start()
        try:
            yield self
        finally:
            self._listening.shutdown(socket.SHUT_RDWR)
            for one in (self._listening, *self._servers):
                one.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listening.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError), client:
            received(client, struct.unpack(">i", received(client, 4))[0] - 4)
            words = [f"{name}\0{value}\0".encode() for name, value in self._settings.items()]
            told = b"".join(b"S" + struct.pack(">i", len(word) + 4) + word for word in words)
            client.sendall(AUTHENTICATED + told + OWN_PID + IDLE)
            server: socket.socket | None = None
            while (asked := message(client))[:1] != b"X":
                server = server or self._lend()
                server.sendall(asked)
                if asked[:1] not in (b"Q", b"S"):
                    continue
                while (answer := message(server))[:1] != b"Z":
                    client.sendall(answer)
                if answer[5:] == b"I" and not self._whole_sessions:
                    self._free.append(server)
                    server = None
                client.sendall(answer)

    def _lend(self) -> socket.socket:
        if self._free:
            return self._free.pop()
        address = str(self._parameters["host"]), int(str(self._parameters["port"]))
        server = socket.create_connection(address)
        words = f"user\0{self._parameters['user']}\0database\0{self._parameters['dbname']}\0\0".encode()
        server.sendall(struct.pack(">ii", len(words) + 8, PROTOCOL_3) + words)
        while message(server)[:1] != b"Z":
            pass
        self._servers.append(server)
        return server
