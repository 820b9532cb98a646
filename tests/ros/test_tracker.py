"""What the tracker's thread does with a frame; the session is scripted."""

from __future__ import annotations

import time

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs ROS 2")

from robot import image, red_square

from virst_model.answer import TRACKING, Query, QueryResult, StepResult
from virst_ros.convert import choose_backend
from virst_ros.meter import KEPT, Meter
from virst_ros.tracker import CameraMessage, Outlets, RepeatedFailure, Stream, Tracker
from virst_ros.worker import Mailbox

RED = Query(1, "red", 1)
LIMIT = 3  # failed frames in a row


class Forgetful(Exception):
    """An error that costs one frame."""


class Mute(Forgetful):
    """An error of the language model's."""


class Scripted:
    """Answers with an empty mask; raises what it is told to."""

    def __init__(self) -> None:
        self.queries: tuple[Query, ...] = ()
        self.steps: list[tuple[float, tuple[Query, ...]]] = []
        self.error: Exception | None = None
        self.closed = False

    def set_queries(self, queries: tuple[Query, ...]) -> None:
        self.queries = queries

    def step(self, frame_HW3: np.ndarray, stamp_s: float) -> StepResult | None:
        self.steps.append((stamp_s, self.queries))
        if self.error:
            raise self.error
        mask_HW = np.zeros(frame_HW3.shape[:2], bool)
        answers = tuple(
            QueryResult(q.id, q.label, q.text, TRACKING, 0.5, 0.5, mask_HW, (0, 0, 0, 0), 0)
            for q in self.queries
        )
        byte_HW = mask_HW.astype(np.uint8)
        return StepResult(0, stamp_s, answers, byte_HW, byte_HW) if answers else None

    def stats(self) -> dict:
        return {}

    def close(self) -> None:
        self.closed = True


class Stage:
    """A tracker, and what comes out of it."""

    def __init__(self) -> None:
        self.session, self.meter = Scripted(), Meter()
        self.queries: Mailbox = Mailbox()
        self.published: list = []
        self.warnings: list[str] = []
        self.said: list[str] = []
        self.publishing_error: Exception | None = None
        outlets = Outlets(
            self.publish,
            self.warnings.append,
            lambda: 1000.0,
            self.said.append,
        )
        stream = Stream(self.session, recoverable=(Forgetful,), groundings=(Mute,))
        self.tracker = Tracker(
            stream, choose_backend("rosbags"), self.queries, outlets, self.meter, LIMIT
        )

    def publish(self, message, frame, result) -> None:
        if self.publishing_error:
            raise self.publishing_error
        self.published.append(message.header)

    def frame(self, stamp_s: float, encoding: str = "rgb8") -> None:
        message = image(red_square(), stamp_s, encoding)
        self.tracker.handle(CameraMessage(message, time.monotonic()))


def test_queries_reach_the_session_before_the_next_frame():
    stage = Stage()
    stage.frame(1.0)
    stage.queries.put((RED,))
    stage.frame(2.0)
    stage.frame(3.0)

    assert stage.session.steps == [(1.0, ()), (2.0, (RED,)), (3.0, (RED,))]
    assert [header.stamp.sec for header in stage.published] == [2, 3]
    assert stage.tracker.states == {1: TRACKING}


def test_an_error_that_costs_one_frame_is_counted():
    stage = Stage()
    stage.queries.put((RED,))
    stage.session.error = Forgetful("no memory")
    stage.frame(1.0)
    stage.session.error = None
    stage.frame(2.0)

    assert stage.meter.counted("failed_frames") == 1
    assert "no memory" in stage.meter.remark("failed_frames")
    assert len(stage.published) == 1


def test_failed_frames_are_said_once_and_none_at_great_length():
    stage = Stage()
    stage.session.error = Forgetful("x" * 10**6 + "\n" * 1000 + "\x1b[2J")
    for second in range(LIMIT - 1):
        stage.frame(second + 1.0)

    (said,) = stage.said
    assert said.startswith("a frame without an answer: Forgetful: xxx")
    assert "in step" in said, "no traceback"
    assert len(said) < 20_000 and "\x1b" not in said
    assert stage.warnings == []
    assert stage.meter.counted("failed_frames") == LIMIT - 1
    assert len(stage.meter.remark("failed_frames")) < 1000


def test_failed_groundings_are_counted_apart_and_never_end_it():
    stage = Stage()
    stage.session.error = Mute("x" * 10**6)
    for second in range(2 * LIMIT):
        stage.frame(second + 1.0)

    assert len(stage.said) == 1 and len(stage.said[0]) < 20_000
    assert stage.meter.counted("failed_groundings") == 2 * LIMIT
    assert stage.meter.counted("failed_frames") == 0


def test_failures_in_a_row_end_it_and_others_do_not():
    stage = Stage()
    for _ in range(3):
        stage.session.error = Forgetful("no memory")
        for _ in range(LIMIT - 1):
            stage.frame(1.0)
        stage.session.error = None
        stage.frame(1.0)
    stage.session.error = Forgetful("no memory")
    for _ in range(LIMIT - 1):
        stage.frame(1.0)

    with pytest.raises(RepeatedFailure, match=f"{LIMIT} frames .* Forgetful: no memory"):
        stage.frame(1.0)


def test_an_answer_that_cannot_be_published_costs_one_frame():
    stage = Stage()
    stage.queries.put((RED,))
    stage.publishing_error = Forgetful("no memory")
    stage.frame(1.0)
    stage.publishing_error = None
    stage.frame(2.0)

    assert stage.meter.counted("failed_frames") == 1
    assert len(stage.published) == 1


def test_another_error_is_not_held_back():
    stage = Stage()
    stage.session.error = ZeroDivisionError("scripted")

    with pytest.raises(ZeroDivisionError):
        stage.frame(1.0)


def test_a_broken_frame_does_not_reach_the_session():
    stage = Stage()
    stage.frame(1.0, encoding="nv24")

    assert stage.session.steps == []
    assert stage.meter.counted("bad_frames") == 1
    assert "nv24" in stage.meter.remark("bad_frames")


def test_frames_without_a_stamp_get_the_time_of_arrival():
    stage = Stage()
    stage.frame(0.0)

    ((stamp_s, _),) = stage.session.steps
    assert stamp_s == pytest.approx(1000.0, abs=1.0)
    assert stage.meter.counted("unstamped_frames") == 1


def test_closing_closes_the_session():
    stage = Stage()
    stage.tracker.close()

    assert stage.session.closed


def test_a_meter_does_not_grow():
    meter = Meter()
    for index in range(3 * KEPT):
        meter.count("frames")
        meter.time("latency", float(index))

    assert meter.counted("frames") == 3 * KEPT
    assert meter.percentiles_ms("latency")[0] == pytest.approx(3 * KEPT - KEPT / 2 - 0.5)
    assert meter.percentiles_ms("age") is None
    assert meter.rate_hz("frames") > 0
    assert meter.rate_hz("masks") == 0
