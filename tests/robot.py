"""A robot for the tests of the node: its camera, its client and its ears, over real DDS."""

from __future__ import annotations

from collections.abc import Callable
import time

from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState, GetState
import numpy as np
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy, qos_profile_sensor_data
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from virst_interfaces.msg import SegmentationArray
from virst_interfaces.srv import SetQuery

HEIGHT, WIDTH = 120, 160
REPEAT_S = 2.0
RELIABLE = QoSProfile(depth=10, reliability=ReliabilityPolicy.RELIABLE)
ANSWER_TOPICS = ("/virst/masks", "/virst/labels", "/virst/segmentations")
TRANSITIONS = {
    "configure": Transition.TRANSITION_CONFIGURE,
    "cleanup": Transition.TRANSITION_CLEANUP,
    "activate": Transition.TRANSITION_ACTIVATE,
    "deactivate": Transition.TRANSITION_DEACTIVATE,
}


def red_square(height: int = HEIGHT, width: int = WIDTH, first_blue: int = 0) -> np.ndarray:
    """uint8 RGB with a red square of 20 x 20 pixels at (30, 40)."""
    frame_HW3 = np.full((height, width, 3), 100, np.uint8)
    frame_HW3[40:60, 30:50] = (255, 0, 0)
    frame_HW3[0, 0, 2] = first_blue
    return frame_HW3


def header(stamp_s: float, frame_id: str = "camera") -> Header:
    sec = int(stamp_s)
    return Header(stamp=Time(sec=sec, nanosec=round((stamp_s - sec) * 1e9)), frame_id=frame_id)


def image(frame_HW3: np.ndarray, stamp_s: float, encoding: str = "rgb8") -> Image:
    height, width = frame_HW3.shape[:2]
    message = Image(height=height, width=width, encoding=encoding, step=3 * width)
    message.header = header(stamp_s)
    message.data.frombytes(np.ascontiguousarray(frame_HW3))
    return message


class Robot:
    """Talks to /virst/segment."""

    def __init__(self, node: Node, spin_until: Callable[..., bool]) -> None:
        self._node, self.spin_until = node, spin_until
        self.masks: list[Image] = []
        self.labels: list[Image] = []
        self.segmentations: list[SegmentationArray] = []
        self.overlays: list[Image] = []
        self.diagnostics: dict[str, str] = {}
        self.diagnosed_s = 0.0
        self.level = b""
        self.message = ""
        self.camera = node.create_publisher(Image, "/virst/image", qos_profile_sensor_data)
        self.compressed_camera = node.create_publisher(
            CompressedImage, "/virst/image/compressed", qos_profile_sensor_data
        )
        for kind, topic, messages in (
            (Image, ANSWER_TOPICS[0], self.masks),
            (Image, ANSWER_TOPICS[1], self.labels),
            (SegmentationArray, ANSWER_TOPICS[2], self.segmentations),
        ):
            node.create_subscription(kind, topic, messages.append, RELIABLE)
        node.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, 10)
        self._set_query = node.create_client(SetQuery, "/virst/set_query")
        self._get_state = node.create_client(GetState, "/virst/segment/get_state")
        self._change_state = node.create_client(ChangeState, "/virst/segment/change_state")

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        (status,) = message.status
        self.diagnosed_s = message.header.stamp.sec + message.header.stamp.nanosec * 1e-9
        self.level, self.message = status.level, status.message
        self.diagnostics = {pair.key: pair.value for pair in status.values}

    def call(self, client, request):
        """The answer; fails where none comes."""
        assert self.spin_until(client.service_is_ready), f"no {client.srv_name}"
        future = client.call_async(request)
        assert self.spin_until(future.done), f"no answer from {client.srv_name}"
        return future.result()

    def set_query(self, query: str, append: bool = False) -> SetQuery.Response:
        return self.call(self._set_query, SetQuery.Request(query=query, append=append))

    def has_service(self) -> bool:
        return self._set_query.service_is_ready()

    def state(self) -> str:
        return self.call(self._get_state, GetState.Request()).current_state.label

    def change(self, transition: str) -> bool:
        return self.start_change(transition).success

    def start_change(self, transition: str):
        request = ChangeState.Request()
        request.transition.id = TRANSITIONS[transition]
        return self.call(self._change_state, request)

    def change_async(self, transition: str):
        """A future; the caller spins."""
        request = ChangeState.Request()
        request.transition.id = TRANSITIONS[transition]
        assert self.spin_until(self._change_state.service_is_ready)
        return self._change_state.call_async(request)

    def wait_until_active(self, process=None) -> None:
        """Until the node, in `process`, listens to the camera and we to its masks."""

        def ready() -> bool:
            assert process is None or process.popen.poll() is None, process.output
            cameras = (self.camera, self.compressed_camera)
            return (
                self.diagnostics.get("state") == "active"
                and any(camera.get_subscription_count() for camera in cameras)
                and all(self._node.count_publishers(topic) for topic in ANSWER_TOPICS)
            )

        assert self.spin_until(ready), f"not active: {self.diagnostics}"

    def answer_to(self, message: Image | CompressedImage) -> Image:
        """Publishes a frame until its mask, labels and segmentations are the newest; the mask."""
        received = (self.masks, self.labels, self.segmentations)

        def answered() -> bool:
            return all(answers and answers[-1].header == message.header for answers in received)

        assert self.publish_until(message, answered), "no mask came"
        return self.masks[-1]

    def publish_until(
        self, message: Image | CompressedImage, condition: Callable[[], bool]
    ) -> bool:
        """Publishes now, and again from time to time, until the condition holds: did it?

        Best effort loses what is published while the two sides are still finding each other. Once
        a frame was answered they have, and `publish` is enough.
        """
        due_s = time.monotonic()

        def met() -> bool:
            nonlocal due_s
            if condition():
                return True
            if time.monotonic() >= due_s:
                self.publish(message)
                due_s = time.monotonic() + REPEAT_S
            return False

        return self.spin_until(met)

    def publish(self, message: Image | CompressedImage) -> None:
        compressed = isinstance(message, CompressedImage)
        (self.compressed_camera if compressed else self.camera).publish(message)

    def counted(self, name: str) -> int:
        """The counter as /diagnostics last had it."""
        return int(self.diagnostics.get(name, "0"))

    def counted_now(self, name: str) -> int:
        """The counter as /diagnostics has it from now on, not as it was on its way."""
        now_s = time.time()
        assert self.spin_until(lambda: self.diagnosed_s > now_s), "no diagnostics"
        return self.counted(name)

    def counts(self, name: str, at_least: int = 1) -> bool:
        """Whether the counter in /diagnostics comes to `at_least`."""
        return self.spin_until(lambda: self.counted(name) >= at_least)
