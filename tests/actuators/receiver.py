"""A webhook's receiver: a real HTTP server that a test tells what to answer, and asks what came."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Receiver:
    """What came, and what is answered: ``status`` at once, or nothing until ``go_on`` is set."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    go_on: threading.Event = field(default_factory=threading.Event)
    came: list[dict[str, Any]] = field(default_factory=list)
    signed: list[tuple[Message, bytes]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    url: str = ""

    def __post_init__(self) -> None:
        self.go_on.set()


@contextmanager
def receiver() -> Iterator[Receiver]:
    """Listens on a free port of this machine until the end of the block."""
    it = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            content = self.rfile.read(int(self.headers["Content-Length"]))
            it.paths.append(self.path)
            it.signed.append((self.headers, content))
            it.came.append(json.loads(content))
            it.go_on.wait(60)
            try:
                self.send_response(it.status)
                for name, value in it.headers.items():
                    self.send_header(name, value)
                self.end_headers()
            except OSError:
                return  # the sender did not wait

        def do_GET(self) -> None:  # what a followed redirect would ask for
            it.paths.append(self.path)
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    serving = threading.Thread(target=server.serve_forever, daemon=True)
    serving.start()
    it.url = f"http://127.0.0.1:{server.server_address[1]}/hook/token-of-ours"
    try:
        yield it
    finally:
        it.go_on.set()
        server.shutdown()
        server.server_close()
        serving.join()
