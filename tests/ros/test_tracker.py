"""What the tracker's thread does with a frame; the session is scripted."""

from __future__ import annotations

from dataclasses import fields, replace
import time

import cv2
import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs ROS 2")

from robot import header, image, red_square
from streams import ColourModel, frame, session

import virst_model
from virst_model import SessionOptions
from virst_model.answer import SEARCHING, TRACKING, Query, QueryResult, StepResult
from virst_model.stream.change import REGROUND
from virst_ros.convert import array_to_image, choose_backend
from virst_ros.meter import KEPT, Meter
from virst_ros.parameters import Parameters
from virst_ros.tracker import (
    FRAME_ERRORS,
    TOLD_KINDS,
    CameraMessage,
    Outlets,
    RepeatedFailure,
    Stream,
    Tracker,
    open_stream,
)
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

    def begin_anew(self) -> None:
        self.steps.append("anew")

    def change_options(self, **changes: float) -> None:
        self.changes = changes

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
        self.clock_s = 1000.0
        outlets = Outlets(
            self.publish,
            self.warnings.append,
            lambda: self.clock_s,
            self.said.append,
        )
        stream = Stream(self.session, recoverable=(Forgetful,), groundings=(Mute,))
        self.tracker = Tracker(
            stream, choose_backend("rosbags"), self.queries, outlets, self.meter, LIMIT
        )

    def publish(self, message, frame, result) -> None:
        if self.publishing_error:
            raise self.publishing_error
        if result is not None:
            self.published.append(message.header)

    def frame(
        self, stamp_s: float, encoding: str = "rgb8", arrived_s: float | None = None, eye: str = ""
    ) -> None:
        message = image(red_square(), stamp_s, encoding)
        message.header.frame_id = eye
        now_s = time.monotonic() if arrived_s is None else arrived_s
        self.tracker.handle(CameraMessage(message, now_s))

    @property
    def stamps(self) -> list[float]:
        """The times that the session was given."""
        return [stamp_s for stamp_s, _ in self.session.steps]


def test_queries_reach_the_session_before_the_next_frame():
    stage = Stage()
    stage.frame(1.0)
    stage.queries.put((RED,))
    stage.frame(2.0)
    stage.frame(3.0)

    assert stage.session.steps == [(1.0, ()), (2.0, (RED,)), (3.0, (RED,))]
    assert [header.stamp.sec for header in stage.published] == [2, 3]
    assert stage.tracker.states == {1: TRACKING}


def test_after_a_pause_the_next_frame_begins_a_stream_and_nothing_is_tracked_meanwhile():
    stage = Stage()
    stage.queries.put((RED,))
    stage.frame(1.0)
    stage.tracker.pause()

    assert stage.tracker.states == {}
    stage.frame(5000.0)
    stage.frame(5001.0)
    assert stage.session.steps == [(1.0, (RED,)), "anew", (5000.0, (RED,)), (5001.0, (RED,))]


@pytest.mark.parametrize("error", [MemoryError("no"), cv2.error("Insufficient memory")])
def test_a_frame_for_which_memory_is_short_costs_itself_alone(error):
    stage = Stage()
    stage.tracker.stream = replace(stage.tracker.stream, recoverable=FRAME_ERRORS)
    stage.session.error = error
    stage.frame(1.0)
    stage.session.error = None
    stage.frame(2.0)

    assert stage.meter.counted("failed_frames") == 1 and len(stage.session.steps) == 2


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
    stage.frame(1.0, encoding="bgra8")

    assert stage.session.steps == []
    assert stage.meter.counted("bad_frames") == 1
    assert "bgra8" in stage.meter.remark("bad_frames")


def test_an_encoding_that_is_no_picture_is_told_once_and_always_counted():
    stage = Stage()
    for number in range(5):
        stage.frame(1.0 + number, encoding="32FC1")
    stage.frame(6.0, encoding="8SC1")

    assert stage.meter.counted("bad_frames") == 6
    assert "8SC1" in stage.meter.remark("bad_frames")
    assert [text.split("'")[1] for text in stage.warnings] == ["32FC1", "8SC1"]


def test_names_from_outside_do_not_fill_the_log():
    stage = Stage()
    for number in range(TOLD_KINDS + 10):
        stage.frame(1.0 + number, encoding=f"strange{number}")

    assert len(stage.warnings) == TOLD_KINDS


def test_what_may_be_depth_is_followed_and_told_once():
    stage = Stage()
    depth = array_to_image(np.zeros((3, 8), np.uint8), "16UC1", header(1.0))
    depth.width = 4
    for _ in range(3):
        stage.tracker.handle(CameraMessage(depth, time.monotonic()))

    assert len(stage.session.steps) == 3
    (warning,) = stage.warnings
    assert "16UC1" in warning and "depth" in warning


def test_frames_without_a_stamp_get_the_time_of_arrival():
    stage = Stage()
    stage.frame(0.0)

    ((stamp_s, _),) = stage.session.steps
    assert stamp_s == pytest.approx(1000.0, abs=1.0)
    assert stage.meter.counted("unstamped_frames") == 1


def test_a_clock_that_runs_is_the_time_of_frames_without_a_stamp():
    stage = Stage()
    for second in range(5):
        stage.clock_s = 1000.0 + second
        stage.frame(0.0)

    assert stage.stamps == pytest.approx([1000.0, 1001.0, 1002.0, 1003.0, 1004.0], abs=0.2)
    assert "use_sim_time" not in stage.meter.remark("unstamped_frames")
    assert len(stage.warnings) == 1


def test_a_clock_that_stands_still_is_named_and_the_machines_clock_goes_on(monkeypatch):
    stage = Stage()
    stage.clock_s = 0.0
    for tenth in range(30):
        monkeypatch.setattr(time, "monotonic", lambda now_s=50.0 + tenth / 10: now_s)
        stage.frame(0.0)

    assert stage.stamps[:10] == [0.0] * 10
    assert stage.stamps[10:] == pytest.approx([tenth / 10 for tenth in range(10, 30)])
    assert "use_sim_time" in stage.meter.remark("unstamped_frames")
    assert sum("use_sim_time" in warning for warning in stage.warnings) == 1


def test_a_stamp_that_never_moves_is_sampled_by_arrival():
    stage = Stage()
    for tenth in range(30):
        stage.frame(7.5, arrived_s=50.0 + tenth / 10)

    assert stage.stamps[10:] == pytest.approx([7.5 + tenth / 10 for tenth in range(10, 30)])
    assert stage.meter.counted("still_stamps") == 20
    assert stage.meter.counted("stamp_jumps") == 0
    assert sum("7.500" in warning for warning in stage.warnings) == 1


def test_a_stamp_that_never_moves_ends_the_search():
    stage = Stage()
    stage.tracker.stream = Stream(session(window_period_s=0.25))
    stage.queries.put((RED,))
    states = []
    for tenth in range(30):
        message = array_to_image(frame(tenth, red=1), "rgb8", header(7.5))
        stage.tracker.handle(CameraMessage(message, 50.0 + tenth / 10))
        states.append(stage.tracker.states[1])

    assert states[0] == SEARCHING and states[-1] == TRACKING
    assert [one.stamp for one in stage.published] == [header(7.5).stamp] * 30


def test_the_age_of_a_frame_is_that_of_its_stamp_also_after_a_stop():
    stage = Stage()
    stage.queries.put((RED,))
    for second in range(10):
        stage.frame(999.0, arrived_s=50.0 + second)
    stage.clock_s = 1000.5
    stage.frame(1000.0, arrived_s=60.0)

    assert stage.stamps[-1] == pytest.approx(1010.0)
    assert stage.meter.percentiles_ms("age")[0] == pytest.approx(1000.0)


def test_steps_back_are_told_only_where_the_stream_starts_anew():
    stage = Stage()
    for stamp_s in (10.0, 10.2, 10.1, 10.3, 10.3, 5.0, 5.1):
        stage.frame(stamp_s)

    assert stage.meter.counted("late_frames") == 1
    assert stage.meter.counted("stamp_jumps") == 1
    (warning,) = stage.warnings
    assert "5.300 s" in warning


def test_frame_ids_that_come_in_turn_are_told_once():
    stage = Stage()
    for number in range(6):
        stage.frame(1.0 + number, eye=("left", "right")[number % 2])

    assert stage.meter.counted("mixed_frame_ids") == 4
    (warning,) = stage.warnings
    assert "'left' and 'right'" in warning


def test_a_frame_id_that_changes_for_good_is_no_fault():
    stage = Stage()
    for number, eye in enumerate(("left", "left", "right", "right", "right")):
        stage.frame(1.0 + number, eye=eye)

    assert stage.meter.counted("mixed_frame_ids") == 0


def test_faults_of_one_kind_do_not_hide_the_first_of_another():
    stage = Stage()
    stage.frame(10.0, encoding="bgra8")  # of three bytes a pixel
    stage.frame(10.0, encoding="bgra8")
    stage.frame(10.0)
    stage.frame(1.0)

    assert [text.split(" (")[-1] for text in stage.warnings] == [
        "bad_frames: 1)",
        "stamp_jumps: 1)",
    ]


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


def test_what_the_node_is_told_of_a_stream_reaches_the_session(monkeypatch):
    class Opened:
        def __init__(self, model, options):
            self.options = options

        def warm_up(self):
            pass

    monkeypatch.setattr(virst_model, "load", lambda *a: ColourModel(), raising=False)
    monkeypatch.setattr(virst_model, "use_engine", lambda *a: None, raising=False)
    monkeypatch.setattr(virst_model, "Session", Opened, raising=False)
    told = {
        "window_size": 16,
        "window_period_s": 0.5,
        "reground": "on_change",
        "reground_every": 4,
        "reground_after_s": 5.0,
        "reset_after_s": 2.0,
        "alpha": 2,
        "encode_when_idle": True,
        "grounding_limit_s": 9.0,
        "grounder_threads": 2,
        "captured_queries": 4,
    }

    found = open_stream(Parameters(**told)).session.options

    named = [{field.name for field in fields(x)} for x in (Parameters, SessionOptions)]
    assert named[0] & named[1] == told.keys()
    assert {name: getattr(found, name) for name in told} == told


def test_a_sessions_ways_to_ground_again_are_the_parameters_choices():
    assert Parameters.__dataclass_fields__["reground"].metadata["choices"] == REGROUND


def test_thresholds_and_periods_may_change_between_two_frames():
    stage = Stage()
    stage.frame(10.0)
    periods = {"window_period_s": 2.0, "reset_after_s": 7.0, "grounding_limit_s": 3.0}
    stage.tracker.adjust(Parameters(failed_frames_limit=1, **periods))
    stage.frame(5.0)  # no cut any more

    assert stage.session.changes == periods
    assert stage.meter.counted("stamp_jumps") == 0
    stage.tracker.adjust(Parameters(max_pixels=10))
    stage.frame(11.0)
    assert stage.meter.counted("bad_frames") == 1
    stage.tracker.adjust(Parameters(failed_frames_limit=1))
    stage.session.error = Forgetful("no memory")
    with pytest.raises(RepeatedFailure):
        stage.frame(12.0)
