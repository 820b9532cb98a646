"""A stream that people watch: what they see of it and what they may want. A page knows no more of
what it shows, and a source no more of who looks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
import threading
from typing import Protocol

from virst_model.errors import InputError


class Refused(InputError):
    """What a person wanted is not done; `str()` says why, for people."""


@dataclass(frozen=True)
class Picture:
    """A frame with its masks, for people.

    Attributes:
        jpeg: as a browser shows it.
        stamp_s: the camera's.
        latency_ms: from that until the picture was here; None where the clocks differ.
    """

    jpeg: bytes
    stamp_s: float
    latency_ms: float | None = None


@dataclass(frozen=True)
class Line:
    """A query and how it stands.

    Attributes:
        id: counts from 1, never reused.
        text: as the person wrote it.
        state: of `virst_model.answer`, or "disabled".
        colour: RGB, 0..255 each, of its masks in the pictures.
    """

    id: int
    text: str
    state: str
    colour: tuple[int, int, int]


class Screen(Protocol):
    """Where a source shows what is new, from any thread; it never waits."""

    def show(self, picture: Picture) -> None:
        """The newest picture: one that nobody has seen yet is dropped for it."""

    def show_queries(self, lines: tuple[Line, ...]) -> None:
        """All queries as they stand now."""

    def show_trouble(self, trouble: str) -> None:
        """What is wrong with the source, in a line; empty: nothing."""


class Source(Protocol):
    """A stream that is followed. Methods but `start` and `look` may wait, and raise Refused.

    Attributes:
        title: what is looked at, for people.
        silent: why no question is answered; empty where they are.
    """

    title: str
    silent: str

    def start(self, screen: Screen) -> None:
        """Begins to show; called once."""

    def close(self) -> None:
        """Ends, and joins its threads."""

    def look(self, wanted: bool) -> None:
        """Whether anybody looks: pictures are drawn only then."""

    def add(self, text: str) -> str:
        """Follows another sentence; what a person should know of it."""

    def remove(self, query_id: int) -> None:
        """Forgets a query."""

    def ask(self, question: str, say: Callable[[str], None], stop: threading.Event) -> str:
        """The answer to a question about what was seen last.

        Args:
            question: as the person wrote it.
            say: is called with the answer as far as it is known.
            stop: is set once nobody wants it any more.
        """
