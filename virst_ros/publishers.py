"""What the node publishes of an answered frame, from configure to cleanup."""

from __future__ import annotations

import functools

import numpy as np
from rclpy.lifecycle import LifecycleNodeMixin, LifecyclePublisher
from sensor_msgs.msg import CompressedImage, Image

from virst_interfaces.msg import SegmentationArray
from virst_model.answer import StepResult
from virst_model.overlay import draw_overlay
from virst_ros import convert
from virst_ros.qos import RESULT


class Publishers:
    """Of masks, labels, segmentations and, where it is offered, the overlay."""

    def __init__(self, node: LifecycleNodeMixin, overlay: bool) -> None:
        create = functools.partial(node.create_lifecycle_publisher, qos_profile=RESULT)
        self._node = node
        self._masks: LifecyclePublisher = create(Image, "masks")
        self._labels: LifecyclePublisher = create(Image, "labels")
        self._segmentations: LifecyclePublisher = create(SegmentationArray, "segmentations")
        self._overlay: LifecyclePublisher | None = create(Image, "overlay") if overlay else None

    def publish(
        self, message: Image | CompressedImage, frame_HW3: np.ndarray, result: StepResult
    ) -> None:
        """All of a frame, or nothing where one of them cannot be made; with the frame's header."""
        header = message.header
        answers = [
            (self._masks, convert.array_to_image(result.mask_HW, "mono8", header)),
            (self._labels, convert.array_to_image(result.labels_HW, "mono8", header)),
            (self._segmentations, convert.segmentations(result, header)),
        ]
        if self._overlay is not None and self._overlay.get_subscription_count():
            drawn_HW3 = draw_overlay(frame_HW3, result)
            answers.append((self._overlay, convert.array_to_image(drawn_HW3, "bgr8", header)))
        for publisher, answer in answers:
            publisher.publish(answer)

    def destroy(self) -> None:
        """Ends the topics."""
        for publisher in (self._masks, self._labels, self._segmentations, self._overlay):
            if publisher is not None:
                self._node.destroy_lifecycle_publisher(publisher)
