"""What the tracker's thread does with a camera message: convert, step, hand on the answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
import time
from typing import Any, Protocol

import numpy as np
from sensor_msgs.msg import CompressedImage, Image

from virst_model.answer import Query, StepResult
from virst_ros.convert import Backend, ImageError, image_to_array, stamp_s
from virst_ros.meter import Meter
from virst_ros.parameters import Parameters
from virst_ros.text import shown_error, shown_traceback
from virst_ros.worker import Mailbox

# A failure after so long without one is said anew.
SAID_AGAIN_AFTER_S = 60.0


# Of the model at one frame, out of memory or else; torch's own are RuntimeErrors.
FRAME_ERRORS = (RuntimeError, MemoryError)


class RepeatedFailure(RuntimeError):
    """No frame gets an answer any more; `str()` says how many failed, and the last error."""


class SessionLike(Protocol):
    """What the tracker needs of a virst_model.Session."""

    def set_queries(self, queries: tuple[Query, ...]) -> None:
        """What is followed from the next step on."""

    def step(self, frame_HW3: np.ndarray, stamp_s: float) -> StepResult | None:
        """Follows a frame, uint8 RGB; None while there is no query."""

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
    """

    session: SessionLike
    known_words: tuple[str, ...] = ()
    device: str = "cpu"
    recoverable: tuple[type[Exception], ...] = ()
    groundings: tuple[type[Exception], ...] = ()


@dataclass(frozen=True)
class CameraMessage:
    """A message of the camera's, and when it came (time.monotonic)."""

    message: Image | CompressedImage
    arrived_s: float


@dataclass(frozen=True)
class Outlets:
    """Where the tracker's findings go; all are called on its thread.

    Attributes:
        publish: an answered frame: its message, its pixels and the answer.
        warn: a text that may come at every frame.
        now_s: the node's clock, for cameras that do not stamp their images.
        say: a text that comes seldom; it may have several lines.
    """

    publish: Callable[[Image | CompressedImage, np.ndarray, StepResult], None]
    warn: Callable[[str], None]
    now_s: Callable[[], float]
    say: Callable[[str], None]


def open_stream(parameters: Parameters) -> Stream:
    """Loads the model, opens a session and warms it up, on the thread that calls.

    Raises:
        virst_model.WeightsError: the folder of weights cannot be used.
        virst_model.PackageError: sam2, hydra-core or iopath is not installed.
        virst_model.DeviceError: the device is not there.
        virst_model.stream.grounder.StreamError: the model chooses its anchors as no stream can.
        ValueError: options that do not fit together.
    """
    import torch

    import virst_model
    from virst_model.stream.grounder import GroundingError

    torch.set_num_threads(parameters.tracker_threads or torch.get_num_threads())
    dtype = None if parameters.dtype == "auto" else getattr(torch, parameters.dtype)
    model = virst_model.load(parameters.model or None, device=parameters.device, dtype=dtype)
    if parameters.compile:
        virst_model.compile_frames(model)
    options = virst_model.SessionOptions(
        window_size=parameters.window_size,
        window_period_s=parameters.window_period_s,
        reground_every=parameters.reground_every,
        alpha=parameters.alpha,
        encode_when_idle=parameters.encode_when_idle,
        grounding_limit_s=parameters.grounding_limit_s,
        grounder_threads=parameters.grounder_threads,
    )
    session = virst_model.Session(model, options)
    session.warm_up()
    return Stream(
        session, model.config.known_words, str(model.device), FRAME_ERRORS, (GroundingError,)
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
        self._last_s: float | None = None
        self._size: tuple[int, int] | None = None
        self._failed_frames_limit = failed_frames_limit
        self._failed_in_a_row = 0
        self.states: dict[int, str] = {}  # query id -> state; replaced whole, read by others

    def handle(self, item: CameraMessage) -> None:
        """One frame; one that cannot be read or answered is counted and warned of.

        Raises:
            RepeatedFailure: so many frames in a row got no answer that the next will get none.
            Exception: what else goes wrong in the session.
        """
        try:
            self._answer(item)
        except ImageError as error:
            self._fault("bad_frames", str(error))
        except self.stream.groundings as error:
            self._count_failure("failed_groundings", error)
        except self.stream.recoverable as error:
            self._fail(error)
        else:
            self._failed_in_a_row = 0

    def _answer(self, item: CameraMessage) -> None:
        frame_HW3 = image_to_array(item.message, self._backend)
        now_s = self._stamp_s(item)
        self._look_for_cuts(frame_HW3, now_s)
        queries = self._queries.take_now()
        if queries is not None:
            self.stream.session.set_queries(queries)
        result = self.stream.session.step(frame_HW3, now_s)
        self._meter.count("processed")
        self.states = {answer.id: answer.state for answer in result.results} if result else {}
        if result is not None:
            self._outlets.publish(item.message, frame_HW3, result)
            self._meter.count("masks")
            self._meter.time("age", (self._outlets.now_s() - now_s) * 1e3)
        self._meter.time("latency", (time.monotonic() - item.arrived_s) * 1e3)

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

    def _stamp_s(self, item: CameraMessage) -> float:
        stamped_s = stamp_s(item.message.header)
        if stamped_s:
            return stamped_s
        self._fault("unstamped_frames", "the image has no stamp: taking the time of arrival")
        return self._outlets.now_s() - (time.monotonic() - item.arrived_s)

    def _look_for_cuts(self, frame_HW3: np.ndarray, now_s: float) -> None:
        """The session starts anew at these; people are told why."""
        size = frame_HW3.shape[1], frame_HW3.shape[0]
        if self._size not in (None, size):
            self._fault(
                "size_changes",
                "the image size changed from {}x{} to {}x{}".format(*self._size, *size),
            )
        if self._last_s is not None and now_s < self._last_s:
            self._fault(
                "stamp_jumps",
                f"the stamp jumped back by {self._last_s - now_s:.3f} s to {now_s:.3f}",
            )
        self._size, self._last_s = size, now_s

    def _fault(self, counter: str, text: str) -> None:
        self._outlets.warn(f"{text} ({counter}: {self._meter.count(counter, text)})")
