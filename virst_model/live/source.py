"""A session that people watch: follows a film on a thread of its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
import logging
from queue import SimpleQueue
import threading
import time

import cv2
import numpy as np

from virst_model.answer import SEARCHING, Query, Question, Reply, StepResult
from virst_model.errors import InputError
from virst_model.live.film import Film
from virst_model.model.virst import Virst
from virst_model.overlay import colour_of, draw_overlay
from virst_model.queries.book import QueryBook, Verdict
from virst_model.stream.options import SessionOptions
from virst_model.stream.session import Session
from virst_model.watching import Line, Picture, Refused, Screen

# Wider pictures are made smaller for the page, masks and all.
WIDEST = 1280
QUALITY = 80  # of JPEG
# Frames in a row at which the model fails until it is given up.
MOST_FAILURES = 30
DISABLED = "disabled"
PIECE_S = 0.1  # how soon a person's stop is seen, and the stream's end
UNTAUGHT = "this model has not learned to answer in words"

_log = logging.getLogger(__name__)


@dataclass
class Told:
    """What there is of an answer."""

    reply: Reply | None = None

    @property
    def text(self) -> str:
        """So far."""
        return self.reply.text if self.reply else ""


class SessionSource:
    """As `virst_model.watching.Source`: nothing is dropped but what the film drops itself.

    Attributes:
        title: of the film.
        silent: why no question is answered.
    """

    def __init__(
        self, model: Virst, film: Film, title: str, options: SessionOptions | None = None
    ) -> None:
        """The source closes the film."""
        self.title = title
        self.silent = "" if model.config.answers else UNTAUGHT
        self._model, self._film = model, film
        self._options = options or SessionOptions()
        self._book = QueryBook(self._take_queries)
        self._book.known_words = frozenset(model.config.known_words)
        self._asked: SimpleQueue[Question] = SimpleQueue()
        self._states: dict[int, str] = {}
        self._lines: tuple[Line, ...] = ()
        self._lock = threading.Lock()  # of what is shown, so that the newest is shown last
        self._screen: Screen | None = None
        self._wanted = False
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="tracker")

    def start(self, screen: Screen) -> None:
        """Begins to follow the film."""
        self._screen = screen
        self._show_queries()
        self._thread.start()

    def close(self) -> None:
        """Ends after the frame that is under way, and closes the film."""
        self._ended.set()
        if self._thread.ident is not None:
            self._thread.join()
        self._film.close()

    def look(self, wanted: bool) -> None:
        """Pictures are drawn from now on, or no more."""
        self._wanted = wanted

    def add(self, text: str) -> str:
        """Follows another sentence, beside the others."""
        return _accepted(self._book.submit(text, append=True))

    def remove(self, query_id: int) -> None:
        """Forgets a query."""
        _accepted(self._book.remove(query_id))

    def ask(self, question: str, say: Callable[[str], None], stop: threading.Event) -> str:
        """About the newest window, token by token, beside the stream, which goes first."""
        if self.silent:
            raise Refused(self.silent)
        over, told = threading.Event(), Told()

        def tell(reply: Reply) -> None:
            told.reply = reply
            say(reply.text)
            if reply.ended:
                over.set()

        self._asked.put(Question(question, tell, cancelled=stop))
        while not over.wait(PIECE_S):
            if stop.is_set():
                raise Refused(f"stopped: {told.text}" if told.text else "stopped")
            if not self._thread.is_alive():
                raise Refused("the stream has ended")
        if told.reply.error is not None:
            raise Refused(str(told.reply.error))
        return told.text

    def _take_queries(self, queries: tuple[Query, ...]) -> None:
        """From any thread: the tracker's looks before each frame; people see them at once."""
        self._show_queries()

    def _run(self) -> None:
        """The thread."""
        try:
            with Session(self._model, self._options) as session:
                session.warm_up()
                self._follow(session)
        except InputError as error:
            self._give_up(str(error))
        except Exception as error:
            _log.exception("the stream has ended")
            self._give_up(f"{type(error).__name__}: {error}")

    def _follow(self, session: Session) -> None:
        """Frame by frame, until the end. Raises what ends the film, or what goes on failing."""
        failures = 0
        queries: tuple[Query, ...] = ()
        while not self._ended.is_set():
            shot = self._film.read()
            stamp_s = time.monotonic() - shot.age_s
            while not self._asked.empty():
                session.ask(self._asked.get())
            if self._book.queries is not queries:
                queries = self._book.queries
                session.set_queries(queries)
            try:
                result = session.step(shot.frame_HW3, stamp_s)
            except (RuntimeError, MemoryError, FloatingPointError) as error:
                failures += 1
                if failures == MOST_FAILURES:
                    raise
                self._screen.show_trouble(f"a frame without an answer: {error}")
                continue
            if failures:
                failures = 0
                self._screen.show_trouble("")
            self._show(shot.frame_HW3, stamp_s, result)

    def _show(self, frame_HW3: np.ndarray, stamp_s: float, result: StepResult | None) -> None:
        self._states = {one.id: one.state for one in result.results} if result else {}
        self._show_queries()
        if self._wanted:
            jpeg = _jpeg(draw_overlay(frame_HW3, result))
            self._screen.show(Picture(jpeg, stamp_s, 1000 * (time.monotonic() - stamp_s)))

    def _show_queries(self) -> None:
        with self._lock:
            lines = tuple(self._line(query) for query in self._book.queries)
            if lines != self._lines and self._screen is not None:
                self._lines = lines
                self._screen.show_queries(lines)

    def _line(self, query: Query) -> Line:
        state = self._states.get(query.id, SEARCHING) if query.enabled else DISABLED
        return Line(query.id, query.text, state, colour_of(query.label))

    def _give_up(self, trouble: str) -> None:
        _log.error("%s", trouble)
        self._screen.show_trouble(trouble)


def _accepted(verdict: Verdict) -> str:
    """What a person should know. Raises Refused."""
    if not verdict.success:
        raise Refused(verdict.message)
    return verdict.message


def _jpeg(bgr_HW3: np.ndarray) -> bytes:
    height, width = bgr_HW3.shape[:2]
    if width > WIDEST:
        size = WIDEST, max(1, round(height * WIDEST / width))
        bgr_HW3 = cv2.resize(bgr_HW3, size, interpolation=cv2.INTER_AREA)
    _, jpeg = cv2.imencode(".jpg", bgr_HW3, (cv2.IMWRITE_JPEG_QUALITY, QUALITY))
    return jpeg.tobytes()
