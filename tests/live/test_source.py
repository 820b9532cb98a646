"""A session that is watched: what is shown of it, and what may be wished, without a page."""

from __future__ import annotations

from dataclasses import replace
import threading

import cv2
import numpy as np
from patience import wait_until
import pytest
from streams import ColourModel, frame, noise_frames, real_model, smallest

from virst_model import Virst
from virst_model.answer import SEARCHING, TRACKING
from virst_model.live.source import MOST_FAILURES, UNTAUGHT, SessionSource
from virst_model.offline.ask import answer
from virst_model.overlay import colour_of
from virst_model.sources.live import LiveError, Shot
from virst_model.stream.options import SessionOptions
from virst_model.watching import Line, Picture, Refused

OPTIONS = SessionOptions(window_period_s=0.0, window_size=8)


class Screen:
    """Keeps the newest, and what was said to be wrong."""

    def __init__(self) -> None:
        self.picture: Picture | None = None
        self.lines: tuple[Line, ...] = ()
        self.troubles: list[str] = []

    def show(self, picture: Picture) -> None:
        self.picture = picture

    def show_queries(self, lines: tuple[Line, ...]) -> None:
        self.lines = lines

    def show_trouble(self, trouble: str) -> None:
        self.troubles.append(trouble)

    @property
    def states(self) -> list[tuple[str, str]]:
        return [(line.text, line.state) for line in self.lines]


class Film:
    """The same bars for ever; `fault` is raised in place of a picture."""

    def __init__(self, frame_HW3: np.ndarray | None = None) -> None:
        self.frame_HW3 = frame(1, red=1, blue=5) if frame_HW3 is None else frame_HW3
        self.fault: Exception | None = None
        self.closed = False

    def read(self) -> Shot:
        if self.fault is not None:
            raise self.fault
        return Shot(self.frame_HW3, 0.0)

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def model() -> ColourModel:
    model = ColourModel()
    model.says |= {"the object": "red", "the red bar": "red", "the blue bar": "blue"}
    return model


@pytest.fixture
def watch():
    """watch(model, film) -> a started source and its screen; closed with the test."""
    started = []

    def start(model, film: Film) -> tuple[SessionSource, Screen]:
        source, screen = SessionSource(model, film, "bars", OPTIONS), Screen()
        source.start(screen)
        started.append(source)
        return source, screen

    yield start
    for source in started:
        source.close()


def test_a_sentence_is_searched_for_at_once_and_then_followed(model, watch):
    source, screen = watch(model, Film())
    model.gate = threading.Event()
    assert source.add("the red bar") == "accepted"
    assert screen.states == [("the red bar", SEARCHING)]
    model.gate.set()
    assert wait_until(lambda: screen.states == [("the red bar", TRACKING)])


def test_another_sentence_stands_beside_the_first_until_it_is_removed(model, watch):
    source, screen = watch(model, Film())
    for text in ("the red bar", "the blue bar"):
        source.add(text)
    both = [("the red bar", TRACKING), ("the blue bar", TRACKING)]
    assert wait_until(lambda: screen.states == both)
    assert [line.colour for line in screen.lines] == [colour_of(1), colour_of(2)]

    source.remove(screen.lines[0].id)
    assert screen.states == both[1:]
    with pytest.raises(Refused, match="no query 1; there are: 2"):
        source.remove(1)


def seen(picture: Picture) -> np.ndarray:
    return cv2.imdecode(np.frombuffer(picture.jpeg, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]


def test_the_picture_has_the_mask_on_what_was_asked_for_and_on_nothing_else(model, watch):
    bars_HW3 = cv2.resize(frame(1, red=1, blue=5), (640, 480), interpolation=cv2.INTER_NEAREST)
    source, screen = watch(model, Film(bars_HW3))
    source.look(True)
    source.add("the blue bar")
    assert wait_until(lambda: screen.states == [("the blue bar", TRACKING)])
    screen.picture = None
    assert wait_until(lambda: screen.picture)
    picture_HW3 = seen(screen.picture)

    blue, red = picture_HW3[300, 440].astype(int), picture_HW3[300, 120].astype(int)
    tinted = (np.array((0, 0, 255)) + colour_of(1)) // 2
    assert np.abs(blue - tinted).max() < 30
    assert np.abs(red - (255, 0, 0)).max() < 30
    assert 0 <= screen.picture.latency_ms < 60_000


def test_nothing_is_drawn_while_nobody_looks(model, watch, monkeypatch):
    drawn = []
    monkeypatch.setattr(
        "virst_model.live.source.draw_overlay", lambda *a: (drawn.append(1), a[0])[1]
    )
    source, screen = watch(model, Film())
    source.add("the red bar")
    assert wait_until(lambda: screen.states == [("the red bar", TRACKING)])
    assert not drawn and screen.picture is None
    source.look(True)
    assert wait_until(lambda: screen.picture)
    source.look(False)
    screen.picture = None


def test_wide_pictures_are_made_narrower_for_the_page(model, watch):
    source, screen = watch(model, Film(np.zeros((200, 2560, 3), np.uint8)))
    source.look(True)
    assert wait_until(lambda: screen.picture)
    assert seen(screen.picture).shape == (100, 1280, 3)


@pytest.mark.parametrize("text, why", [("", "empty"), ("a" * 1001, "limit"), ("a\nb", "control")])
def test_what_is_no_query_is_refused(model, watch, text, why):
    source, screen = watch(model, Film())
    with pytest.raises(Refused, match=why):
        source.add(text)
    assert screen.lines == ()


def test_words_that_the_model_does_not_know_are_named(model, watch):
    model.config = replace(model.config, known_words=("the", "circle"))
    model.says["the ball"] = "red"
    source, _ = watch(model, Film())
    assert "ball (try: circle)" in source.add("the ball")


def test_a_camera_that_is_gone_is_said(model, watch):
    film = Film()
    _, screen = watch(model, film)
    film.fault = LiveError("webcam 0 gives no picture")
    assert wait_until(lambda: screen.troubles == ["webcam 0 gives no picture"])


def test_a_frame_without_an_answer_is_said_and_the_stream_goes_on(model, watch):
    source, screen = watch(model, Film())
    source.add("the red bar")
    assert wait_until(lambda: screen.states == [("the red bar", TRACKING)])
    propagate = model.propagate

    def broken_once(*arguments: object) -> None:
        model.propagate = propagate
        broken()

    model.propagate = broken_once
    assert wait_until(lambda: screen.troubles[-1:] == [""])
    assert set(screen.troubles) == {"a frame without an answer: out of memory", ""}


def test_a_model_that_goes_on_failing_is_given_up(model, watch):
    source, screen = watch(model, Film())
    source.add("the red bar")
    assert wait_until(lambda: screen.states == [("the red bar", TRACKING)])
    model.propagate = broken
    assert wait_until(lambda: "RuntimeError: out of memory" in screen.troubles)
    # An answer that was on its way may have shown the object for a frame before.
    *failures, last = screen.troubles[-MOST_FAILURES:]
    assert last == "RuntimeError: out of memory"
    assert set(failures) == {"a frame without an answer: out of memory"}
    assert len(failures) == MOST_FAILURES - 1


def broken(*arguments: object) -> None:
    raise RuntimeError("out of memory")


def test_the_film_is_closed_at_the_end(model):
    film = Film()
    source = SessionSource(model, film, "bars", OPTIONS)
    source.start(Screen())
    source.close()
    assert film.closed
    assert "tracker" not in [thread.name for thread in threading.enumerate()]


def test_a_model_that_cannot_answer_says_so(model, watch):
    source, _ = watch(model, Film())
    assert source.silent == UNTAUGHT
    with pytest.raises(Refused, match=UNTAUGHT):
        source.ask("What moves?", print, threading.Event())


@pytest.fixture
def words() -> Virst:
    """A model that answers, if in no words of sense."""
    return real_model(replace(smallest(), answers=True))


def test_a_question_is_answered_as_offline_about_what_was_seen(words, watch):
    """The picture stands still: whichever window it is, it is that."""
    picture_HW3 = noise_frames(1)[0]
    source, _ = watch(words, Film(picture_HW3))
    said: list[str] = []
    text = source.ask("What moves?", said.append, threading.Event())

    assert said[-1] == text and len(set(said)) > 1
    assert all(text.startswith(part) for part in said)
    clip = words.encode_clip([words.clip_pixels(picture_HW3)] * 4)
    frames = (1, 2)  # clips: a window of 4 frames is padded to 8
    assert text in [answer(words, [clip] * count, "What moves?") for count in frames]
    assert text != answer(words, [clip] * 2, "Who is there?")  # else anything would have done


def test_an_answer_that_nobody_wants_any_more_ends(words, watch):
    source, _ = watch(words, Film(noise_frames(1)[0]))
    stop = threading.Event()
    with pytest.raises(Refused, match="stopped: "):
        source.ask("What moves?", lambda text: text and stop.set(), stop)


def test_a_stream_that_has_ended_leaves_nobody_waiting(words, watch):
    film = Film()
    source, screen = watch(words, film)
    film.fault = LiveError("webcam 0 gives no picture")
    assert wait_until(lambda: screen.troubles)
    with pytest.raises(Refused, match="the stream has ended"):
        source.ask("What moves?", print, threading.Event())
