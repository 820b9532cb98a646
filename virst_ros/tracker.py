"""What the tracker's thread does with a camera message: convert, step, hand on the answer."""

from __future__ import annotations

from collections.abc import Callable
import dataclasses
from dataclasses import dataclass
import math
import threading
import time
from typing import Any, Protocol

from builtin_interfaces.msg import Time
import cv2
import numpy as np
from sensor_msgs.msg import CompressedImage, Image

from virst_model.answer import Query, Question, StepResult
from virst_model.dtypes import DTYPES
from virst_model.encodings import DEPTH_LIKE, EncodingError, ImageError
from virst_ros.convert import Backend, image_to_array, stamp_s
from virst_ros.meter import Meter
from virst_ros.parameters import Parameters
from virst_ros.stamps import Cuts, Stamps, Timeline, Turns
from virst_ros.text import shown_error, shown_traceback
from virst_ros.worker import Mailbox

# A failure after so long without one is said anew.
SAID_AGAIN_AFTER_S = 60.0


# Of the model at one frame, out of memory or else; torch's own are RuntimeErrors.
FRAME_ERRORS = (RuntimeError, MemoryError, FloatingPointError, cv2.error)


class RepeatedFailure(RuntimeError):
    """No frame gets an answer any more; `str()` says how many failed, and the last error."""


# Between two lines in the log of faults that one counter counts.
WARN_EVERY_S = 5.0
# Kinds of fault that get a line of their own; names from outside are among them.
TOLD_KINDS = 32


class SessionLike(Protocol):
    """What the tracker needs of a virst_model.Session."""

    def set_queries(self, queries: tuple[Query, ...]) -> None:
        """What is followed from the next step on."""

    def step(self, frame_HW3: np.ndarray, stamp_s: float) -> StepResult | None:
        """Follows a frame, uint8 RGB; None while there is no query."""

    def ask(self, question: Question) -> None:
        """Takes a question to be answered in words; only of a stream that `answers`."""

    def begin_anew(self) -> None:
        """The next frame begins a stream; queries stay."""

    def change_options(self, **changes: float) -> None:
        """Changes window_period_s, reset_after_s or grounding_limit_s."""

    def stats(self) -> dict[str, Any]:
        """Counters and times, for diagnostics; from any thread."""

    def close(self) -> None:
        """Ends its threads."""


@dataclass(frozen=True)
class Stream:
    """A session that is ready.

    Attributes:
        known_words: words that the model was trained on; empty: not known.
        device: where the model runs, for people.
        recoverable: errors that cost one frame and not the stream, unless they repeat.
        groundings: errors of the language model; they cost one frame, however many they are.
        reset_after_s: the session starts anew at a stamp so far behind the newest.
        answers: questions in words, too.
    """

    session: SessionLike
    known_words: tuple[str, ...] = ()
    device: str = "cpu"
    recoverable: tuple[type[Exception], ...] = ()
    groundings: tuple[type[Exception], ...] = ()
    reset_after_s: float = 1.0
    answers: bool = False


@dataclass(frozen=True)
class CameraMessage:
    """A message of the camera's, and when it came (time.monotonic)."""

    message: Image | CompressedImage
    arrived_s: float


@dataclass(frozen=True)
class Outlets:
    """Where the tracker's findings go; all are called on its thread.

    Attributes:
        publish: a processed frame: its message, its pixels and the answer; None where no query
            is followed.
        warn: a line for the log; never one for every frame.
        now_s: the node's clock, for cameras that do not stamp their images.
        say: a text that comes seldom; it may have several lines.
    """

    publish: Callable[[Image | CompressedImage, np.ndarray, StepResult | None], None]
    warn: Callable[[str], None]
    now_s: Callable[[], float]
    say: Callable[[str], None]


def open_stream(parameters: Parameters) -> Stream:
    """Loads the model, opens a session and warms it up, on the thread that calls.

    Raises:
        virst_model.WeightsError: the folder of weights cannot be used.
        virst_model.PackageError: sam2, hydra-core or iopath is not installed.
        virst_model.DeviceError: the device is not there, or has no room for the weights.
        virst_model.EngineError: the engine that was asked for cannot be used.
        virst_model.stream.grounder.StreamError: the model chooses its anchors as no stream can.
        ValueError: options that do not fit together.
    """
    import torch

    import virst_model
    from virst_model.stream.grounder import GroundingError

    torch.set_num_threads(parameters.tracker_threads or torch.get_num_threads())
    dtype = None if parameters.dtype == "auto" else getattr(torch, DTYPES[parameters.dtype])
    model = virst_model.load(
        parameters.model or None, parameters.device, dtype, parameters.quantize
    )
    if parameters.compile and parameters.engine in ("onnx", "graphs"):
        engine = parameters.engine
        raise ValueError(f"compile is for the engine torch, not {engine}: leave one of them out")
    virst_model.use_engine(model, "torch" if parameters.compile else parameters.engine)
    if parameters.compile:
        virst_model.compile_frames(model, alpha=parameters.alpha)
    options = virst_model.SessionOptions(
        window_size=parameters.window_size,
        window_period_s=parameters.window_period_s,
        reground=parameters.reground,
        reground_every=parameters.reground_every,
        reground_after_s=parameters.reground_after_s,
        reset_after_s=parameters.reset_after_s,
        alpha=parameters.alpha,
        encode_when_idle=parameters.encode_when_idle,
        grounding_limit_s=parameters.grounding_limit_s,
        grounder_threads=parameters.grounder_threads,
        captured_queries=parameters.captured_queries,
    )
    session = virst_model.Session(model, options)
    session.warm_up()
    return Stream(
        session,
        known_words=model.config.known_words,
        device=str(model.device),
        recoverable=FRAME_ERRORS,
        groundings=(GroundingError,),
        reset_after_s=parameters.reset_after_s,
        answers=model.config.answers,
    )


class Tracker:
    """The handler of the tracker's worker."""

    def __init__(
        self,
        stream: Stream,
        backend: Backend,
        queries: Mailbox[tuple[Query, ...]],
        outlets: Outlets,
        meter: Meter,
        failed_frames_limit: int = Parameters.failed_frames_limit,
    ) -> None:
        """`failed_frames_limit`: failures of the stream's in a row that end it."""
        self.stream = stream
        self._backend = backend
        self._queries = queries
        self._outlets = outlets
        self._meter = meter
        self._failed_frames_limit = failed_frames_limit
        self._failed_in_a_row = 0
        self._timeline = Timeline()
        self._cuts = Cuts(stream.reset_after_s)
        self._frame_ids = Turns()
        self._stamps: Stamps[Time] = Stamps()
        self._asked: list[Question] = []
        self._lock = threading.Lock()
        self._told: set[str] = set()  # kinds of fault that the log has, once for all
        self._warned_s: dict[str, float] = {}  # counter -> when the log last had it
        self._adjusted: Mailbox[Parameters] = Mailbox()
        self._paused = threading.Event()
        self.states: dict[int, str] = {}  # query id -> state; replaced whole, read by others

    def handle(self, item: CameraMessage) -> None:
        """One frame; one that cannot be read or answered is counted and warned of.

        Raises:
            RepeatedFailure: so many frames in a row got no answer that the next will get none.
            Exception: what else goes wrong in the session.
        """
        try:
            self._answer(item)
        except EncodingError as error:
            self._fault_once("bad_frames", str(error), kind=str(error))
        except ImageError as error:
            self._fault("bad_frames", str(error))
        except self.stream.groundings as error:
            self._count_failure("failed_groundings", error)
        except self.stream.recoverable as error:
            self._fail(error)
        else:
            self._failed_in_a_row = 0

    def _answer(self, item: CameraMessage) -> None:
        start_s = time.monotonic()
        self._take_adjusted()
        self._take_pause()
        frame_HW3 = image_to_array(item.message, self._backend)
        self._look_for_depth(item.message)
        now_s = self._time_s(item)
        self._look_for_cuts(frame_HW3, now_s)
        self._look_for_turns(item.message.header.frame_id)
        queries = self._queries.take_now()
        if queries is not None:
            self.stream.session.set_queries(queries)
        self._take_asked()
        result = self.stream.session.step(frame_HW3, now_s)
        self._meter.count("processed")
        self.states = {answer.id: answer.state for answer in result.results} if result else {}
        self._outlets.publish(item.message, frame_HW3, result)
        if result is not None:
            self._meter.count("masks")
            self._meter.time("age", self._age_s(item) * 1e3)
        end_s = time.monotonic()
        self._meter.time("processing", (end_s - start_s) * 1e3)
        self._meter.time("latency", (end_s - item.arrived_s) * 1e3)

    def ask(self, question: Question) -> None:
        """Hands it on at the next frame; from any thread."""
        with self._lock:
            wanted = [asked for asked in self._asked if not asked.cancelled.is_set()]
            self._asked = [*wanted, question]

    def _take_asked(self) -> None:
        with self._lock:
            asked, self._asked = self._asked, []
        for question in asked:
            self.stream.session.ask(question)

    def stamp_at(self, time_s: float) -> Time:
        """Of a frame, from its time for the session: as it came, where it did; from any thread."""
        stamp = self._stamps.at(time_s)
        if stamp is not None:
            return stamp
        sec, rest_s = divmod(time_s, 1.0)
        return Time(sec=int(sec), nanosec=int(rest_s * 1e9))

    def adjust(self, parameters: Parameters) -> None:
        """From the next frame on its thresholds and periods hold; from any thread."""
        self._adjusted.put(parameters)

    def pause(self) -> None:
        """No frame comes for a while: the next one begins the stream anew; from any thread."""
        self._paused.set()
        self.states = {}

    def _take_pause(self) -> None:
        if self._paused.is_set():
            self._paused.clear()
            self.stream.session.begin_anew()

    def _take_adjusted(self) -> None:
        parameters = self._adjusted.take_now()
        if parameters is None:
            return
        self._failed_frames_limit = parameters.failed_frames_limit
        self._backend = dataclasses.replace(self._backend, max_pixels=parameters.max_pixels)
        self._cuts.reset_after_s = parameters.reset_after_s
        self.stream.session.change_options(
            window_period_s=parameters.window_period_s,
            reset_after_s=parameters.reset_after_s,
            grounding_limit_s=parameters.grounding_limit_s,
        )

    def _fail(self, error: Exception) -> None:
        """A frame at which the model failed. Raises RepeatedFailure."""
        self._failed_in_a_row += 1
        limit = self._failed_frames_limit
        if self._failed_in_a_row >= limit:
            raise RepeatedFailure(
                f"{limit} frames in a row failed (failed_frames_limit), the last by "
                f"{shown_error(error)}"
            ) from error
        self._count_failure("failed_frames", error)

    def _count_failure(self, counter: str, error: Exception) -> None:
        """The log has the first of many that follow one another, with its traceback."""
        is_news = self._meter.since_s(counter) > SAID_AGAIN_AFTER_S
        text = f"a frame without an answer: {shown_error(error)}"
        self._meter.count(counter, text)
        if is_news:
            self._outlets.say(f"{text}\n{shown_traceback(error)}")

    def close(self) -> None:
        """Closes the session."""
        self.stream.session.close()

    def _age_s(self, item: CameraMessage) -> float:
        """Since its stamp; since its arrival where it has none."""
        stamped_s = stamp_s(item.message.header)
        if stamped_s:
            return self._outlets.now_s() - stamped_s
        return time.monotonic() - item.arrived_s

    def _time_s(self, item: CameraMessage) -> float:
        """The frame's time for the session: its stamp's, or one that moves where that does not."""
        stamped_s = stamp_s(item.message.header)
        if stamped_s:
            time_s = self._timeline.at(stamped_s, item.arrived_s)
            self._stamps.keep(time_s, item.message.header.stamp)
            if self._timeline.still:
                text = f"the stamp stands still at {stamped_s:.3f}: taking the time of arrival"
                self._fault_once("still_stamps", text)
            return time_s
        handled_s = time.monotonic()
        time_s = self._timeline.at(self._outlets.now_s(), handled_s)
        text, kind = "the image has no stamp: taking the time of arrival", "unstamped"
        if self._timeline.still:
            text, kind = (
                "the image has no stamp and the node's clock stands still (use_sim_time without "
                "/clock?): taking the time of arrival by the machine's clock",
                "still clock",
            )
        self._fault_once("unstamped_frames", text, kind)
        return time_s - (handled_s - item.arrived_s)

    def _look_for_cuts(self, frame_HW3: np.ndarray, time_s: float) -> None:
        """The session starts anew at these; people are told why."""
        size = frame_HW3.shape[1], frame_HW3.shape[0]
        before = self._cuts.resized(size)
        if before:
            self._fault(
                "size_changes",
                "the image size changed from {}x{} to {}x{}".format(*before, *size),
            )
        back_s, is_cut = self._cuts.back_s(time_s)
        if is_cut:
            self._fault("stamp_jumps", f"the stamp jumped back by {back_s:.3f} s to {time_s:.3f}")
        elif back_s:
            self._meter.count("late_frames")

    def _look_for_depth(self, message: Image | CompressedImage) -> None:
        said = message.encoding if isinstance(message, Image) else message.format
        if said.startswith(DEPTH_LIKE):
            self._warn_once(
                DEPTH_LIKE, f"encoding {DEPTH_LIKE} is taken for brightness: depth looks like this"
            )

    def _look_for_turns(self, frame_id: str) -> None:
        pair = self._frame_ids.seen(frame_id[:80])
        if pair:
            text = "frame_ids {!r} and {!r} come in turn: two cameras on one topic".format(*pair)
            self._fault_once("mixed_frame_ids", text)

    def _fault(self, counter: str, text: str) -> None:
        """Counts it; the log has it, but not each of many."""
        count, now_s = self._meter.count(counter, text), time.monotonic()
        if now_s - self._warned_s.get(counter, -math.inf) >= WARN_EVERY_S:
            self._warned_s[counter] = now_s
            self._outlets.warn(f"{text} ({counter}: {count})")

    def _fault_once(self, counter: str, text: str, kind: str = "") -> None:
        """Counts what goes on and on; the log has it once."""
        self._meter.count(counter, text)
        self._warn_once(kind or counter, text)

    def _warn_once(self, kind: str, text: str) -> None:
        if kind not in self._told and len(self._told) < TOLD_KINDS:
            self._told.add(kind)
            self._outlets.warn(text)
