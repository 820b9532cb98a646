"""Starts camera and node, asks, and listens: what the demo and the bench do alike."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
import json
from pathlib import Path
import time
from typing import Any, Protocol

from lifecycle_msgs.msg import State
from lifecycle_msgs.srv import GetState
import rclpy
from rclpy.client import Client
from rclpy.executors import SingleThreadedExecutor
from rclpy.signals import SignalHandlerOptions
from tqdm import tqdm

from virst_interfaces.srv import SetQuery
from virst_ros.demo.processes import DemoError, Interrupts, Processes
from virst_ros.meter import Meter

START_LIMIT_S = 120.0
ANSWER_LIMIT_S = 60.0
# Of camera frames before the first query: a robot's node is there before its task is.
LEAD_IN_S = 1.5


class Listener(Protocol):
    """A node of ours that hears camera and masks.

    Attributes:
        meter: counts "frames", which the camera took, and "masks".
        state: of the newest answer, for people; empty until there is one.
    """

    meter: Meter
    state: str


class Director:
    """Waits for camera and node, asks, and lets its listener hear, on one executor."""

    def __init__(self, listener: Listener, processes: Processes) -> None:
        self.listener = listener
        self._processes = processes
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(listener)
        self._set_query = listener.create_client(SetQuery, "/virst/set_query")
        self._get_state = listener.create_client(GetState, "/virst/segment/get_state")

    def close(self) -> None:
        """Ends the executor; the node stays."""
        self._executor.shutdown()

    def start(self, name: str, *options: str) -> None:
        """Starts another of our programs, with options of its own."""
        self._processes.start(name, options=options)

    def said(self, name: str) -> str:
        """What a program has written so far."""
        return self._processes.said(name)

    def spin_until(self, done: Callable[[], bool], limit_s: float, what: str) -> None:
        """Raises DemoError after `limit_s` or where a child has ended."""
        end_s = time.monotonic() + limit_s
        while not done():
            self._processes.check()
            if time.monotonic() > end_s:
                raise DemoError(f"{what}: nothing after {limit_s:g} s")
            self._executor.spin_once(timeout_sec=0.1)

    def spin_for(self, seconds: float, bar: tqdm | None = None) -> None:
        """Listens, and shows on `bar` the whole seconds that passed, the state and the rate.

        Raises DemoError where a child has ended.
        """
        start_s = time.monotonic()
        while (passed_s := time.monotonic() - start_s) < seconds:
            self._processes.check()
            self._executor.spin_once(timeout_sec=min(0.1, seconds - passed_s))
            if bar is not None:
                self._show(bar, passed_s)
        if bar is not None:
            self._show(bar, seconds)

    def wait_until_active(self) -> None:
        """Until the node is active and camera frames have come for the lead-in."""
        self.spin_until(self._get_state.service_is_ready, START_LIMIT_S, "virst-segment")
        while not self._is_active():
            self.spin_for(0.2)
        meter = self.listener.meter
        self.spin_until(lambda: meter.counted("frames") > 0, START_LIMIT_S, "camera images")
        self.spin_for(LEAD_IN_S)

    def ask(self, query: str) -> int:
        """Sets the query; its id. Raises DemoError where it is refused."""
        self.spin_until(self._set_query.service_is_ready, ANSWER_LIMIT_S, "/virst/set_query")
        response = self._call(self._set_query, SetQuery.Request(query=query))
        if not response.success:
            raise DemoError(f"query {query!r} was refused: {response.message}")
        if response.message != "accepted":
            tqdm.write(f"{query!r}: {response.message}")
        return response.query_id

    def _is_active(self) -> bool:
        response = self._call(self._get_state, GetState.Request())
        return response.current_state.id == State.PRIMARY_STATE_ACTIVE

    def _call(self, client: Client, request: Any) -> Any:
        future = client.call_async(request)
        self.spin_until(future.done, ANSWER_LIMIT_S, client.srv_name)
        return future.result()

    def _show(self, bar: tqdm, passed_s: float) -> None:
        whole = int(passed_s)
        if whole > bar.n:
            masks_hz = self.listener.meter.rate_hz("masks")
            bar.set_postfix_str(f"{self.listener.state or '-'}, {masks_hz:.1f} masks/s", False)
            bar.update(whole - bar.n)


@contextmanager
def stage(
    out: Path,
    interrupts: Interrupts,
    make_listener: Callable[[], Listener],
    camera: dict[str, object],
    model: str = "",
) -> Iterator[Director]:
    """Camera and node as processes, and a node of ours; all ended and joined afterwards.

    Args:
        out: where the processes' outputs go.
        make_listener: makes our node, once ROS is there.
        camera: parameters of the camera.
        model: folder with weights; empty: the package's.
    """
    processes = Processes(out, interrupts)
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    try:
        director = Director(make_listener(), processes)
        start_nodes(processes, {"model": model} if model else {}, camera)
        yield director
        director.close()
    finally:
        processes.stop()
        rclpy.try_shutdown()


def start_nodes(
    processes: Processes, segment: dict[str, object], camera: dict[str, object]
) -> None:
    """Starts node and camera with these parameters."""
    image = ("-r", "image:=/camera/image_raw")
    processes.start("virst-segment", *image, *_as_words(segment))
    processes.start("virst-camera", *_as_words(camera))


def _as_words(parameters: dict[str, object]) -> list[str]:
    pairs = [("-p", f"{name}:={_as_yaml(value)}") for name, value in parameters.items()]
    return [word for pair in pairs for word in pair]


def _as_yaml(value: object) -> str:
    """As a parameter on the command line, which is YAML: a folder `007` is a text."""
    return json.dumps(value, ensure_ascii=False)
