"""/healthz (the process lives), /readyz (it takes in and may renew), /metrics."""

import logging
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from holdfast_schemas.exposition import CONTENT_TYPE

log = logging.getLogger("holdfast.actuator")


def serve(host: str, port: int, not_ready: Callable[[], str | None], metrics: Callable[[], str]) -> ThreadingHTTPServer:
    """Answer from a thread of its own; port 0 takes a free one. ``shutdown()`` ends it."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == "/healthz":
                self._answer(200, "ok\n")
            elif self.path == "/readyz":
                missing = not_ready()
                self._answer(503 if missing else 200, f"{missing or 'ready'}\n")
            elif self.path == "/metrics":
                self._answer(200, metrics(), CONTENT_TYPE)
            else:
                self._answer(404, "/healthz /readyz /metrics\n")

        def _answer(self, status: int, text: str, content_type: str = "text/plain; charset=utf-8") -> None:
            body = text.encode()
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            log.debug(format, *args)

    server = ThreadingHTTPServer((host, port), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, name="web", daemon=True).start()
    log.info("answering on http://%s:%s", *server.server_address[:2])
    return server
