"""`virst-camera`: a camera for those who have none. Films a synthetic scene, with the truth beside
it, or plays a video, a folder of images, a bag, a webcam or a camera of the network.

    virst-camera --ros-args -p source:=video.mp4 -p rate_hz:=30.0
    virst-camera --ros-args -p source:=/dev/video0 -p width:=640 -p hfov_deg:=70.0
"""

from __future__ import annotations

import json
import sys

import rclpy
from rclpy.clock import Clock, ClockType
from rclpy.duration import Duration
from rclpy.exceptions import ParameterException
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from rclpy.qos import qos_profile_sensor_data
from rclpy.signals import SignalHandlerOptions
from rclpy.task import Future
from rclpy.time import Time
from rosgraph_msgs.msg import Clock as ClockMessage
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header, String

from virst_model.errors import InputError
from virst_model.sources.live import public
from virst_ros.convert import array_to_compressed, array_to_image
from virst_ros.declaration import declare
from virst_ros.lens import Lens
from virst_ros.parameters import CameraParameters
from virst_ros.pictures import SceneSource, bag_start_ns, open_source
from virst_ros.qos import CLOCK, LATCHED, TRUTH
from virst_ros.ros_context import ContextError, open_context


class Camera(Node):
    """Publishes image_raw, image_raw/compressed for those who listen, and the truth of a scene;
    where the lens is known, camera_info beside it.

    Attributes:
        ended: done once a recording has come to its end.
    """

    def __init__(self) -> None:
        """Raises InputError where the source cannot be opened, or ROS's ParameterException."""
        super().__init__("camera", namespace="camera")
        values = declare(self, CameraParameters)
        self._lens = Lens(values.camera_info_url, values.hfov_deg)
        self._name = public(values.source)
        self._source = open_source(
            values.source,
            values.split,
            values.seed,
            values.width,
            values.height,
            values.photographs,
            values.topic,
            values.loop,
        )
        self.ended = Future()
        self._frame_id = values.frame_id
        self._advertise()
        self._steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._clock_publisher = None
        if values.clock:
            self._begin_clock(bag_start_ns(self._source, self._name))
        self._start_ns = self._now().nanoseconds
        self._ids = None
        if isinstance(self._source, SceneSource):
            self._publish_scene(self._source)
        period_s = 1.0 / values.rate_hz
        self._timer = self.create_timer(period_s, self._take_picture, clock=self._steady)
        self.get_logger().info(
            f"filming {self._name} at {values.rate_hz:g} Hz on {self._images.topic_name}"
        )

    def close(self) -> None:
        """Gives back the source and destroys the node."""
        self._source.close()
        self.destroy_node()

    def _advertise(self) -> None:
        self._images = self.create_publisher(Image, "image_raw", qos_profile_sensor_data)
        # Beside the images also where these are remapped, as image_transport has it.
        topic = self._images.topic_name
        self._compressed = self.create_publisher(
            CompressedImage, f"{topic}/compressed", qos_profile_sensor_data
        )
        self._infos = None
        if self._lens.is_known:
            self._infos = self.create_publisher(
                CameraInfo, f"{topic.rpartition('/')[0]}/camera_info", qos_profile_sensor_data
            )

    def _begin_clock(self, bag_ns: int) -> None:
        """The time of a bag, whatever others there are: it is `bag_ns` now."""
        self._ahead_ns = bag_ns - self._steady.now().nanoseconds
        self._clock_publisher = self.create_publisher(ClockMessage, "/clock", CLOCK)

    def _now(self) -> Time:
        if self._clock_publisher is None:
            return self.get_clock().now()
        nanoseconds = self._steady.now().nanoseconds + self._ahead_ns
        return Time(nanoseconds=nanoseconds, clock_type=ClockType.ROS_TIME)

    def _publish_scene(self, source: SceneSource) -> None:
        """Says once, for late listeners too, what the scene is and when it began."""
        self._ids = self.create_publisher(Image, "truth/ids", TRUTH)
        self._scene = self.create_publisher(String, "truth/scene", LATCHED)
        description = source.scene.to_dict() | {"start_ns": self._start_ns}
        self._scene.publish(String(data=json.dumps(description)))

    def _take_picture(self) -> None:
        now = self._now()
        if self._clock_publisher is not None:
            self._clock_publisher.publish(ClockMessage(clock=now.to_msg()))
        picture = self._source.read((now.nanoseconds - self._start_ns) * 1e-9)
        if picture is None:
            self.get_logger().info(f"{self._name} has come to its end")
            self._timer.cancel()
            self.ended.set_result(None)
            return
        if picture.age_s:  # it was waited for
            now = self._now() - Duration(seconds=picture.age_s)
        header = Header(stamp=now.to_msg(), frame_id=self._frame_id)
        self._images.publish(array_to_image(picture.frame_HW3, "rgb8", header))
        if self._infos is not None:
            height, width = picture.frame_HW3.shape[:2]
            self._infos.publish(self._lens.info(width, height, header))
        if self._compressed.get_subscription_count():
            self._compressed.publish(array_to_compressed(picture.frame_HW3, header))
        if self._ids is not None:
            self._ids.publish(array_to_image(picture.ids_HW, "mono8", header))


def main(args: list[str] | None = None) -> int:
    """`virst-camera`: 0 after a signal or a recording's end, 1 where the source cannot be read."""
    try:
        with open_context(args, SignalHandlerOptions.ALL):
            return _film()
    except ContextError as error:  # there is no log
        sys.stderr.write(f"cannot start: {error}\n")
        return 1


def _film() -> int:
    camera = None
    try:
        camera = Camera()
        rclpy.spin_until_future_complete(camera, camera.ended)
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    except (InputError, ParameterException) as error:
        rclpy.logging.get_logger("camera").error(str(error))
        return 1
    finally:
        if camera is not None:
            camera.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
