"""A page's server in this process, and browsers that are no more than a socket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
import json
from typing import Any

import pytest

pytest.importorskip("aiohttp", reason="needs the extra viewer")

from aiohttp import ClientSession, ClientWebSocketResponse, WSMsgType, web
from fake_source import FakeSource
from patience import LIMIT_S

from virst_viewer.guard import Guard
from virst_viewer.server import Server as PageServer


class Page:
    """What a browser's page does, for a test to do it step by step."""

    def __init__(self, socket: ClientWebSocketResponse) -> None:
        self.socket = socket
        self.state: dict[str, Any] = {}
        self.pictures: list[bytes] = []
        self.said: list[tuple[bool, str]] = []

    async def tell(self, **wish: object) -> None:
        await self.socket.send_str(json.dumps(wish))

    async def take(self) -> None:
        """One message; says that it was shown where a turn ends with it."""
        message = await self.socket.receive()
        if message.type == WSMsgType.BINARY:
            self.pictures.append(message.data)
            await self.tell(do="shown")
            return
        assert message.type == WSMsgType.TEXT, message
        said = json.loads(message.data)
        if "said" in said:
            self.said.append((said["done"], said["said"]))
            return
        self.state = said["state"]
        if not said["picture"]:
            await self.tell(do="shown")

    async def until(self, condition: Callable[[], object]) -> None:
        """Takes what comes until the condition holds; the test's own limit ends it else."""
        while not condition():
            await self.take()


class Server:
    """A server that listens on a free port of the loopback."""

    def __init__(self, source: FakeSource, port: int, client: ClientSession) -> None:
        self.source, self.port, self.client = source, port, client
        self.url = f"http://127.0.0.1:{port}"

    async def connect(self, protocols: tuple[str, ...] = ("virst",), **headers: str) -> Page:
        headers = {"Origin": self.url} | headers
        socket = await self.client.ws_connect(
            f"{self.url}/live", headers=headers, protocols=protocols, max_msg_size=0
        )
        return Page(socket)


@asynccontextmanager
async def serving(source: FakeSource, guard: Guard | None = None) -> AsyncIterator[Server]:
    runner = web.AppRunner(PageServer(source, guard or Guard()).app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        async with ClientSession() as client:
            yield Server(source, runner.addresses[0][1], client)
    finally:
        await runner.cleanup()


@pytest.fixture
def source() -> FakeSource:
    return FakeSource()


@pytest.fixture
def visit(source):
    """visit(test, guard) runs `test(server)` with the limit of tests."""

    def run(test: Callable[[Server], Coroutine], guard: Guard | None = None) -> None:
        async def all_of_it() -> None:
            async with serving(source, guard) as server:
                await asyncio.wait_for(test(server), LIMIT_S)

        asyncio.run(all_of_it())

    return run
