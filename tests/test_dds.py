"""Camera images from another real process under the DDS profile that the project ships."""

from __future__ import annotations

import sys

FRAMES = 60
# On their way at once: fewer than the 5 that best effort keeps, and than fit into shared memory.
BURST = 3
HEIGHT, WIDTH = 720, 1280


def test_best_effort_720p_images_arrive(start_process, ros_node, spin_until):
    """None does with Fast DDS's defaults. The writer waits for what it is told to have arrived."""
    from rclpy.qos import qos_profile_sensor_data
    from sensor_msgs.msg import Image
    from std_msgs.msg import UInt32

    arrived, damaged = [], []
    arrivals = ros_node.create_publisher(UInt32, "arrivals", FRAMES)

    def on_image(message: Image) -> None:
        index, data = int(message.header.frame_id), message.data
        arrived.append(index)
        if len(data) != 3 * HEIGHT * WIDTH or {data[0], data[-1]} != {index}:
            damaged.append(index)
        arrivals.publish(UInt32(data=index))

    ros_node.create_subscription(Image, "image", on_image, qos_profile_sensor_data)
    writer = start_process(__file__)

    assert spin_until(lambda: writer.popen.poll() is not None), "an image was lost"
    assert writer.popen.returncode == 0, writer.output
    assert set(arrived) == set(range(FRAMES))
    assert not damaged


def write() -> int:
    """Publishes FRAMES images in bursts, each once all of the burst before have arrived."""
    import rclpy
    from rclpy.qos import qos_profile_sensor_data
    from sensor_msgs.msg import Image
    from std_msgs.msg import UInt32

    with rclpy.init():
        node = rclpy.create_node("writer")
        arrived: set[int] = set()
        node.create_subscription(UInt32, "arrivals", lambda m: arrived.add(m.data), FRAMES)
        publisher = node.create_publisher(Image, "image", qos_profile_sensor_data)

        def publish(index: int) -> None:
            message = Image(height=HEIGHT, width=WIDTH, encoding="rgb8", step=3 * WIDTH)
            message.header.frame_id = str(index)
            message.data.frombytes(bytes([index]) * (3 * HEIGHT * WIDTH))
            publisher.publish(message)

        # The first image again and again: the two sides have to find each other.
        while 0 not in arrived:
            publish(0)
            rclpy.spin_once(node, timeout_sec=2.0)
        for first in range(1, FRAMES, BURST):
            burst = range(first, min(first + BURST, FRAMES))
            for index in burst:
                publish(index)
            while not arrived.issuperset(burst):
                rclpy.spin_once(node, timeout_sec=0.5)
    return 0


if __name__ == "__main__":
    sys.exit(write())
