"""/healthz (the process lives), /readyz (its partitions are judged), /metrics."""

import logging
from collections.abc import Callable

from aiohttp import web

from holdfast_schemas.exposition import CONTENT_TYPE

log = logging.getLogger("holdfast.processor")


async def serve(host: str, port: int, not_ready: Callable[[], str | None], metrics: Callable[[], str]) -> web.AppRunner:
    """Start answering; port 0 takes a free one. ``not_ready`` says what is missing, None when ready."""

    async def healthz(request: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def readyz(request: web.Request) -> web.Response:
        missing = not_ready()
        return web.Response(text=f"{missing or 'ready'}\n", status=503 if missing else 200)

    async def figures(request: web.Request) -> web.Response:
        return web.Response(body=metrics().encode(), headers={"Content-Type": CONTENT_TYPE})

    application = web.Application()
    application.router.add_get("/healthz", healthz)
    application.router.add_get("/readyz", readyz)
    application.router.add_get("/metrics", figures)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, host, port).start()
    log.info("answering on http://%s:%s", *runner.addresses[0][:2])
    return runner
