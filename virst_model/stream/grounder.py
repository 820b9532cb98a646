"""Groundings beside the stream: the VLM is asked about a snapshot of the window."""

from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
import operator
from threading import Event
import time

import torch

from virst_model.answer import Query
from virst_model.config import CLIP_FRAMES, LEAST_FRAMES, BehaviourConfig
from virst_model.errors import InputError
from virst_model.model.anchors import STRATEGIES, anchor_candidates
from virst_model.model.features import VisualTokens
from virst_model.model.seen import Pooled, Seen
from virst_model.model.virst import Cancelled, Virst
from virst_model.stream.host import to_host
from virst_model.stream.lanes import Lanes, Mark
from virst_model.stream.side_work import SideWork, Work
from virst_model.stream.window import Clip, WindowFrame

# Strategies of Table 5 that a stream can have: nobody scores its frames for "guided".
STREAM_STRATEGIES = tuple(name for name in STRATEGIES if name != "guided")


class StreamError(InputError):
    """A model asks for what a stream cannot have; `str()` is one line."""


def check_stream(behaviour: BehaviourConfig) -> None:
    """Raises StreamError where a stream cannot choose its anchors as the model's config says."""
    if behaviour.anchors not in STREAM_STRATEGIES:
        raise StreamError(
            f"a stream has no {behaviour.anchors!r} anchors (behaviour.anchors in the model's "
            f"config.json): it needs one of {', '.join(STREAM_STRATEGIES)}"
        )


class GroundingError(RuntimeError):
    """The VLM failed; says for which query. The cause is the original error."""

    def __init__(self, query: Query, cause: Exception) -> None:
        self.query = query
        super().__init__(f"grounding query {query.id} failed: {type(cause).__name__}: {cause}")


@dataclass(frozen=True)
class Grounding:
    """One question to the VLM: a query and its own references to the clips it is asked about.

    Attributes:
        query: whose it is.
        clips: the snapshot, oldest first.
        followed: other queries wait to be asked, about the same clips if no more come meanwhile.
        cancelled: nobody wants the answer any more.
    """

    query: Query
    clips: tuple[Clip, ...]
    followed: bool = False
    cancelled: Event = field(default_factory=Event)

    @property
    def frames(self) -> list[WindowFrame]:
        """The frames of the clips, oldest first; padding is none of them."""
        return [frame for clip in self.clips for frame in clip.frames]


@dataclass(frozen=True)
class GroundingResult:
    """The VLM's answer to a grounding: prompts of the anchor candidates.

    Attributes:
        anchors: (frame, prompts (N, C)) of the anchor candidates, oldest first.
        first, last: times of the window's ends.
        ms: how long it took, in milliseconds.
    """

    anchors: tuple[tuple[WindowFrame, torch.Tensor], ...]
    first: int
    last: int
    ms: float


def ground(model: Virst, grounding: Grounding, seen: Seen) -> GroundingResult:
    """Asks the VLM; looks for a cancel between the clips, the prefill and the fusion.

    The anchor candidates are those of `behaviour.anchors` among the window's frames, so that each
    is known by now: "first" is the window's oldest frame, and "random3" draws by the time of its
    newest, anew in each window and the same in each run. But a window of 4 frames is padded to 8
    with the newest, and its one anchor is that frame (the released code, which pads a short video
    the same way, takes two anchors on it). `seen` is of the grounding's clips.

    Raises:
        Cancelled: the grounding was cancelled meanwhile.
        GroundingError: the model failed, or its prompts are not finite.
    """
    start_s = time.perf_counter()
    frames = grounding.frames
    try:
        with torch.inference_mode():
            tokens = clip_tokens(model, grounding.clips, grounding.cancelled)
            if seen.pooled is None:
                seen.pooled = _pooled(model, grounding)
            prompts_TNC = model.ground(
                tokens,
                [f.features for f in frames] + [frames[-1].features] * _missing(frames),
                grounding.query.text,
                grounding.cancelled.is_set,
                seen=seen,
            )
            # Every comparison with them is false, so that the object would seem to be gone.
            (finite,) = to_host([prompts_TNC.isfinite().all()])
            if not finite:
                raise FloatingPointError("the model's prompts are not finite")
    except Cancelled:
        raise
    except Exception as error:
        raise GroundingError(grounding.query, error) from error
    indices = _anchors(model.config.behaviour.anchors, frames)
    return GroundingResult(
        anchors=tuple((frames[i], prompts_TNC[i]) for i in indices),
        first=frames[0].t,
        last=frames[-1].t,
        ms=1000 * (time.perf_counter() - start_s),
    )


def _anchors(strategy: str, frames: list[WindowFrame]) -> list[int]:
    """Which of the real frames are anchors, ascending."""
    if _missing(frames):
        return [len(frames) - 1]
    return anchor_candidates(strategy, len(frames), seed=frames[-1].t)


def _missing(frames: list[WindowFrame]) -> int:
    return max(0, LEAST_FRAMES - len(frames))


def clip_tokens(model: Virst, clips: Sequence[Clip], cancelled: Event) -> list[VisualTokens]:
    """What the VLM is shown of a window: tokens of all clips, made once a clip and kept with it.

    Raises:
        Cancelled: `cancelled` was set meanwhile.
    """
    for clip in clips:
        if clip.tokens is None and cancelled.is_set():
            raise Cancelled
        clip.see(model)
    tokens = [clip.tokens for clip in clips]
    frames = [frame for clip in clips for frame in clip.frames]
    if _missing(frames):
        tokens.append(model.encode_clip([frames[-1].clip_pixels] * CLIP_FRAMES))
    return tokens


def _pooled(model: Virst, grounding: Grounding) -> Pooled:
    """What the fusions look at, computed once a clip and kept with it."""
    for clip in grounding.clips:
        if clip.pooled is None:
            clip.pooled = model.pool([frame.features for frame in clip.frames])
    parts = [clip.pooled for clip in grounding.clips]
    missing = _missing(grounding.frames)
    return Pooled.join(parts + [parts[-1].repeat_last(missing)] * bool(missing))


class Asker:
    """Grounds one question after the other, on one thread.

    Where others follow, what they share is kept until the last of them, or until the window has
    moved on: one window's, never more.
    """

    def __init__(self, model: Virst) -> None:
        self._model = model
        self._clips: tuple[Clip, ...] = ()
        self._seen: Seen | None = None

    def ground(self, grounding: Grounding) -> GroundingResult:
        """As `ground` of this module."""
        clips = grounding.clips
        same = len(clips) == len(self._clips) and all(map(operator.is_, clips, self._clips))
        seen = self._seen if same and self._seen else Seen(apart=grounding.followed)
        self._clips, self._seen = (clips, seen) if grounding.followed else ((), None)
        return ground(self._model, grounding, seen)

    def forget(self) -> None:
        """Lets go of the window."""
        self._clips, self._seen = (), None


# A finished grounding: the question, and how to read its result (which may raise).
Finished = tuple[Grounding, Callable[[], GroundingResult]]


class InlineGrounder:
    """Grounds on the calling thread, when the result is read: `delay_frames` after the start.

    The snapshot decides the result, not the moment, so this is the order of a thread that takes
    `delay_frames` processed frames; any number of groundings run at a time.
    """

    free = True  # another grounding may start at any time
    running_s = 0.0  # nobody waits for one

    def __init__(self, model: Virst, delay_frames: int) -> None:
        self._asker = Asker(model)
        self._delay_frames = delay_frames
        self._running: deque[tuple[int, Grounding]] = deque()

    def start(self, grounding: Grounding, t: int) -> None:
        """Starts a grounding at frame `t`; it runs when its result is read."""
        self._running.append((t + self._delay_frames, grounding))

    def finished(self, t: int) -> list[Finished]:
        """The groundings that have come to an end by frame `t`, each given once."""
        ready: list[Finished] = []
        while self._running and self._running[0][0] <= t:
            _, grounding = self._running.popleft()
            ready.append((grounding, partial(self._asker.ground, grounding)))
        return ready

    def ground(self, grounding: Grounding) -> GroundingResult:
        """The result at once; raises what `ground` of this module raises."""
        return self._asker.ground(grounding)

    def pause(self) -> None:
        """Nothing is under way between two frames."""

    def work(self, work: Work) -> None:
        """Does a piece."""
        work.go_on()

    def close(self) -> None:
        """Forgets the groundings whose results were not read."""
        self._running.clear()
        self._asker.forget()


class ThreadGrounder:
    """One thread that runs one grounding at a time; a stream never waits for it."""

    def __init__(self, model: Virst, threads: int, lanes: Lanes) -> None:
        """`threads`: torch's intra-op threads of the VLM; few, so that the tracker keeps its
        rate on a CPU. `lanes`: of a device; all methods are called in the tracker's."""
        self._asker = Asker(model)
        self._lanes = lanes
        self._threads = threads
        self._executor: ThreadPoolExecutor | None = None
        self._running: tuple[Grounding, Future] | None = None
        self._started_s = 0.0
        self._side = SideWork(lanes.grounder)

    @property
    def running_s(self) -> float:
        """Seconds since the running grounding was started, 0 where none is; from any thread."""
        running = self._running
        if running is None or running[1].done():
            return 0.0
        return time.monotonic() - self._started_s

    @property
    def free(self) -> bool:
        """Whether another grounding may start: none is running or waits to be read."""
        return self._running is None

    def start(self, grounding: Grounding, t: int) -> None:
        """Starts a grounding at frame `t`; RuntimeError while one is running."""
        if self._running is not None:
            raise RuntimeError(
                f"query {grounding.query.id} must wait: "
                f"query {self._running[0].query.id} is being grounded"
            )
        self._started_s = time.monotonic()
        self._running = (grounding, self._submit(grounding))

    def finished(self, t: int) -> list[Finished]:
        """The running grounding, if it has come to an end by now, given once; at most one."""
        if self._running is None or not self._running[1].done():
            return []
        grounding, future = self._running
        self._running = None
        return [(grounding, partial(self._read, future))]

    def ground(self, grounding: Grounding) -> GroundingResult:
        """Waits for the thread's result; raises what `ground` of this module raises."""
        return self._read(self._submit(grounding))

    def pause(self) -> None:
        """A frame has come, which goes before work."""
        self._side.begin_frame()

    def work(self, work: Work) -> None:
        """The frame is done: pieces of `work` in the time that is left, now and from now on."""
        self._side.end_frame(work, self._thread(), self._lanes.tracker.mark())

    def close(self) -> None:
        """Cancels and joins the thread; waits until a running model call is over."""
        if self._running is not None:
            self._running[0].cancelled.set()
            self._running = None
        self._side.close()
        if self._executor is not None:
            self._executor.shutdown(wait=True, cancel_futures=True)
            self._executor = None
        self._asker.forget()

    def _submit(self, grounding: Grounding) -> Future:
        frames = self._lanes.tracker.mark()
        self._side.give_way()
        return self._thread().submit(self._ground, grounding, frames)

    def _thread(self) -> ThreadPoolExecutor:
        if self._executor is None:
            self._executor = _start_thread(self._threads)
        return self._executor

    def _ground(self, grounding: Grounding, frames: Mark) -> tuple[GroundingResult, Mark]:
        """On the thread: a result that can be used by now; `frames`: the grounding's are there."""
        start_s = time.perf_counter()
        self._side.is_given_way()
        lane = self._lanes.grounder
        with lane.working():
            lane.follow(frames)
            try:
                result = self._asker.ground(grounding)
            finally:
                # Where it failed, too: what the device still reads is held by the grounding.
                done = lane.mark()
                done.synchronize()
        return replace(result, ms=1000 * (time.perf_counter() - start_s)), done

    def _read(self, future: Future) -> GroundingResult:
        result, done = future.result()
        self._lanes.tracker.follow(done)
        self._lanes.tracker.keep(prompts_NC for _, prompts_NC in result.anchors)
        return result


def _start_thread(threads: int) -> ThreadPoolExecutor:
    """A started thread with its own number of torch threads; the caller's number stays.

    torch keeps the number per thread but also copies the last one set into every thread that has
    not used torch yet: so both threads pin theirs here, and the caller's is set last.
    """
    own = torch.get_num_threads()

    def pin() -> None:
        torch.set_num_threads(threads)
        torch.get_num_threads()

    executor = ThreadPoolExecutor(1, thread_name_prefix="virst-grounder")
    executor.submit(pin).result()
    torch.set_num_threads(own)
    return executor
