"""What the node publishes of a frame, from configure to cleanup."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
import functools
import threading
from types import ModuleType

import numpy as np
from rclpy.lifecycle import LifecycleNodeMixin, LifecyclePublisher
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from virst_interfaces.msg import SegmentationArray
from virst_model.answer import StepResult
from virst_model.overlay import draw_overlay
from virst_ros import convert
from virst_ros.endpoints import Endpoints
from virst_ros.qos import RESULT


@dataclass(frozen=True, eq=False)
class Answered:
    """A frame, its answers, and what is made of them once somebody wants it.

    Attributes:
        header: the camera image's, untouched.
        result: None where no query is followed.
    """

    header: Header
    frame_HW3: np.ndarray
    result: StepResult | None

    @functools.cached_property
    def overlay_HW3(self) -> np.ndarray:
        """BGR; drawn once for all who listen."""
        return draw_overlay(self.frame_HW3, self.result)


@dataclass(frozen=True)
class OnDemand:
    """A topic whose messages are made only while somebody listens.

    Attributes:
        make: the message of a frame.
        idle: there is one also where no query is followed.
    """

    publisher: LifecyclePublisher
    make: Callable[[Answered], object]
    idle: bool = False


def _labels_png(frame: Answered) -> CompressedImage:
    return convert.array_to_png(frame.result.labels_HW, frame.header)


def _confidence(frame: Answered) -> Image:
    return convert.array_to_image(frame.result.confidence_HW(), "mono8", frame.header)


def _overlay(frame: Answered) -> Image:
    return convert.array_to_image(frame.overlay_HW3, "bgr8", frame.header)


def _overlay_jpeg(frame: Answered) -> CompressedImage:
    return convert.bgr_to_jpeg(frame.overlay_HW3, frame.header)


class Publishers:
    """Of masks, labels and segmentations always, of everything else to those who listen."""

    def __init__(
        self,
        node: LifecycleNodeMixin,
        endpoints: Endpoints,
        vision: ModuleType | None,
        overlay: bool,
    ) -> None:
        """`vision`: virst_ros.vision, or None; `overlay`: whether it is offered."""
        self._node = node
        self._create = functools.partial(endpoints.publish_while_active, qos=RESULT)
        self._masks: LifecyclePublisher = self._create(Image, "masks")
        self._labels: LifecyclePublisher = self._create(Image, "labels")
        self._segmentations: LifecyclePublisher = self._create(SegmentationArray, "segmentations")
        self._on_demand = [
            OnDemand(self._create(Image, "confidence"), _confidence),
            OnDemand(self._create(CompressedImage, "labels/compressed"), _labels_png),
        ]
        if vision is not None:
            boxes = self._create(vision.Detection2DArray, "detections")
            make = lambda frame: vision.detections(frame.result, frame.header)  # noqa: E731
            self._on_demand.append(OnDemand(boxes, make, idle=True))
        self._lock = threading.Lock()  # of the overlay's topics, which may end meanwhile
        self._drawn: list[OnDemand] = []
        self.offer_overlay(overlay)

    def offer_overlay(self, offered: bool) -> None:
        """Begins or ends the topics of the overlay; on the node's own thread."""
        with self._lock:
            if offered and not self._drawn:
                compressed = self._create(CompressedImage, "overlay/compressed")
                self._drawn = [
                    OnDemand(self._create(Image, "overlay"), _overlay, idle=True),
                    OnDemand(compressed, _overlay_jpeg, idle=True),
                ]
            elif not offered:
                self._end(self._drawn)
                self._drawn = []

    def publish(self, frame: Answered) -> None:
        """All of a frame, or nothing where one of them cannot be made; with the frame's header."""
        with self._lock:
            answers = [*self._always(frame), *self._wanted(frame)]
            for publisher, answer in answers:
                publisher.publish(answer)

    def destroy(self) -> None:
        """Ends the topics."""
        self.offer_overlay(False)
        self._end(self._on_demand)
        for publisher in (self._masks, self._labels, self._segmentations):
            self._node.destroy_lifecycle_publisher(publisher)

    def _always(self, frame: Answered) -> Iterator[tuple[LifecyclePublisher, object]]:
        header, result = frame.header, frame.result
        if result is not None:
            yield self._masks, convert.array_to_image(result.mask_HW, "mono8", header)
            yield self._labels, convert.array_to_image(result.labels_HW, "mono8", header)
            yield self._segmentations, convert.segmentations(result, header)

    def _wanted(self, frame: Answered) -> Iterator[tuple[LifecyclePublisher, object]]:
        for topic in (*self._on_demand, *self._drawn):
            offered = frame.result is not None or topic.idle
            if offered and topic.publisher.get_subscription_count():
                yield topic.publisher, topic.make(frame)

    def _end(self, topics: Sequence[OnDemand]) -> None:
        for topic in topics:
            self._node.destroy_lifecycle_publisher(topic.publisher)
