"""The newest of everything, for any number of browsers: nothing waits in a queue."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass
import logging
import threading
import time
from typing import Any

from virst_model.watching import Line, Picture, Refused, Source

# What a rate is counted over.
RATE_OVER_S = 2.0
ANSWERING, ANSWERED, FAILED = "answering", "answered", "failed"

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Talk:
    """The last question, and what was answered so far.

    Attributes:
        state: ANSWERING, ANSWERED or FAILED; then the text is the reason.
    """

    question: str
    text: str
    state: str


class Hub:
    """A screen, and what all browsers see of it.

    A source calls `show`, `show_queries` and `show_trouble` from its threads; everything else is
    the event loop's.
    """

    def __init__(self, source: Source) -> None:
        """To be made on the loop. Nothing is started."""
        self._source = source
        self._loop = asyncio.get_running_loop()
        self._lock = threading.Lock()
        self._picture: Picture | None = None
        self._lines: tuple[Line, ...] = ()
        self._trouble = ""
        self._talk: Talk | None = None
        self._stop = threading.Event()
        self._asking: asyncio.Task | None = None  # the loop holds tasks by a weak reference
        self._times_s: deque[float] = deque()
        self._told = False  # the loop, of what has changed since it looked
        self._changed = asyncio.Event()
        self._looking = 0
        self.version = 0

    # From any thread.

    def show(self, picture: Picture) -> None:
        """As `Screen.show`."""
        with self._lock:
            self._picture = picture
            self._times_s.append(time.monotonic())
            self._forget_old()
        self._tell()

    def show_queries(self, lines: tuple[Line, ...]) -> None:
        """As `Screen.show_queries`."""
        self._lines = lines
        self._tell()

    def show_trouble(self, trouble: str) -> None:
        """As `Screen.show_trouble`."""
        self._trouble = trouble
        self._tell()

    def _tell(self) -> None:
        """The loop hears of many changes once."""
        with self._lock:
            if self._told:
                return
            self._told = True
        try:
            self._loop.call_soon_threadsafe(self._notice)
        except RuntimeError:  # the loop has ended before its source
            return

    def _forget_old(self) -> None:
        while self._times_s and self._times_s[0] < time.monotonic() - RATE_OVER_S:
            self._times_s.popleft()

    # On the loop.

    def _notice(self) -> None:
        with self._lock:
            self._told = False
        self.version += 1
        self._changed.set()
        self._changed = asyncio.Event()

    async def newer(self, version: int) -> int:
        """Waits until there is something newer than `version`; the version of that."""
        while self.version == version:
            await self._changed.wait()
        return self.version

    @property
    def picture(self) -> Picture | None:
        """The newest one."""
        return self._picture

    def state(self) -> dict[str, Any]:
        """Everything but the picture, as JSON has it."""
        with self._lock:
            self._forget_old()
            rate_hz = len(self._times_s) / RATE_OVER_S
            picture = self._picture
        talk = self._talk
        return {
            "title": self._source.title,
            "silent": self._source.silent,
            "trouble": self._trouble,
            "rate_hz": rate_hz,
            "latency_ms": picture.latency_ms if picture else None,
            "queries": [
                {"id": q.id, "text": q.text, "state": q.state, "colour": list(q.colour)}
                for q in self._lines
            ],
            "talk": talk and {"question": talk.question, "text": talk.text, "state": talk.state},
        }

    def come(self) -> None:
        """Another browser looks."""
        self._looking += 1
        if self._looking == 1:
            self._source.look(True)

    def go(self) -> None:
        """A browser has gone."""
        self._looking -= 1
        if not self._looking:
            self._source.look(False)

    async def add(self, text: str) -> str:
        """As `Source.add`; raises Refused."""
        return await asyncio.to_thread(self._source.add, text)

    async def remove(self, query_id: int) -> None:
        """As `Source.remove`; raises Refused."""
        await asyncio.to_thread(self._source.remove, query_id)

    def ask(self, question: str) -> None:
        """Asks, and shows all what is answered. Raises Refused where that cannot be now."""
        if self._source.silent:
            raise Refused(self._source.silent)
        if self._talk and self._talk.state == ANSWERING:
            raise Refused(f"another question is being answered: {self._talk.question}")
        self._stop = threading.Event()
        self._say(Talk(question, "", ANSWERING))
        self._asking = asyncio.create_task(self._answer(question, self._stop))

    async def _answer(self, question: str, stop: threading.Event) -> None:
        say = lambda text: self._say(Talk(question, text, ANSWERING))  # noqa: E731
        try:
            text = await asyncio.to_thread(self._source.ask, question, say, stop)
        except Refused as error:
            self._say(Talk(question, str(error), FAILED))
        except Exception as error:  # a fault of ours: the page goes on, the log has it
            _log.exception("a question")
            self._say(Talk(question, f"{type(error).__name__}: {error}", FAILED))
        else:
            self._say(Talk(question, text, ANSWERED))

    def stop(self) -> None:
        """Nobody wants the answer any more."""
        self._stop.set()

    def _say(self, talk: Talk) -> None:
        self._talk = talk
        self._tell()
