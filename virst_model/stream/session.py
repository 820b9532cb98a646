"""VIRST on a stream: frames and sentences in, masks out."""

from collections.abc import Sequence
import dataclasses
import time

import numpy as np
import torch

from virst_model.answer import Query, Question, StepResult
from virst_model.config import CLIP_FRAMES, with_alpha
from virst_model.model.memory import Memory
from virst_model.model.pictures import bring, check_frame
from virst_model.model.tracking import rehearse, remember
from virst_model.model.virst import Virst
from virst_model.stream.captured import capturing
from virst_model.stream.change import ON_CHANGE
from virst_model.stream.compose import Masks, Shown, compose
from virst_model.stream.grounder import (
    Grounding,
    GroundingError,
    InlineGrounder,
    ThreadGrounder,
    check_stream,
)
from virst_model.stream.host import to_host
from virst_model.stream.lanes import Lanes, NoLane, lanes_of
from virst_model.stream.last_times import LastTimes
from virst_model.stream.options import ADJUSTABLE, ANCHORS, SessionOptions
from virst_model.stream.pending import AT_ONCE, NOT_FINITE, decode_anchors, encode_anchors
from virst_model.stream.questions import Questions
from virst_model.stream.track import Track, starting_anew
from virst_model.stream.window import Clip, Window, WindowFrame

COUNTERS = (
    "frames",  # processed
    "sampled",  # of these, kept in the window
    "groundings",  # answers of the VLM that were used
    "failed_groundings",  # questions that ended in an error
    "stale",  # answers that were dropped: the query or the stream had changed
    "contradictions",  # answers that showed another object than the track
    "resets",  # stamps that jumped back by more than `reset_after_s`, and new image sizes
)


class Session:
    """One stream: its window and one track for each query.

    All methods are called from one thread, the tracker's; `stats` may be called from any. A
    session holds the state of the stream, the model only weights, so sessions may share a model.
    """

    def __init__(
        self,
        model: Virst,
        options: SessionOptions | None = None,
        lanes: Lanes | None = None,
    ) -> None:
        """`lanes`: by default those of the model's device; in sync mode there is one.

        Raises:
            StreamError: the model's config asks for what a stream cannot have.
        """
        check_stream(model.config.behaviour)
        self._model = model
        self.options = options = options or SessionOptions()
        self._encodes = options.pace.encodes or (4 if model.device.type == "cpu" else 1)
        self._config = with_alpha(model.config, options.alpha)
        self._window = Window(options.window_size, options.window_period_s)
        self._tracks: dict[int, Track] = {}
        if lanes is None:
            lanes = Lanes(NoLane(), NoLane()) if options.sync else lanes_of(model.device)
        self._lane = lanes.tracker
        self._grounder: InlineGrounder | ThreadGrounder = (
            InlineGrounder(model, options.grounding_delay_frames)
            if options.sync
            else ThreadGrounder(model, options.grounder_threads, lanes)
        )
        self._questions = Questions(model, self._grounder)
        self._longest_s = options.reground_after_s if options.reground == ON_CHANGE else 0.0
        self._t = 0
        self._shape: tuple[int, ...] | None = None
        self._closed = False
        self._counts = dict.fromkeys(COUNTERS, 0)
        self._grounding_ms, self._query_ms = LastTimes(), LastTimes()

    def __enter__(self) -> "Session":
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    @property
    def tracks(self) -> tuple[Track, ...]:
        """The queries' tracks, in the order of `set_queries`; to look at."""
        return tuple(self._tracks.values())

    @property
    def _active(self) -> list[Track]:
        """The tracks of queries that do not rest."""
        return [track for track in self._tracks.values() if track.query.enabled]

    def close(self) -> None:
        """Cancels the grounding in flight, joins the thread and forgets the stream."""
        self._closed = True
        for track in self._tracks.values():
            track.cancel()
        self._tracks.clear()
        self._questions.close()
        self._grounder.close()
        self._window.reset()

    def set_queries(self, queries: tuple[Query, ...]) -> None:
        """Replaces the queries; one that stays (same id and text) keeps its track.

        One that is not enabled rests: its track is kept, and nothing is computed for it.

        Raises:
            ValueError: more than `max_queries`, or an id or a label given twice.
        """
        if len(queries) > self.options.max_queries:
            raise ValueError(f"{len(queries)} queries; at most {self.options.max_queries}")
        for name in ("id", "label"):
            values = [getattr(query, name) for query in queries]
            if len(set(values)) < len(values):
                raise ValueError(f"queries must have different {name}s, not {values}")
        old, self._tracks = self._tracks, {}
        for query in queries:
            track = old.get(query.id)
            if track is None or track.query.text != query.text:
                track = self._new_track(query)
            track.change(query)
            self._tracks[query.id] = track
        for track in old.values():
            if track is not self._tracks.get(track.query.id):
                track.cancel()

    def ask(self, question: Question) -> None:
        """Takes a question to be answered in words, with or without queries, from the next steps
        on; one that is not answered when the stream is closed is cancelled.

        Raises:
            StreamError: the model was not taught to answer, or as many as may wait are there.
        """
        self._questions.ask(question)

    @torch.inference_mode()
    def step(self, frame_HW3: np.ndarray, stamp_s: float) -> StepResult | None:
        """Takes the stream's next frame; never waits for a grounding outside sync mode.

        A stamp that is more than `reset_after_s` below the newest one, or another image size,
        starts the stream anew, with the same queries.

        Args:
            frame_HW3: uint8 RGB; the caller may reuse the array afterwards.
            stamp_s: the camera's stamp.

        Returns:
            The answer of every query that is enabled, or None while there is none.

        Raises:
            GroundingError: a grounding has failed. This frame gets no answer; the stream can go
                on, and the query is asked again when it is due.
            RuntimeError: the session is closed. Also what the model raises, out of memory (torch's
                error is a RuntimeError, the machine's a MemoryError) or else: this frame gets no
                answer, and the stream can go on (docs/stream.md, rule 17).
            FloatingPointError: masks that are not finite; the same.
            ValueError: not a frame.
        """
        if self._closed:
            raise RuntimeError("the session is closed")
        check_frame(frame_HW3)
        with self._lane.working(), self._questions.resting():
            return self._step(frame_HW3, stamp_s)

    def _step(self, frame_HW3: np.ndarray, stamp_s: float) -> StepResult | None:
        self._restart_after_a_cut(frame_HW3, stamp_s)
        t = self._t
        self._take_results(t)
        self._t += 1
        self._counts["frames"] += 1
        sampled = self._window.offer(t, stamp_s, frame_HW3)
        self._counts["sampled"] += sampled is not None
        active = self._active
        wanted = bool(active) or self._questions.waiting
        if sampled is not None and (wanted or self.options.encode_when_idle):
            sampled.encode(self._model)
        if wanted:
            self._window.encode(self._model, self._encodes)
        self._questions.begin(self._window)
        if not active:
            return None
        self._start_groundings(t)
        self._take_results(t)
        self._advance(t)
        if self._grounder.running_s > self.options.grounding_limit_s:
            for track in active:  # one is asked, the others wait for it
                track.fail()
        return self._answer(t, stamp_s, frame_HW3, sampled)

    def change_options(self, **changes: float) -> None:
        """Changes some of ADJUSTABLE in the middle of the stream; the others are fixed.

        Raises:
            ValueError: another option, or a value that `SessionOptions` does not allow.
        """
        fixed = changes.keys() - set(ADJUSTABLE)
        if fixed:
            raise ValueError(f"{', '.join(sorted(fixed))}: cannot change in a stream")
        self.options = dataclasses.replace(self.options, **changes)
        self._window.period_s = self.options.window_period_s

    def stats(self) -> dict[str, float]:
        """Counters since the start and medians of the last times: of a grounding, and of what a
        query that is followed adds to a frame (on a GPU, also of what is still to be done of the
        frame's encoding and of the memory of the frame before, and not of its own memory); and how
        many seconds the grounding that is running has taken.
        """
        return {
            **self._counts,
            "query_ms_p50": self._query_ms.p50,
            "grounding_ms_p50": self._grounding_ms.p50,
            "grounding_running_s": self._grounder.running_s,
        }

    @torch.inference_mode()
    def warm_up(self, height: int = 480, width: int = 640, text: str = "the object") -> None:
        """Runs every part of the model once, each on the thread that will use it.

        Called before the first `step`; leaves no trace in the stream. CUDA graphs are captured
        here, while nothing is grounded.
        """
        with self._lane.working():
            image_HW3 = np.zeros((height, width, 3), np.uint8)
            frame = WindowFrame(0, 0.0, image_HW3)
            frame.encode(self._model)
            clip = Clip([frame] * CLIP_FRAMES)
            result = self._grounder.ground(Grounding(Query(0, text, 1), (clip,)))
            prompts_NC = result.anchors[0][1].contiguous()  # as those of a batch are
            memory = Memory(self._config, ANCHORS)
            most = self.options.most_captured
            anchors = min(AT_ONCE, self.options.pace.anchors * most)
            with capturing(self._model, most, anchors):
                features = self._model.encode_frame(bring(image_HW3, self._model.device))
                for queries in (1, 2):  # a compiler has a second number for all
                    rehearse(self._model, features, prompts_NC, memory, queries)

    def _new_track(self, query: Query) -> Track:
        return Track(
            query,
            self._model,
            Memory(self._config, ANCHORS),
            self._config.behaviour.alpha,
            self.options.window_size,
            self.options.pace,
        )

    def begin_anew(self) -> None:
        """Forgets what it has seen, as at a cut: the next frame begins a stream. Queries stay."""
        self._counts["resets"] += 1
        self._window.reset()
        for track in self._tracks.values():
            track.reset()

    def _restart_after_a_cut(self, frame_HW3: np.ndarray, stamp_s: float) -> None:
        newest_s = self._window.newest_s
        back = newest_s is not None and newest_s - stamp_s > self.options.reset_after_s
        resized = self._shape is not None and frame_HW3.shape != self._shape
        self._shape = frame_HW3.shape
        if back or resized:
            self.begin_anew()

    def _start_groundings(self, t: int) -> None:
        """Starts what is due: a query never asked first, the newest; then the longest waiting."""
        every = self.options.reground_every
        due = [x for x in self._active if x.is_due(self._window, every, self._longest_s)]
        due.sort(key=lambda x: (x.asked_t is not None, x.asked_t or 0, -x.query.id))
        for place, track in enumerate(due, 1):
            if not self._grounder.free:
                break
            self._grounder.start(track.ask(self._window, t, place < len(due)), t)

    def _take_results(self, t: int) -> None:
        """Hands finished groundings to their tracks; drops those that nobody wants, unread.

        Of several that have failed the first is raised, once all are handed over.
        """
        failure: GroundingError | None = None
        for grounding, read_result in self._grounder.finished(t):
            track = self._tracks.get(grounding.query.id)
            if track is None or track.grounding is not grounding:
                self._counts["stale"] += 1
                continue
            track.grounding = None  # also where the result is an error: it will be asked again
            try:
                result = read_result()
            except GroundingError as error:
                self._counts["failed_groundings"] += 1
                track.fail()
                failure = failure or error
                continue
            track.take(result)
            self._counts["groundings"] += 1
            self._grounding_ms.add(result.ms)
        if failure is not None:
            raise failure

    def _advance(self, t: int) -> None:
        """The work beside frame `t`; all answers' anchors are decoded, and encoded, at once."""
        taking = [track for track in self._active if track.takes_in]
        facts, shown = {}, {}
        with starting_anew(*taking):
            todo = [track.next_anchors() for track in taking]
            masks = iter(decode_anchors(self._model, [a for each in todo for a in each]))
            for track, each in zip(taking, todo, strict=True):
                facts[track] = track.judge([next(masks) for _ in each])
            known = iter(to_host([fact for each in facts.values() for fact in each]))
        for track in taking:
            with starting_anew(track):
                shown[track] = track.sift([next(known) for _ in facts[track]])
        with starting_anew(*taking):
            entries = iter(
                encode_anchors(self._model, [a for each in shown.values() for a in each])
            )
        for track in self._active:
            mine = [next(entries) for _ in shown.get(track, ())]
            with starting_anew(track):
                self._counts["contradictions"] += track.advance(t, self._window, mine)

    def _answer(
        self, t: int, stamp_s: float, frame_HW3: np.ndarray, sampled: WindowFrame | None
    ) -> StepResult:
        """Follows what is followed, and puts all masks together."""
        active = self._active
        height, width = frame_HW3.shape[:2]
        following = [track for track in active if track.follows]
        if not following:
            return compose(t, stamp_s, self._read(t, active, Masks(active)), height, width)
        if sampled:
            features = sampled.features
        else:
            features = self._model.encode_frame(bring(frame_HW3, self._model.device))
        start_s = time.perf_counter()
        # For all queries that follow their object, as one batch.
        memories = [track.memory for track in following]
        decoded = self._model.propagate(features, [memory.read(t) for memory in memories])
        for track, mask in zip(following, decoded.split(), strict=True):
            track.show(t, mask, sampled is not None)
        masks = Masks(active)
        # Behind their copy: a device is at it while the host puts the masks together.
        remember(self._model, t, features, decoded, memories)
        result = compose(t, stamp_s, self._read(t, active, masks), height, width)
        self._query_ms.add(1000 * (time.perf_counter() - start_s) / len(following))
        return result

    def _read(self, t: int, tracks: Sequence[Track], masks: Masks) -> list[Shown]:
        """What the host knows of the tracks' masks; FloatingPointError if one is not finite."""
        shown = masks.read()
        broken = [track for track, seen in zip(tracks, shown, strict=True) if not seen.is_finite]
        for track in broken:
            track.reset()  # the frame is in its memory
        if broken:
            raise FloatingPointError(NOT_FINITE)
        if self._longest_s:
            for track, seen in zip(tracks, shown, strict=True):
                track.watch.see(t, seen)
        return shown
