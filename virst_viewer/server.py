"""The page's server: files, one socket a browser, from the start until a signal."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
import errno
from importlib.resources import files
import signal

from aiohttp import web

from virst_model.errors import UsageError
from virst_model.watching import Source
from virst_viewer.address import Address
from virst_viewer.browser import Browser
from virst_viewer.guard import HEADERS, PROTOCOL, Guard
from virst_viewer.hub import Hub

PAGE = {"/": "index.html", "/viewer.js": "viewer.js", "/viewer.css": "viewer.css"}
TYPES = {"html": "text/html", "js": "text/javascript", "css": "text/css"}
MOST_BROWSERS = 16
# Of what a browser says: a thousand characters as JSON may write them.
MOST_BYTES = 16 * 1024
# A browser that is gone without a word is known to be after half as much again.
HEARTBEAT_S = 20.0
# What a browser that stalls may take to say goodbye.
GOODBYE_S = 2.0


class Server:
    """Shows one source to browsers.

    Attributes:
        app: the application; the source is started and closed with it.
    """

    def __init__(self, source: Source, guard: Guard) -> None:
        """Nothing is started."""
        self._source, self._guard = source, guard
        self._browsers: set[Browser] = set()
        self.app = web.Application(middlewares=[guard.check_host])
        self.app.cleanup_ctx.append(self._follow)
        self.app.on_shutdown.append(self._say_goodbye)
        self.app.router.add_get("/live", self._connect)
        for path, name in PAGE.items():
            self.app.router.add_get(path, _file(name))

    async def _follow(self, app: web.Application) -> AsyncIterator[None]:
        self._hub = Hub(self._source)
        await asyncio.to_thread(self._source.start, self._hub)
        yield
        self._hub.stop()
        await asyncio.to_thread(self._source.close)

    async def _connect(self, request: web.Request) -> web.StreamResponse:
        self._guard.check_page(request)
        if len(self._browsers) >= MOST_BROWSERS:
            raise web.HTTPServiceUnavailable(text=f"{MOST_BROWSERS} browsers look already\n")
        socket = web.WebSocketResponse(
            protocols=(PROTOCOL,),
            heartbeat=HEARTBEAT_S,
            timeout=GOODBYE_S,
            max_msg_size=MOST_BYTES,
            compress=False,
        )
        browser = Browser(self._hub, socket)
        self._browsers.add(browser)
        try:
            await socket.prepare(request)
            await browser.run()
        finally:
            self._browsers.discard(browser)
        return socket

    async def _say_goodbye(self, app: web.Application) -> None:
        await asyncio.gather(*(browser.close() for browser in self._browsers))


async def serve(source: Source, address: Address, say: Callable[[str], None]) -> None:
    """Until SIGINT or SIGTERM; on the main thread.

    Args:
        say: is told the page's address, once it can be opened.

    Raises:
        UsageError: the port cannot be had.
    """
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    server = Server(source, Guard(address.names, address.token))
    runner = web.AppRunner(server.app, access_log=None)
    try:
        await runner.setup()
        try:
            await web.TCPSite(runner, address.host, address.port).start()
        except OSError as error:
            raise UsageError(_advise(address, error)) from None
        say(address.url(runner.addresses[0][1]))
        await stopped.wait()
    finally:
        await runner.cleanup()


def _advise(address: Address, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"--port {address.port}: is taken; name another, or 0 for one that is free"
    return f"--host {address.host}: {error.strerror or error}"


def _file(name: str) -> Callable[[web.Request], Awaitable[web.Response]]:
    body = (files("virst_viewer") / "page" / name).read_bytes()
    kind = TYPES[name.rpartition(".")[2]]

    async def answer(request: web.Request) -> web.Response:
        return web.Response(body=body, content_type=kind, charset="utf-8", headers=HEADERS)

    return answer
