"""One browser: what it is shown, turn by turn, and what its person wants."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
import contextlib
import json
import logging
from typing import Any

from aiohttp import WSMsgType, web

from virst_model.watching import Refused
from virst_viewer.hub import Hub

# Of a sentence or a question.
MOST_CHARACTERS = 1000
# How often the state is told where nothing happens: a rate falls by itself.
TOLD_EVERY_S = 1.0
# A turn that takes longer is that of a browser that stalls, or of a page that nobody sees.
STALLED_S = 2.0

_log = logging.getLogger(__name__)


class Browser:
    """Gives one turn after the other: the state, and the newest picture where it is another.

    The next turn waits until the browser says that it has shown this one. So one that stalls has
    one picture on its way, and misses all that are made meanwhile; while it does, it does not
    look: where nobody else does, no pictures are made.
    """

    def __init__(self, hub: Hub, socket: web.WebSocketResponse) -> None:
        self._hub, self._socket = hub, socket
        self._shown = asyncio.Event()
        self._looks = False

    async def run(self) -> None:
        """Until it goes, or its socket is closed."""
        self._look(True)
        showing = asyncio.create_task(self._show())
        try:
            async for message in self._socket:
                if message.type != WSMsgType.TEXT:
                    continue
                with contextlib.suppress(ConnectionError):
                    await self._take(message.data)
        finally:
            showing.cancel()
            self._look(False)

    async def close(self) -> None:
        """Says that the page's server ends."""
        await self._socket.close(code=1001, message=b"the viewer ends")

    async def _show(self) -> None:
        version, seen = -1, None
        with contextlib.suppress(ConnectionError):  # it has gone
            while True:
                with contextlib.suppress(asyncio.TimeoutError):
                    version = await asyncio.wait_for(self._hub.newer(version), TOLD_EVERY_S)
                picture = self._hub.picture
                is_new = picture is not None and picture is not seen
                with self._stalling():
                    self._shown.clear()
                    turn = {"state": self._hub.state(), "picture": is_new}
                    await self._socket.send_str(json.dumps(turn))
                    if is_new:
                        seen = picture
                        await self._socket.send_bytes(picture.jpeg)
                    await self._shown.wait()

    @contextlib.contextmanager
    def _stalling(self) -> Iterator[None]:
        """A turn: it does not look from STALLED_S on, and looks again after the turn."""
        late = asyncio.get_running_loop().call_later(STALLED_S, self._look, False)
        try:
            yield
        finally:
            late.cancel()
        self._look(True)

    def _look(self, looks: bool) -> None:
        if looks != self._looks:
            self._looks = looks
            (self._hub.come if looks else self._hub.go)()

    async def _take(self, text: str) -> None:
        """One wish; an answer is given to all but `shown`."""
        try:
            command = json.loads(text)
            wish = command["do"]
            if wish == "shown":
                self._shown.set()
                return
            said = await self._follow(wish, command)
        except Refused as error:
            await self._say(False, str(error))
        except (ValueError, KeyError, TypeError, RecursionError):
            await self._say(False, "the page said what this viewer does not understand: reload it")
        except Exception as error:
            _log.exception("a wish of a browser")
            await self._say(False, f"{type(error).__name__}: {error}")
        else:
            await self._say(True, said)

    async def _follow(self, wish: str, command: dict[str, Any]) -> str:
        """What is said of it. Raises Refused, or as what is wrong with the command."""
        if wish == "add":
            return await self._hub.add(_words(command["text"]))
        if wish == "remove":
            await self._hub.remove(_number(command["id"]))
        elif wish == "ask":
            self._hub.ask(_words(command["text"]))
        elif wish == "stop":
            self._hub.stop()
        else:
            raise KeyError(wish)
        return ""

    async def _say(self, is_done: bool, text: str) -> None:
        await self._socket.send_str(json.dumps({"done": is_done, "said": text}))


def _words(text: str) -> str:
    """A person's text. Raises Refused where it cannot be used, TypeError where it is none."""
    if type(text) is not str:
        raise TypeError(text)
    text = text.strip()
    if not text:
        raise Refused("without words there is nothing to do")
    if len(text) > MOST_CHARACTERS:
        raise Refused(f"{len(text)} characters: at most {MOST_CHARACTERS}")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise Refused("half a character is in it: type it anew") from None
    return text


def _number(value: int) -> int:
    """An id of a query; ValueError where it is none."""
    if type(value) is not int or not 0 < value < 2**32:
        raise ValueError(value)
    return value
