"""The lifecycle node `segment`: parameters, topics, services, transitions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
import functools
import math
import threading
import time
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from lifecycle_msgs.srv import ChangeState
import numpy as np
from rcl_interfaces.msg import SetParametersResult
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.clock import Clock, ClockType
from rclpy.lifecycle import LifecycleNodeMixin, LifecycleState, TransitionCallbackReturn
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.subscription import Subscription
from sensor_msgs.msg import CompressedImage, Image

from virst_model.answer import Query, StepResult
from virst_model.errors import InputError
from virst_model.queries.book import QueryBook
from virst_ros import convert, diagnosis, memory, packages, troubles
from virst_ros.actions import Actions
from virst_ros.arrivals import Arrivals
from virst_ros.configured import Configured
from virst_ros.declaration import changed, declare, read
from virst_ros.ending import PATIENCE_S
from virst_ros.endpoints import Endpoints
from virst_ros.heartbeat import Heartbeat
from virst_ros.legend import Legend
from virst_ros.lifecycle import ACTIVE, FAILURE, SUCCESS, UNCONFIGURED, Aside, transition
from virst_ros.meter import Meter
from virst_ros.neighbours import Neighbours
from virst_ros.notices import Notices, Trouble
from virst_ros.parameters import ParameterError, Parameters
from virst_ros.publishers import Answered, Publishers
from virst_ros.qos import EVERY_RESULT, NEWEST_IMAGE
from virst_ros.query_board import QueryBoard
from virst_ros.query_desk import QueryDesk
from virst_ros.silence import silence
from virst_ros.spinner import Spinner
from virst_ros.text import LONGEST_ADVICE, shown, shown_error, shown_traceback
from virst_ros.topics import ImageTopic, find_images
from virst_ros.tracker import CameraMessage, Outlets, Stream, Tracker, open_stream
from virst_ros.worker import Mailbox, Worker


class Stopped(Exception):
    """The process is asked to end while `configure` waits for the model."""


# LifecycleNode does not hand a callback group to its services; without one, a state query waits
# until `configure` has loaded the model.
class SegmentNode(LifecycleNodeMixin, Node):
    """Camera images and sentences in, masks out. configure loads, activate subscribes,
    deactivate keeps the weights and the queries, cleanup frees.
    """

    def __init__(
        self,
        open_stream: Callable[[Parameters], Stream] = open_stream,
        stopping: threading.Event | None = None,
    ) -> None:
        """`open_stream` is called on the tracker's thread; `stopping` ends a `configure` early.

        Raises ParameterError or rclpy's ParameterException.
        """
        Node.__init__(self, "segment", namespace="virst")
        LifecycleNodeMixin.__init__(self, callback_group=ReentrantCallbackGroup())
        self._open_stream = open_stream
        self.parameters = declare(self, Parameters)
        self.stopping = stopping or threading.Event()
        self.state = UNCONFIGURED  # of the lifecycle, for people
        self.failure = self.fault = ""
        self._configuring_from_s = math.inf
        self.meter = Meter()
        self._arrivals = Arrivals(self.meter)
        logger = self.get_logger()
        self._notices = Notices(logger.warning, logger.info)
        self._neighbours = Neighbours(self)
        self._endpoints = Endpoints(self, self.meter)
        self._vision = packages.find_vision(logger.info)
        self._queries: Mailbox[tuple[Query, ...]] = Mailbox()
        self._board = QueryBoard(self.get_clock(), self._endpoints)
        self._legend = Legend(self.get_clock(), self._endpoints, self._vision)
        self.book = QueryBook(self._on_queries)
        self._configured: Configured | None = None
        self._left: Worker[CameraMessage] | None = None  # with a call that had not returned
        self._subscription: Subscription | None = None  # while it is active
        self._images: ImageTopic | None = None
        self._diagnostics = self._endpoints.publish(DiagnosticArray, "/diagnostics", EVERY_RESULT)
        every_s, steady = self.parameters.diagnostics_period_s, ClockType.STEADY_TIME
        clock = Clock(clock_type=steady)  # also where /clock stands still
        self._timer = self.create_timer(every_s, self._publish_diagnostics, clock=clock)
        self._spinner = Spinner(self, self.fail)
        limit_s = lambda: self.parameters.grounding_limit_s  # noqa: E731
        self._actions = Actions(self, self.book, self._spinner, limit_s)
        self._heartbeat = Heartbeat(self)
        (changes,) = (s for s in self.services if s.srv_type is ChangeState)
        self._transitions = Aside(changes, self._spinner.wake, logger.warning)
        self.add_on_set_parameters_callback(self._on_set_parameters)

    @property
    def image_topic(self) -> str:
        """The topic that images are read from, remapped."""
        return (self._images or find_images(self, self.parameters.image_transport)).name

    # -- transitions

    @transition("configuring", "inactive")
    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Loads and warms up on the tracker's thread; the one callback that waits."""
        self._configuring_from_s, self.fault = time.monotonic(), ""
        try:
            self.parameters = wanted = read(self, Parameters)
            self._heartbeat.prepare(wanted.bond_topic, wanted.bond_id)
            backend = convert.choose_backend(wanted.image_backend, wanted.max_pixels)
            self._configured = self._configure(backend)
            self._configured.tracker.adjust(self.parameters)  # what was set while it loaded
        except Stopped:
            self.book.clear()
            return FAILURE
        except Exception as error:
            # What a person can mend is a line; anything else is a fault of ours.
            if not isinstance(error, InputError):
                self.get_logger().error(shown_traceback(error))
            self.fault = f"configure failed: {shown(str(error), LONGEST_ADVICE)}"
            self.get_logger().error(self.fault)
            self.book.clear()
            return FAILURE
        finally:
            self._configuring_from_s = math.inf
        return super().on_configure(state)

    @transition("activating", ACTIVE)
    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Subscribes to the camera."""
        outcome = super().on_activate(state)
        self._spinner.call(self._subscribe)
        return outcome

    @transition("deactivating", "inactive")
    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Ends the subscription; weights and queries stay."""
        self._spinner.call(self._unsubscribe)
        return super().on_deactivate(state)

    @transition("cleaningup", UNCONFIGURED)
    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Frees what configure made."""
        self._free()
        return SUCCESS

    @transition("shuttingdown", "finalized")
    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Frees what configure made, for good."""
        self._free()
        return SUCCESS

    @transition("errorprocessing", UNCONFIGURED)
    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Frees what configure made, so that it can be tried again."""
        self._free()
        return SUCCESS

    def start(self) -> None:
        """Listens: callbacks run from now on, on the node's own thread."""
        self._spinner.start()

    def autostart(self) -> bool:
        """Configures and activates; whether both worked."""
        return self.trigger_configure() == SUCCESS and self.trigger_activate() == SUCCESS

    def fail(self, error: Exception) -> None:
        """Ends the process with an error; from any thread."""
        self.failure = shown_error(error)
        self.get_logger().fatal(f"cannot go on: {self.failure}\n{shown_traceback(error)}")
        try:
            self._spinner.call(self._publish_diagnostics)
        finally:
            self.stopping.set()

    def close(self) -> None:
        """Ends all but a call of the model that outlasts PATIENCE_S; from none of its threads."""
        self.stopping.set()
        self._transitions.join(2 * PATIENCE_S)
        self._actions.finish(PATIENCE_S)
        self._spinner.stop()
        self._free()
        self._actions.destroy()
        self.destroy_node()
        # It has a hold on the participant, whose shared memory would outlive the process.
        self._state_machine.destroy_when_not_in_use()

    # -- callbacks, on the node's own thread: they fill mailboxes

    def _on_image(self, frames: Mailbox[CameraMessage], message: Image | CompressedImage) -> None:
        self._arrivals.count(convert.stamp_s(message.header))
        frames.put(CameraMessage(message, time.monotonic()))

    def _on_set_parameters(self, changes: list[Parameter]) -> SetParametersResult:
        """Takes a query as `set_query` does, and at once what is `live`; refuses what would do
        nothing after `configure`.
        """
        ours = {p.name: p.value for p in changes if hasattr(self.parameters, p.name)}
        query = ours.get("query")
        if self._configured is not None and len(ours) == 1 and isinstance(query, str):
            verdict = self.book.submit(query, append=False)
            self.get_logger().info(f"query {verdict.query_id}: {shown(verdict.message)}")
            return SetParametersResult(successful=verdict.success, reason=verdict.message)
        try:
            self.parameters = changed(self.parameters, ours, self.state != UNCONFIGURED)
        except ParameterError as error:
            return SetParametersResult(successful=False, reason=str(error))
        if ours:
            self._adjust()
        return SetParametersResult(successful=True)

    def _adjust(self) -> None:
        """What is `live` of the parameters holds from now on."""
        period_ns = round(1e9 * self.parameters.diagnostics_period_s)
        if self._timer.timer_period_ns != period_ns:
            self._timer.timer_period_ns = period_ns
            self._timer.reset()  # or the time that was left of the old one would be waited out
        if self._configured is not None:
            self._configured.tracker.adjust(self.parameters)
            self._configured.publishers.offer_overlay(self.parameters.overlay)

    def _on_queries(self, queries: tuple[Query, ...]) -> None:
        self._legend.set_queries(queries)
        self._queries.put(queries)
        self._board.set_queries(queries)

    def _publish_diagnostics(self) -> None:
        configured = self._configured  # another thread may be cleaning up
        tracker = configured.tracker if configured else None
        session = tracker.stream.session.stats() if tracker else {}
        states = tracker.states if tracker else {}
        snapshot = diagnosis.Snapshot(
            self.get_fully_qualified_name(),
            self.state,
            self.image_topic,
            self.meter,
            configured.frames.dropped if configured else 0,
            failure=self.failure,
            device=tracker.stream.device if tracker else "",
            queries=self.book.queries,
            states=states,
            session=session,
            troubles=(
                *troubles.faults(self.fault),
                *(self._neighbours.look(self.image_topic) if configured else ()),
                *self._notices.look(*self._troubles(session, states)),
            ),
        )
        message = diagnosis.report(snapshot)
        message.header.stamp = self.get_clock().now().to_msg()
        self._diagnostics.publish(message)

    def _troubles(self, session: Mapping[str, Any], states: Mapping[int, str]) -> list[Trouble]:
        silent_s = self._arrivals.silent_s
        configuring_s = time.monotonic() - self._configuring_from_s
        limit_s = self.parameters.grounding_limit_s
        return [
            silence(self, self.image_topic, self._subscription, silent_s),
            troubles.unprepared(configuring_s, limit_s),
            troubles.lossy(self._arrivals.heavy_loss(), silent_s),
            troubles.overdue(session, limit_s),
            troubles.unanswered(states, self.meter.remark("failed_groundings")),
        ]

    # -- on the tracker's thread

    def _publish(
        self,
        frames: Mailbox[CameraMessage],
        message: Image | CompressedImage,
        frame_HW3: np.ndarray,
        result: StepResult | None,
    ) -> None:
        configured = self._configured
        if configured is not None and configured.frames is frames:  # else it was left behind
            configured.publishers.publish(Answered(message.header, frame_HW3, result))
            answers = result.results if result else ()
            self._board.show(answers)
            self._actions.show(message.header, answers)

    def _warn(self, text: str) -> None:
        self.get_logger().warning(f"{self.image_topic}: {shown(text)}")

    def _set_up_tracker(self, backend: convert.Backend, frames: Mailbox[CameraMessage]) -> Tracker:
        now_s = lambda: self.get_clock().now().nanoseconds * 1e-9  # noqa: E731
        publish = functools.partial(self._publish, frames)
        outlets = Outlets(publish, self._warn, now_s, self.get_logger().error)
        stream = self._open_stream(self.parameters)
        limit = self.parameters.failed_frames_limit
        return Tracker(stream, backend, self._queries, outlets, self.meter, limit)

    # -- what configure makes and cleanup frees

    def _configure(self, backend: convert.Backend) -> Configured:
        """Takes the first query, loads the model on a thread of its own, and opens the outlets.

        Raises, with the thread ended or left behind: ParameterError for the first query, Stopped,
        InputError where the model from before is still busy, and what `open_stream` raises.
        """
        if self._left is not None and self._left.alive:
            raise InputError("a call of the last model has not returned yet: try again later")
        if self.parameters.query:
            verdict = self.book.submit(self.parameters.query, append=False)
            if not verdict.success:
                raise ParameterError(f"query: {verdict.message}")
        started_s = time.monotonic()
        frames: Mailbox[CameraMessage] = Mailbox()
        set_up = lambda: self._set_up_tracker(backend, frames)  # noqa: E731
        worker = Worker("tracker", frames, set_up, self.fail)
        worker.start()
        try:
            while not worker.wait_until_set_up(0.1):
                if self.stopping.is_set():
                    raise Stopped
            stream = worker.handler.stream
            self.book.known_words = frozenset(stream.known_words)
            for query in self.book.queries:
                self.get_logger().info(
                    f"query {query.id}, '{shown(query.text, 80)}': "
                    f"{shown(self.book.remark(query.text))}"
                )
            configured = self._spinner.call(lambda: self._open_outlets(frames, worker))
        except Exception:
            self._end(worker)
            raise
        self.get_logger().info(
            f"configured in {time.monotonic() - started_s:.1f} s: "
            f"model {self.parameters.model or 'tiny, of the package'} on {stream.device}, "
            f"images by {backend.name}"
        )
        return configured

    def _free(self) -> None:
        self._spinner.call(self._unsubscribe)
        if self._configured is not None:
            self._end(self._configured.worker)
            self._spinner.call(self._close_outlets)
            memory.give_back()
        self.book.clear()

    def _end(self, worker: Worker[CameraMessage]) -> None:
        """Joins the tracker's thread, or leaves it behind."""
        if not worker.stop(PATIENCE_S):
            self._left = worker
            self.get_logger().warning(
                f"a call of the model has not returned after {PATIENCE_S:g} s: it is left behind"
            )

    # -- on the node's own thread: what its executor waits for comes and goes

    def _subscribe(self) -> None:
        self._images = name, kind = find_images(self, self.parameters.image_transport)
        on_image = functools.partial(self._on_image, self._configured.frames)
        self._arrivals.begin(self.parameters.reset_after_s)
        self._subscription = self._endpoints.subscribe(kind, name, on_image, NEWEST_IMAGE)
        self._actions.open(self._configured.tracker)
        self._heartbeat.begin()
        self.get_logger().info(f"segmenting {name}")

    def _unsubscribe(self) -> None:
        self._heartbeat.end()
        self._actions.shut()
        if self._subscription is not None:
            self.destroy_subscription(self._subscription)
            self._subscription = self._images = None
        if self._configured is not None:
            self._configured.frames.clear()
            self._configured.tracker.pause()
        self._board.search()

    def _open_outlets(
        self, frames: Mailbox[CameraMessage], worker: Worker[CameraMessage]
    ) -> Configured:
        overlay = self.parameters.overlay
        publishers = Publishers(self, self._endpoints, self._vision, overlay)
        desk = QueryDesk(self, self._endpoints, self.book, self.meter)
        return Configured(frames, worker, publishers, desk)

    def _close_outlets(self) -> None:
        self._configured.desk.close()
        self._configured.publishers.destroy()
        self._configured = None


if __name__ == "__main__":  # as `virst_ros.segment`, but signals are taken later
    from virst_ros.segment import main

    main()
