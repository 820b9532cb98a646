"""`virst-camera`: a camera for those who have none. Films a synthetic scene, with the truth beside
it, or plays a video, a folder of images or a webcam.

    virst-camera --ros-args -p source:=video.mp4 -p rate_hz:=30.0
"""

from __future__ import annotations

import json
import sys

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor
import rclpy
from rclpy.clock import Clock, ClockType
from rclpy.exceptions import ParameterException
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header, String

from virst_ros.convert import array_to_compressed, array_to_image
from virst_ros.pictures import PictureError, SceneSource, open_source
from virst_ros.qos import LATCHED, TRUTH


class Camera(Node):
    """Publishes image_raw, image_raw/compressed for those who listen, and the truth of a scene."""

    def __init__(self) -> None:
        """Raises PictureError where the source cannot be opened."""
        super().__init__("camera", namespace="camera")
        self._declare_parameters()
        # `source:=0`, a webcam, is an integer to ROS.
        values = {name: self.get_parameter(name).value for name in ("split", "seed")}
        values |= {name: self.get_parameter(name).value for name in ("width", "height")}
        name = str(self.get_parameter("source").value)
        self._source = open_source(name, **values)
        self._frame_id = self.get_parameter("frame_id").value
        self._images = self.create_publisher(Image, "image_raw", qos_profile_sensor_data)
        # Beside the images also where these are remapped, as image_transport has it.
        self._compressed = self.create_publisher(
            CompressedImage, self._images.topic_name + "/compressed", qos_profile_sensor_data
        )
        self._start_ns = self.get_clock().now().nanoseconds
        self._ids = None
        if isinstance(self._source, SceneSource):
            self._publish_scene(self._source)
        rate_hz = self.get_parameter("rate_hz").value
        self._timer = self.create_timer(
            1.0 / rate_hz, self._take_picture, clock=Clock(clock_type=ClockType.STEADY_TIME)
        )
        self.get_logger().info(f"filming {name} at {rate_hz:g} Hz on {self._images.topic_name}")

    def close(self) -> None:
        self._source.close()
        self.destroy_node()

    def _declare_parameters(self) -> None:
        sizes = [IntegerRange(from_value=0, to_value=8192, step=1)]
        rates = [FloatingPointRange(from_value=0.1, to_value=240.0)]
        for name, default, description, limits in (
            (
                "source",
                "scene",
                "scene, a video file, a folder of images, or a webcam's number",
                {},
            ),
            ("split", "demo", "which scenes: demo, train, valid or test", {}),
            ("seed", 0, "which scene", {}),
            ("rate_hz", 15.0, "pictures a second", {"floating_point_range": rates}),
            ("width", 0, "pixels; 0: the source's own, 640 for a scene", {"integer_range": sizes}),
            (
                "height",
                0,
                "pixels; 0: the source's own, 480 for a scene",
                {"integer_range": sizes},
            ),
            ("frame_id", "camera", "frame_id of the headers", {}),
        ):
            descriptor = ParameterDescriptor(
                description=description,
                read_only=True,
                dynamic_typing=name == "source",
                **limits,
            )
            self.declare_parameter(name, default, descriptor)

    def _publish_scene(self, source: SceneSource) -> None:
        """Says once, for late listeners too, what the scene is and when it began."""
        self._ids = self.create_publisher(Image, "truth/ids", TRUTH)
        self._scene = self.create_publisher(String, "truth/scene", LATCHED)
        description = source.scene.to_dict() | {"start_ns": self._start_ns}
        self._scene.publish(String(data=json.dumps(description)))

    def _take_picture(self) -> None:
        now = self.get_clock().now()
        picture = self._source.read((now.nanoseconds - self._start_ns) * 1e-9)
        header = Header(stamp=now.to_msg(), frame_id=self._frame_id)
        self._images.publish(array_to_image(picture.frame_HW3, "rgb8", header))
        if self._compressed.get_subscription_count():
            self._compressed.publish(array_to_compressed(picture.frame_HW3, header))
        if self._ids is not None:
            self._ids.publish(array_to_image(picture.ids_HW, "mono8", header))


def main(args: list[str] | None = None) -> int:
    """`virst-camera`: 0 after a signal, 1 where the source cannot be read."""
    rclpy.init(args=args)
    camera = None
    try:
        camera = Camera()
        rclpy.spin(camera)
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    except (PictureError, ParameterException) as error:
        rclpy.logging.get_logger("camera").error(str(error))
        return 1
    finally:
        if camera is not None:
            camera.close()
        rclpy.try_shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main())
